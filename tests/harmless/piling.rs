//! Many locks, and much to do under them: what writers feel is one time-out, not one for each statement.

use super::{ROWS, TABLES, blocker};
use crate::support::pair::{DATABASE, Pair};
use crate::support::stage::LIMIT;
use crate::support::stall::Meter;
use crate::support::{compare, thorough};

/// Each statement is quick enough by itself; together they take several times as long as writers may wait.
#[test]
fn what_is_done_under_a_lock_is_bounded_as_a_whole() {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair.on_source(
        "CREATE FUNCTION audit() RETURNS event_trigger LANGUAGE plpgsql AS
             $$ BEGIN IF tg_tag <> 'CREATE TABLE' THEN PERFORM pg_catalog.pg_sleep(0.55); END IF; END $$",
    );
    let arguments = ["--lock-timeout=700", "--lock-attempts=2"];
    // The fixed objects are made beforehand: under their locks nobody waits.
    pair.run(&[&["init", "-q"], &arguments[..]].concat())
        .expect(0);
    pair.on_source("CREATE TABLE c (id int PRIMARY KEY, n int)");
    pair.on_destination("CREATE TABLE c (id int PRIMARY KEY, n int)");
    pair.on_source("INSERT INTO c SELECT * FROM a");
    pair.on_source("CREATE EVENT TRIGGER audit ON ddl_command_end WHEN tag IN ('CREATE TRIGGER', 'ALTER TABLE') EXECUTE FUNCTION audit()");
    let meter = Meter::start(&pair.source.uri(DATABASE), &["a", "c"]);
    meter.lap();
    let outcome = pair.run(&[&["init"], &arguments[..]].concat());
    let stall = meter.lap();
    eprintln!("init with slow DDL: {stall} (--lock-timeout 700 ms)");
    outcome
        .expect(4)
        .expect_stderr("capture table \"public\".\"c\"");
    assert!(stall.held.as_millis() < 2000, "{stall}");
    pair.on_source("DROP EVENT TRIGGER audit");
    drop(meter);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal_except(&pair, &[]);
}

/// Many partitions, of which one is in use: the locks of the others are given back in time.
#[test]
fn the_locks_of_many_partitions_pile_up_no_longer_than_writers_may_wait() {
    let pair = Pair::new(15, 18);
    let partitions = if thorough() { 1000 } else { 200 };
    pair.on_both(&format!(
        "CREATE TABLE t (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
         DO $$ BEGIN FOR i IN 0..{partitions} - 1 LOOP
             EXECUTE format('CREATE TABLE t%s PARTITION OF t FOR VALUES FROM (%s) TO (%s)', i, i * 10, i * 10 + 10);
         END LOOP; END $$"
    ));
    pair.on_source("INSERT INTO t SELECT i, i FROM generate_series(1, 1999) i");
    let meter = Meter::start(&pair.source.uri(DATABASE), &["t0", "t"]);
    meter.lap();
    let mut last = blocker(&pair, "UPDATE t199 SET n = 0 WHERE id = 1995");
    let arguments = ["--lock-timeout=2000", "--lock-attempts=2"];
    pair.run(&[&["init"], &arguments[..]].concat()).expect(4);
    eprintln!(
        "init of {partitions} partitions, one in use: {} (--lock-timeout 2000 ms)",
        meter.lap()
    );
    last.batch_execute("COMMIT").unwrap();
    let running = pair.spawn(&[&["init", "-q"], &arguments[..]].concat());
    running.wait(LIMIT).expect(0);
    let stall = meter.lap();
    eprintln!("init of {partitions} partitions: {stall} (--lock-timeout 2000 ms)");
    assert!(stall.held.as_secs() < 10, "{stall}");
    drop(meter);
    pair.run(&["drop", "-q"]).expect(0);
}
