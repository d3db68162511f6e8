//! Promise 6: kill anything at any instant; afterwards either the source is in charge and the same command
//! can be run again, or the destination is in charge and complete.

mod flip_table;
mod protocol;
mod servers;
mod steps;
mod two_tools;

use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::Proxy;
use crate::support::stage::{Stage, flipped};
use crate::support::workload::{self, Isolation, Kind, Workload};
use crate::support::{VARIED, version_pairs};

const RUN: &[&str] = &["run", "--create-schema", "--interval=0.05"];
const SWITCH: &[&str] = &["switch", "--unverified", "--interval=0.05"];

fn start_writers(pair: &Pair, kinds: &[Kind]) -> Workload {
    let (source, destination) = (&pair.source, &pair.destination);
    Workload::start(&source.uri(DATABASE), &destination.uri(DATABASE), kinds)
}

/// Demands that the destination is in charge and complete.
fn assert_moved(pair: &Pair, writers: Workload) {
    assert!(flipped(pair));
    writers.wait_until_moved();
    writers.wait_for_more(50);
    writers.stop().check(&mut pair.destination_client());
    compare::assert_equal_except(pair, workload::WRITTEN);
}

fn move_under_load(source: u32, destination: u32) {
    let pair = Pair::new(source, destination);
    pair.on_source(VARIED);
    pair.on_source(workload::SCHEMA);
    let writers = start_writers(&pair, &Kind::all());
    writers.wait_for_more(100);
    pair.run(RUN).expect(0).expect_stderr("window ");
    assert_moved(&pair, writers);
}

#[test]
fn everything_acknowledged_arrives_whatever_the_versions() {
    for (source, destination) in version_pairs() {
        move_under_load(source, destination);
    }
}

/// Writers, and their tables on the source alone: what `run --create-schema` begins with.
fn stage_for_run() -> (Stage, Workload) {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_source(workload::SCHEMA);
    stage
        .pair
        .on_source("CREATE TABLE still AS SELECT i AS id, md5(i::text) AS t FROM generate_series(1, 20000) i; ALTER TABLE still ADD PRIMARY KEY (id)");
    let writers = start_writers(&stage.pair, &Kind::all());
    (stage, writers)
}

/// Writers, and their tables copied: what `sync` and `switch` begin with.
fn stage_for_switch() -> (Stage, Workload) {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(workload::SCHEMA);
    let kinds = [
        Kind::Journal,
        Kind::LongJournal(Isolation::Serializable),
        Kind::Transfer(Isolation::RepeatableRead),
        Kind::Counter,
        Kind::Slot,
    ];
    let writers = start_writers(&stage.pair, &kinds);
    stage.pair.run(&["init", "-q"]).expect(0);
    stage.pair.run(&["copy", "-q", "--truncate"]).expect(0);
    (stage, writers)
}

/// One of the two wires of a stage.
#[derive(Clone, Copy)]
enum Wire {
    Source,
    Destination,
}

fn wire(stage: &Stage, wire: Wire) -> &Proxy {
    match wire {
        Wire::Source => &stage.source_wire,
        Wire::Destination => &stage.destination_wire,
    }
}
