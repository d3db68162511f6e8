//! Where PostgreSQL's programs are, by major version, and which user runs them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// The newest version that `scripts/postgres` provides; its clients talk to every older server.
pub const NEWEST: u32 = 18;

/// The directory that holds the programs of a major version: what `PG_SWITCHOVER_TEST_PG<version>`
/// names, or else what `scripts/postgres` prints (which fetches a version that is missing).
///
/// # Panics
/// When there is no such version: a test must not pass because it had nothing to run on.
pub fn bin(version: u32) -> PathBuf {
    static FOUND: Mutex<BTreeMap<u32, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(|broken| broken.into_inner());
    found
        .entry(version)
        .or_insert_with(|| {
            let bin = match std::env::var_os(format!("PG_SWITCHOVER_TEST_PG{version}")) {
                Some(directory) => PathBuf::from(directory),
                None => ask_script(version),
            };
            assert!(
                bin.join("postgres").exists(),
                "there is no PostgreSQL {version} in {}: run scripts/postgres {version}",
                bin.display()
            );
            bin
        })
        .clone()
}

fn ask_script(version: u32) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
    let output = Command::new(&script)
        .arg(version.to_string())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {}: {error}", script.display()));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix(&format!("{version} ")))
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            panic!(
                "PostgreSQL {version} is missing and scripts/postgres could not get it:\n{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
}

/// The path of a client program (psql, `pg_dump`, pgbench) of the newest version.
pub fn client(program: &str) -> PathBuf {
    bin(NEWEST).join(program)
}

/// Whether the tests run as root, and PostgreSQL therefore as user "postgres".
pub fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        std::fs::metadata("/proc/self")
            .expect("cannot look at /proc/self")
            .uid()
            == 0
    })
}

/// A command that runs as the user whom PostgreSQL accepts, in a directory that this user can enter,
/// and without the `PG*` variables of the caller.
pub fn as_server_user(program: impl AsRef<OsStr>) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        command.arg("--").arg(program);
        command
    } else {
        Command::new(program)
    };
    without_libpq_variables(&mut command);
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Removes every variable that libpq, or this program, would take a connection parameter from.
pub fn without_libpq_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours = name.starts_with("PG_SWITCHOVER_") && !name.starts_with("PG_SWITCHOVER_TEST_");
        let libpq = name.starts_with("PG") && !name.starts_with("PG_SWITCHOVER_");
        if ours || libpq {
            command.env_remove(name);
        }
    }
}

/// Runs a command to its end and returns its standard output.
///
/// # Panics
/// When it fails, with everything it said.
pub fn output_of(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
