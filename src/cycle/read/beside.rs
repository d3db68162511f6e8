//! The second session on the source, which works beside the first one.
//!
//! What was read must not be taken back by a crash of the source. Where writers use synchronous_commit = off, the
//! snapshot may show rows that are not on disk yet; were they on the destination and then forgotten here, their log
//! entries with them, nobody would notice. A commit of ours flushes all that was written before it.
//!
//! In the window there is no round trip to spare for that: the commit is sent ahead, to this session, which waits until
//! the window's own lets it go on, when that one has its lock. The flush goes on beside the reading then. And while the
//! destination applies what was read, this one looks whether the schema is still the one that it was read by.

use std::time::{Duration, Instant};

use postgres::SimpleQueryRow;

use super::changes::{broken_answer, sequences};
use super::{Changes, Limits, Reader, SEQUENCES, explain, message, read_changes};
use crate::capture::FLUSH;
use crate::catalog::Oid;
use crate::error::Result;
use crate::session::{Session, text};

/// What the second session waits for: an advisory lock that the first one holds until then; the bytes of "pg_flush".
const TURN: i64 = 0x7067_5f66_6c75_7368;

impl Reader {
    /// Makes sure that a crash of the source can take back nothing of what the snapshot showed. `within` bounds it in
    /// the window, where nothing waits for a synchronous standby but the flip.
    ///
    /// # Errors
    /// As the server says.
    pub fn make_durable(&mut self, changes: &Changes, within: Option<Duration>) -> Result<()> {
        if changes.flushed {
            return Ok(());
        }
        let sql = match within {
            None => FLUSH.to_string(),
            Some(left) => format!("{} {FLUSH}; COMMIT;", begin_locally(left)),
        };
        self.second.ask("flush the write-ahead log", sql).map(drop)
    }

    /// Returns the statement, for a message of this session before the window, that holds the flush back.
    pub fn hold_flush_back(&mut self) -> String {
        match std::mem::replace(&mut self.holds_flush_back, true) {
            // Once: the lock is counted.
            true => String::new(),
            false => format!("SELECT pg_catalog.pg_try_advisory_lock({TURN});"),
        }
    }

    /// As [`Reader::begin`] for the window, whose `opening` ends with the lock granted: what the snapshot shows
    /// has been flushed when this returns, unless the flush has failed to wait. `bounds` are calls that bound what
    /// a session does while all writers wait, this one and the second one. Comes with the moment at which the lock
    /// was asked for.
    ///
    /// # Errors
    /// As the server says; the transaction is rolled back then.
    pub fn begin_final(
        &mut self,
        opening: &str,
        limits: Limits,
        closing: &str,
        (timeout, [bound, bound_beside]): (Duration, [&str; 2]),
    ) -> Result<(Instant, Changes)> {
        let go_on = format!(
            "{opening}
             SELECT 'lock' AS kind, pg_catalog.pg_advisory_unlock({TURN}) AS id, {bound} AS first,
                    pg_catalog.pg_current_wal_insert_lsn() AS second;"
        );
        let sql = message(&go_on, &read_in_window(limits), closing);
        let beside = format!(
            "{} SELECT pg_catalog.pg_advisory_xact_lock({TURN}); SELECT {bound_beside}; {FLUSH}; COMMIT;
             SELECT pg_catalog.pg_current_wal_flush_lsn();",
            begin_locally(timeout)
        );
        self.second.say_ahead("flush the write-ahead log", beside);
        let started = Instant::now();
        let read = self.session.simple("read the changes", &sql);
        if read.is_err() {
            give_up(&mut self.session);
        }
        let beside = self.second.answer();
        self.holds_flush_back = false;
        self.in_transaction = read.is_ok();
        let rows = read.map_err(explain)?;
        let result = beside.and_then(|beside| self.put_together(&rows, &beside));
        if result.is_err() {
            self.roll_back();
        }
        Ok((started, result?))
    }

    /// Makes one answer of what both sessions say.
    fn put_together(&self, rows: &[SimpleQueryRow], beside: &[SimpleQueryRow]) -> Result<Changes> {
        let mut changes = Changes::from_answer(rows)?;
        let of_kind = |kind| rows.iter().find(|row| row.get(0) == Some(kind));
        let read = of_kind("sequences").ok_or_else(broken_answer)?;
        changes.sequences = sequences(&self.sequence_names, text(read, 2))?;
        let granted = of_kind("lock").and_then(|row| position(text(row, 3)));
        let flushed = beside.last().and_then(|row| position(text(row, 0)));
        changes.flushed |= granted.is_some() && flushed >= granted;
        Ok(changes)
    }

    /// Has the second session look whether the schema is still what rows of these tables were read by: theirs, and
    /// what the call `refuse_newer` finds, within `left`. A change that comes after the reading and before this look
    /// costs an attempt. [`Reader::looked`] waits for it.
    pub fn look_beside(&self, tables: &[Oid], refuse_newer: &str, left: Duration) {
        let tables: Vec<String> = tables.iter().map(Oid::to_string).collect();
        let sql = format!(
            "BEGIN; SET LOCAL statement_timeout = {};
             SELECT switchover.refuse_drifted('{{{}}}'::oid[]), {refuse_newer}; COMMIT;",
            left.as_millis().max(1),
            tables.join(",")
        );
        self.second.say("look at the schema once more", sql);
    }

    /// Waits for the look that [`Reader::look_beside`] has begun.
    ///
    /// # Errors
    /// The schema is another one; or as the server says.
    pub fn looked(&self) -> Result<()> {
        self.second.answer().map(drop).map_err(explain)
    }
}

/// Returns the statement that reads what the window carries: one, so that one time-out bounds it. Whoever writes rows
/// with the sequences' values waits until the flip; and so does ALTER SEQUENCE, for what this session has read.
pub fn read_in_window(limits: Limits) -> String {
    format!(
        "{} UNION ALL SELECT 'sequences', NULL, ({SEQUENCES}), NULL",
        read_changes(limits, true)
    )
}

/// Begins a transaction of the second session in the window. Its commit is a local one: the flip waits for a synchronous
/// standby if there is one, and is bounded in that.
fn begin_locally(timeout: Duration) -> String {
    let ms = timeout.as_millis().max(1);
    format!(
        "BEGIN; SET LOCAL synchronous_commit = local;
         SET LOCAL lock_timeout = {ms}; SET LOCAL statement_timeout = {ms};"
    )
}

/// The lock was not granted, or all has come to nothing later: nobody is to wait for us.
fn give_up(session: &mut Session) {
    let sql = format!(
        "ROLLBACK; SELECT pg_catalog.pg_advisory_unlock({TURN}) FROM pg_catalog.pg_locks l
          WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'advisory' AND l.objsubid = 1
            AND ((l.classid::int8 << 32) | l.objid::int8) = {TURN}"
    );
    if !session.is_closed()
        && let Err(error) = session.execute("roll back", &sql)
    {
        log::debug!("{error}");
    }
}

/// Reads a position in the write-ahead log as a number.
fn position(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let part = |digits| u64::from_str_radix(digits, 16).ok();
    Some(part(high)? << 32 | part(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_numbers() {
        assert_eq!(position("0/0"), Some(0));
        assert_eq!(position("1/A0"), Some(0x1_0000_00A0));
        assert!(position("A/0") > position("9/FFFFFFFF"));
        assert_eq!(position(""), None);
    }
}
