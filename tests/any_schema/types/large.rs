//! Values that are hard to carry because of their size: 200 MB work everywhere, what is larger works where
//! PostgreSQL's own limit of 1 GB for anything leaves it room, and is refused by name where it does not.

use std::time::Duration;

use crate::support::pair::Pair;
use crate::support::program::{Outcome, Running};
use crate::support::stage::SOURCE_IN_CHARGE;
use crate::support::thorough;

const LIMIT: Duration = Duration::from_secs(170);

/// Runs the program to its end and returns the most memory that it had (MB).
fn measured(mut running: Running) -> (Outcome, f64) {
    let mut highest: f64 = 0.0;
    while running.is_running() {
        let path = format!("/proc/{}/status", running.pid());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = peak.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        highest = (kilobytes.unwrap_or(0.0) / 1024.0_f64).max(highest);
        std::thread::sleep(Duration::from_millis(5));
    }
    let outcome = running.wait(LIMIT);
    eprintln!("{highest:.0} MB at the peak: {}", outcome.command);
    (outcome, highest)
}

const SUM: &str = "SELECT string_agg(concat_ws(' ', id, n, length(v), md5(v), length(t), md5(t)), ', ' ORDER BY id) FROM t";

/// Copies, synchronizes by both ways, verifies; no more memory than three times the largest row.
fn carried(pair: &Pair, megabytes: f64) {
    pair.run(&["init", "-q"]).expect(0);
    for (args, change) in [
        (&["copy"][..], ""),
        (&["sync"], "UPDATE t SET n = 1"),
        (&["sync", "--max-pending=1"], "UPDATE t SET n = 2"),
        (&["verify"], ""),
    ] {
        pair.on_source(change);
        let (outcome, peak) = measured(pair.spawn(args));
        outcome.expect(0);
        assert!(peak < 3.0 * megabytes, "{peak:.0} MB: {args:?}");
    }
    assert_eq!(pair.on_source(SUM), pair.on_destination(SUM));
}

#[test]
fn a_row_of_200_mb_is_carried_in_every_way() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id int PRIMARY KEY, n int, v bytea, t text)");
    pair.on_source("INSERT INTO t SELECT 1, 0, convert_to(repeat('0123456789', 20000000), 'UTF8'); INSERT INTO t VALUES (2)");
    carried(&pair, 200.0);
}

#[test]
fn a_row_of_nearly_1_gb_is_carried_too() {
    if !thorough() {
        return;
    }
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id int PRIMARY KEY, n int, v bytea, t text)");
    pair.on_source(
        "INSERT INTO t SELECT 1, 0, convert_to(repeat('0123456789', 60000000), 'UTF8');
         INSERT INTO t (id, t) SELECT 2, repeat('0123456789', 100000000)",
    );
    carried(&pair, 1000.0);
}

/// As text, a bytea takes two characters for each byte.
#[test]
fn a_row_that_takes_more_than_1_gb_on_the_way_is_refused_by_name() {
    if !thorough() {
        return;
    }
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TYPE duo AS (a int, b int); CREATE TABLE t (id int PRIMARY KEY, n int, v bytea, t text, only_as_text duo)");
    let large = "INSERT INTO t SELECT 1, 0, convert_to(repeat('0123456789', 54000000), 'UTF8')";
    pair.on_source(large);
    pair.run(&["init", "-q"]).expect(0);
    let said =
        "could not read table \"public\".\"t\" on the source: invalid memory alloc request size";
    let mend = "a row is larger than the 1 GB that PostgreSQL can send: make it smaller, or leave its table out (--exclude-table) and move that by other means";
    let refused = |args: &[&str]| {
        let outcome = pair.run(args).expect(1);
        outcome.expect_stderr(said).expect_stderr(mend)
    };
    refused(&["copy"]);
    pair.on_source("DELETE FROM t");
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source(large);
    refused(&["sync"]);
    let outcome = refused(&["switch", "--unverified"]);
    assert_eq!(outcome.last_line(), SOURCE_IN_CHARGE);
    // Nothing is lost by it: once there is room, it goes on.
    pair.on_source("UPDATE t SET v = 'small'");
    pair.run(&["switch", "--unverified", "-q"]).expect(0);
    assert_eq!(pair.on_source(SUM), pair.on_destination(SUM));
}
