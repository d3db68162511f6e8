//! Promise 8: no command makes a writer wait for long, every wait has a bound and says what it waits for,
//! and `drop` leaves no trace.

mod altering;
mod clock;
mod comparing;
mod deadlocks;
mod disturbances;
mod piling;
mod traces;
mod waiting;

use std::io::Read;
use std::process::{Command, Stdio};

use postgres::Client;

use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Outcome;
use crate::support::servers;

/// Two attempts of 400 ms each.
pub const IMPATIENT: [&str; 2] = ["--lock-timeout=400", "--lock-attempts=2"];

pub const TABLES: &str =
    "CREATE TABLE a (id int PRIMARY KEY, n int); CREATE TABLE b (id int PRIMARY KEY, n int)";
pub const ROWS: &str =
    "INSERT INTO a SELECT i, i FROM generate_series(1, 50) i; INSERT INTO b SELECT * FROM a";

pub fn impatient(pair: &Pair, arguments: &[&str]) -> Outcome {
    pair.run(&[arguments, &IMPATIENT].concat())
}

/// A session that runs some statements and keeps its transaction open.
pub fn blocker(pair: &Pair, sql: &str) -> Client {
    let mut client = pair.source_client();
    client.batch_execute(&format!("BEGIN; {sql}")).unwrap();
    client
}

pub fn pid(client: &mut Client) -> i32 {
    let row = client.query_one("SELECT pg_backend_pid()", &[]).unwrap();
    row.get(0)
}

/// Demands that the outcome names the session that was in the way, its user and its age.
pub fn expect_named(outcome: Outcome, pid: i32) -> Outcome {
    let outcome =
        outcome.expect_stderr(&format!("pid {pid} (user postgres, idle in transaction, "));
    assert!(outcome.stderr.contains(" s: "), "{}", outcome.report());
    outcome
}

pub fn assert_no_trace(pair: &Pair) {
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('switchover')
                UNION ALL SELECT count(*) FROM pg_namespace WHERE nspname = 'switchover'
                UNION ALL SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pg_switchover%'";
    for count in [pair.on_source(left), pair.on_destination(left)] {
        assert_eq!(count, "0\n0\n0");
    }
}

/// A dump of the source that has taken all its locks, and stands still.
pub struct Dump {
    child: std::process::Child,
}

impl Dump {
    pub fn start(pair: &Pair) -> Dump {
        let mut command = Command::new(servers::client("pg_dump"));
        servers::without_libpq_variables(&mut command);
        let mut child = command
            .arg("-d")
            .arg(pair.source.uri(DATABASE))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It says something only after it has locked everything; then the pipe is full.
        let mut some = [0; 100];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut some)
            .unwrap();
        Dump { child }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
