//! On a Unix socket there is no network that could lose anything; but a server can stand still.

use super::{change, copied};
use crate::support::cluster::{Cluster, send_signal};
use crate::support::compare;
use crate::support::pair::DATABASE;
use crate::support::stage::{LIMIT, SOURCE_IN_CHARGE};
use crate::support::wait_for;

fn uri(cluster: &Cluster) -> String {
    format!(
        "postgresql:///{DATABASE}?host={}&port={}&user=postgres{}",
        cluster.socket_directory().display(),
        cluster.port(),
        super::HURRY.replace('?', "&")
    )
}

/// A server that takes no new connection, until this is dropped.
pub struct Standstill(u32);

impl Standstill {
    pub fn begin(cluster: &Cluster) -> Standstill {
        let text = std::fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap();
        let postmaster = text.lines().next().unwrap().parse().unwrap();
        send_signal(postmaster, "STOP");
        Standstill(postmaster)
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        send_signal(self.0, "CONT");
    }
}

#[test]
fn a_server_that_stands_still_behind_a_socket_ends_the_command() {
    let stage = copied();
    let (source, destination) = (&stage.pair.source, &stage.pair.destination);
    // Waits on the server are to be longer than ours.
    let patient = "--lock-timeout=30000";
    for args in [&["sync", patient][..], &["switch", "--unverified", patient]] {
        change(&stage.pair, 5);
        let mut client = stage.pair.destination_client();
        client.batch_execute("BEGIN; LOCK TABLE a").unwrap();
        let program = stage.pair.program(args);
        let running = program
            .source(&uri(source))
            .destination(&uri(destination))
            .spawn();
        let waiting = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pg_switchover: %' AND wait_event_type = 'Lock'";
        wait_for("the applier to wait for the lock", LIMIT, || {
            !stage.pair.on_destination(waiting).is_empty()
        });
        let standstill = Standstill::begin(destination);
        let outcome = running.wait(LIMIT);
        drop(standstill);
        println!("{}", outcome.stderr);
        let outcome = outcome.expect(1).expect_stderr("no answer for ");
        if args[0] == "switch" {
            assert_eq!(outcome.last_line(), SOURCE_IN_CHARGE);
        }
        client.batch_execute("ROLLBACK").unwrap();
        stage.pair.run(args).expect(0);
        compare::assert_equal(&stage.pair);
    }
}
