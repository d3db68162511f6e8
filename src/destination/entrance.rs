//! The one value that lets others write on the destination. The final cycle sets it, in the transaction that
//! brings the last changes, before the flip: an application that is sent on by the old database finds the
//! new one open.
//!
//! The flip may not follow. What others have written by then is not the source's, so the next command, or the next
//! cycle of this one, shuts the entrance before anything else, and has their tables copied anew. Why no write of
//! theirs goes unnoticed: see `switchover.enter()`.

use super::copied::forgetting;
use crate::capture::{self, Phase};
use crate::destination::hold;
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::lock::{self, Locks, Patience};
use crate::session::Session;
use crate::stop::Stop;

/// Opens the entrance with the commit of the transaction that this expression is evaluated in.
pub const OPEN: &str =
    "pg_catalog.setval('switchover.entrance', pg_catalog.pg_current_xact_id()::text::int8)";

/// Returns the message that has the server plan, and look up, what a final cycle of this run takes beside its rows,
/// where no cycle has been run in a session.
pub fn before_open(run: &str) -> String {
    format!(
        "BEGIN; {}
         SELECT pg_catalog.pg_sequence_last_value('switchover.entrance'::pg_catalog.regclass),
                pg_catalog.pg_current_xact_id_if_assigned()::text::int8, switchover.restore(),
                switchover.confirm(-1, true, '', 0, 0, 0, 0, 0);
         ROLLBACK;",
        hold(run)
    )
}

/// Tables that an error names.
const NAMED: usize = 5;

/// Notes that the flip has been seen committed, and opens the entrance for good: no writer has to leave a note
/// any more. `hold` first, here and below: what a run that stood still believes is not for its successor's destination.
///
/// # Errors
/// Another run is at work; as the server says. Writers are let in nevertheless.
pub fn note_flip(session: &mut Session, run: &str) -> Result<()> {
    let sql = format!(
        "BEGIN; {}
         UPDATE switchover.state SET switched_at = pg_catalog.clock_timestamp()
          WHERE switched_at IS NULL;
         SELECT pg_catalog.setval('switchover.entrance', 1); COMMIT;",
        hold(run)
    );
    session.transaction("note the flip", &sql)
}

/// Says whether others may write here; `None` where nothing keeps them from it.
///
/// # Errors
/// As the server says.
pub fn takes_writes(session: &mut Session) -> Result<Option<bool>> {
    let guarded = "SELECT pg_catalog.to_regprocedure('switchover.takes_writes()') IS NOT NULL";
    let what = "see whether others may write";
    if !session.query_one(what, guarded, &[])?.get::<_, bool>(0) {
        return Ok(None);
    }
    let sql = "SELECT switchover.takes_writes()";
    Ok(Some(session.query_one(what, sql, &[])?.get(0)))
}

/// Shuts the entrance if a final cycle has opened it, and returns the tables that somebody has written into
/// meanwhile; they are noted as not copied. The caller holds the source's advisory lock, has seen since that the
/// pointer is not flipped, and has claimed the destination: no flip, and no other final cycle, is under way.
///
/// # Errors
/// Class lock-not-obtained, naming who has written and is still about it; or as either server says. The same again
/// goes on.
pub fn close(
    source: &mut Session,
    destination: &mut Session,
    run: &str,
    patience: Patience,
    stop: &Stop,
) -> Result<Vec<QualifiedName>> {
    let sql = "SELECT pg_catalog.pg_sequence_last_value('switchover.entrance'::pg_catalog.regclass) IS NOT NULL,
                      EXISTS (SELECT FROM switchover.early_write)";
    let row = destination.query_one("see whether others may write", sql, &[])?;
    let (open, noted): (bool, bool) = (row.get(0), row.get(1));
    if !open && !noted {
        return Ok(Vec::new());
    }
    // Never on a destination that is in charge, whatever has brought us here.
    if capture::read_state(source)?.is_none_or(|state| state.use_next_db) {
        return Err(Error::failed(
            "the switch is done: the destination is in charge",
        ));
    }
    if open {
        shut(destination, run, patience, stop)?;
    }
    let written = written(destination)?;
    // In this order: until the notes are gone, whoever comes next finds them and does all this again.
    if !written.is_empty() {
        capture::set_phase(source, Phase::Capturing)?;
    }
    let forgotten: String = written.iter().map(forgetting).collect();
    let sql = format!(
        "BEGIN; {} {forgotten} DELETE FROM switchover.early_write; COMMIT;",
        hold(run)
    );
    destination.transaction("note that tables have to be copied", &sql)?;
    Ok(written)
}

/// Nobody new comes in from the first message on. The second waits for those who are in, and only
/// then, under the lock that has waited, calls the entrance shut: a value that said so earlier would
/// hide from our successor that somebody is still writing.
fn shut(destination: &mut Session, run: &str, patience: Patience, stop: &Stop) -> Result<()> {
    let what = "refuse early writers";
    let hold = hold(run);
    let sql = format!("BEGIN; {hold} SELECT pg_catalog.setval('switchover.entrance', 2); COMMIT;");
    destination.transaction(what, &sql)?;
    let mut observer = destination.another("observer")?;
    let locks = Locks {
        relations: vec!["switchover.early_write".to_string()],
        mode: "EXCLUSIVE",
        partitions: false,
    };
    let sql = format!("{hold} SELECT pg_catalog.setval('switchover.entrance', 1, false);");
    let work = (Some(&locks), sql.as_str());
    lock::transaction(destination, &mut observer, patience, stop, what, work)
}

/// Lists the tables that were written into, partitions by their roots; one that is gone concerns nobody.
fn written(destination: &mut Session) -> Result<Vec<QualifiedName>> {
    let sql = "SELECT DISTINCT n.nspname::text, c.relname::text
                 FROM switchover.early_write w
                 JOIN pg_catalog.pg_class c
                   ON c.oid = COALESCE(pg_catalog.pg_partition_root(w.table_id)::oid, w.table_id)
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                ORDER BY 1, 2";
    let rows = destination.query("list what others have written", sql, &[])?;
    let name =
        |row: &postgres::Row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
    Ok(rows.iter().map(name).collect())
}

/// Fails if [`close`] has found tables that somebody has written into.
///
/// # Errors
/// Names them.
pub fn refuse_written(written: &[QualifiedName]) -> Result<()> {
    if written.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = written
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let more = match written.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (noun, verb) = match written.len() {
        1 => ("table", "was"),
        _ => ("tables", "were"),
    };
    Err(Error::failed(format!(
        "{noun} {}{more} {verb} written into on the destination by somebody else, during a switch that did not come about",
        shown.join(", ")
    ))
    .mend(format!(
        "see who writes there; pg_switchover copy throws those rows away, and copies the {noun} anew"
    )))
}
