//! The bookkeeping on the destination, in its schema `switchover`: which run may write, which tables
//! are copied, which cycles are confirmed, and from when on others may write.

mod entrance;
mod guarded;
mod role;

use std::collections::BTreeMap;

pub use entrance::{BEFORE_OPEN, OPEN, close, note_flip, refuse_written, takes_writes};
pub use guarded::{Unguarded, guard_tables};
pub use role::{
    LOCK_TIMEOUT, Way, grant, restore, silence, silenced, way, way_in_transaction, writer,
};

use crate::catalog::{self, Oid};
use crate::error::{Error, Result};
use crate::ident::{QualifiedName, literal};
use crate::lock::{self, Patience};
use crate::session::Session;
use crate::stop::Stop;

/// What the destination's state row said when this run claimed it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// A token that only this process has; what `switchover.hold()` asks for.
    pub run: String,
    /// The number of the last confirmed cycle; 0 before the first.
    pub cycle: i64,
    /// Every table has been copied.
    pub copied: bool,
    /// `copy --create-schema` created the tables.
    pub schema_created: bool,
    /// And has added keys, indexes and constraints since.
    pub schema_finished: bool,
    /// Since when the destination is known to be in charge, as text.
    pub switched_at: Option<String>,
}

impl Claim {
    /// Refuses a destination that is in charge although the source's pointer says otherwise: the source has been
    /// failed over to a replica that had not received the flip, or restored from a backup of before. What
    /// applications have written to the destination since would be overwritten.
    ///
    /// # Errors
    /// That is so.
    pub fn refuse_in_charge(&self) -> Result<()> {
        match &self.switched_at {
            None => Ok(()),
            Some(when) => Err(Error::failed(format!(
                "the destination is in charge since {when}, and the source has lost the flip: it is a replica that had not received it, or was restored from a backup"
            ))
            .mend("stop the applications on the source, bring over by hand what they have written there since, then drop")),
        }
    }
}

/// A table that `copy` has begun or finished.
#[derive(Debug, Clone)]
pub struct CopiedTable {
    /// Schema and name, the same on both sides.
    pub name: QualifiedName,
    /// All rows are there.
    pub finished: bool,
    /// The table's oid on the source, once it is finished.
    pub source_oid: Option<Oid>,
    /// Its oid here.
    pub oid: Option<Oid>,
    /// The numbers of its columns here, by the names that they had when it was finished.
    pub columns: BTreeMap<String, i64>,
}

/// Creates what is missing of the bookkeeping and claims it for this process. Called under the
/// source's advisory lock, so no other healthy run is at work; one that lost its source connection
/// without noticing is shut out from here on.
///
/// # Errors
/// The destination belongs to a switchover from another source; or as the server says.
pub fn install_and_claim(session: &mut Session, source_identity: &str) -> Result<Claim> {
    refuse_foreign(session, source_identity)?;
    install(session, "create the bookkeeping")?;
    claim(session, source_identity)
}

fn install(session: &mut Session, what: &str) -> Result<()> {
    let sql = [catalog::CREATE_SCHEMA, include_str!("install.sql")].concat();
    session.execute(what, &sql)
}

/// Refuses a schema `switchover` that is somebody else's: nothing may be put into it, and above all it
/// may not be dropped.
///
/// # Errors
/// It is no bookkeeping of ours, or belongs to a switchover from another source.
pub fn refuse_foreign(session: &mut Session, source_identity: &str) -> Result<()> {
    let sql = "SELECT pg_catalog.to_regnamespace('switchover') IS NOT NULL";
    let exists: bool = session
        .query_one("look for schema switchover", sql, &[])?
        .get(0);
    if !exists {
        return Ok(());
    }
    if !installed(session)? {
        return Err(Error::failed(
            "schema \"switchover\" exists on the destination, and is not the bookkeeping of a switchover to it",
        )
        .mend("are --source and --dest swapped? If not, rename that schema"));
    }
    let sql = "SELECT source_identity FROM switchover.state";
    let rows = session.query("see whose bookkeeping it is", sql, &[])?;
    match rows.first().map(|row| row.get::<_, String>(0)) {
        Some(owner) if owner != source_identity => Err(another_source(&owner)),
        _ => Ok(()),
    }
}

fn another_source(owner: &str) -> Error {
    Error::failed(format!(
        "the destination belongs to a switchover from another source ({owner})"
    ))
    .mend("check --source and --dest, or drop schema switchover there if that one was given up")
}

/// Claims bookkeeping that exists.
///
/// # Errors
/// It does not exist, or belongs to a switchover from another source.
pub fn claim(session: &mut Session, source_identity: &str) -> Result<Claim> {
    if !installed(session)? {
        return Err(
            Error::failed("the destination has no bookkeeping of a switchover")
                .mend("run pg_switchover init first"),
        );
    }
    refuse_foreign(session, source_identity)?;
    end_predecessor(session, source_identity)?;
    // An older build may have made it.
    let guarded = "SELECT pg_catalog.to_regprocedure('switchover.refuse_early()') IS NOT NULL";
    if !session
        .query_one("look for the guard", guarded, &[])?
        .get::<_, bool>(0)
    {
        install(session, "complete the bookkeeping")?;
    }
    let run = run_token(session)?;
    let row = session.query_one(
        "claim the bookkeeping",
        include_str!("claim.sql"),
        &[&run, &source_identity],
    )?;
    Ok(Claim {
        run,
        cycle: row.get(0),
        copied: row.get(1),
        schema_created: row.get(2),
        schema_finished: row.get(3),
        switched_at: row.get(4),
    })
}

/// Looks again whether `copy --create-schema` has made the schema since the claim.
///
/// # Errors
/// As the server says.
pub fn look_at_schema(session: &mut Session, claim: &mut Claim) -> Result<()> {
    let sql = "SELECT schema_created_at IS NOT NULL, schema_finished_at IS NOT NULL
                 FROM switchover.state";
    let row = session.query_one("look how the schema was made", sql, &[])?;
    (claim.schema_created, claim.schema_finished) = (row.get(0), row.get(1));
    Ok(())
}

/// Ends what is left here of earlier runs: one whose machine has gone down, or was cut off, can leave
/// sessions with locks that its successor would wait for until the network gives up. We hold the
/// source's advisory lock, so none of them can do anything useful any more.
fn end_predecessor(session: &mut Session, source_identity: &str) -> Result<()> {
    let sql = include_str!("end_predecessor.sql");
    for row in session.query("end an earlier run", sql, &[&source_identity])? {
        log::debug!("ended pid {} of an earlier run", row.get::<_, i32>(0));
    }
    Ok(())
}

/// Returns true if the bookkeeping exists.
///
/// # Errors
/// As the server says.
pub fn installed(session: &mut Session) -> Result<bool> {
    catalog::refuse_untrusted_schema(session)?;
    let sql = "SELECT pg_catalog.to_regclass('switchover.confirmation') IS NOT NULL";
    Ok(session
        .query_one("look for the bookkeeping", sql, &[])?
        .get(0))
}

/// Distinguishes this run from every other one.
fn run_token(session: &mut Session) -> Result<String> {
    let sql = "SELECT pg_catalog.gen_random_uuid()::text";
    Ok(session.query_one("make a run token", sql, &[])?.get(0))
}

/// Returns the statement that fails unless `run` may still write; it goes before every commit.
pub fn hold(run: &str) -> String {
    format!("SELECT switchover.hold({});", literal(run))
}

/// Lists the tables that copy has begun, by name.
///
/// # Errors
/// As the server says.
pub fn copied_tables(session: &mut Session) -> Result<Vec<CopiedTable>> {
    let sql = "SELECT schema_name, table_name, finished_at IS NOT NULL, source_id, table_id, columns::text
                 FROM switchover.copied ORDER BY 1, 2";
    let rows = session.query("list the copied tables", sql, &[])?;
    Ok(rows
        .iter()
        .map(|row| CopiedTable {
            name: QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
            finished: row.get(2),
            source_oid: row.get(3),
            oid: row.get(4),
            columns: row
                .get::<_, Option<&str>>(5)
                .map(numbers)
                .unwrap_or_default(),
        })
        .collect())
}

/// Returns an expression for the numbers of a table's columns by name; `oid` is one for its oid.
fn numbered_columns(oid: &str) -> String {
    format!(
        "(SELECT pg_catalog.jsonb_object_agg(a.attname, a.attnum) FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped)"
    )
}

fn numbers(columns: &str) -> BTreeMap<String, i64> {
    serde_json::from_str(columns).unwrap_or_default()
}

/// Returns the numbers of a table's columns by name, as they are now.
///
/// # Errors
/// As the server says.
pub fn columns(session: &mut Session, oid: Oid) -> Result<BTreeMap<String, i64>> {
    let sql = format!("SELECT {}::text", numbered_columns("$1"));
    let row = session.query_one("list the columns", &sql, &[&oid])?;
    Ok(row
        .get::<_, Option<&str>>(0)
        .map(numbers)
        .unwrap_or_default())
}

/// Takes the notes about tables that were renamed on both sides along to their new names and columns:
/// oids here, and the names now. They may have exchanged names.
///
/// # Errors
/// As the server says.
pub fn rename_tables(session: &mut Session, tables: &[(Oid, &QualifiedName)]) -> Result<()> {
    let mut sql = String::from("BEGIN;\n");
    for (oid, _) in tables {
        sql.push_str(&format!(
            "UPDATE switchover.copied SET schema_name = '', table_name = '{oid}' WHERE table_id = {oid};\n"
        ));
    }
    for (oid, name) in tables {
        sql.push_str(&format!(
            "UPDATE switchover.copied SET schema_name = {}, table_name = {}, columns = {}
              WHERE table_id = {oid};\n",
            literal(&name.schema),
            literal(&name.name),
            numbered_columns(&oid.to_string())
        ));
    }
    sql.push_str("COMMIT;");
    session.execute("note that tables were renamed", &sql)
}

/// Forgets the note about a table that is gone, or has become a partition.
///
/// # Errors
/// As the server says.
pub fn drop_table_note(session: &mut Session, name: &QualifiedName) -> Result<()> {
    let sql = format!(
        "DELETE FROM switchover.copied WHERE schema_name = {} AND table_name = {}",
        literal(&name.schema),
        literal(&name.name)
    );
    session.execute("forget a table", &sql)
}

/// Returns the statement that notes a table as begun, and forgets what an earlier attempt noted.
pub fn begin_table(name: &QualifiedName) -> String {
    format!(
        "INSERT INTO switchover.copied (schema_name, table_name) VALUES ({}, {})
         ON CONFLICT (schema_name, table_name) DO UPDATE
         SET started_at = pg_catalog.clock_timestamp(), finished_at = NULL;",
        literal(&name.schema),
        literal(&name.name)
    )
}

/// Returns the statement that confirms a table as copied: its oid on the source, the source's snapshot,
/// rows, bytes on the wire.
pub fn finish_table(
    name: &QualifiedName,
    source_oid: Oid,
    snapshot: &str,
    rows: u64,
    bytes: u64,
) -> String {
    let oid = format!("{}::pg_catalog.regclass::oid", literal(&name.to_string()));
    format!(
        "UPDATE switchover.copied
            SET finished_at = pg_catalog.clock_timestamp(), snapshot = {}, rows = {rows}, bytes = {bytes},
                source_id = {source_oid}, table_id = {oid}, columns = {}
          WHERE schema_name = {} AND table_name = {};",
        literal(snapshot),
        numbered_columns(&oid),
        literal(&name.schema),
        literal(&name.name)
    )
}

/// Forgets that tables were copied, so that `copy` takes them again.
///
/// # Errors
/// As the server says.
pub fn forget_tables<'a>(
    session: &mut Session,
    names: impl Iterator<Item = &'a QualifiedName>,
) -> Result<()> {
    let sql: String = names.map(forgetting).collect();
    session.execute("note that tables have to be copied", &sql)
}

fn forgetting(name: &QualifiedName) -> String {
    format!(
        "UPDATE switchover.copied SET finished_at = NULL
          WHERE schema_name = {} AND table_name = {};
         UPDATE switchover.state SET copied_at = NULL;\n",
        literal(&name.schema),
        literal(&name.name)
    )
}

/// Notes the outcome of a verify: tables and rows compared, differences found.
///
/// # Errors
/// As the server says.
pub fn note_verification(
    session: &mut Session,
    cycle: i64,
    [tables, rows, differences]: [u64; 3],
) -> Result<()> {
    session.execute(
        "note the verification",
        &format!(
            "INSERT INTO switchover.verification (cycle, tables, rows, differences)
             VALUES ({cycle}, {tables}, {rows}, {differences})"
        ),
    )
}

/// Takes the note about a table that was renamed on both sides along to its new name, so that its rows
/// still count as ours. Nothing happens while the destination has it under the old name.
///
/// # Errors
/// As the server says.
pub fn rename_table(session: &mut Session, old: &QualifiedName, new: &QualifiedName) -> Result<()> {
    let sql = format!(
        "UPDATE switchover.copied SET schema_name = $3, table_name = $4
          WHERE schema_name = $1 AND table_name = $2
            AND pg_catalog.to_regclass({}) IS NULL
            AND NOT EXISTS (SELECT FROM switchover.copied
                             WHERE schema_name = $3 AND table_name = $4)",
        literal(&old.to_string())
    );
    session.query(
        "note that a table was renamed",
        &sql,
        &[&old.schema, &old.name, &new.schema, &new.name],
    )?;
    Ok(())
}

/// Removes the bookkeeping, if there is one. Readers of it are waited for a bounded time. The caller
/// has asked [`refuse_foreign`].
///
/// # Errors
/// Class lock-not-obtained, naming who holds it; or as the server says.
pub fn remove(
    session: &mut Session,
    source_identity: &str,
    patience: Patience,
    stop: &Stop,
) -> Result<()> {
    if !installed(session)? {
        return Ok(());
    }
    end_predecessor(session, source_identity)?;
    let mut observer = session.another("observer")?;
    guarded::remove(session, &mut observer, patience, stop)?;
    lock::drop_schema(session, &mut observer, patience, stop)
}
