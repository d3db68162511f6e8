//! We and an application wait for each other. One of the two is ended by the server: it shall be us, who try
//! again, and never the application.
//!
//! The server ends the one whose wait turns out to be part of a circle after `deadlock_timeout`. So that it would
//! be the application's, ours is made to begin later here: a third session lets go of what we wait for only then.

use std::time::Duration;

use super::{ROWS, TABLES, assert_no_trace, blocker};
use crate::support::cluster::Cluster;
use crate::support::pair::Pair;
use crate::support::program::Running;
use crate::support::stage::{LIMIT, Stage};
use crate::support::{compare, wait_for};

/// Long, so that nothing here is a matter of milliseconds.
const DEADLOCK_TIMEOUT: Duration = Duration::from_secs(3);

fn pair(tables: &str, rows: &str) -> Pair {
    let source = Cluster::builder(15).setting("deadlock_timeout", "3s");
    let pair = Pair::from_builders(source, Cluster::builder(18));
    pair.on_both(tables);
    pair.on_source(rows);
    pair
}

const PARTITIONED: &str = "CREATE TABLE t (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
    CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20);
    CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (20) TO (30);";
const PARTITIONED_ROWS: &str = "INSERT INTO t SELECT i, i FROM generate_series(1, 29) i";

fn wait_until_we_wait(pair: &Pair, running: &mut Running) {
    let waits = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                  WHERE NOT l.granted AND a.application_name LIKE 'pg\\_switchover: %'";
    wait_for("a lock that we wait for", LIMIT, || {
        assert!(running.is_running(), "{}", running.stderr());
        pair.on_source(waits) == "t"
    });
}

/// The application holds what we want last, and wants what we hold, while we wait for a third session. Returns
/// once the application has got it.
fn cross(pair: &Pair, command: &[&str], third: &str, holds: &str, wants: &str) -> Running {
    let mut third = blocker(pair, third);
    let mut application = blocker(pair, holds);
    let mut running = pair.spawn(command);
    wait_until_we_wait(pair, &mut running);
    let wants = wants.to_owned();
    let waiting = std::thread::spawn(move || {
        let result = application.batch_execute(&wants);
        result.and_then(|()| application.batch_execute("COMMIT"))
    });
    // The application has begun to wait first; now we shall wait for it.
    std::thread::sleep(DEADLOCK_TIMEOUT * 5 / 6);
    third.batch_execute("COMMIT").unwrap();
    let result = waiting.join().unwrap();
    assert!(result.is_ok(), "{command:?}: {result:?}");
    running
}

#[test]
fn init_lets_an_application_have_the_table_of_which_it_has_a_partition() {
    let pair = pair(PARTITIONED, PARTITIONED_ROWS);
    cross(
        &pair,
        &["init", "--lock-timeout=10000"],
        "UPDATE t1 SET n = 0 WHERE id = 1",
        "UPDATE t3 SET n = 0 WHERE id = 25",
        "UPDATE t SET n = 0 WHERE id = 26",
    )
    .wait(LIMIT)
    .expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn drop_lets_an_application_have_the_table_of_which_it_has_a_partition() {
    let pair = pair(PARTITIONED, PARTITIONED_ROWS);
    pair.run(&["init", "-q"]).expect(0);
    cross(
        &pair,
        &["drop", "--lock-timeout=10000"],
        "SELECT * FROM t1",
        "SELECT * FROM t3",
        "SELECT * FROM t",
    )
    .wait(LIMIT)
    .expect(0);
    assert_no_trace(&pair);
}

#[test]
fn a_cycle_lets_an_application_alter_what_it_has_read() {
    let pair = pair(
        &format!("{TABLES}; CREATE TABLE c (id int PRIMARY KEY, n int)"),
        &format!("{ROWS}; INSERT INTO c SELECT * FROM a"),
    );
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    // Read in the order of their oids.
    pair.on_source("UPDATE a SET n = 0; UPDATE b SET n = 0; UPDATE c SET n = 0");
    let running = cross(
        &pair,
        &["sync", "--lock-timeout=2000"],
        "LOCK TABLE b",
        "LOCK TABLE c",
        "LOCK TABLE a",
    );
    running.wait(LIMIT).expect(0);
    compare::assert_equal(&pair);
}

/// One transaction after the other takes tables in the order in which it likes them; capture takes one at a time.
#[test]
fn init_waits_for_no_table_while_it_has_another() {
    let pair = pair(TABLES, ROWS);
    let mut application = blocker(&pair, "UPDATE b SET n = 0 WHERE id = 1");
    let mut running = pair.spawn(&["init", "--lock-timeout=10000"]);
    wait_until_we_wait(&pair, &mut running);
    application
        .batch_execute("UPDATE a SET n = 0 WHERE id = 1; COMMIT")
        .unwrap();
    running.wait(LIMIT).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_cycle_that_meets_a_deadlock_on_the_destination_is_tried_again() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    pair.on_source("UPDATE a SET n = 0; UPDATE b SET n = 0");
    let mut somebody = pair.destination_client();
    somebody
        .batch_execute("BEGIN; LOCK TABLE b IN SHARE MODE")
        .unwrap();
    let mut running = pair.spawn(&["sync", "-v", "--lock-timeout=2000"]);
    let waits = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                  WHERE NOT l.granted AND a.application_name LIKE 'pg\\_switchover: %'";
    wait_for("a lock that we wait for", LIMIT, || {
        assert!(running.is_running(), "{}", running.stderr());
        pair.on_destination(waits) == "t"
    });
    // The cycle has written the other one by now.
    somebody
        .batch_execute("LOCK TABLE a IN SHARE MODE; COMMIT")
        .unwrap();
    running.wait(LIMIT).expect(0).expect_stderr("40P01");
    compare::assert_equal(pair);
}
