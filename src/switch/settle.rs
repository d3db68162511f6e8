//! Whether a flip has happened, found by looking: when the answer to its commit was lost, and when an
//! earlier attempt crashed between setting the fence and its commit.

use std::time::{Duration, Instant};

use crate::error::{Class, Error, Result};
use crate::guard;
use crate::lock::Patience;
use crate::session::Session;

/// How long the source is tried to be reached: as long as the lock would have been tried for, within
/// these.
const REACH: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// What a flip has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Committed: the destination is in charge.
    Flipped,
    /// Rolled back: the source is in charge.
    NotFlipped,
}

/// Looks on the source. The session that flipped holds the advisory lock for as long as its backend,
/// `pid`, lives; when another session has that lock, the transaction has ended, and the pointer tells
/// how. A backend that does not end by itself (it waits for a message that was lost, or for a
/// synchronous standby) is ended at half time: either its commit is on disk, or it never will be.
///
/// # Errors
/// Class outcome-unknown if the source cannot be asked.
pub fn settle(like: &Session, pid: i32, lost: &Error, patience: Patience) -> Result<Outcome> {
    let reach = (patience.timeout * patience.attempts).clamp(REACH[0], REACH[1]);
    let started = Instant::now();
    let mut reason = String::new();
    while started.elapsed() < reach {
        match look(like, pid, started.elapsed() > reach / 2) {
            Ok(outcome) => return Ok(outcome),
            Err(error) => reason = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Err(Error::new(
        Class::OutcomeUnknown,
        format!("{lost}; and whether it has committed could not be asked: {reason}"),
    )
    .mend("run pg_switchover status as soon as the source can be reached"))
}

fn look(like: &Session, pid: i32, end: bool) -> Result<Outcome> {
    let mut session = like.another("settle")?;
    // What is true stays true, whoever has the lock.
    if flipped(&mut session)? {
        return Ok(Outcome::Flipped);
    }
    if end {
        guard::end(&mut session, pid)?;
    }
    guard::take(&mut session)?;
    Ok(match flipped(&mut session)? {
        true => Outcome::Flipped,
        false => Outcome::NotFlipped,
    })
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
/// flipping now.
///
/// # Errors
/// As the server says.
pub fn mend_fence(session: &mut Session) -> Result<()> {
    let sql = "SELECT pg_catalog.setval('switchover.fence', 1, false)
                WHERE pg_catalog.pg_sequence_last_value('switchover.fence'::pg_catalog.regclass) IS NOT NULL
                  AND NOT switchover.flipped()";
    session.execute("take back an unused fence", sql)
}
