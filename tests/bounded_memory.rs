//! Promise 7: the tool's memory does not grow with tables, rows, backlog, or row size beyond the largest row.

use std::time::Duration;

use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::program::{Outcome, Running};
use crate::support::stage::{LIMIT, Stage};

/// What the whole process may take at its peak (MB).
const BOUND: f64 = 200.0;

/// The highest resident size so far (MB); `None` once the process has ended.
fn peak(running: &Running) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

/// Waits for the end and demands that the peak stayed below the bound.
fn wait_and_measure(mut running: Running) -> Outcome {
    let mut highest: f64 = 0.0;
    while running.is_running() {
        highest = peak(&running).unwrap_or(0.0).max(highest);
        std::thread::sleep(Duration::from_millis(2));
    }
    let outcome = running.wait(LIMIT).expect(0);
    assert!(highest > 1.0, "nothing was measured");
    eprintln!("peak {highest:.0} MB: {}", outcome.command);
    assert!(
        highest < BOUND,
        "{highest:.0} MB at the peak\n{}",
        outcome.report()
    );
    outcome
}

fn captured(tables: &str) -> Pair {
    let pair = Pair::new(15, 18);
    pair.on_both(tables);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair
}

#[test]
fn a_large_backlog_takes_no_memory() {
    let pair = captured("CREATE TABLE t (id int PRIMARY KEY, payload text)");
    pair.on_source(
        "INSERT INTO t SELECT i, repeat(chr(65 + i % 26), 1000) FROM generate_series(1, 200000) i",
    );
    wait_and_measure(pair.spawn(&["sync"]));
    let count = "SELECT count(*), sum(id), sum(length(payload)) FROM t";
    assert_eq!(pair.on_source(count), pair.on_destination(count));
}

#[test]
fn a_backlog_of_many_tables_takes_no_memory() {
    let tables: String = (1..=40)
        .map(|number| format!("CREATE TABLE t{number} (id int PRIMARY KEY, payload text);"))
        .collect();
    let pair = captured(&tables);
    let changes: String = (1..=40)
        .map(|number| {
            format!(
                "INSERT INTO t{number} SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i;"
            )
        })
        .collect();
    pair.on_source(&changes);
    wait_and_measure(pair.spawn(&["sync"]));
    compare::assert_equal(&pair);
}

/// Switches with so many rows of 10 kB coming between the last cycle and the lock.
fn switch_with_large_rows(rows: usize) -> Outcome {
    let stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY, payload text)", "");
    let running = stage.switch_up_to_the_lock(&[
        "switch",
        "--unverified",
        "--lock-timeout=60000",
        "--interval=0.05",
    ]);
    stage.pair.on_source(&format!(
        "INSERT INTO t SELECT i, repeat('x', 10000) FROM generate_series(1, {rows}) i"
    ));
    stage.source_wire.release();
    let outcome = wait_and_measure(running);
    let count = "SELECT count(*), sum(id), sum(length(payload)) FROM t";
    assert_eq!(
        stage.pair.on_source(count),
        stage.pair.on_destination(count)
    );
    outcome
}

#[test]
fn large_rows_in_the_window_take_no_memory() {
    switch_with_large_rows(2300).expect_stderr("(2300 rows carried over in it)");
}

#[test]
fn rows_too_large_for_the_window_are_carried_over_before_it() {
    switch_with_large_rows(6000).expect_stderr("more has changed than the window may carry");
}

const HUGE: &str =
    "INSERT INTO t SELECT i, decode(repeat('ab', 20000000), 'hex') FROM generate_series(1, 4) i";

#[test]
fn huge_rows_are_copied_one_at_a_time() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id int PRIMARY KEY, payload bytea)");
    pair.on_source(HUGE);
    pair.run(&["init", "-q"]).expect(0);
    wait_and_measure(pair.spawn(&["copy"]));
    let sum = "SELECT count(*), sum(length(payload)), max(md5(payload)) FROM t";
    assert_eq!(pair.on_source(sum), pair.on_destination(sum));
}

#[test]
fn huge_rows_are_synchronized_one_at_a_time() {
    let pair = captured("CREATE TABLE t (id int PRIMARY KEY, payload bytea)");
    pair.on_source(HUGE);
    wait_and_measure(pair.spawn(&["sync"]));
    let sum = "SELECT count(*), sum(length(payload)), max(md5(payload)) FROM t";
    assert_eq!(pair.on_source(sum), pair.on_destination(sum));
}
