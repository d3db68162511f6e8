//! A round, step by step, and what has to be true after each.

use std::time::{Duration, Instant};

use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::program::{Outcome, Running};
use crate::support::stage::SOURCE_IN_CHARGE;
use crate::support::{wait_for, workload};

use super::fault::{Fault, Sides};
use super::plan::{Plan, Step};
use super::scene::{BOUND, Scene};
use super::watchers::{Intruder, Intrusions};

const DESTINATION_IN_CHARGE: &str = "pg_switchover: the destination is in charge";

/// What has happened so far.
#[derive(Default)]
pub struct Round {
    began: Option<Instant>,
    story: Vec<String>,
    /// The faults that have met their moment, by kind.
    pub faults: Vec<String>,
    /// The faults that came too late, or to nobody.
    pub missed: usize,
    /// How many commands were run.
    pub commands: usize,
    /// The longest that one took, and which.
    pub longest: (Duration, String),
    /// How many writes were acknowledged.
    pub acknowledged: usize,
    /// How many snapshots of the destination were judged.
    pub snapshots: usize,
    /// How often the guard of the destination refused somebody.
    pub refused: usize,
    /// How often somebody got in between a final cycle and a flip that did not follow.
    pub intruded: usize,
    /// From then on the destination was shut, and to then.
    shut: (Option<Instant>, Option<Instant>),
    /// How often `status` gave an answer beside all that.
    pub statuses: usize,
}

impl Round {
    /// What has happened, line by line.
    pub fn story(&self) -> String {
        self.story.join("\n")
    }

    fn tell(&mut self, line: impl Into<String>) {
        let at = self.began.get_or_insert_with(Instant::now).elapsed();
        self.story
            .push(format!("{:8.3}  {}", at.as_secs_f64(), line.into()));
    }

    /// Plays a plan to its end.
    ///
    /// # Panics
    /// When anything is not as promised.
    pub fn play(&mut self, plan: &Plan) {
        let scene = Scene::new(plan);
        scene.writers.wait_for_more(50);
        self.tell("writers are at work");
        for step in &plan.steps {
            self.take(&scene, step);
        }
        assert!(
            flipped(&scene),
            "the last command ended well, and the source is in charge"
        );
        let again = self.run(&scene, &args(&["switch"]), &[]);
        self.judge(&scene, again, &[], true);
        if plan.drop {
            let dropped = self.run(&scene, &args(&["drop"]), &[]);
            assert_eq!(dropped.code(), Some(0), "{}", dropped.report());
        }
        self.conclude(scene);
    }

    /// Runs a command with its faults until it ends well, at last without any.
    fn take(&mut self, scene: &Scene, step: &Step) {
        for faults in &step.attempts {
            let before = flipped(scene);
            let outcome = self.attempt(scene, step, faults);
            if self.judge(
                scene,
                outcome,
                &faults.iter().map(|one| one.1).collect::<Vec<_>>(),
                before,
            ) {
                return;
            }
        }
        for _ in 0..4 {
            let before = flipped(scene);
            let outcome = self.attempt(scene, step, &[]);
            let report = outcome.report();
            let intruded = was_intruded(&outcome);
            if self.judge(scene, outcome, &[], before) {
                return;
            }
            assert!(intruded, "without a fault\n{report}");
            self.throw_out(scene, step);
        }
        panic!("somebody gets in again and again");
    }

    /// What somebody has written into the destination too early goes by a copy.
    fn throw_out(&mut self, scene: &Scene, step: &Step) {
        self.intruded += 1;
        let schema = step.args.iter().find(|arg| *arg == "--create-schema");
        let mut copy = args(&["copy"]);
        copy.extend(schema.cloned());
        for command in [copy, args(&["verify"])] {
            let outcome = self.run(scene, &command, &[]);
            assert_eq!(outcome.code(), Some(0), "{}", outcome.report());
        }
    }

    fn attempt(&mut self, scene: &Scene, step: &Step, faults: &[(u64, Fault)]) -> Outcome {
        self.tell(format!("{} {faults:?}", step.args.join(" ")));
        let args: Vec<&str> = step.args.iter().map(String::as_str).collect();
        if ["switch", "run"].contains(&args[0]) {
            self.shut.1.get_or_insert_with(Instant::now);
        }
        let mut running = scene.stage.pair.spawn(&args);
        let started = Instant::now();
        for (delay, fault) in faults {
            sleep_while_running(&mut running, Duration::from_millis(*delay));
            if !running.is_running() {
                self.missed += 1;
                continue;
            }
            if fault.happen(scene, &mut running) {
                self.tell(format!("  {fault}"));
                self.faults.push(fault.to_string());
            } else {
                self.missed += 1;
            }
        }
        for wire in scene.wires(Sides::Both) {
            wire.calm();
        }
        if let Some(ms) = step.follows {
            if faults.is_empty() {
                // Before the first cycle, it is a command that was interrupted.
                running.wait_for_stderr("cycle ", BOUND);
            }
            sleep_while_running(&mut running, Duration::from_millis(ms));
            running.signal("TERM");
        }
        self.await_end(scene, running, started, &step.args)
    }

    fn run(&mut self, scene: &Scene, args: &[String], faults: &[(u64, Fault)]) -> Outcome {
        let step = Step {
            args: args.to_vec(),
            follows: None,
            attempts: Vec::new(),
        };
        self.attempt(scene, &step, faults)
    }

    /// Waits for the end of a command, and of its sessions on the source.
    fn await_end(
        &mut self,
        scene: &Scene,
        mut running: Running,
        started: Instant,
        args: &[String],
    ) -> Outcome {
        let mut healed = Instant::now();
        let mut looked = false;
        while running.is_running() {
            if healed.elapsed() > BOUND && !looked {
                looked = true;
                healed = Instant::now() - BOUND + Duration::from_secs(5);
                self.tell(format!("a hang:\n{}", scene.activity()));
            }
            assert!(
                healed.elapsed() <= BOUND || !looked,
                "{} hangs; it has said:\n{}{}",
                args.join(" "),
                running.stderr(),
                scene.activity()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        let outcome = running.wait(BOUND);
        let took = started.elapsed();
        self.commands += 1;
        if took > self.longest.0 {
            self.longest = (took, args.join(" "));
        }
        self.tell(format!(
            "  ended with {} after {took:.1?}: {}",
            outcome.status,
            outcome.last_line()
        ));
        let free = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        let began = Instant::now();
        while scene.stage.pair.on_source(free) != "0" {
            assert!(
                began.elapsed() < BOUND,
                "the sessions of a program that has ended stay\n{}\n{}",
                outcome.report(),
                scene.activity()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        outcome
    }

    /// Demands that an end was one of those that are allowed, and told the truth. Returns whether it ended well.
    fn judge(&mut self, scene: &Scene, outcome: Outcome, faults: &[Fault], before: bool) -> bool {
        let after = flipped(scene);
        let verb = outcome
            .command
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let switches = ["switch", "run"].contains(&verb.as_str());
        let report = || format!("after {faults:?}\n{}", outcome.report());
        assert!(after || !before, "the pointer went back {}", report());
        assert!(
            after == before || switches,
            "a {verb} has switched {}",
            report()
        );
        let hidden = faults.iter().any(Fault::hides_source);
        // A program that follows was asked to end, too.
        let asked = usize::from(outcome.command.contains("--follow"))
            + faults
                .iter()
                .filter(|fault| fault.signal().is_some())
                .count();
        let forced = matches!(outcome.code(), Some(130 | 143)) && asked > 1;
        match (outcome.code(), outcome.signal()) {
            (Some(0), _) => assert!(after || !switches, "it did not switch {}", report()),
            (Some(1), _) => assert!(
                !faults.is_empty() || was_intruded(&outcome),
                "a failure without a fault {}",
                report()
            ),
            _ if forced => {}
            // A server that cannot be reached is something that check finds.
            (Some(3), _) => assert!(
                verb == "run"
                    && !faults.is_empty()
                    && outcome.stdout.contains("stops: could not connect to the "),
                "exit status 3 {}",
                report()
            ),
            (Some(4), _) => assert!(
                !faults.is_empty()
                    && ["init", "sync", "drop", "switch", "run"].contains(&verb.as_str()),
                "exit status 4 {}",
                report()
            ),
            (Some(6), _) => assert!(hidden && switches, "the source could be asked {}", report()),
            (None, Some(signal)) => assert!(
                faults.iter().any(|fault| fault.signal() == Some(signal)),
                "signal {signal} {}",
                report()
            ),
            _ => panic!("an exit status that is not allowed {}", report()),
        }
        if switches && !forced && outcome.code().is_some_and(|code| code != 0) {
            let line = outcome.last_line();
            let says_source = line.starts_with(SOURCE_IN_CHARGE);
            let says_destination = line == DESTINATION_IN_CHARGE;
            let says_unknown = line.contains("is unknown until the source answers");
            assert!(
                (says_source && !after)
                    || (says_destination && after)
                    || (says_unknown && outcome.code() == Some(6)),
                "the pointer says {after}, and the last line is not true {}",
                report()
            );
        }
        self.ask_status(scene, after);
        if verb == "copy" && outcome.code() == Some(0) {
            self.shut.0.get_or_insert_with(Instant::now);
        }
        outcome.code() == Some(0)
    }

    /// `status` must work, and tell the truth.
    fn ask_status(&mut self, scene: &Scene, flipped: bool) {
        let status = scene.stage.pair.program(&["status", "--json"]).run();
        assert_eq!(status.code(), Some(0), "{}", status.report());
        let json: serde_json::Value = serde_json::from_str(&status.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", status.report()));
        let in_charge = if flipped { "destination" } else { "source" };
        assert_eq!(json["in_charge"], in_charge, "{}", status.report());
    }

    /// The destination is in charge, and complete; the source is what it was at the flip.
    fn conclude(&mut self, scene: Scene) {
        let Scene {
            stage,
            writers,
            watch,
            pointer,
            asker,
            intruder,
        } = scene;
        writers.wait_until_moved();
        writers.wait_for_more(50);
        wait_for("a look at the pointer", BOUND, || {
            pointer.sights().destination.is_some()
        });
        let testimony = writers.stop();
        let seen = watch.stop();
        let (statuses, complaints) = asker.stop();
        let intrusions = intruder.stop();
        self.tell("writers have ended");
        let pair = &stage.pair;
        let (mut source, mut destination) = (pair.source_client(), pair.destination_client());
        let sights = pointer.sights();
        let by = sights.destination.expect("it was waited for");
        let mut found = testimony.contradictions(&mut destination);
        found.extend(testimony.contradictions_of_source(&mut source, &mut destination));
        found.extend(testimony.contradictions_of_flip(sights.source, by));
        found.extend(testimony.contradictions_of_watch(&seen, &mut destination));
        found.extend(complaints);
        found.extend(self.contradictions_of(&intrusions, by, pair));
        testimony.demand_none(&found);
        let mut differences = compare::differences(pair, workload::WRITTEN);
        if pair.source.log().contains("was not properly shut down") {
            differences.retain(|line| !skipped_by_a_crash(pair, line));
        }
        assert!(
            differences.is_empty(),
            "the databases differ:\n{}",
            differences.join("\n")
        );
        self.acknowledged = testimony.number_acknowledged();
        self.snapshots = seen.len();
        self.statuses = statuses;
    }

    /// The guard has let somebody in while it should not, or has lost what it let in. Takes the rows away, for
    /// the comparison with the source.
    fn contradictions_of(
        &mut self,
        intrusions: &Intrusions,
        flipped_by: Instant,
        pair: &Pair,
    ) -> Vec<String> {
        let mut found = intrusions.complaints.clone();
        self.refused = intrusions.refused;
        let there = pair.on_destination(&format!(
            "DELETE FROM somebody WHERE id >= {} RETURNING id",
            Intruder::FIRST
        ));
        let there: Vec<&str> = there.lines().collect();
        for (id, sent, answered) in &intrusions.taken {
            if let (Some(from), Some(to)) = self.shut
                && (from..to).contains(sent)
                && *answered < to
            {
                found.push(format!("the destination took row {id} before any switch"));
            }
            if *sent > flipped_by && !there.contains(&id.to_string().as_str()) {
                found.push(format!(
                    "the destination lost row {id}, from after the flip"
                ));
            }
        }
        found
    }
}

/// Whether a command refuses to go on before `copy` has thrown away what somebody has written. The first to find it
/// names the tables, unless it was killed over that.
fn was_intruded(outcome: &Outcome) -> bool {
    [
        "written into on the destination by somebody else",
        "not every table has been copied; run pg_switchover copy first",
    ]
    .iter()
    .any(|text| outcome.stderr.contains(text))
}

fn args(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn flipped(scene: &Scene) -> bool {
    let pair = &scene.stage.pair;
    let there = "SELECT to_regclass('switchover.state') IS NOT NULL";
    // Between the making of the table and that of its row there is no pointer either.
    pair.on_source(there) == "t"
        && pair.on_source("SELECT use_next_db FROM switchover.state") == "t"
}

fn sleep_while_running(running: &mut Running, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time && running.is_running() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// After a crash a sequence goes on behind the values that it had written ahead, 32 at most (`SEQ_LOG_VALS`), which
/// nobody was given. Where that was after the final cycle, the destination's knows nothing of it.
fn skipped_by_a_crash(pair: &Pair, line: &str) -> bool {
    let number = |text: &str| -> Option<i64> { text.strip_suffix(" true")?.parse().ok() };
    let gap = || -> Option<i64> {
        let (name, values) = line
            .strip_prefix("sequence ")?
            .rsplit_once(": source Some(\"")?;
        let (source, destination) = values.split_once("\"), destination Some(\"")?;
        let ahead = number(source)? - number(destination.strip_suffix("\")")?)?;
        let increment: i64 = pair
            .on_source(&format!(
                "SELECT seqincrement FROM pg_sequence WHERE seqrelid = '{}'::regclass",
                name.replace('\'', "''")
            ))
            .parse()
            .ok()?;
        Some(ahead / increment)
    };
    gap().is_some_and(|values| (1..=32).contains(&values))
}
