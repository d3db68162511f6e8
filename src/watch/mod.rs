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
mod round;
mod see;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use self::judge::{Limits, Seen};
use self::round::Round;
use self::see::{of_rows, with_sessions};
use crate::conninfo::Conninfo;
use crate::error::{Error, GivenUp, Result, Side};
use crate::wire::Wire;

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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
