//! `drop` on the source: triggers table by table, then the schema.

use super::table::TRUNCATE_TRIGGER;
use crate::error::Result;
use crate::ident::ident;
use crate::lock::{self, Locks, Patience};
use crate::session::Session;
use crate::stop::Stop;

/// Functions that one transaction removes.
const FUNCTIONS_AT_ONCE: usize = 100;

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
        // A row trigger goes with its clones.
        let locks = Locks {
            relations: vec![table.clone()],
            mode: "ACCESS EXCLUSIVE",
            partitions: triggers.iter().any(|trigger| trigger != TRUNCATE_TRIGGER),
        };
        let mut sql = String::new();
        for trigger in triggers {
            sql.push_str(&format!(
                "DROP TRIGGER IF EXISTS {} ON {table};\n",
                ident(&trigger)
            ));
        }
        let what = format!("remove the triggers of table {table}");
        let work = (Some(&locks), sql.as_str());
        lock::transaction(session, observer, patience, stop, &what, work)?;
    }
    remove_functions(session, observer, patience, stop)?;
    // Whoever asks holds a lock on the sequence that is read first, and waits for the log that we have locked
    // by then: askers would keep us from the schema for as long as any come. A function's removal waits for
    // nobody who calls it.
    let sql = "SET LOCAL client_min_messages = warning; DROP FUNCTION IF EXISTS switchover.use_next_db();";
    let work = (None, sql);
    lock::transaction(
        session,
        observer,
        patience,
        stop,
        "remove use_next_db()",
        work,
    )?;
    lock::drop_schema(session, observer, patience, stop)
}

/// Removes the functions of the tables, some at a time: each is a lock to the end of its transaction, and those of
/// thousands of tables are more than the server has room for. What a trigger of another name calls goes with the schema.
fn remove_functions(
    session: &mut Session,
    observer: &mut Session,
    patience: Patience,
    stop: &Stop,
) -> Result<()> {
    let sql = "SELECT p.oid::pg_catalog.regprocedure::text FROM pg_catalog.pg_proc p
                WHERE p.pronamespace = pg_catalog.to_regnamespace('switchover')
                  AND p.proname ~ '^(capture|read)_[0-9]+$'
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgfoid = p.oid)";
    let what = "remove the functions of the tables";
    let rows = session.query("list our functions", sql, &[])?;
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    for some in names.chunks(FUNCTIONS_AT_ONCE) {
        let sql = format!("DROP FUNCTION IF EXISTS {};", some.join(", "));
        lock::transaction(session, observer, patience, stop, what, (None, &sql))?;
    }
    Ok(())
}
