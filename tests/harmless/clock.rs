//! Clocks that jump. The tool asks its own host's clock for nothing but time spans (`std::time::Instant`, which
//! never goes back). The servers' clocks are asked how much of a bound is left.

use std::path::Path;

use super::{ROWS, TABLES};
use crate::support::compare;
use crate::support::proxy::Action;
use crate::support::stage::{APPLY, LIMIT, Stage, expect_source_in_charge, freeze, go_on};

/// From now on `clock_timestamp()`, in new sessions, is that far from what `now()` said when the transaction began.
fn let_the_clock_jump(stage: &Stage) {
    stage.pair.on_source(
        "SET allow_system_table_mods = on;
         ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO true_clock_timestamp;
         CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
             $$ SELECT pg_catalog.true_clock_timestamp()
                       + COALESCE(pg_catalog.current_setting('test.jump', true), '0')::interval $$",
    );
}

fn jump(stage: &Stage, by: &str) {
    let sql = format!("ALTER DATABASE app SET test.jump = '{by}'");
    stage.pair.on_source(&sql);
}

#[test]
fn a_clock_that_jumps_back_does_not_prolong_the_lock() {
    let stage = Stage::copied(TABLES, ROWS);
    let_the_clock_jump(&stage);
    jump(&stage, "-2 hours");
    stage.destination_wire.at(APPLY, Action::HoldBefore);
    let running = stage
        .pair
        .spawn(&["switch", "--unverified", "--lock-timeout=1000"]);
    stage.destination_wire.wait_until_hit(LIMIT);
    // The lock is held, and nobody is left who could give it back but the server itself.
    freeze(&running);
    stage
        .pair
        .on_source("SET statement_timeout = '30s'; UPDATE a SET n = 0 WHERE id = 1");
    go_on(&running);
    stage.destination_wire.release();
    let outcome = running.wait(LIMIT);
    let status = outcome.code().unwrap_or_default();
    assert!(matches!(status, 1 | 4), "{}", outcome.report());
    expect_source_in_charge(outcome, status);
    stage.pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_clock_that_jumps_forward_makes_no_bound_vanish() {
    let stage = Stage::copied(TABLES, ROWS);
    let_the_clock_jump(&stage);
    jump(&stage, "2 hours");
    // One millisecond is left of each bound, so the window does not come about, or is given up.
    let arguments = [
        "switch",
        "--unverified",
        "--interval=0.05",
        "--lock-attempts=3",
    ];
    let outcome = stage.pair.run(&arguments);
    let status = outcome.code().unwrap_or_default();
    assert!(matches!(status, 1 | 4), "{}", outcome.report());
    expect_source_in_charge(outcome, status);
    // What takes several locks does so under either clock.
    for by in ["2 hours", "-2 hours"] {
        jump(&stage, by);
        stage.pair.run(&["drop", "-q"]).expect(0);
        stage.pair.on_source("DROP TABLE IF EXISTS t");
        stage.pair.on_destination("DROP TABLE IF EXISTS t");
        stage.pair.on_both(
            "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY HASH (id);
             CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        );
        stage.pair.run(&["init", "-q"]).expect(0);
        stage.pair.run(&["copy", "-q", "--truncate"]).expect(0);
    }
    jump(&stage, "0");
    stage.pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}

/// The host's clock can jump during any wait; what is bounded by it would be bounded by nothing.
#[test]
fn nothing_in_the_program_asks_the_time_of_day() {
    fn look_into(directory: &Path) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look_into(&path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for clock in ["SystemTime", "UNIX_EPOCH"] {
                assert!(!text.contains(clock), "{clock} in {}", path.display());
            }
        }
    }
    look_into(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}
