//! One run that stands still, or has lost its source, and another one that takes its place.

use super::{SWITCH, assert_moved, stage_for_switch};
use crate::support::pair::Pair;
use crate::support::program::Running;
use crate::support::proxy::Action;
use crate::support::stage::{
    APPLY, CONFIRM, LIMIT, SOURCE_IN_CHARGE, Stage, expect_source_in_charge, freeze, go_on,
};
use crate::support::{compare, wait_for};

#[test]
fn a_tool_that_stands_still_in_the_window_loses_the_lock_to_the_writers() {
    let (stage, writers) = stage_for_switch();
    stage.destination_wire.at(APPLY, Action::HoldBefore);
    let running = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=700"]].concat());
    stage.destination_wire.wait_until_hit(LIMIT);
    freeze(&running);
    stage.destination_wire.release();
    // They wait for nothing but the server's own clock.
    writers.wait_for_more(100);
    assert!(!stage.flipped());
    go_on(&running);
    expect_source_in_charge(running.wait(LIMIT), 1);
    assert!(!stage.flipped());
    writers.wait_for_more(20);
    stage.pair.run(SWITCH).expect(0);
    assert_moved(&stage.pair, writers);
}

/// While one stands still, another one is run; the first must not spoil what the second has done.
#[test]
fn a_tool_that_wakes_up_after_another_ones_switch_changes_nothing() {
    let (stage, writers) = stage_for_switch();
    stage.destination_wire.at(APPLY, Action::HoldBefore);
    let first = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=700"]].concat());
    stage.destination_wire.wait_until_hit(LIMIT);
    freeze(&first);
    stage.wait_until_free();
    writers.wait_for_more(50);
    stage.pair.run(SWITCH).expect(0);
    writers.wait_until_moved();
    writers.wait_for_more(50);
    // The first one's final state is older than what the destination has got since.
    stage.destination_wire.release();
    go_on(&first);
    first
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("the destination is in charge: another run has switched");
    assert_moved(&stage.pair, writers);
}

#[test]
fn a_second_tool_is_turned_away_at_once_and_told_who_is_at_work() {
    let stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY)", "");
    let mut first = stage.pair.spawn(&["sync", "--follow", "-v"]);
    first.wait_for_stderr("nothing has changed", LIMIT);
    freeze(&first);
    let pid = stage
        .pair
        .on_source("SELECT pid FROM pg_locks WHERE locktype = 'advisory'");
    for command in ["init", "copy", "sync", "switch", "verify", "drop", "run"] {
        let outcome = stage.pair.run(&[command]).expect(5);
        let named =
            format!("another pg_switchover is at work on the source: pid {pid}, user postgres");
        assert!(outcome.stderr.contains(&named), "{}", outcome.report());
        if ["switch", "run"].contains(&command) {
            assert_eq!(outcome.last_line(), SOURCE_IN_CHARGE);
        }
    }
    stage.pair.run(&["status"]).expect(0);
    stage.pair.run(&["--help"]).expect(0);
    go_on(&first);
    first.signal("INT");
    first.wait(LIMIT).expect(0);
    stage.pair.run(&["sync"]).expect(0);
}

/// Starts a `sync` that loses the source, and with it the advisory lock, while its last message to the
/// destination is on its way; then changes the same rows again.
fn zombie(stage: &Stage, rows: usize) -> Running {
    let insert = format!("INSERT INTO t SELECT i, 1 FROM generate_series(1, {rows}) i");
    stage.pair.on_source(&insert);
    stage.destination_wire.at(CONFIRM, Action::HoldBefore);
    let zombie = stage.pair.spawn(&["sync", "--max-pending=100"]);
    stage.destination_wire.wait_until_hit(LIMIT);
    stage.source_wire.reset();
    stage.wait_until_free();
    stage.pair.on_source("UPDATE t SET n = 2");
    zombie
}

const SMALL: usize = 10;
const LARGE: usize = 1000;

fn assert_next_run_prevails(rows: usize) {
    let stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY, n int)", "");
    let zombie = zombie(&stage, rows);
    // What the zombie has locked on the destination is no obstacle.
    stage.pair.spawn(&["sync"]).wait(LIMIT).expect(0);
    compare::assert_equal(&stage.pair);
    stage.destination_wire.release();
    zombie.wait(LIMIT).expect(1);
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_run_that_lost_its_source_is_ended_by_the_next_one() {
    assert_next_run_prevails(SMALL);
}

#[test]
fn a_large_cycle_that_lost_its_source_is_ended_by_the_next_run() {
    assert_next_run_prevails(LARGE);
}

/// As another role, whose sessions the next run does not end.
#[test]
fn a_run_that_lost_its_source_cannot_write_old_rows_over_newer_ones() {
    let mut stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY, n int)", "");
    stage
        .pair
        .on_destination("CREATE ROLE zombie LOGIN SUPERUSER");
    let own = stage.pair.destination_uri.clone();
    stage.pair.destination_uri = own.replace("postgres@", "zombie@");
    let zombie = zombie(&stage, SMALL);
    stage.pair.destination_uri = own;
    stage.pair.run(&["sync"]).expect(0);
    compare::assert_equal(&stage.pair);
    stage.destination_wire.release();
    zombie
        .wait(LIMIT)
        .expect(1)
        .expect_stderr("another pg_switchover has taken over");
    compare::assert_equal(&stage.pair);
}

/// As another role, whose sessions the next run does not end. Its last message arrives when that one has done.
#[test]
fn a_copy_that_was_killed_cannot_make_an_index_that_its_successor_does_not() {
    let mut stage = Stage::new(Pair::new(15, 18));
    stage
        .pair
        .on_source("CREATE TABLE public.t (n int); CREATE INDEX gone ON public.t (n); INSERT INTO public.t VALUES (1)");
    stage
        .pair
        .on_destination("CREATE ROLE zombie LOGIN SUPERUSER");
    stage.pair.run(&["init", "-q"]).expect(0);
    let own = stage.pair.destination_uri.clone();
    stage.pair.destination_uri = own.replace("postgres@", "zombie@");
    let copy = ["copy", "-q", "--create-schema", "--jobs=1"];
    stage
        .destination_wire
        .at("CREATE INDEX gone", Action::HoldBefore);
    let zombie = stage.pair.spawn(&copy);
    stage.destination_wire.wait_until_hit(LIMIT);
    zombie.kill();
    stage.wait_until_free();
    stage.pair.destination_uri = own;
    stage.pair.on_source("DROP INDEX public.gone");
    stage.pair.run(&copy).expect(0);
    stage.destination_wire.release();
    wait_for("the end of its session", LIMIT, || {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'zombie'";
        stage.pair.on_destination(sessions) == "0"
    });
    compare::assert_equal(&stage.pair);
    compare::assert_same_schema(&stage.pair);
}
