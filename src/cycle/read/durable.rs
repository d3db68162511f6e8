//! What was read must not be taken back by a crash of the source. Where writers use synchronous_commit = off, the
//! snapshot may show rows that are not on disk yet; were they on the destination and then forgotten here, their log
//! entries with them, nobody would notice. A commit of ours flushes all that was written before it.
//!
//! In the window there is no round trip to spare for that: the commit is sent ahead, to a session that waits until
//! the window's own lets it go on, which it does when it has its lock. The flush goes on beside the reading then, and
//! so does the reading of the sequences: whoever writes rows with their values waits until the flip, whichever session
//! looks.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use postgres::SimpleQueryRow;

use super::changes::{is_true, sequences};
use super::{Changes, Limits, Reader, SEQUENCES, explain, explain_sequences, message};
use crate::capture::FLUSH;
use crate::error::{Error, Result};
use crate::session::{Session, text};

/// What the second session waits for: an advisory lock that the first one holds until then; the bytes of "pg_flush".
const TURN: i64 = 0x7067_5f66_6c75_7368;

impl Reader {
    /// Makes sure that a crash of the source can take back nothing of what the snapshot showed.
    ///
    /// # Errors
    /// As the server says.
    pub fn make_durable(&mut self, changes: &Changes) -> Result<()> {
        if changes.flushed {
            return Ok(());
        }
        self.flusher.execute("flush the write-ahead log", FLUSH)
    }

    /// Returns the statement, for a message of this session before the window, that holds the flush back.
    pub fn hold_flush_back(&mut self) -> String {
        match std::mem::replace(&mut self.holds_flush_back, true) {
            // Once: the lock is counted.
            true => String::new(),
            false => format!("SELECT pg_catalog.pg_try_advisory_lock({TURN});"),
        }
    }

    /// As [`Reader::begin`] for the window, whose `opening` ends with the lock granted and the snapshot taken:
    /// what it shows has been flushed when this returns, unless the flush has failed to wait. `bounds` is a statement
    /// that bounds what a session does while all writers wait. Comes with the moment at which the lock was asked for.
    ///
    /// # Errors
    /// As the server says; the transaction is rolled back then.
    pub fn begin_final(
        &mut self,
        opening: &str,
        limits: Limits,
        closing: &str,
        (timeout, bounds): (Duration, &str),
    ) -> Result<(Instant, Changes)> {
        let go_on = format!(
            "{opening}
             SELECT 'granted' AS kind, NULL AS id, pg_catalog.pg_current_wal_insert_lsn()::text AS first,
                    pg_catalog.pg_advisory_unlock({TURN})::text AS second;"
        );
        let sql = message(&go_on, limits, false, closing);
        let timeout = timeout.as_millis().max(1);
        // Locally: the flip waits for a synchronous standby if there is one, and is bounded in that.
        let beside = format!(
            "BEGIN; SET LOCAL synchronous_commit = local;
             SET LOCAL lock_timeout = {timeout}; SET LOCAL statement_timeout = {timeout};
             SELECT pg_catalog.pg_advisory_xact_lock({TURN}); {bounds}
             {SEQUENCES}; {FLUSH}; COMMIT;
             SELECT pg_catalog.pg_current_wal_flush_lsn();"
        );
        let (session, flusher) = (&mut self.session, &mut self.flusher);
        let (begins, begun) = mpsc::channel();
        let (started, read, beside) = std::thread::scope(|scope| {
            let beside = scope.spawn(move || {
                let _ = begins.send(());
                flusher
                    .transaction_rows("flush the write-ahead log and read the sequences", &beside)
            });
            // No writer waits yet for what a busy machine takes to begin a thread.
            let _ = begun.recv();
            let started = Instant::now();
            let read = session.simple("read the changes", &sql);
            if read.is_err() {
                give_up(session);
            }
            (started, read, beside.join())
        });
        self.holds_flush_back = false;
        self.in_transaction = read.is_ok();
        let rows = read.map_err(explain)?;
        let beside = beside.unwrap_or_else(|_| Err(Error::failed("a thread has failed")));
        let result = beside
            .map_err(explain_sequences)
            .and_then(|beside| self.put_together(&rows, &beside, bounds));
        if result.is_err() {
            self.roll_back();
        }
        Ok((started, result?))
    }

    /// Makes one answer of what both sessions have read under the lock.
    fn put_together(
        &mut self,
        rows: &[SimpleQueryRow],
        beside: &[SimpleQueryRow],
        bounds: &str,
    ) -> Result<Changes> {
        let mut changes = Changes::from_answer(rows)?;
        let granted = rows.iter().find(|row| row.get(0) == Some("granted"));
        // What the second session waited for was the first one's to give back, so it has read under the lock.
        let has_waited = granted.is_some_and(|row| is_true(text(row, 3)));
        let under_lock = beside.iter().rev().nth(1).filter(|_| has_waited);
        changes.sequences = match under_lock {
            Some(row) => sequences(&self.sequence_names, text(row, 0))?,
            None => self.read_sequences(bounds)?,
        };
        let granted = granted.and_then(|row| position(text(row, 2)));
        let flushed = beside.last().and_then(|row| position(text(row, 0)));
        changes.flushed |= granted.is_some() && flushed >= granted;
        Ok(changes)
    }
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
