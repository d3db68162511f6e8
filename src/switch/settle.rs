//! Whether a flip has happened, found by looking: when the answer to its commit was lost, and when an
//! earlier attempt crashed between setting the fence and its commit.

use std::time::{Duration, Instant};

use postgres::error::SqlState;

use crate::error::{Class, Error, Result};
use crate::guard;
use crate::lock::Patience;
use crate::session::{Session, text};
use crate::stop::Stop;

/// How long the source is tried to be reached: as long as the lock would have been tried for, within
/// these.
const REACH: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What a flip has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Committed: the destination is in charge.
    Flipped,
    /// Rolled back: the source is in charge.
    NotFlipped,
}

/// Looks on the source. The session that flipped, backend `pid`, holds the advisory lock for as long as that
/// backend lives; when another session has the lock, the transaction has ended, and the pointer tells how. A
/// backend that does not end by itself (it waits for a message that was lost, or for a synchronous standby) is
/// ended once the writers have waited for long enough: either its commit is on disk, or it never will be.
///
/// # Errors
/// Class outcome-unknown if the source cannot be asked.
pub fn settle(
    observer: &mut Session,
    pid: i32,
    lost: &Error,
    patience: Patience,
) -> Result<Outcome> {
    let reach = reach(patience);
    let started = Instant::now();
    let mut reason = String::new();
    while started.elapsed() < reach {
        let impatient = started.elapsed() >= patience.timeout;
        match look(observer, pid, impatient) {
            Ok(outcome) => return Ok(outcome),
            Err(error) => reason = error.to_string(),
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::new(
        Class::OutcomeUnknown,
        format!(
            "{}; and whether it has committed could not be asked: {reason}",
            lost.message
        ),
    )
    .mend("run pg_switchover status as soon as the source can be reached"))
}

/// Gives the source time to come back, where a connection was lost before the flip was sent, so that it can say itself
/// that it is in charge. One that answers is not waited for, whatever it says.
pub fn wait_for_the_source(observer: &Session, patience: Patience, stop: &Stop) {
    let started = Instant::now();
    let gone = || observer.another("settle").err().filter(out_of_reach);
    let Some(error) = gone() else {
        return;
    };
    log::warn!("{error}; waiting for it to say who is in charge");
    while started.elapsed() < reach(patience) && stop.sleep(PAUSE) && gone().is_some() {}
}

fn reach(patience: Patience) -> Duration {
    (patience.timeout * patience.attempts).clamp(REACH[0], REACH[1])
}

/// Returns true if no server answers, or one that is only just starting.
fn out_of_reach(error: &Error) -> bool {
    error.sqlstate.is_none() || error.is(&SqlState::CANNOT_CONNECT_NOW)
}

fn look(observer: &mut Session, pid: i32, impatient: bool) -> Result<Outcome> {
    match observer.another("settle") {
        Ok(mut session) => ask(&mut session, pid, impatient),
        // It is there, and lets nobody else in: too many connections, say. The observer is in already.
        Err(error) if !out_of_reach(&error) => ask(observer, pid, impatient).map_err(|_| error),
        Err(error) => Err(error),
    }
}

fn ask(session: &mut Session, pid: i32, impatient: bool) -> Result<Outcome> {
    // What is true stays true, whoever has the lock, and whichever server says it.
    if !flipped(session)? {
        if session.in_recovery() {
            let message = "a standby has answered, which may not have heard of it yet";
            return Err(Error::failed(message));
        }
        if impatient {
            guard::end(session, pid)?;
        }
        guard::take(session)?;
        if !flipped(session)? {
            return Ok(Outcome::NotFlipped);
        }
    }
    if impatient {
        warn_unconfirmed(session);
    }
    Ok(Outcome::Flipped)
}

/// Says so where a flip had to do without the standby that commits of the source wait for.
pub fn warn_unconfirmed(source: &mut Session) {
    let sql = "SELECT pg_catalog.current_setting('synchronous_standby_names') <> ''";
    let rows = source.simple("see whether commits wait for a standby", sql);
    if rows.is_ok_and(|rows| rows.first().is_some_and(|row| text(row, 0) == "t")) {
        log::warn!(
            "no synchronous standby of the source has confirmed the flip in time: do not promote one that has not received it"
        );
    }
}

/// Reads the pointer as it stands.
///
/// # Errors
/// As the server says.
pub fn flipped(session: &mut Session) -> Result<bool> {
    let sql = "SELECT use_next_db FROM switchover.state";
    Ok(session.query_one("read the pointer", sql, &[])?.get(0))
}

/// Takes back a fence that a crashed flip has left: its transaction has not committed, so it refuses
/// nobody, but every writer has to ask. Only called with the advisory lock held, so nobody is
/// flipping now, and the pointer, which the same transaction sets, tells whether it has committed. The fence
/// itself is not asked: in a dump that was restored elsewhere it holds another server's transaction id.
///
/// # Errors
/// As the server says.
pub fn mend_fence(session: &mut Session) -> Result<()> {
    let sql = "SELECT pg_catalog.setval('switchover.fence', 1, false)
                WHERE pg_catalog.pg_sequence_last_value('switchover.fence'::pg_catalog.regclass) IS NOT NULL
                  AND NOT (SELECT s.use_next_db FROM switchover.state s)";
    session.execute("take back an unused fence", sql)
}
