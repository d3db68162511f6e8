//! `drop` on the source: triggers table by table, then the schema.

use super::table::{CAPTURE_TRIGGER, TRUNCATE_TRIGGER};
use crate::error::Result;
use crate::lock::{self, Patience};
use crate::session::Session;
use crate::stop::Stop;

/// Removes every trigger and the schema. DROP TRIGGER needs ACCESS EXCLUSIVE on its table, so it waits
/// for readers too, a bounded time and one table after the other.
///
/// # Errors
/// Class lock-not-obtained, naming who holds a table; or as the server says. What is left can be
/// dropped by the same command again.
pub fn remove(
    session: &mut Session,
    observer: &mut Session,
    patience: Patience,
    stop: &Stop,
) -> Result<()> {
    let rows = session.query("list our triggers", include_str!("our_triggers.sql"), &[])?;
    for row in &rows {
        let (table, capture, truncate): (String, bool, bool) = (row.get(0), row.get(1), row.get(2));
        let mut sql = format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;\n");
        for (there, trigger) in [(capture, CAPTURE_TRIGGER), (truncate, TRUNCATE_TRIGGER)] {
            if there {
                sql.push_str(&format!("DROP TRIGGER IF EXISTS {trigger} ON {table};\n"));
            }
        }
        let what = format!("remove the triggers of table {table}");
        lock::transaction(session, observer, patience, stop, &what, &sql)?;
    }
    let sql = "SET LOCAL client_min_messages = warning; DROP SCHEMA IF EXISTS switchover CASCADE;";
    lock::transaction(
        session,
        observer,
        patience,
        stop,
        "drop schema switchover",
        sql,
    )
}
