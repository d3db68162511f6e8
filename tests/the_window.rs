//! The window: three round trips from the request for the lock to the flip, and what happens when it does
//! not work out.

use std::time::Duration;

use crate::support::compare;
use crate::support::program::{Outcome, Running};
use crate::support::proxy::{Action, Trip};
use crate::support::stage::{APPLY, FLIP, LIMIT, LOCK, Stage, expect_source_in_charge};
use crate::support::{thorough, wait_for};

/// So many tables, each with rows and with a sequence of its own.
fn tables(count: usize) -> String {
    (1..=count)
        .map(|number| {
            format!("CREATE TABLE t{number} (id bigserial PRIMARY KEY, n int NOT NULL, t text);\n")
        })
        .collect()
}

fn rows(count: usize) -> String {
    (1..=count)
        .map(|number| {
            format!("INSERT INTO t{number} (n, t) SELECT i, 't' FROM generate_series(1, 3) i;\n")
        })
        .collect()
}

/// A `switch` that is patient once it asks for the lock.
const SWITCH: [&str; 3] = ["switch", "--unverified", "--lock-timeout=60000"];

/// Everything that the tool said to either server from the lock to the flip.
fn window_trips(stage: &Stage) -> Vec<Trip> {
    let mut trips = stage.source_wire.trips();
    let began = |text: &str| {
        let found = trips.iter().rfind(|trip| trip.sql.contains(text));
        found.unwrap_or_else(|| panic!("no trip with {text}")).began
    };
    let (first, last) = (began(LOCK), began(FLIP));
    trips.extend(stage.destination_wire.trips());
    trips.sort_by_key(|trip| trip.began);
    trips.retain(|trip| trip.began >= first && trip.began <= last);
    // It looks every so often whether a reading session is in anybody's way; the window waits for no look.
    trips.retain(|trip| trip.application != "pg_switchover: give way");
    // Sent ahead, as `switch_with` sees; it goes on beside the reading.
    trips.retain(|trip| !trip.sql.contains(FLUSH_AHEAD));
    // Goes on beside the apply, as a test below shows.
    let all = trips.len();
    trips.retain(|trip| !trip.sql.contains(LAST_LOOK));
    assert_eq!(all - trips.len(), 1, "one look at the schema");
    trips
}

/// What makes the source flush its log in the window.
const FLUSH_AHEAD: &str = "pg_advisory_xact_lock";

/// What looks at the schema under the lock.
const LAST_LOOK: &str = "switchover.refuse_newer(";

fn assert_three_trips(stage: &Stage) {
    let trips = window_trips(stage);
    let expected = [LOCK, APPLY, FLIP];
    assert_eq!(trips.len(), expected.len(), "{trips:#?}");
    for (trip, text) in trips.iter().zip(expected) {
        assert!(trip.sql.contains(text), "no {text} in {}", trip.sql);
    }
    assert!(trips[1].sql.ends_with("COMMIT;"), "{}", trips[1].sql);
    assert_eq!(trips[0].connection, trips[2].connection);
}

/// Total, lock, read, apply and flip, in milliseconds, and the rows, as the program printed them.
fn parts(outcome: &Outcome) -> (Vec<f64>, usize) {
    let line = outcome
        .stderr
        .lines()
        .find(|line| line.starts_with("pg_switchover: window "))
        .unwrap_or_else(|| panic!("no window\n{}", outcome.report()));
    let words: Vec<&str> = line.split_whitespace().collect();
    let times = words
        .windows(2)
        .filter(|pair| pair[1].starts_with("ms"))
        .map(|pair| pair[0].parse().unwrap())
        .collect();
    let rows = line.split_once('(').unwrap().1;
    (times, rows.split_once(' ').unwrap().0.parse().unwrap())
}

/// Switches with `changes` coming between the last cycle and the lock.
fn switch_with(stage: &Stage, changes: &str, changed_rows: usize) {
    let running = stage.switch_up_to_the_lock(&SWITCH);
    // The message that asks for the lock has not got through yet.
    wait_for("the flush that waits for it", LIMIT, || {
        let trips = stage.source_wire.trips();
        trips.iter().any(|trip| trip.sql.contains(FLUSH_AHEAD))
    });
    stage.pair.on_source(changes);
    stage.source_wire.release();
    let outcome = running.wait(LIMIT).expect(0);
    assert_three_trips(stage);
    let (times, rows) = parts(&outcome);
    assert_eq!(rows, changed_rows, "{}", outcome.report());
    let [total, parts @ ..] = times.as_slice() else {
        panic!("{}", outcome.report());
    };
    assert_eq!(parts.len(), 4, "{}", outcome.report());
    // Each is rounded to a tenth.
    let difference = (parts.iter().sum::<f64>() - total).abs();
    assert!(difference <= 0.26, "{}", outcome.report());
    assert!(stage.flipped());
    compare::assert_equal(&stage.pair);
}

#[test]
fn one_table_without_changes_takes_three_round_trips() {
    switch_with(&Stage::copied(&tables(1), &rows(1)), "", 0);
}

#[test]
fn one_table_with_changes_takes_three_round_trips() {
    let stage = Stage::copied(&tables(1), &rows(1));
    switch_with(
        &stage,
        "UPDATE t1 SET n = n + 1 WHERE id < 3; INSERT INTO t1 (n) VALUES (1); DELETE FROM t1 WHERE id = 3",
        3,
    );
}

#[test]
fn a_hundred_changed_tables_and_sequences_take_three_round_trips() {
    let stage = Stage::copied(&tables(100), &rows(100));
    switch_with(&stage, &rows(100), 300);
}

#[test]
fn three_hundred_changed_tables_take_three_round_trips() {
    let stage = Stage::copied(&tables(300), &rows(300));
    let changes: String = (1..=300)
        .map(|number| format!("UPDATE t{number} SET t = 'changed' WHERE n = 2;"))
        .collect();
    switch_with(&stage, &changes, 300);
}

#[test]
fn a_thousand_changed_tables_and_sequences_take_three_round_trips() {
    if thorough() {
        let stage = Stage::copied(&tables(1000), &rows(1000));
        switch_with(&stage, &rows(1000), 3000);
    }
}

/// From now on a commit with synchronous_commit = off is visible, and on disk only after a commit without.
fn flush_nothing(stage: &Stage) {
    stage.pair.source.psql(
        "postgres",
        "ALTER SYSTEM SET wal_writer_delay = '10s'; SELECT pg_reload_conf()",
    );
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn commits_that_are_not_on_disk_yet_take_three_round_trips() {
    let stage = Stage::copied(&tables(1), &rows(1));
    flush_nothing(&stage);
    switch_with(
        &stage,
        "SET synchronous_commit = off; INSERT INTO t1 (n) VALUES (7)",
        1,
    );
}

#[test]
fn sequences_alone_take_three_round_trips() {
    let stage = Stage::copied(
        &format!("{} CREATE SEQUENCE lonely;", tables(1)),
        "SELECT nextval('t1_id_seq')",
    );
    switch_with(
        &stage,
        "SELECT nextval('t1_id_seq'), setval('lonely', 77, false)",
        0,
    );
}

/// What a cycle asks first.
const LOOK: &str = "pg_relation_size('switchover.change_log_1'::pg_catalog.regclass)\n";

#[test]
fn a_cycle_with_nothing_to_do_is_one_round_trip_on_the_source_and_none_on_the_destination() {
    let stage = Stage::copied(&tables(30), &rows(30));
    let running = stage
        .pair
        .spawn(&["sync", "--follow", "--interval=0.05", "-q"]);
    // Now and then it looks at the schema as well: three cycles in a row between two such looks will do.
    wait_for("three idle cycles in a row", LIMIT, || {
        let mut trips = stage.source_wire.trips();
        trips.extend(stage.destination_wire.trips());
        trips.retain(|trip| trip.application != "pg_switchover: give way");
        trips.sort_by_key(|trip| trip.began);
        trips
            .windows(3)
            .any(|three| three.iter().all(|trip| trip.sql.contains(LOOK)))
    });
    // What it has nothing to do for is not overlooked.
    stage.pair.on_source("SELECT setval('t7_id_seq', 77)");
    wait_for("the sequence", LIMIT, || {
        stage
            .pair
            .on_destination("SELECT last_value FROM t7_id_seq")
            == "77"
    });
    stage.pair.on_source("UPDATE t8 SET n = n + 1");
    wait_for("the rows", LIMIT, || {
        let sql = "SELECT sum(n) FROM t8";
        stage.pair.on_destination(sql) == stage.pair.on_source(sql)
    });
    running.signal("INT");
    running.wait(LIMIT).expect(0);
    compare::assert_equal(&stage.pair);
}

const FIFTY: &str = "INSERT INTO t1 (n) SELECT i FROM generate_series(1, 50) i";

#[test]
fn a_window_that_meets_too_much_gives_up_and_another_one_works() {
    let stage = Stage::copied(&tables(1), &rows(1));
    let running = stage
        .switch_up_to_the_lock(&[&SWITCH[..], &["--max-pending=10", "--interval=0.05"]].concat());
    stage.pair.on_source(FIFTY);
    stage.source_wire.release();
    running
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("more has changed than the window may carry (--max-pending)");
    assert!(stage.flipped());
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_window_that_meets_too_much_leaves_the_source_in_charge() {
    let stage = Stage::copied(&tables(1), &rows(1));
    let running = stage
        .switch_up_to_the_lock(&[&SWITCH[..], &["--max-pending=10", "--lock-attempts=1"]].concat());
    stage.pair.on_source(FIFTY);
    stage.source_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 4).expect_stderr("--max-pending");
    assert!(!stage.flipped());
    stage.pair.on_source(FIFTY);
    stage.pair.run(&["switch", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}

/// The flush that is sent ahead gives up as well when the lock was not granted; the next attempt sends another one.
#[test]
fn an_attempt_whose_flush_has_given_up_is_followed_by_another_one() {
    let stage = Stage::copied(&tables(1), &rows(1));
    flush_nothing(&stage);
    let running = stage.switch_up_to_the_lock(&[
        "switch",
        "--unverified",
        "--lock-timeout=100",
        "--lock-attempts=1000",
        "--interval=0.01",
    ]);
    let mut writer = stage.pair.source_client();
    writer
        .batch_execute("BEGIN; INSERT INTO t1 (n) VALUES (7)")
        .unwrap();
    // What lets the flush go on when the lock is not granted comes too late for it.
    stage.source_wire.at(
        "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock",
        Action::HoldBefore,
    );
    stage.source_wire.release();
    wait_for("the end of the first attempt", LIMIT, || {
        stage.source_wire.hits() == 2
    });
    wait_for("the end of the flush", LIMIT, || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        stage.pair.on_source(waiting) == "0"
    });
    stage.source_wire.release();
    writer.batch_execute("COMMIT").unwrap();
    running.wait(LIMIT).expect(0);
    assert_three_trips(&stage);
    compare::assert_equal(&stage.pair);
}

/// What holds the flush back is counted by the server, and given back once: attempts that do not come as far as the
/// lock leave no more of it.
#[test]
fn attempts_that_end_before_the_lock_do_not_hold_the_flush_of_the_next_one_back() {
    let stage = Stage::copied(&tables(1), &rows(1));
    stage
        .source_wire
        .at("read_changes(true, 0, 0)", Action::HoldReply);
    let running = stage
        .pair
        .spawn(&[&SWITCH[..], &["--max-pending=10", "--interval=0.05"]].concat());
    stage.source_wire.wait_until_hit(LIMIT);
    stage
        .pair
        .on_source("INSERT INTO t1 (n) SELECT i FROM generate_series(1, 20) i");
    stage.source_wire.release();
    let outcome = running
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("the last cycle had 20 changes, more than --max-pending 10");
    assert!(!outcome.stderr.contains("attempt"), "{}", outcome.report());
    assert_three_trips(&stage);
    compare::assert_equal(&stage.pair);
}

/// Lets a window that is up to its lock read a row whose commit nobody has waited for, and the source crash before
/// the apply: the row must have survived.
fn crash_before_the_apply(stage: &Stage, running: Running) {
    stage
        .pair
        .on_source("SET synchronous_commit = off; INSERT INTO t1 (n) VALUES (7)");
    stage.destination_wire.at(APPLY, Action::HoldBefore);
    stage.source_wire.release();
    stage.destination_wire.wait_until_hit(LIMIT);
    stage.pair.source.stop_immediate();
    stage.pair.source.start_again();
    stage.destination_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1);
    let there = "SELECT count(*) FROM t1 WHERE n = 7";
    assert_eq!(stage.pair.source.psql("app", there).trim(), "1");
}

/// The session that flushes waits for a lock that the other one has taken ahead. Where somebody else has it, the flush
/// may be older than the stop-the-world lock, and there is another one.
#[test]
fn a_flush_that_a_stranger_has_let_go_ahead_is_followed_by_another_one() {
    let stage = Stage::copied(&tables(1), &rows(1));
    let mut stranger = stage.pair.source_client();
    stranger
        .batch_execute("SELECT pg_advisory_lock(8099547348360065896)")
        .unwrap();
    flush_nothing(&stage);
    let running = stage.switch_up_to_the_lock(&SWITCH);
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    wait_for("the flush to wait for a stranger", LIMIT, || {
        stage.pair.on_source(waiting) == "1"
    });
    stranger
        .batch_execute("SELECT pg_advisory_unlock_all()")
        .unwrap();
    let beside = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = 'pg_switchover: flush' AND state <> 'idle'";
    wait_for("the end of the flush", LIMIT, || {
        stage.pair.on_source(beside) == "0"
    });
    crash_before_the_apply(&stage, running);
}

/// If it came after the apply, it would be a fourth round trip. What is refused then has been applied, and the source
/// is in charge.
#[test]
fn the_look_at_the_schema_goes_on_while_the_destination_applies() {
    let stage = Stage::copied(&tables(1), &rows(1));
    let running = stage.switch_up_to_the_lock(&SWITCH);
    stage.destination_wire.at(APPLY, Action::HoldReply);
    let looks = || {
        let trips = stage.source_wire.trips();
        trips
            .iter()
            .filter(|trip| trip.sql.contains(LAST_LOOK))
            .count()
    };
    let before = looks();
    stage.source_wire.release();
    stage.destination_wire.wait_until_hit(LIMIT);
    wait_for("the look", LIMIT, || looks() == before + 1);
    stage.destination_wire.release();
    running.wait(LIMIT).expect(0);
    assert_three_trips(&stage);
}

/// The window reads the sequences as well, and whoever holds one is named.
#[test]
fn a_sequence_that_somebody_holds_in_the_window_lets_the_writers_go_on() {
    let stage = Stage::copied(&tables(1), &rows(1));
    // So that the wait is longer than it takes to look for whom.
    stage
        .pair
        .on_source("ALTER DATABASE app SET deadlock_timeout = '60s'");
    let running = stage.switch_up_to_the_lock(&[
        "switch",
        "--unverified",
        "--lock-timeout=4000",
        "--lock-attempts=1",
    ]);
    let mut holder = stage.pair.source_client();
    holder
        .batch_execute("BEGIN; ALTER SEQUENCE t1_id_seq RESTART 100")
        .unwrap();
    stage.source_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 4)
        .expect_stderr("BEGIN; ALTER SEQUENCE t1_id_seq RESTART 100");
    assert!(!stage.flipped());
    holder.batch_execute("COMMIT").unwrap();
    stage.pair.on_source("INSERT INTO t1 (n) VALUES (7)");
    stage.pair.run(&["switch", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn the_window_makes_the_sources_log_durable_before_it_applies() {
    let stage = Stage::copied(&tables(1), &rows(1));
    flush_nothing(&stage);
    let running = stage.switch_up_to_the_lock(&SWITCH);
    crash_before_the_apply(&stage, running);
    stage.pair.run(&["switch", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}
