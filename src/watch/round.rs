//! The rounds of one side's thread: which calls wait, and what becomes of those that wait too long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::judge::{Case, Seen, seconds};
use super::see::{see, with_sessions};
use super::{Watch, Watched, lock};
use crate::error::GivenUp;
use crate::wire::Glance;

/// The longest pause between two rounds.
const TICK: Duration = Duration::from_secs(1);

/// The least time that a look has for connecting and asking.
const LOOK: Duration = Duration::from_secs(2);

/// What one side's thread remembers from one look to the next.
pub(super) struct Round {
    watch: &'static Watch,
    patience: Duration,
    tick: Duration,
    cases: HashMap<u64, (Glance, Case)>,
}

impl Round {
    pub(super) fn new(watch: &'static Watch, patience: Duration) -> Round {
        Round {
            watch,
            patience,
            tick: (patience / 8).clamp(Duration::from_millis(20), TICK),
            cases: HashMap::new(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let began = Instant::now();
            std::thread::sleep(self.tick);
            // Where this process was stopped meanwhile (SIGSTOP, a machine that slept), that was no
            // time in which an answer was waited for.
            let passed = began.elapsed().min(self.tick * 2);
            let sessions = lock(&self.watch.sessions).clone();
            let waiting = self.waiting(&sessions, passed);
            if waiting.iter().any(|session| self.is_due(session)) {
                self.look(&waiting);
            }
        }
    }

    /// Lets time pass for every call, and returns those in which nothing moves.
    fn waiting<'a>(
        &mut self,
        sessions: &'a [Arc<Watched>],
        passed: Duration,
    ) -> Vec<&'a Arc<Watched>> {
        let mut waiting = Vec::new();
        let mut cases = HashMap::new();
        for session in sessions {
            let now = session.wire.glance();
            if !now.waits() {
                continue;
            }
            let case = match self.cases.remove(&session.number) {
                Some((before, mut case)) if before == now => {
                    case.pass(passed);
                    waiting.push(session);
                    case
                }
                _ => Case::new(session.limits()),
            };
            cases.insert(session.number, (now, case));
        }
        self.cases = cases;
        waiting
    }

    fn is_due(&self, session: &Watched) -> bool {
        let case = self.cases.get(&session.number);
        case.is_some_and(|(_, case)| case.is_due())
    }

    /// Looks at all that wait, in one go, and gives up what is lost.
    fn look(&mut self, waiting: &[&Arc<Watched>]) {
        let began = Instant::now();
        let limit = self.limit();
        let seen = see(waiting, limit);
        let passed = began.elapsed().min(limit);
        let mut lost = Vec::new();
        for (session, seen) in waiting.iter().zip(&seen) {
            let Some((before, case)) = self.cases.get_mut(&session.number) else {
                continue;
            };
            // While we looked it may have gone on.
            if session.wire.glance() != *before {
                continue;
            }
            case.pass(passed);
            if let Some(verdict) = case.judge(seen, session.side, session.limits()) {
                lost.push((*session, verdict));
            }
        }
        self.end(lost, limit);
        self.tell(waiting, &seen);
    }

    /// A look takes no longer than half of the patience: one that fails is not to be the last one. But a server
    /// that is only slow to let us in has its time.
    fn limit(&self) -> Duration {
        (self.patience / 2).max(LOOK)
    }

    /// Ends the server processes first, where that can be done: see the head of this module.
    fn end(&mut self, lost: Vec<(&Arc<Watched>, GivenUp)>, limit: Duration) {
        let known: Vec<&Watched> = lost
            .iter()
            .map(|(session, _)| &***session)
            .filter(|session| session.is_known())
            .collect();
        // Their end is told as what has led to it.
        for (session, verdict) in &lost {
            session.wire.condemn(verdict.clone());
        }
        if let Some(first) = known.first() {
            let sql = with_sessions(include_str!("end.sql"), &known);
            if let Err(error) = first.conninfo.ask(first.side, &sql, limit) {
                log::debug!("{error}");
            }
        }
        for (session, verdict) in lost {
            self.cases.remove(&session.number);
            session.give_up(verdict);
        }
    }

    /// Says what is waited for; of several calls, the one that has waited longest.
    fn tell(&mut self, waiting: &[&Arc<Watched>], seen: &[Seen]) {
        let mut told: Option<(Duration, String)> = None;
        let mut count = 0;
        for (session, seen) in waiting.iter().zip(seen) {
            let Some((_, case)) = self.cases.get_mut(&session.number) else {
                continue;
            };
            if !case.is_to_be_told() {
                continue;
            }
            count += 1;
            if told
                .as_ref()
                .is_none_or(|(longest, _)| case.silent() > *longest)
            {
                let line = format!(
                    "still waiting for the {} to {}: {}, {}",
                    session.side,
                    session.wire.what(),
                    seconds(case.silent()),
                    seen.describe()
                );
                told = Some((case.silent(), line));
            }
        }
        if let Some((_, line)) = told {
            match count {
                1 => log::info!("{line}"),
                more => log::info!("{line}; and {} more like this", more - 1),
            }
        }
    }
}
