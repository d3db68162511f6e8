//! What is going to happen in a round, all of it chosen by its seed.

use std::fmt;

use crate::support::chance::Chance;
use crate::support::version_pairs;

use super::fault::Fault;

/// How far the tool's role reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `postgres`.
    Superuser,
    /// One that owns the database and all that is in it.
    Owner,
    /// The same, who may set `session_replication_role` on the destination.
    Granted,
}

/// One round.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is made from.
    pub seed: u64,
    /// Source and destination.
    pub versions: (u32, u32),
    /// Who moves the database.
    pub role: Role,
    /// `copy` brings the schema, too; else it is there, with rows to be thrown away.
    pub create_schema: bool,
    /// There are tables of every kind that do not change.
    pub varied: bool,
    /// Rows of the large table that does not change.
    pub rows: u64,
    /// Milliseconds between two transactions of a writer.
    pub pause: u64,
    /// The commands, in their order. Each is tried with its faults until it ends well, at last without any.
    pub steps: Vec<Step>,
    /// `drop` comes last.
    pub drop: bool,
}

/// A command.
#[derive(Clone, Debug)]
pub struct Step {
    /// With its options.
    pub args: Vec<String>,
    /// Milliseconds after which it is asked to end, where it does not by itself.
    pub follows: Option<u64>,
    /// The faults of each attempt, and after how many milliseconds.
    pub attempts: Vec<Vec<(u64, Fault)>>,
}

impl Plan {
    /// Makes the plan of a seed.
    pub fn new(seed: u64) -> Plan {
        let mut chance = Chance::new(seed, 0);
        let versions = *chance.one_of(&version_pairs());
        let role = match chance.below(10) {
            // Only from 15 on can that be granted.
            0..2 if versions.1 >= 15 => Role::Granted,
            0..5 => Role::Owner,
            _ => Role::Superuser,
        };
        let mut plan = Plan {
            seed,
            versions,
            role,
            create_schema: chance.percent(50),
            varied: chance.percent(40),
            rows: chance.between(1, 20_000),
            pause: chance.between(4, 15),
            steps: Vec::new(),
            drop: chance.percent(30),
        };
        plan.steps = plan.steps(&mut chance);
        plan
    }

    fn steps(&self, chance: &mut Chance) -> Vec<Step> {
        let schema = match self.create_schema {
            true => "--create-schema",
            false => "--truncate",
        };
        let jobs = format!("--jobs={}", chance.between(1, 4));
        let timeout = format!("--lock-timeout={}", chance.one_of(&[800, 1500, 3000]));
        let unverified = chance.percent(30);
        let mut last = vec![timeout.as_str(), "--interval=0.05", "--lock-attempts=100"];
        if chance.percent(20) {
            last.push("--terminate-blockers");
        }
        if unverified {
            last.push("--unverified");
        }
        let after = ["--after-switch=terminate", "--after-switch=readonly"];
        last.extend(after.iter().filter(|_| chance.percent(20)));
        let mut steps = Vec::new();
        if chance.percent(35) {
            let args = [&["run", schema, &jobs], &last[..]].concat();
            steps.push(step(chance, &args, 3));
            return steps;
        }
        steps.push(step(chance, &["init", &timeout], 1));
        if !self.create_schema && chance.percent(15) {
            steps.push(step(chance, &["drop"], 1));
            steps.push(step(chance, &["init"], 1));
        }
        steps.push(step(chance, &["copy", schema, &jobs], 2));
        for _ in 0..chance.below(3) {
            let pending = format!("--max-pending={}", chance.one_of(&[1, 30, 10_000]));
            let mut args = vec!["sync", &pending, &jobs];
            if chance.percent(50) {
                args.extend(["--follow", "--interval=0.02"]);
            }
            steps.push(step(chance, &args, 2));
        }
        if !unverified {
            steps.push(step(chance, &["verify", &jobs], 1));
        }
        let args = [&["switch", &jobs], &last[..]].concat();
        steps.push(step(chance, &args, 3));
        steps
    }

    /// The round in a line.
    pub fn headline(&self) -> String {
        let verbs: Vec<&str> = self
            .steps
            .iter()
            .map(|step| step.args[0].as_str())
            .collect();
        format!(
            "{} to {}, {:?}{}, {}",
            self.versions.0,
            self.versions.1,
            self.role,
            if self.create_schema {
                ", --create-schema"
            } else {
                ""
            },
            verbs.join(" ")
        )
    }
}

/// A command and up to `most` attempts that faults may spoil.
fn step(chance: &mut Chance, args: &[&str], most: usize) -> Step {
    let verb = args[0];
    let follows = args
        .contains(&"--follow")
        .then(|| chance.between(300, 2000));
    // What takes longer has more instants to be hit at.
    let span = match verb {
        "run" => 2500,
        "copy" | "verify" | "switch" => 900,
        _ => 400,
    };
    let attempts = (0..chance.below(most + 1))
        .map(|_| {
            let number = if chance.percent(30) { 2 } else { 1 };
            (0..number)
                .map(|_| {
                    let fault = Fault::for_verb(chance, verb);
                    // What waits for a message should not come after it.
                    let span = if fault.waits() { span / 6 } else { span };
                    (chance.between(0, span), fault)
                })
                .collect()
        })
        .collect();
    Step {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        follows,
        attempts,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan of seed {}: {}", self.seed, self.headline())?;
        writeln!(
            f,
            "  {} rows, varied {}, pause {} ms, drop {}",
            self.rows, self.varied, self.pause, self.drop
        )?;
        for step in &self.steps {
            writeln!(f, "  {}, follows {:?}", step.args.join(" "), step.follows)?;
            for faults in &step.attempts {
                writeln!(f, "    {faults:?}")?;
            }
        }
        Ok(())
    }
}
