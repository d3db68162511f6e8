//! What every test stands on: throwaway servers, the program under test, an independent comparer,
//! writers that testify, and a wire that can be cut.
//!
//! Start with [`pair::Pair`]. Nothing here uses the program's own modules: a mistake in them must not
//! be able to hide itself.

// Not every helper has a user in every configuration.
#![allow(dead_code)]

pub mod chance;
pub mod cluster;
pub mod compare;
pub mod pair;
pub mod program;
pub mod proxy;
pub mod servers;
pub mod stage;
pub mod stall;
pub mod workload;

use std::time::{Duration, Instant};

/// A schema with every kind of table that a switchover has to cope with, and a few hundred rows. For
/// PostgreSQL 13 and later; its largest schema is `varied`.
pub const VARIED: &str = include_str!("schema/varied.sql");

/// The pairs of versions (source, destination) for tests that ought to hold on every pair. Those that a
/// switchover is made for come first; those from 13 on, which differ from them by little, and a way
/// between two old ones, only when `PG_SWITCHOVER_TEST_ALL` is set (`scripts/test --all`).
pub fn version_pairs() -> Vec<(u32, u32)> {
    let mut pairs = vec![(15, 18), (15, 15), (16, 18), (14, 18), (17, 18), (18, 18)];
    if thorough() {
        pairs.extend([(13, 18), (13, 14), (14, 17)]);
    }
    pairs
}

/// Whether time matters less than finding something: `PG_SWITCHOVER_TEST_ALL` is set.
pub fn thorough() -> bool {
    std::env::var_os("PG_SWITCHOVER_TEST_ALL").is_some_and(|value| !value.is_empty())
}

/// Waits until `done` says so, looking every few milliseconds.
///
/// # Panics
/// When that does not happen within `limit`.
pub fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < limit,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
