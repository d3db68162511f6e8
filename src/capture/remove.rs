//! `drop` on the source: triggers table by table, then the schema.

use crate::error::Result;
use crate::ident::ident;
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
        let (table, triggers): (String, Vec<String>) = (row.get(0), row.get(1));
        let mut sql = format!("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE;\n");
        for trigger in triggers {
            sql.push_str(&format!(
                "DROP TRIGGER IF EXISTS {} ON {table};\n",
                ident(&trigger)
            ));
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
