//! What becomes of the change log: entries go once they are applied, and its two tables take turns.

use std::time::Instant;

use super::changes::is_true;
use super::{Changes, Reader};
use crate::capture::note_cycle;
use crate::error::Result;
use crate::session::text;

/// Fewer entries than this are deleted in no time.
const MANY: u64 = 10_000;

const DELETE: &str = "DELETE FROM switchover.change_log_1; DELETE FROM switchover.change_log_2;";

impl Reader {
    /// Returns true if change_log_1 is the one that is written, else change_log_2 is; asks only where that may have
    /// changed since it asked last.
    ///
    /// # Errors
    /// As the server says.
    pub fn writes_first(&mut self) -> Result<bool> {
        if let Some(known) = self.writes_first {
            return Ok(known);
        }
        let sql = "SELECT pg_catalog.pg_sequence_last_value('switchover.turn'::pg_catalog.regclass) IS NULL";
        let rows = self
            .session
            .simple("see which change log is written", sql)?;
        let first = rows.first().is_some_and(|row| is_true(text(row, 0)));
        self.writes_first = Some(first);
        Ok(first)
    }

    /// Deletes the entries that the cycle's snapshot sees, for [`Reader::forget`] to commit: if they are many it
    /// takes a while, which passes beside the apply. Until then they are there for everybody else, and whatever
    /// ends the transaction otherwise leaves them where they are. Not again if the last time was in vain:
    /// a cycle that is tried many times must not write that much each time.
    ///
    /// # Errors
    /// As the server says.
    pub fn delete_ahead(&mut self, changes: &Changes) -> Result<()> {
        if changes.entries() >= MANY && !self.deleted_in_vain {
            self.deleted = true;
            self.session.execute("delete the log entries", DELETE)?;
        }
        Ok(())
    }

    /// Deletes the entries that the cycle's snapshot sees, notes `confirmed`, the last cycle that the destination
    /// has, and commits. Only called once the destination has committed the rows: entries that were forgotten first
    /// would be lost with it. Entries written since are not visible to this snapshot, and stay.
    ///
    /// # Errors
    /// As the server says; the entries are then still there, and the next cycle applies them again,
    /// which changes nothing.
    pub fn forget(&mut self, confirmed: i64) -> Result<()> {
        let delete = if self.deleted { "" } else { DELETE };
        let note = note_cycle(confirmed);
        self.finish(
            "delete the log entries",
            &format!("{delete} {note} COMMIT;"),
        )
    }

    /// Notes the final cycle, and empties the change logs after the flip: nothing in them is needed any more. Best
    /// effort, so that no synchronous standby is waited for: entries that come back with a failover say nothing.
    pub fn clear_log(&mut self, cycle: i64) {
        let note = note_cycle(cycle);
        let sql = format!(
            "SET lock_timeout = {}; SET synchronous_commit = local; {note}
             TRUNCATE switchover.change_log_1, switchover.change_log_2",
            (self.lock_timeout.as_millis() / 3).clamp(1, 100)
        );
        if let Err(error) = self.session.execute("clear the change log", &sql) {
            log::debug!("{error}");
        }
    }

    /// Lets the change logs take turns, after a cycle that found them large: the one that is not being
    /// written is truncated once it is drained, and writers are sent there when theirs has grown, so
    /// that no long-running reader can make them bloat. Best effort: TRUNCATE only with a lock that is to be had at once.
    ///
    /// # Errors
    /// Only what says that the connection is unusable.
    pub fn rotate(&mut self, log_bytes: u64) -> Result<()> {
        const WORTH_IT: u64 = 4 << 20;
        if log_bytes < WORTH_IT {
            return Ok(());
        }
        let started = Instant::now();
        // The rows that are dead are read without a lock first, which makes it short to read them under one.
        let look = "SELECT EXISTS (SELECT FROM switchover.change_log_1), EXISTS (SELECT FROM switchover.change_log_2)";
        self.session.simple("look for changes", look)?;
        // Who has read the former value of turn may wait for this lock.
        let sql = format!(
            "BEGIN; SET LOCAL statement_timeout = {}; {} COMMIT;",
            self.lock_timeout.as_millis().max(1),
            include_str!("rotate.sql")
        );
        self.writes_first = None;
        let result = self.session.execute("rotate the change log", &sql);
        self.in_transaction = result.is_err();
        self.roll_back();
        match result {
            Ok(()) => log::debug!(
                "rotated the change log in {} ms",
                started.elapsed().as_millis()
            ),
            Err(error) if error.connection_lost => return Err(error),
            Err(error) => log::debug!("{error}"),
        }
        Ok(())
    }
}
