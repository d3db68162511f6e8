//! The change reader: one REPEATABLE READ transaction on the source, whose snapshot a whole cycle uses.
//! It is the only one that deletes log entries and flips the pointer, in that same transaction.

mod beside;
mod changes;
mod forget;
mod second;

use std::time::{Duration, Instant};

pub use beside::read_in_window;
pub use changes::{ChangedTable, Changes, Extent, Limits};
use changes::{SequenceNames, broken_answer, is_true};
use postgres::error::SqlState;
use second::Second;

use super::ROOM;
use crate::capture::FLUSH;
use crate::catalog::Oid;
use crate::error::{Error, Result};
use crate::sequences::Values;
use crate::session::{Session, text};

/// How long idle cycles leave the sequences alone: they are many where tables are many, and the window carries them.
const SEQUENCES_REST: Duration = Duration::from_secs(5);

/// More rows than there are.
const ANY_ROWS: u64 = 1 << 40;

/// Every captured sequence, as one text.
const SEQUENCES: &str = "SELECT switchover.read_sequences()";

/// The session that reads, and a second one for what must not be part of its transaction, or goes on beside it.
pub struct Reader {
    session: Session,
    second: Second,
    sequence_names: SequenceNames,
    leaves_sequences: bool,
    /// When an idle cycle has read them last.
    sequences_seen: Option<Instant>,
    /// This session holds the flush of the other one back.
    holds_flush_back: bool,
    /// Whether change_log_1 is the one that is written; only our own rotation changes it.
    writes_first: Option<bool>,
    in_transaction: bool,
    /// This transaction has deleted its entries.
    deleted: bool,
    /// So had the last one, and was rolled back.
    deleted_in_vain: bool,
    lock_timeout: Duration,
}

impl Reader {
    /// Takes over the session that holds the advisory lock.
    ///
    /// # Errors
    /// The second session cannot be opened.
    pub fn new(
        mut session: Session,
        sequence_names: SequenceNames,
        lock_timeout: Duration,
    ) -> Result<Reader> {
        let mut second = session.another("flush")?;
        // Rows are found by key, through the key's index, however the tables' sizes change while the
        // plans of our functions are kept: made once, and not for each call anew, which takes longer than
        // running them. A table that somebody has locked is waited for a bounded time; nobody waits for us then.
        let settings = format!(
            "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off;
             SET plan_cache_mode = force_generic_plan; SET lock_timeout = {};",
            lock_timeout.as_millis().max(1) * 10
        );
        second.execute("set up a session", &settings)?;
        session.execute("set up the change reader", &format!("{settings} {ROOM}"))?;
        Ok(Reader {
            session,
            second: Second::new(second)?,
            sequence_names,
            leaves_sequences: false,
            sequences_seen: None,
            holds_flush_back: false,
            writes_first: None,
            in_transaction: false,
            deleted: false,
            deleted_in_vain: false,
            lock_timeout,
        })
    }

    /// Returns the session, outside of a cycle.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Leaves the sequences to the window, from the next cycle on: what is written while they are read is what the
    /// window has to carry.
    pub fn leave_sequences(&mut self) {
        self.leaves_sequences = true;
    }

    /// Takes these sequences from the next cycle on.
    pub fn carry_sequences(&mut self, names: SequenceNames) {
        self.sequence_names = names;
    }

    /// Returns the process id of the reading session's backend.
    pub fn pid(&self) -> i32 {
        self.session.pid()
    }

    /// Has the server plan what this session will ask for in the window. Returns the tables, most written first,
    /// that it was done for: no more than some, for each plan takes memory there.
    ///
    /// # Errors
    /// As the server says.
    pub fn warm_up(&mut self) -> Result<Vec<Oid>> {
        const MOST: u32 = 500;
        let sql = format!("SELECT t FROM switchover.warm_up({MOST}) t");
        let rows = self.session.simple("warm up", &sql)?;
        let beside = format!("SELECT switchover.bound(60000, 60000, true); {FLUSH};");
        self.second.ask("warm up", beside)?;
        Ok(rows
            .iter()
            .filter_map(|row| text(row, 0).parse().ok())
            .collect())
    }

    /// Looks whether a cycle has anything to do: one message, whose locks end with it. `None` if the log has
    /// entries, else the bytes of the change logs and, now and then, the sequences.
    ///
    /// # Errors
    /// As the server says.
    pub fn look(&mut self) -> Result<Option<(u64, Option<Values>)>> {
        let rested = |at: Instant| at.elapsed() >= SEQUENCES_REST;
        let all = !self.leaves_sequences && self.sequences_seen.is_none_or(rested);
        let pending = "EXISTS (SELECT FROM switchover.change_log_1) OR EXISTS (SELECT FROM switchover.change_log_2)";
        let sql = format!(
            "SELECT {pending}, pg_catalog.pg_relation_size('switchover.change_log_1'::pg_catalog.regclass)
                             + pg_catalog.pg_relation_size('switchover.change_log_2'::pg_catalog.regclass);
             {SEQUENCES} WHERE {all} AND NOT ({pending});"
        );
        let read = self.session.simple("look for changes", &sql);
        let rows = read.map_err(explain_sequences)?;
        let (seen, sequences) = rows.split_first().ok_or_else(broken_answer)?;
        let sequences = sequences.first().map_or("", |row| text(row, 0));
        if is_true(text(seen, 0)) {
            return Ok(None);
        }
        let log_bytes = text(seen, 1).parse().unwrap_or(0);
        if !all {
            return Ok(Some((log_bytes, None)));
        }
        self.sequences_seen = Some(Instant::now());
        Ok(Some((
            log_bytes,
            Some(changes::sequences(&self.sequence_names, sequences)?),
        )))
    }

    /// Begins the transaction of a cycle and reads what it has to carry over: one message. `opening`
    /// runs before the snapshot is taken, which is where the stop-the-world lock belongs, and
    /// `closing` after all is read.
    ///
    /// # Errors
    /// As the server says; the transaction is rolled back then.
    pub fn begin(&mut self, opening: &str, limits: Limits, closing: &str) -> Result<Changes> {
        let sql = message(opening, &read_changes(limits, false), closing);
        self.in_transaction = true;
        let read = self.session.simple("read the changes", &sql);
        let result = read.and_then(|rows| {
            let mut changes = Changes::from_answer(&rows)?;
            if !self.leaves_sequences {
                changes.sequences = self.read_sequences()?;
            }
            Ok(changes)
        });
        match result {
            Ok(changes) => Ok(changes),
            Err(error) => {
                self.roll_back();
                Err(explain(error))
            }
        }
    }

    /// As [`Reader::begin`] for an ordinary cycle, with every table locked that has changed so far before the
    /// snapshot is taken. The locks are given back with what was read. Only bytes are limited, not rows; if they are
    /// too many, all is read again without locks: a subtransaction can export no snapshot.
    ///
    /// # Errors
    /// As the server says; the transaction is rolled back then.
    pub fn begin_locked(&mut self, limits: Limits) -> Result<Changes> {
        let rows = self
            .session
            .simple("look for changes", include_str!("changed.sql"))?;
        let names = rows.first().map_or("", |row| text(row, 0));
        if names.is_empty() {
            return self.begin("", limits, "");
        }
        let opening = format!("SAVEPOINT locked; LOCK TABLE {names} IN ACCESS SHARE MODE;");
        let most = Limits {
            rows: ANY_ROWS,
            ..limits
        };
        match self.begin(&opening, most, "ROLLBACK TO SAVEPOINT locked") {
            Err(error) if error.is(&SqlState::ACTIVE_SQL_TRANSACTION) => self.begin("", limits, ""),
            other => other,
        }
    }

    /// Reads the sequences as they are now, which is later than the snapshot: never behind its rows.
    fn read_sequences(&mut self) -> Result<Values> {
        let read = self.second.ask("read the sequences", SEQUENCES.to_string());
        let rows = read.map_err(explain_sequences)?;
        let answer = rows.first().map_or("", |row| text(row, 0));
        changes::sequences(&self.sequence_names, answer)
    }

    /// Exports the snapshot of the cycle that is open.
    ///
    /// # Errors
    /// As the server says.
    pub fn export(&mut self) -> Result<String> {
        let sql = "SELECT pg_catalog.pg_export_snapshot()";
        let rows = self.session.simple("export the snapshot", sql)?;
        Ok(rows
            .first()
            .map(|row| text(row, 0).to_string())
            .unwrap_or_default())
    }

    /// Runs the last message of the transaction; it must end with COMMIT.
    ///
    /// # Errors
    /// As the server says; the transaction is rolled back where the connection still stands.
    pub fn finish(&mut self, what: &str, sql: &str) -> Result<()> {
        let result = self.session.execute(what, sql);
        match &result {
            Ok(()) => {
                self.in_transaction = false;
                self.deleted = false;
                self.deleted_in_vain = false;
            }
            Err(_) => self.roll_back(),
        }
        result
    }

    /// Ends the transaction of a cycle without having changed anything.
    pub fn roll_back(&mut self) {
        self.deleted_in_vain |= std::mem::take(&mut self.deleted);
        if std::mem::take(&mut self.in_transaction)
            && !self.session.is_closed()
            && let Err(error) = self.session.execute("roll back", "ROLLBACK")
        {
            log::debug!("{error}");
        }
    }
}

/// The message that a cycle begins with.
fn message(opening: &str, reading: &str, closing: &str) -> String {
    format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {opening} {reading}; {closing}")
}

fn read_changes(limits: Limits, in_window: bool) -> String {
    let Limits { rows, bytes } = limits;
    format!(
        "SELECT kind, id, first, second FROM switchover.read_changes({in_window}, {rows}, {bytes})"
    )
}

fn explain_sequences(error: Error) -> Error {
    match error.is(&SqlState::LOCK_NOT_AVAILABLE) {
        true => error.mend("a transaction that restarts one (ALTER SEQUENCE, TRUNCATE … RESTART IDENTITY) is open; run it again when it has ended"),
        false => error,
    }
}

fn explain(error: Error) -> Error {
    match error.sqlstate.as_ref().map(postgres::error::SqlState::code) {
        // What refuse_drifted() raises, and what a column that is gone gives in a reading function.
        Some("55000" | "42703" | "42P01" | "42883") => error.mend(
            "make the same change on the destination, then run init and copy again; only the tables concerned are copied anew",
        ),
        _ => error,
    }
}
