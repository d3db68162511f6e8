//! No secret shows where it need not, and who owns tables that move gains no rights by it.

mod hostile;
mod passwords;
mod privileges;

use std::fs;
use std::path::PathBuf;

use crate::support::cluster::Cluster;
use crate::support::pair::Pair;

/// A pair whose superuser `mover` needs a password; `postgres` needs none.
fn with_passwords(password: &str) -> Pair {
    let hba = "local all all trust\nhost all postgres 127.0.0.1/32 trust\n\
               host all all 127.0.0.1/32 scram-sha-256\n";
    let server = |version| Cluster::builder(version).hba(hba);
    let pair = Pair::from_builders(server(15), server(18));
    pair.on_both(&format!(
        "SET log_statement = none; CREATE ROLE mover SUPERUSER LOGIN PASSWORD '{password}'"
    ));
    pair
}

/// A directory that goes with the test.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Scratch {
        let name = format!("pg_switchover-secrets-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Scratch { path }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
