//! The notes about the tables that `copy` has begun or finished: which they are on both sides, and what they are
//! called now.

use std::collections::BTreeMap;

use super::{counts, hold};
use crate::catalog::Oid;
use crate::error::Result;
use crate::ident::{QualifiedName, literal};
use crate::session::Session;

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

/// Forgets that tables were copied, so that `copy` takes them again. Returns how many copies are
/// counted then, see [`crate::capture::Counts`].
///
/// # Errors
/// As the server says.
pub fn forget_tables<'a>(
    session: &mut Session,
    names: impl Iterator<Item = &'a QualifiedName>,
    run: &str,
) -> Result<i64> {
    let forgotten: String = names.map(forgetting).collect();
    let sql = format!("BEGIN; {} {forgotten} COMMIT;", hold(run));
    session.transaction("note that tables have to be copied", &sql)?;
    Ok(counts(session)?.copies)
}

pub(super) fn forgetting(name: &QualifiedName) -> String {
    format!(
        "UPDATE switchover.copied SET finished_at = NULL
          WHERE schema_name = {} AND table_name = {};
         UPDATE switchover.state SET copied_at = NULL, copies = copies + 1;\n",
        literal(&name.schema),
        literal(&name.name)
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
