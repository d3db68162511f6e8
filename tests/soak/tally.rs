//! What was played, and how it came out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::plan::Plan;
use super::round::Round;

/// Counts over all rounds.
#[derive(Default)]
pub struct Tally {
    rounds: usize,
    /// By source and destination.
    versions: BTreeMap<(u32, u32), usize>,
    roles: BTreeMap<String, usize>,
    faults: BTreeMap<String, usize>,
    missed: usize,
    commands: usize,
    acknowledged: usize,
    snapshots: usize,
    statuses: usize,
    refused: usize,
    intruded: usize,
    longest_round: Duration,
    longest: (Duration, String),
    /// Seed and first line.
    failures: Vec<(u64, String)>,
}

impl Tally {
    /// How many rounds have ended.
    pub fn rounds(&self) -> usize {
        self.rounds
    }

    /// Adds a round.
    pub fn count(&mut self, seed: u64, plan: &Plan, round: &Round, took: Duration) {
        self.rounds += 1;
        *self.versions.entry(plan.versions).or_default() += 1;
        *self.roles.entry(format!("{:?}", plan.role)).or_default() += 1;
        for fault in &round.faults {
            *self.faults.entry(fault.clone()).or_default() += 1;
        }
        self.missed += round.missed;
        self.commands += round.commands;
        self.acknowledged += round.acknowledged;
        self.snapshots += round.snapshots;
        self.statuses += round.statuses;
        self.refused += round.refused;
        self.intruded += round.intruded;
        self.longest_round = self.longest_round.max(took);
        if round.longest.0 > self.longest.0 {
            let (took, command) = &round.longest;
            self.longest = (*took, format!("{command} (seed {seed})"));
        }
    }

    /// Adds a failure.
    pub fn fail(&mut self, seed: u64, why: &str) {
        self.failures.push((seed, why.to_owned()));
    }

    /// # Panics
    /// When a round failed.
    pub fn demand_success(&self) {
        assert!(
            self.failures.is_empty(),
            "{} rounds failed",
            self.failures.len()
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nfaults")?;
        for (kind, number) in &self.faults {
            writeln!(f, "{number:7}  {kind}")?;
        }
        let met: usize = self.faults.values().sum();
        writeln!(f, "{met:7}  in all, and {} that came too late", self.missed)?;
        writeln!(f, "rounds")?;
        for ((source, destination), number) in &self.versions {
            writeln!(f, "{number:7}  from {source} to {destination}")?;
        }
        for (role, number) in &self.roles {
            writeln!(f, "{number:7}  by {role}")?;
        }
        let switches = self.rounds - self.failures.len();
        writeln!(
            f,
            "{:7}  in all, {switches} of them switched and proved",
            self.rounds
        )?;
        writeln!(f, "{:7}  commands", self.commands)?;
        writeln!(
            f,
            "{:7}  acknowledged writes, each accounted for",
            self.acknowledged
        )?;
        writeln!(
            f,
            "{:7}  snapshots of the destination, each one of the source",
            self.snapshots
        )?;
        writeln!(
            f,
            "{:7}  answers of status beside other commands",
            self.statuses
        )?;
        writeln!(
            f,
            "{:7}  early writes refused by the destination",
            self.refused
        )?;
        writeln!(
            f,
            "{:7}  times one got in before a flip that failed, and was thrown out",
            self.intruded
        )?;
        let (took, command) = &self.longest;
        writeln!(f, "longest command {:.1} s: {command}", took.as_secs_f64())?;
        writeln!(f, "longest round {:.1} s", self.longest_round.as_secs_f64())?;
        write!(f, "failures {}", self.failures.len())?;
        for (seed, why) in &self.failures {
            write!(f, "\n  seed {seed}: {why}")?;
        }
        Ok(())
    }
}
