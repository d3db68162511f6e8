//! Nobody waits for ever: a thread for each side looks about once a second at the calls that wait for
//! that server ([`Wire`]), and where nothing has moved for some time, it looks at the server, through a
//! connection of its own.
//!
//! - A server process that works (computes, reads, waits for a lock or a standby) is waited for: at
//!   increasing intervals a message says for what. Waits that may never end by themselves have bounds.
//! - One that waits for us, as we wait for it: what one of us has said was lost on the way.
//! - One that is gone, or a server that cannot be reached, will not answer any more.
//!
//! In the last two cases, and where a bound is exceeded, the connection is given up once the server has
//! shown no sign of life for as long as `tcp_user_timeout` in the conninfo says (30 s if it says
//! nothing). The waiting call then fails as if the network had failed, and everything goes the way that
//! it goes then. Before that, the server process is ended, if the server can be reached: it must neither
//! keep locks nor do later, when the network comes to life again, what it was told to do. Where it
//! cannot be ended it cannot be asked either, and nobody claims to know how the transaction has ended:
//! see `switch::settle`, which believes only what it reads once that process is gone.

mod judge;
mod see;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use self::judge::{Case, Limits, Seen, seconds};
use self::see::{of_rows, see, with_sessions};
use crate::conninfo::Conninfo;
use crate::error::{Error, GivenUp, Result, Side};
use crate::wire::{Glance, Wire};

/// The longest pause between two rounds.
const TICK: Duration = Duration::from_secs(1);

/// The least time that a look has for connecting and asking.
const LOOK: Duration = Duration::from_secs(2);

/// Nobody needs the answer of a server that is silent while we close a session.
const CLOSING: Duration = Duration::from_secs(3);

/// Told of a call that cannot be ended, because the driver serves its connection alone (a Unix socket).
/// It must end the program.
static LAST_RESORT: OnceLock<Box<dyn Fn(Error) + Send + Sync>> = OnceLock::new();

static SOURCE: Watch = Watch::new();
static DESTINATION: Watch = Watch::new();

/// The sessions with one server.
struct Watch {
    sessions: Mutex<Vec<Arc<Watched>>>,
    thread: OnceLock<()>,
}

/// A session that is watched over.
pub struct Watched {
    number: u64,
    side: Side,
    conninfo: Conninfo,
    wire: Arc<Wire>,
    /// The server process; zero until it is known.
    pid: AtomicI64,
    /// When that began, in microseconds.
    started: AtomicI64,
    /// Of a program that we have started.
    program: Option<Program>,
}

/// A program that uses the server on our behalf, and whose calls we do not see.
struct Program {
    application_name: String,
    /// What the last look has shown.
    last: Mutex<String>,
}

/// Ends the watch when it is dropped.
pub struct Registered(Arc<Watched>);

/// Says what happens when a call cannot be ended: `action` must end the program.
pub fn last_resort(action: impl Fn(Error) + Send + Sync + 'static) {
    // Once is enough.
    let _ = LAST_RESORT.set(Box::new(action));
}

/// Begins to watch over a session.
///
/// # Errors
/// A thread cannot be started.
pub fn over(conninfo: &Conninfo, side: Side, wire: &Arc<Wire>) -> Result<Registered> {
    register(conninfo, side, wire, None)
}

/// Begins to watch over a program whose sessions have this name: `wire` is condemned when the server
/// cannot be reached, or the program does nothing there, for too long. `what` is an infinitive.
///
/// # Errors
/// A thread cannot be started.
pub fn over_program(
    conninfo: &Conninfo,
    side: Side,
    application_name: &str,
    wire: &Arc<Wire>,
    what: &str,
) -> Result<Registered> {
    wire.attach();
    wire.begin(what);
    let program = Program {
        application_name: application_name.to_string(),
        last: Mutex::default(),
    };
    register(conninfo, side, wire, Some(program))
}

fn register(
    conninfo: &Conninfo,
    side: Side,
    wire: &Arc<Wire>,
    program: Option<Program>,
) -> Result<Registered> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let watch = Watch::of(side);
    let watched = Arc::new(Watched {
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
        side,
        conninfo: conninfo.clone(),
        wire: Arc::clone(wire),
        pid: AtomicI64::new(0),
        started: AtomicI64::new(0),
        program,
    });
    let mut sessions = lock(&watch.sessions);
    if watch.thread.get().is_none() {
        let patience = conninfo.patience();
        std::thread::Builder::new()
            .name(format!("watch {side}"))
            .spawn(move || Round::new(watch, patience).run())
            .map_err(|error| Error::failed(format!("could not start a thread: {error}")))?;
        let _ = watch.thread.set(());
    }
    sessions.push(Arc::clone(&watched));
    Ok(Registered(watched))
}

/// Ends our sessions with one server, and waits until they have ended: what they were told to do has
/// happened then, or never will.
///
/// # Errors
/// The server cannot be asked; they do not end.
pub fn end_sessions(side: Side) -> Result<()> {
    let sessions = lock(&Watch::of(side).sessions).clone();
    let known: Vec<&Watched> = sessions
        .iter()
        .map(|session| &**session)
        .filter(|session| session.is_known())
        .collect();
    let Some(first) = known.first() else {
        return Ok(());
    };
    let (limit, began) = (first.limits().patience, Instant::now());
    let end = with_sessions(include_str!("end.sql"), &known);
    let look = with_sessions(include_str!("look.sql"), &known);
    first.conninfo.ask(side, &end, limit)?;
    loop {
        let rows = first.conninfo.ask(side, &look, limit)?;
        if known
            .iter()
            .all(|session| of_rows(session, &rows) == Seen::Gone)
        {
            return Ok(());
        }
        if began.elapsed() > limit {
            return Err(Error::failed(format!(
                "our sessions on the {side} do not end"
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Registered {
    /// Says which server process serves the session, and when it began, in microseconds.
    pub fn know(&self, pid: i32, started: &str) {
        let started = started.parse().unwrap_or(0);
        self.0.started.store(started, Ordering::Relaxed);
        self.0.pid.store(pid.into(), Ordering::Release);
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&Watch::of(self.0.side).sessions).retain(|other| other.number != self.0.number);
    }
}

impl Watch {
    const fn new() -> Watch {
        Watch {
            sessions: Mutex::new(Vec::new()),
            thread: OnceLock::new(),
        }
    }

    fn of(side: Side) -> &'static Watch {
        match side {
            Side::Source => &SOURCE,
            Side::Destination => &DESTINATION,
        }
    }
}

impl Watched {
    fn limits(&self) -> Limits {
        let mut patience = self.conninfo.patience();
        if self.program.is_none() && !self.is_known() {
            // Setting it up belongs to opening it.
            patience = patience.min(self.conninfo.connect_timeout().unwrap_or(patience));
        }
        if self.wire.is_closing() {
            patience = patience.min(CLOSING);
        }
        Limits {
            patience,
            standby: self.wire.standby_bound(),
        }
    }

    /// Returns true once the server process is known.
    fn is_known(&self) -> bool {
        self.pid.load(Ordering::Acquire) != 0
    }

    /// Returns true if that is known to have begun at some time: its pid may be another one's later.
    fn began_is_known(&self) -> bool {
        self.started.load(Ordering::Relaxed) != 0
    }

    /// A row of look.sql's list.
    fn row(&self) -> String {
        format!(
            "({}::int8, {}::int4, {}::int8)",
            self.number,
            self.pid.load(Ordering::Acquire),
            self.started.load(Ordering::Relaxed)
        )
    }

    fn give_up(&self, verdict: GivenUp) {
        if self.wire.wake() {
            return;
        }
        let what = self.wire.what();
        let error = Error::failed(format!("could not {what} on the {}: {verdict}", self.side));
        let error = Error {
            connection_lost: true,
            ..error.mend(verdict.mend)
        };
        if let Some(action) = LAST_RESORT.get() {
            // In a thread of its own: what it does is watched over, too.
            let _ = std::thread::Builder::new().spawn(move || action(error));
        }
    }
}

/// What one side's thread remembers from one look to the next.
struct Round {
    watch: &'static Watch,
    patience: Duration,
    tick: Duration,
    cases: HashMap<u64, (Glance, Case)>,
}

impl Round {
    fn new(watch: &'static Watch, patience: Duration) -> Round {
        Round {
            watch,
            patience,
            tick: (patience / 8).clamp(Duration::from_millis(20), TICK),
            cases: HashMap::new(),
        }
    }

    fn run(mut self) {
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
