//! Every named point of the protocol, and every fault at each: with all of them when there is time
//! (`PG_SWITCHOVER_TEST_ALL`), else with some, so that each point and each fault is met. After a fault the
//! same command must end well.

mod faults;
mod points;

use std::collections::BTreeMap;

use faults::{FAULTS, Fault};
use points::{Base, Point};

use super::{Wire, assert_moved, start_writers};
use crate::support::pair::Pair;
use crate::support::program::Outcome;
use crate::support::stage::Stage;
use crate::support::thorough;
use crate::support::workload::{self, Isolation, Kind, Workload};

/// Beside the writers' tables: one that is large enough for a large cycle, and has long keys.
const BIG: &str = "CREATE TABLE big (k text PRIMARY KEY, n int NOT NULL)";
const FILL: &str =
    "INSERT INTO big SELECT repeat(md5(i::text), 20), 0 FROM generate_series(1, 2000) i";

/// A pair on which many rounds are run, and what has been met in them.
struct Ground {
    stage: Stage,
    met: BTreeMap<&'static str, Vec<Fault>>,
}

impl Ground {
    fn new() -> Ground {
        let stage = Stage::new(Pair::new(15, 18));
        stage.pair.on_both(workload::SCHEMA);
        stage.pair.on_both(BIG);
        stage.pair.on_source(FILL);
        Ground {
            stage,
            met: BTreeMap::new(),
        }
    }

    fn writers(&self) -> Workload {
        let kinds = [
            Kind::Journal,
            Kind::Transfer(Isolation::RepeatableRead),
            Kind::Counter,
            Kind::Slot,
        ];
        start_writers(&self.stage.pair, &kinds)
    }

    /// Strikes once, and demands that the same command ends well afterwards.
    fn round(&mut self, point: &'static Point, fault: Fault, writers: Option<&Workload>) {
        point.base.prepare(&self.stage);
        let struck = faults::strike(&self.stage, point, fault);
        let what = format!("{} at \"{}\"", fault.name(), point.name);
        if let Some(outcome) = &struck.outcome {
            assert_says_the_truth(&self.stage, point, outcome, &what);
        }
        if struck.met {
            self.met.entry(point.name).or_default().push(fault);
        }
        if let Some(writers) = writers {
            // Whatever is left behind, they go on.
            writers.wait_for_more(2);
        }
        point.base.assert_between(&self.stage, &what);
        let again = self.stage.pair.run(point.command);
        assert_eq!(again.code(), Some(0), "{what}, then: {}", again.report());
        point.base.assert_after(&self.stage, &what);
    }

    /// Runs the rounds of all points of these kinds.
    fn rounds(&mut self, bases: &[Base], writers: Option<&Workload>) {
        let points = points::POINTS.iter().enumerate();
        let ours = || {
            points
                .clone()
                .filter(|(_, point)| bases.contains(&point.base))
        };
        for (number, point) in ours() {
            for fault in some_faults(number) {
                self.round(point, fault, writers);
            }
        }
        self.tell(&ours().map(|(_, point)| point).collect::<Vec<_>>());
    }

    /// Prints what was met. A point that a command never comes by tests nothing.
    fn tell(&self, points: &[&Point]) {
        let met = |fault: &Fault| {
            self.met
                .values()
                .flatten()
                .filter(|one| *one == fault)
                .count()
        };
        for fault in FAULTS {
            println!("{:4} rounds: {}", met(&fault), fault.name());
        }
        for point in points {
            let count = self.met.get(point.name).map_or(0, Vec::len);
            println!("{count:4} times: {}", point.name);
            assert!(count > 0, "point \"{}\" was never met", point.name);
        }
    }
}

/// All of them, or the one whose turn it is.
fn some_faults(number: usize) -> Vec<Fault> {
    if thorough() {
        return FAULTS.to_vec();
    }
    vec![FAULTS[number % FAULTS.len()]]
}

/// A command that fails says why; what `switch` says is true.
fn assert_says_the_truth(stage: &Stage, point: &Point, outcome: &Outcome, what: &str) {
    let code = outcome.code();
    let told = || format!("{what}: {}", outcome.report());
    assert!(matches!(code, Some(0 | 1 | 4)), "{}", told());
    assert!(code == Some(0) || !outcome.stderr.is_empty(), "{}", told());
    if point.base == Base::Switch {
        assert_eq!(stage.flipped(), code == Some(0), "{}", told());
        let in_charge = outcome.last_line().contains("the source is in charge");
        assert_eq!(in_charge, code != Some(0), "{}", told());
    }
}

#[test]
fn every_point_of_init_and_drop_withstands_faults() {
    let mut ground = Ground::new();
    let writers = ground.writers();
    ground.rounds(&[Base::Init, Base::Drop], Some(&writers));
    finish(&ground, writers);
}

#[test]
fn every_point_of_copy_withstands_faults() {
    let mut ground = Ground::new();
    let writers = ground.writers();
    ground.stage.pair.run(&["init", "-q"]).expect(0);
    ground.rounds(&[Base::Copy], Some(&writers));
    finish(&ground, writers);
}

#[test]
fn every_point_of_a_copy_that_brings_the_schema_withstands_faults() {
    let mut ground = Ground::new();
    let writers = ground.writers();
    ground.rounds(&[Base::Schema], Some(&writers));
    finish(&ground, writers);
}

fn copied() -> Ground {
    let ground = Ground::new();
    let pair = &ground.stage.pair;
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    ground
}

fn cycles(bases: &[Base]) {
    let mut ground = copied();
    let writers = ground.writers();
    ground.rounds(bases, Some(&writers));
    finish(&ground, writers);
}

#[test]
fn every_point_of_a_small_cycle_withstands_faults() {
    cycles(&[Base::Opened, Base::SmallCycle]);
}

#[test]
fn every_point_of_a_large_cycle_withstands_faults() {
    cycles(&[Base::LargeCycle, Base::Rotation]);
}

#[test]
fn every_point_of_verify_withstands_faults() {
    cycles(&[Base::Verify]);
}

/// What the writers were told is true in the end.
fn finish(ground: &Ground, writers: Workload) {
    let pair = &ground.stage.pair;
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q", "--interval=0.05"]).expect(0);
    assert_moved(pair, writers);
}

#[test]
fn every_point_of_switch_withstands_faults() {
    let mut ground = copied();
    ground.rounds(&[Base::Switch], None);
}
