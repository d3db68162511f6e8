//! What one cycle has to carry over, as `read_changes()` and `read_sequences()` on the source answer it.

use std::collections::BTreeMap;

use postgres::SimpleQueryRow;

use crate::catalog::Oid;
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::sequences::{Value, Values};
use crate::session::text;

/// How much one message may bring; more has to be fetched table by table.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows, and log entries of any one table.
    pub rows: u64,
    /// Bytes of literals.
    pub bytes: u64,
}

/// A changed table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedTable {
    /// Its oid on the source.
    pub oid: Oid,
    /// Log entries, an upper bound of the changed keys.
    pub entries: u64,
    /// All of its rows count as changed.
    pub whole: bool,
}

/// One changed key, or one row of a table that changed as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRow {
    /// The table's oid on the source.
    pub oid: Oid,
    /// The key as a list of literals; `None` in a whole table.
    pub key: Option<String>,
    /// The row as a list of literals; `None` if it is gone.
    pub contents: Option<String>,
}

/// Where the rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// Here, all of them.
    Complete,
    /// Too many: to be fetched through this exported snapshot.
    Exported(String),
    /// Too many, and no export was asked for.
    TooMuch,
}

/// What the snapshot of one cycle shows.
#[derive(Debug, Clone)]
pub struct Changes {
    /// `pg_current_snapshot()`.
    pub snapshot: String,
    /// The write-ahead log is flushed up to what the snapshot sees, so a crash of the source cannot take back
    /// what we have read.
    pub flushed: bool,
    /// Size of both change logs, dead rows included.
    pub log_bytes: u64,
    /// By oid.
    pub tables: Vec<ChangedTable>,
    /// In the tables' order.
    pub rows: Vec<ChangedRow>,
    /// Whether `rows` is all.
    pub extent: Extent,
    /// Milliseconds from the arrival of the message until the stop-the-world lock was granted, as the
    /// server's clock has it; `None` in ordinary cycles.
    pub lock_ms: Option<f64>,
    /// The sequences as they are.
    pub sequences: Values,
}

impl Changes {
    /// Reads the answer of `read_changes()`, with what a message of the window has around it; the sequences are
    /// not in it.
    ///
    /// # Errors
    /// It is not one.
    pub fn from_answer(rows: &[SimpleQueryRow]) -> Result<Changes> {
        let mut changes = Changes {
            snapshot: String::new(),
            flushed: false,
            log_bytes: 0,
            tables: Vec::new(),
            rows: Vec::new(),
            extent: Extent::Complete,
            lock_ms: None,
            sequences: Values::new(),
        };
        for row in rows.iter().filter(|row| row.len() == 4) {
            let oid = || text(row, 1).parse().unwrap_or(0);
            let (first, second) = (text(row, 2), text(row, 3));
            match text(row, 0) {
                "position" => changes.flushed = is_true(second),
                "snapshot" => {
                    changes.snapshot = first.to_string();
                    changes.log_bytes = second.parse().unwrap_or(0);
                }
                "table" => changes.tables.push(ChangedTable {
                    oid: oid(),
                    entries: first.parse().unwrap_or(0),
                    whole: is_true(second),
                }),
                "row" => changes.rows.push(ChangedRow {
                    oid: oid(),
                    key: row.get(2).map(String::from),
                    contents: row.get(3).map(String::from),
                }),
                "lock" => changes.lock_ms = first.parse().ok(),
                "sequences" => {}
                "export" if row.get(2).is_some() => {
                    changes.extent = Extent::Exported(first.to_string());
                }
                "export" => changes.extent = Extent::TooMuch,
                _ => return Err(broken_answer()),
            }
        }
        if changes.snapshot.is_empty() {
            Err(broken_answer())
        } else {
            Ok(changes)
        }
    }

    /// Returns the log entries that were read.
    pub fn entries(&self) -> u64 {
        self.tables.iter().map(|table| table.entries).sum()
    }
}

/// The sequences that are carried over, by oid.
pub type SequenceNames = BTreeMap<Oid, QualifiedName>;

/// Reads the answer of `read_sequences()`; those that are not carried over are left out.
///
/// # Errors
/// It is not one.
pub fn sequences(names: &SequenceNames, answer: &str) -> Result<Values> {
    let mut values = Values::new();
    for sequence in answer.split(',').filter(|one| !one.is_empty()) {
        let mut fields = sequence.split(' ');
        let mut field = || fields.next().ok_or_else(broken_answer);
        let (oid, last_value, is_called) = (field()?, field()?, field()?);
        let oid = oid.parse().map_err(|_| broken_answer())?;
        if let Some(name) = names.get(&oid) {
            let value = Value {
                last_value: last_value.parse().map_err(|_| broken_answer())?,
                is_called: is_true(is_called),
            };
            values.insert(name.clone(), value);
        }
    }
    Ok(values)
}

/// A boolean, printed by its type or by a cast.
pub fn is_true(text: &str) -> bool {
    matches!(text, "t" | "true")
}

/// The source has answered something else.
pub fn broken_answer() -> Error {
    Error::failed("the source answered read_changes() in a form that is not understood")
        .mend("its schema switchover may be from another version: run init again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_come_in_one_text() {
        let name = |name: &str| QualifiedName::new("public", name);
        let names = SequenceNames::from([(7, name("a")), (8, name("b"))]);
        let value = |last_value, is_called| Value {
            last_value,
            is_called,
        };
        let read = sequences(&names, "7 -5 t,9 3 t,8 1 f").unwrap();
        let wanted = Values::from([(name("a"), value(-5, true)), (name("b"), value(1, false))]);
        assert_eq!(read, wanted);
        assert_eq!(sequences(&names, "").unwrap(), Values::new());
        for broken in ["7", "7 x t", "7 1", "x 1 t"] {
            assert!(sequences(&names, broken).is_err(), "{broken}");
        }
    }
}
