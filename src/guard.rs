//! One pg_switchover at a time: a session-level advisory lock on the source, held by the very session
//! that later deletes log entries and flips the pointer. When that session is gone, so is the lock,
//! and so is everything this process could have done to the source.

use std::time::{Duration, Instant};

use crate::error::{Class, Error, Result};
use crate::session::Session;

/// The advisory lock, on the source; the bytes of "pg_swtch". Locks of this kind belong to one database.
pub const ADVISORY_LOCK: i64 = 0x7067_5f73_7774_6368;

/// A command that has just ended may still have the lock: its server process goes a moment after it.
/// That long is waited, so that a shell script may run one command after the other.
const GRACE: Duration = Duration::from_millis(1500);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(25);

/// Takes the lock for the life of the session.
///
/// # Errors
/// Class [`Class::AnotherAtWork`], naming who holds it.
pub fn take(session: &mut Session) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_try_advisory_lock($1)";
    let started = Instant::now();
    loop {
        let row = session.query_one("take the advisory lock", sql, &[&ADVISORY_LOCK])?;
        if row.get(0) {
            return Ok(());
        }
        if started.elapsed() >= GRACE {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let holder = holder(session)?.unwrap_or_else(|| "one that has just ended".to_string());
    Err(Error::new(
        Class::AnotherAtWork,
        format!("another pg_switchover is at work on the source: {holder}"),
    )
    .mend("wait for it, or end it"))
}

/// Says who holds the lock, if anybody does.
///
/// # Errors
/// As the server says.
pub fn holder(session: &mut Session) -> Result<Option<String>> {
    let rows = session.query(
        "see who holds the advisory lock",
        include_str!("guard_holder.sql"),
        &[&ADVISORY_LOCK],
    )?;
    Ok(rows.first().map(|row| row.get(0)))
}

/// Ends the backend `pid` if it is the one that holds the lock.
///
/// # Errors
/// As the server says.
pub fn end(session: &mut Session, pid: i32) -> Result<()> {
    let sql = "SELECT pg_catalog.pg_terminate_backend(l.pid) FROM pg_catalog.pg_locks l
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid = $2
                  AND ((l.classid::int8 << 32) | l.objid::int8) = $1";
    session.query("end our lost session", sql, &[&ADVISORY_LOCK, &pid])?;
    Ok(())
}
