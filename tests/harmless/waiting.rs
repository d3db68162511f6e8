//! Commands that do not get their locks: they let writers pass, name who is in the way, and give up in time.

use std::time::{Duration, Instant};

use super::{Dump, ROWS, TABLES, assert_no_trace, blocker, expect_named, impatient, pid};
use crate::support::pair::Pair;
use crate::support::stage::{LIMIT, Stage, expect_source_in_charge};
use crate::support::{compare, wait_for};

#[test]
fn init_gives_up_on_a_table_in_use_and_completes_later() {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    let mut blocker = blocker(&pair, "UPDATE b SET n = 0 WHERE id = 1");
    let pid = pid(&mut blocker);
    expect_named(impatient(&pair, &["init"]).expect(4), pid).expect_stderr("public\".\"b\"");
    // Half of the tables is not enough for what follows.
    pair.run(&["copy"]).expect(1).expect_stderr("init");
    pair.on_source("UPDATE a SET n = 1 WHERE id = 2");
    blocker.batch_execute("COMMIT").unwrap();
    impatient(&pair, &["init"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.run(&["switch", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn switch_gives_up_on_a_transaction_that_has_written_and_completes_later() {
    let stage = Stage::copied(TABLES, ROWS);
    let mut blocker = blocker(&stage.pair, "UPDATE b SET n = 0 WHERE id = 1");
    let pid = pid(&mut blocker);
    let outcome = impatient(&stage.pair, &["switch", "--unverified", "--interval=0.05"]);
    expect_named(expect_source_in_charge(outcome, 4), pid);
    stage.pair.on_source("UPDATE b SET n = 0 WHERE id = 2");
    blocker.batch_execute("COMMIT").unwrap();
    stage.pair.run(&["switch", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn drop_gives_up_on_a_table_in_use_and_completes_later() {
    let stage = Stage::copied(TABLES, ROWS);
    let mut blocker = blocker(&stage.pair, "SELECT * FROM b");
    let pid = pid(&mut blocker);
    expect_named(impatient(&stage.pair, &["drop"]).expect(4), pid);
    // Not all tables are captured any more, so nothing must be believed up to date.
    stage.pair.run(&["sync"]).expect(1);
    let outcome = stage.pair.run(&["switch", "--unverified"]);
    expect_source_in_charge(outcome, 1);
    stage
        .pair
        .on_source("UPDATE b SET n = 0; UPDATE a SET n = 0");
    blocker.batch_execute("COMMIT").unwrap();
    impatient(&stage.pair, &["drop"]).expect(0);
    assert_no_trace(&stage.pair);
}

/// Runs a command that cannot get its lock, and a writer that queues behind it on table `b`. The
/// writer must get through while the blocker is still there.
fn writer_passes_while(pair: &Pair, blocking: &str, command: &[&str]) {
    let mut blocker = blocker(pair, blocking);
    let mut writer = pair.source_client();
    let pid = pid(&mut writer);
    let arguments = [
        "--lock-timeout=2000",
        "--lock-attempts=100",
        "--interval=0.05",
    ];
    let takes_interval = command[0] == "switch";
    let mut running =
        pair.spawn(&[command, &arguments[..if takes_interval { 3 } else { 2 }]].concat());
    wait_for("the command to wait for its lock", LIMIT, || {
        assert!(running.is_running(), "{}", running.stderr());
        pair.on_source(
            "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
              WHERE NOT l.granted AND a.application_name LIKE 'pg_switchover: %'",
        ) == "t"
    });
    let writing = std::thread::spawn(move || {
        let start = Instant::now();
        writer
            .batch_execute("UPDATE b SET n = n + 1 WHERE id = 2")
            .unwrap();
        start.elapsed()
    });
    // Ends with a panic here if it waits for the blocker, which does not end before.
    wait_for("a writer that waits behind the command", LIMIT, || {
        writing.is_finished()
    });
    let waited = writing.join().unwrap();
    eprintln!("{command:?}: writer {pid} waited {waited:?}");
    assert!(running.is_running(), "{}", running.stderr());
    blocker.batch_execute("COMMIT").unwrap();
    running.wait(LIMIT).expect(0);
}

#[test]
fn writers_that_queue_behind_init_go_on() {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    writer_passes_while(&pair, "UPDATE b SET n = 0 WHERE id = 1", &["init"]);
    pair.run(&["copy", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn writers_that_queue_behind_drop_go_on() {
    let stage = Stage::copied(TABLES, ROWS);
    writer_passes_while(&stage.pair, "SELECT * FROM b", &["drop"]);
    assert_no_trace(&stage.pair);
}

/// What the switch can see before, it does not queue behind; a lock of another kind shows only in the window.
#[test]
fn writers_that_queue_behind_switch_go_on() {
    let stage = Stage::copied(TABLES, ROWS);
    writer_passes_while(
        &stage.pair,
        "LOCK TABLE switchover.change_log_1 IN SHARE UPDATE EXCLUSIVE MODE",
        &["switch", "--unverified"],
    );
    compare::assert_equal(&stage.pair);
}

#[test]
fn switch_ends_the_blockers_when_it_is_told_to() {
    let stage = Stage::copied(TABLES, ROWS);
    for blocking in [
        "UPDATE b SET n = 0 WHERE id = 1",
        "LOCK TABLE switchover.change_log_1 IN SHARE UPDATE EXCLUSIVE MODE",
    ] {
        let mut blocker = blocker(&stage.pair, blocking);
        let pid = pid(&mut blocker);
        let arguments = [
            "switch",
            "--unverified",
            "--interval=0.05",
            "--terminate-blockers",
            "--lock-timeout=400",
        ];
        stage
            .pair
            .run(&arguments)
            .expect(0)
            .expect_stderr(&format!("ending pid {pid} (user postgres"));
        assert!(blocker.batch_execute("COMMIT").is_err());
        compare::assert_equal(&stage.pair);
        // For the second kind of blocker: as before the switch.
        stage.pair.run(&["drop", "-q", "--force"]).expect(0);
        stage.pair.run(&["init", "-q"]).expect(0);
        stage.pair.run(&["copy", "-q", "--truncate"]).expect(0);
    }
}

#[test]
fn long_readers_and_dumps_hold_up_nothing_up_to_the_switch() {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_both("CREATE TABLE much (id int PRIMARY KEY, payload text)");
    pair.on_source(ROWS);
    pair.on_source("INSERT INTO much SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i");
    let mut reader = blocker(
        &pair,
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM a, b, much",
    );
    let mut dump = Dump::start(&pair);
    impatient(&pair, &["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    let mut later = blocker(
        &pair,
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM a, b, much, switchover.change_log",
    );
    let mut later_dump = Dump::start(&pair);
    pair.on_source("UPDATE much SET payload = 'y' WHERE id < 500; DELETE FROM b");
    impatient(&pair, &["sync", "-q"]).expect(0);
    pair.run(&["verify", "-q"]).expect(0);
    impatient(&pair, &["switch", "-q", "--interval=0.05"]).expect(0);
    assert!(dump.is_running() && later_dump.is_running());
    for client in [&mut reader, &mut later] {
        client.batch_execute("COMMIT").unwrap();
    }
    compare::assert_equal(&pair);
}

/// It waits for every transaction that is older than itself; ours must not wait for it in turn.
#[test]
fn an_index_that_is_built_concurrently_makes_nothing_hang() {
    let stage = Stage::copied(TABLES, ROWS);
    let mut old = blocker(
        &stage.pair,
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class",
    );
    let mut builder = stage.pair.source_client();
    let building = std::thread::spawn(move || {
        builder.batch_execute("CREATE INDEX CONCURRENTLY later ON a (n)")
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted";
    wait_for("the index to wait", LIMIT, || {
        stage.pair.on_source(waits) == "1"
    });
    stage.pair.on_source("UPDATE a SET n = 0 WHERE id = 1");
    impatient(&stage.pair, &["sync", "-q"]).expect(0);
    impatient(&stage.pair, &["init", "-q"]).expect(0);
    impatient(&stage.pair, &["drop"])
        .expect(4)
        .expect_stderr("CREATE INDEX CONCURRENTLY");
    assert!(!building.is_finished());
    old.batch_execute("COMMIT").unwrap();
    building.join().unwrap().unwrap();
    impatient(&stage.pair, &["init", "-q"]).expect(0);
    stage.pair.run(&["copy", "-q", "--truncate"]).expect(0);
    impatient(&stage.pair, &["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}

/// What exists already is made again by init, and may be in somebody's use.
#[test]
fn a_session_that_reads_the_change_log_does_not_make_init_hang() {
    let stage = Stage::copied(TABLES, ROWS);
    let mut reader = blocker(&stage.pair, "SELECT * FROM switchover.change_log");
    let pid = pid(&mut reader);
    expect_named(impatient(&stage.pair, &["init"]).expect(4), pid);
    impatient(&stage.pair, &["sync", "-q"]).expect(0);
    reader.batch_execute("COMMIT").unwrap();
    impatient(&stage.pair, &["init", "-q"]).expect(0);
}

/// On the destination nobody has business yet, but somebody may look, and lock.
#[test]
fn a_session_on_the_destination_makes_nothing_hang() {
    let stage = Stage::copied(TABLES, ROWS);
    let mut looker = stage.pair.destination_client();
    looker
        .batch_execute("BEGIN; SELECT * FROM switchover.confirmation; LOCK TABLE a IN SHARE MODE")
        .unwrap();
    stage.pair.on_source("UPDATE a SET n = 0 WHERE id = 1");
    let quick = ["--lock-timeout=100", "--lock-attempts=2"];
    stage
        .pair
        .run(&[&["sync"], &quick[..]].concat())
        .expect(1)
        .expect_stderr("lock timeout");
    let switch = [&["switch", "--unverified"], &quick[..]].concat();
    expect_source_in_charge(stage.pair.run(&switch), 1);
    stage.pair.run(&[&["drop"], &quick[..]].concat()).expect(4);
    looker.batch_execute("COMMIT").unwrap();
    stage.pair.run(&["drop", "-q"]).expect(0);
    assert_no_trace(&stage.pair);
}

#[test]
fn a_run_that_gives_up_waiting_says_so_in_bounded_time() {
    let stage = Stage::copied(TABLES, ROWS);
    let _blocker = blocker(&stage.pair, "UPDATE b SET n = 0 WHERE id = 1");
    let outcome = impatient(&stage.pair, &["run", "--unverified", "--interval=0.05"]);
    let outcome = expect_source_in_charge(outcome, 4);
    assert!(outcome.elapsed < Duration::from_secs(60));
}
