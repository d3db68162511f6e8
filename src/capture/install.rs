//! `init` on the source: the fixed objects first, then the tables, see `tables`. Run again, it completes what is
//! missing.

use std::collections::BTreeSet;

use super::drift::Capture;
use super::state;
use super::state::Phase;
use crate::catalog::{CREATE_SCHEMA, Catalog, Oid, Relation, Selection};
use crate::error::Result;
use crate::ident::literal;
use crate::lock::{self, Patience};
use crate::session::Session;
use crate::stop::Stop;

/// Whose switchover it is.
#[derive(Debug, Clone)]
pub struct Parties<'a> {
    /// The source's system identifier and database oid.
    pub source_identity: &'a str,
    /// The destination's.
    pub destination_identity: &'a str,
    /// Where the destination is, for the hint to refused writers.
    pub destination_name: &'a str,
    /// What is carried over.
    pub selection: &'a Selection,
}

/// The fixed objects, whatever the tables; each part rests on those before it.
const INSTALL: [&str; 5] = [
    CREATE_SCHEMA,
    include_str!("install.sql"),
    include_str!("drift.sql"),
    include_str!("reading.sql"),
    include_str!("rights.sql"),
];

/// Creates the fixed objects and the state row, in one transaction. Where they exist already, somebody
/// may be reading them.
///
/// # Errors
/// Class lock-not-obtained, naming who holds them; or as the server says: a role that may not create a
/// schema, for one.
pub fn install(
    session: &mut Session,
    observer: &mut Session,
    patience: Patience,
    stop: &Stop,
    parties: &Parties<'_>,
) -> Result<()> {
    let stored: Vec<String> = parties
        .selection
        .to_stored()
        .iter()
        .map(|text| literal(text))
        .collect();
    let sql = format!(
        "{}\nCOMMENT ON TABLE switchover.state IS {};
         INSERT INTO switchover.state
           (source_identity, destination_identity, destination_name, selection, initialized_at)
         VALUES ({}, {}, {}, ARRAY[{}]::text[], pg_catalog.clock_timestamp())
         ON CONFLICT (singleton) DO UPDATE SET destination_name = excluded.destination_name,
                                               selection = excluded.selection;",
        INSTALL.concat(),
        literal(crate::VERSION),
        literal(parties.source_identity),
        literal(parties.destination_identity),
        literal(parties.destination_name),
        stored.join(", "),
    );
    let what = "create schema switchover";
    lock::transaction(session, observer, patience, stop, what, (None, &sql))
}

/// Returns the tables that have to be captured, or captured anew.
pub fn wanting(capture: &Capture, catalog: &Catalog) -> Vec<Oid> {
    let broken = capture.broken();
    let differs = |relation: &Relation| {
        capture
            .tables
            .get(&relation.oid)
            .is_none_or(|table| table.name != relation.name || !table.has_key_of(relation))
    };
    catalog
        .relations
        .iter()
        .filter(|relation| broken.contains(&relation.oid) || differs(relation))
        .map(|relation| relation.oid)
        .collect()
}

/// Forgets tables and sequences that are gone, and notes the sequences that are there.
///
/// # Errors
/// As the server says.
pub fn settle(session: &mut Session, capture: &Capture, catalog: &Catalog) -> Result<()> {
    let mut sql = String::from("BEGIN;\n");
    let now: BTreeSet<Oid> = catalog
        .relations
        .iter()
        .map(|relation| relation.oid)
        .collect();
    for oid in capture.tables.keys().filter(|oid| !now.contains(oid)) {
        sql.push_str(&format!(
            "DELETE FROM switchover.captured WHERE table_id = {oid};
             DELETE FROM switchover.captured_member WHERE table_id = {oid};
             DELETE FROM switchover.change_log_1 WHERE table_id = {oid};
             DELETE FROM switchover.change_log_2 WHERE table_id = {oid};\n"
        ));
    }
    sql.push_str("DELETE FROM switchover.captured_sequence;\n");
    for sequence in &catalog.sequences {
        sql.push_str(&format!(
            "INSERT INTO switchover.captured_sequence VALUES ({}, {}, {});\n",
            sequence.oid,
            literal(&sequence.name.schema),
            literal(&sequence.name.name)
        ));
    }
    sql.push_str("COMMIT;");
    session.execute("note the sequences", &sql)
}

/// Forgets the changes of tables that are yet to be copied: the copy brings them, and what was noted for a
/// table that has changed its columns since may not even be readable.
///
/// # Errors
/// As the server says.
pub fn forget_changes(session: &mut Session, tables: &[Oid]) -> Result<()> {
    let oids: Vec<String> = tables.iter().map(Oid::to_string).collect();
    if oids.is_empty() {
        return Ok(());
    }
    let oids = oids.join(", ");
    let sql = format!(
        "BEGIN; DELETE FROM switchover.change_log_1 WHERE table_id IN ({oids});
         DELETE FROM switchover.change_log_2 WHERE table_id IN ({oids}); COMMIT;"
    );
    session.execute("forget changes that the copy will bring", &sql)
}

/// Sets the phase that follows from what is captured and copied.
///
/// # Errors
/// As the server says.
pub fn set_captured(session: &mut Session, anything_new: bool) -> Result<()> {
    let now = state::read(session)?.map(|state| state.phase);
    match now {
        Some(Phase::Copied) if !anything_new => Ok(()),
        _ => state::set_phase(session, Phase::Capturing),
    }
}
