//! The window: from asking for the stop-the-world lock to the commit that flips the pointer. Three round
//! trips, whatever the number of tables:
//!
//! 1. source: begin, lock, read what has changed;
//! 2. destination: apply and commit;
//! 3. source: flip and commit.
//!
//! Beside the first, a second session on the source flushes its write-ahead log; beside the second, it looks at the
//! schema once more.
//!
//! The lock is EXCLUSIVE on the two change logs: every writer inserts into one of them and so holds
//! ROW EXCLUSIVE on it to the end of its transaction. When it is granted, every earlier writer has
//! ended and every later one waits, before its changes can be committed.

use std::sync::mpsc;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use postgres::error::SqlState;

use crate::cycle::{Applied, Changes, Confirmation, Cycles, Extent, Limits, read_in_window};
use crate::error::{Error, Result};
use crate::lock::{self, Blocker};
use crate::session::{Canceller, Session};

use super::settle::warn_unconfirmed;

/// Bytes of literals that the window's first message may bring. On their way they are here about five
/// times: as the driver's rows, as ours, and in the message.
const MESSAGE_BYTES: u64 = 24 << 20;

/// Marks the pointer and the fence in one transaction. The fence holds that transaction's id, and counts
/// only once it has committed. It is set before the commit and under the lock, so a writer that the
/// commit lets go finds it set and its transaction committed: locks are released after that is known.
const FLIP: &str = include_str!("flip.sql");

/// Has planned, and looked up, what the flip will run.
const BEFORE_FLIP: &str =
    "SELECT pg_catalog.pg_sequence_last_value('switchover.fence'::pg_catalog.regclass),
           pg_catalog.pg_current_xact_id_if_assigned()::text::int8;
    EXPLAIN UPDATE switchover.state
        SET use_next_db = use_next_db, phase = phase, switched_at = pg_catalog.clock_timestamp();";

/// How long the window took, by its parts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Window {
    /// Waiting for the lock, by the server's clock.
    pub lock: Duration,
    /// Reading what had changed.
    pub read: Duration,
    /// Applying and committing on the destination.
    pub apply: Duration,
    /// Flipping and committing on the source.
    pub flip: Duration,
    /// All of it, by our clock.
    pub total: Duration,
    /// What was carried over in it.
    pub applied: Applied,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Attempt {
    /// The pointer is flipped.
    Flipped(Window),
    /// Not this time; the source is in charge and writes on. Why, and who was in the way.
    NotYet(String, Vec<Blocker>),
    /// The commit of the flip was sent and no answer came.
    Unknown(Error),
}

/// Tries once; the call `refuse_newer` fails, under the lock, if the schema is not what the last look has found.
/// Writers are held up no longer than `timeout`: the server itself gives the lock back when
/// that is over, whatever has become of this process or of the network.
///
/// # Errors
/// What another attempt cannot mend. The source is in charge then.
pub fn attempt(
    cycles: &mut Cycles,
    observer: &mut Session,
    timeout: Duration,
    terminate: bool,
    refuse_newer: &str,
) -> Result<Attempt> {
    let opening = opening(&active_log(cycles)?, "EXCLUSIVE", timeout);
    let closing = closing(timeout);
    let pid = cycles.reader.pid();
    let canceller = cycles.reader.session().canceller();
    std::thread::scope(|scope| {
        // Both before the clock starts, and their ends are waited for after it: what a busy machine takes to begin
        // and to end a thread is nothing that writers should wait for.
        let observation = lock::observe(scope, pid, observer, timeout, terminate);
        let bound = Bound::prepare(scope, canceller);
        let (started, changes) = match read(cycles, &opening, &closing, timeout) {
            Err(error) if lock::may_try_again(&error) => {
                let why = error.to_string();
                return Ok(Attempt::NotYet(why, observation.blockers()));
            }
            other => other?,
        };
        let first = started.elapsed();
        observation.over();
        let unfit = match changes.extent {
            _ if first >= timeout => Some("reading took longer than --lock-timeout"),
            Extent::Complete => None,
            _ => Some("more has changed than the window may carry (--max-pending)"),
        };
        if let Some(why) = unfit {
            cycles.reader.roll_back();
            return Ok(Attempt::NotYet(why.to_string(), Vec::new()));
        }
        let applied = match apply(cycles, &changes, refuse_newer, (first, timeout)) {
            Err(error) => {
                cycles.reader.roll_back();
                return not_yet(error);
            }
            Ok(applied) => applied,
        };
        let second = started.elapsed();
        let flipped = flip(cycles, &bound, timeout.saturating_sub(second));
        let total = started.elapsed();
        // Not as soon as the lock is there: the thread's end would take a processor from what writers wait for.
        drop(observation);
        if bound.was_cancelled() && flipped.is_ok() {
            warn_unconfirmed(cycles.reader.session());
        }
        if let Err(error) = flipped {
            return not_flipped(error);
        }
        let lock = changes.lock_ms.unwrap_or(0.0).max(0.0) / 1000.0;
        let lock = Duration::from_secs_f64(lock).min(first);
        Ok(Attempt::Flipped(Window {
            lock,
            read: first - lock,
            apply: second - first,
            flip: total - second,
            total,
            applied,
        }))
    })
}

/// What nobody else can mend fails; else there may be another attempt.
fn not_yet(error: Error) -> Result<Attempt> {
    match lock::may_try_again(&error) {
        true => Ok(Attempt::NotYet(error.to_string(), Vec::new())),
        false => Err(error),
    }
}

/// What it means that the flip has failed.
fn not_flipped(error: Error) -> Result<Attempt> {
    if error.is(&SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT) {
        return Err(error.mend(
            "the destination took longer than --lock-timeout, so the source let its writers go on; run it again",
        ));
    }
    // Only a server's own word says that its transaction has come to nothing.
    match error.connection_lost || error.sqlstate.is_none() {
        true => Ok(Attempt::Unknown(error)),
        false => not_yet(error),
    }
}

/// Says what the reading session says in the window once, without its lock, its rows and its flip, and takes all
/// back: what a session runs for the first time takes the server longer. Has the second one look as it will then;
/// `refuse_newer` as in [`attempt`].
///
/// # Errors
/// A connection is lost, or somebody has the log locked. What `refuse_newer` finds here it finds again.
pub fn rehearse(cycles: &mut Cycles, timeout: Duration, refuse_newer: &str) -> Result<()> {
    let nothing = read_in_window(Limits { rows: 0, bytes: 0 });
    let sql = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ; {} {} SELECT {}; {nothing};
         {BEFORE_FLIP} {} ROLLBACK;",
        cycles.reader.hold_flush_back(),
        opening(&active_log(cycles)?, "ACCESS SHARE", timeout),
        bounding(timeout),
        closing(timeout)
    );
    cycles
        .reader
        .session()
        .transaction("look once more", &sql)?;
    cycles.reader.look_beside(&[], refuse_newer, timeout);
    cycles.reader.looked()
}

/// A thread that ends the flip's wait for a synchronous standby, with all writers behind it. The flip has happened
/// then, and a cancel ends no more than that wait. Before its commit, a cancel rolls the flip back, and the server
/// says so. Where no cancel gets through, the watch over our sessions ends this one.
struct Bound<'scope> {
    flip: mpsc::Sender<Duration>,
    watcher: ScopedJoinHandle<'scope, bool>,
}

impl<'scope> Bound<'scope> {
    /// Waits for the flip; it never comes if this is dropped.
    fn prepare(scope: &'scope Scope<'scope, '_>, canceller: Canceller) -> Bound<'scope> {
        let (flip, begun) = mpsc::channel();
        let watcher = scope.spawn(move || {
            let Ok(left) = begun.recv() else {
                return false;
            };
            let late = begun.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                canceller.cancel();
            }
            late
        });
        Bound { flip, watcher }
    }

    /// Returns true if the flip has taken too long; it is over.
    fn was_cancelled(self) -> bool {
        drop(self.flip);
        self.watcher.join().unwrap_or_default()
    }
}

/// Reads under the lock, no more than the window may carry.
fn read(
    cycles: &mut Cycles,
    opening: &str,
    closing: &str,
    timeout: Duration,
) -> Result<(Instant, Changes)> {
    let limits = Limits {
        rows: cycles.max_pending(),
        bytes: MESSAGE_BYTES,
    };
    // The second session has less: the reading one must be there to take all back.
    let [own, beside] = [timeout, waiting(timeout)].map(bounding);
    cycles
        .reader
        .begin_final(opening, limits, closing, (timeout, [&own, &beside]))
}

/// Sends the flip. The server ends what takes longer than `left`, but for what [`Bound`] is for.
fn flip(cycles: &mut Cycles, bound: &Bound<'_>, left: Duration) -> Result<()> {
    // It hears this for as long as `bound` is there.
    let _ = bound.flip.send(left);
    cycles.reader.session().bound_standby(Some(left));
    let result = cycles.reader.finish("flip the pointer", FLIP);
    cycles.reader.session().bound_standby(None);
    result
}

/// Applies what was read, while the source is asked whether the schema has been the same all the time. If it has not,
/// the source stays in charge, and `Cycles::shut` takes back what this has opened on the destination.
fn apply(
    cycles: &mut Cycles,
    changes: &Changes,
    refuse_newer: &str,
    (read, timeout): (Duration, Duration),
) -> Result<Applied> {
    let cycle = cycles.applier.last_cycle() + 1;
    let confirmation = Confirmation {
        cycle,
        is_final: true,
        read_ms: read.as_secs_f64() * 1000.0,
    };
    let left = timeout.saturating_sub(read);
    let ms = left.as_millis().max(1);
    let settings = format!("SET LOCAL lock_timeout = {ms}; SET LOCAL statement_timeout = {ms};\n");
    let (message, applied) =
        cycles
            .applier
            .message(cycles.plans(), changes, confirmation, &settings)?;
    cycles.reader.make_durable(changes, Some(left))?;
    let tables: Vec<_> = changes.tables.iter().map(|table| table.oid).collect();
    cycles.reader.look_beside(&tables, refuse_newer, left);
    let sent = cycles.applier.send(&message, changes, confirmation);
    // Before the other error: what has changed on the source explains what the destination refuses.
    cycles.reader.looked()?;
    sent.map(|()| applied)
}

/// Says which log is being written and which rests.
fn active_log(cycles: &mut Cycles) -> Result<[&'static str; 2]> {
    let first = cycles.reader.writes_first()?;
    let (one, two) = ("switchover.change_log_1", "switchover.change_log_2");
    Ok(if first { [two, one] } else { [one, two] })
}

/// The resting log is locked first: only a transaction that is older than the last rotation can hold
/// it, and while we wait for that one, writers of the other log pass. The other way round such a
/// writer and we would wait for each other. Both in one statement, so that one time-out bounds both waits.
fn opening([resting, active]: &[&str; 2], mode: &str, timeout: Duration) -> String {
    let wait = waiting(timeout).as_millis();
    format!(
        "SET LOCAL lock_timeout = {wait}; SET LOCAL statement_timeout = {wait};
         LOCK TABLE {resting}, {active} IN {mode} MODE;"
    )
}

/// What comes behind the reading: it bounds the wait for the flip.
fn closing(timeout: Duration) -> String {
    format!(
        "SELECT switchover.bound({}, NULL, true);",
        timeout.as_millis()
    )
}

/// How long the lock itself is waited for.
fn waiting(timeout: Duration) -> Duration {
    (timeout * 9 / 10).max(Duration::from_millis(1))
}

/// Returns the call that bounds what comes once we hold the lock.
fn bounding(timeout: Duration) -> String {
    let (all, waiting) = (timeout.as_millis(), waiting(timeout).as_millis());
    format!("switchover.bound({all}, {waiting}, false)")
}
