//! The one row that says how far a switchover is and which database is in charge; and the one that is there to be
//! written.

use super::counts::{Counts, note_copies};
use crate::catalog::{self, Selection};
use crate::error::{Error, Result};
use crate::ident::literal;
use crate::session::Session;

/// Has the source flush its write-ahead log, as far as it is not: with the commit of this statement, which must not be
/// that of a transaction that reads rows.
pub const FLUSH: &str = "UPDATE switchover.heartbeat SET beaten_at = pg_catalog.clock_timestamp()
     WHERE pg_catalog.pg_current_wal_flush_lsn() OPERATOR(pg_catalog.<) pg_catalog.pg_current_wal_insert_lsn()";

/// How far a switchover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `init` has begun, or `drop` has.
    Idle,
    /// Every table is captured; some are not copied yet.
    Capturing,
    /// Every table is on the destination.
    Copied,
    /// The destination is in charge.
    Switched,
}

impl Phase {
    /// Returns the word that the state row has.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Idle => "idle",
            Phase::Capturing => "capturing",
            Phase::Copied => "copied",
            Phase::Switched => "switched",
        }
    }
}

/// The row `switchover.state` on the source.
#[derive(Debug, Clone)]
pub struct State {
    /// How far it is.
    pub phase: Phase,
    /// The pointer: true once the destination is in charge.
    pub use_next_db: bool,
    /// The destination's system identifier and database oid.
    pub destination_identity: String,
    /// Where the destination is, without user or password.
    pub destination_name: String,
    /// What `init` selected.
    pub selection: Selection,
    /// What has installed it, as [`crate::VERSION`] has it; `None` if that said nothing.
    pub installed_by: Option<String>,
    /// What the destination had counted when the source last went on from there.
    pub counts: Counts,
    /// When the last `verify` passed since the copy, as text.
    pub verified_at: Option<String>,
    /// When the pointer was flipped, as text.
    pub switched_at: Option<String>,
}

/// Reads the state; `None` where `init` has not run.
///
/// # Errors
/// A schema `switchover` that is not this tool's; or as the server says.
pub fn read(session: &mut Session) -> Result<Option<State>> {
    if !present(session)? {
        return Ok(None);
    }
    let sql = "SELECT phase, use_next_db, destination_identity, destination_name, selection,
                      verified_at::text, switched_at::text,
                      pg_catalog.obj_description('switchover.state'::pg_catalog.regclass, 'pg_class'),
                      COALESCE(pg_catalog.pg_sequence_last_value(
                          pg_catalog.to_regclass('switchover.confirmed')), 0),
                      COALESCE(pg_catalog.pg_sequence_last_value(
                          pg_catalog.to_regclass('switchover.copies')), 0)
                 FROM switchover.state";
    let rows = session.query("read the state", sql, &[])?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let phase = match row.get::<_, String>(0).as_str() {
        "capturing" => Phase::Capturing,
        "copied" => Phase::Copied,
        "switched" => Phase::Switched,
        _ => Phase::Idle,
    };
    let stored: Vec<String> = row.get(4);
    Ok(Some(State {
        phase,
        use_next_db: row.get(1),
        destination_identity: row.get(2),
        destination_name: row.get(3),
        selection: Selection::from_stored(&stored)?,
        verified_at: row.get(5),
        switched_at: row.get(6),
        installed_by: row.get(7),
        counts: Counts {
            cycle: row.get(8),
            copies: row.get(9),
        },
    }))
}

/// Returns true if the source has our state table.
fn present(session: &mut Session) -> Result<bool> {
    catalog::refuse_untrusted_schema(session)?;
    let sql = "SELECT n.oid IS NOT NULL,
                      EXISTS (SELECT FROM pg_catalog.pg_attribute a
                               WHERE a.attrelid = pg_catalog.to_regclass('switchover.state')
                                 AND a.attname = 'use_next_db' AND NOT a.attisdropped),
                      pg_catalog.to_regclass('switchover.confirmation') IS NOT NULL
                 FROM (SELECT pg_catalog.to_regnamespace('switchover')::oid) AS n (oid)";
    let row = session.query_one("look for the state", sql, &[])?;
    let (schema, ours, destination): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    match (schema, ours, destination) {
        (true, false, true) => Err(Error::failed(
            "schema \"switchover\" on the source is that of a switchover's destination",
        )
        .mend("are --source and --dest swapped? If not, drop it: it is left from the switchover that led here")),
        (true, false, false) => Err(Error::failed(
            "schema \"switchover\" exists on the source, and is not pg_switchover's",
        )
        .mend("rename it")),
        _ => Ok(ours),
    }
}

/// Sets a phase other than [`Phase::Copied`].
///
/// # Errors
/// As the server says.
pub fn set_phase(session: &mut Session, phase: Phase) -> Result<()> {
    let copied = match phase {
        Phase::Capturing => ", copied_at = NULL, verified_at = NULL",
        _ => "",
    };
    let sql = format!(
        "UPDATE switchover.state SET phase = {}{copied}",
        literal(phase.as_str())
    );
    session.execute("note the phase", &sql)
}

/// Notes that every table is on the destination, which has counted so many `copies`.
///
/// # Errors
/// As the server says.
pub fn set_copied(session: &mut Session, copies: i64) -> Result<()> {
    let sql = format!(
        "UPDATE switchover.state
            SET phase = {}, copied_at = pg_catalog.clock_timestamp(), verified_at = NULL;",
        literal(Phase::Copied.as_str())
    );
    // In this order: a copy that nobody has counted could be lost unseen.
    note_copies(session, copies)?;
    session.execute("note that the copy is complete", &sql)
}

/// Notes whether the last verify has passed.
///
/// # Errors
/// As the server says.
pub fn set_verified(session: &mut Session, passed: bool) -> Result<()> {
    let sql = match passed {
        true => "UPDATE switchover.state SET verified_at = pg_catalog.clock_timestamp()",
        false => "UPDATE switchover.state SET verified_at = NULL",
    };
    session.execute("note the verification", sql)
}
