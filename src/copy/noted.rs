//! The list on the destination of what is postponed: how it is noted there, read, and ticked off.

use super::postponed::{Kind, Postponed};
use crate::catalog::objects::Waiting;
use crate::error::Result;
use crate::ident::literal;
use crate::session::Session;

/// The columns of the list.
const COLUMNS: &str = "position, kind, name, schema_name, table_name, constraint_name, statement, comment, validated, partitioned";

impl Postponed {
    /// Returns the statements that note what is postponed.
    pub(super) fn note(postponed: &[Postponed]) -> String {
        let mut sql = String::from("DELETE FROM switchover.postponed WHERE NOT taken;\n");
        let next = "(SELECT COALESCE(pg_catalog.max(position), 0) + 1 FROM switchover.postponed)";
        for one in postponed.iter().filter(|one| one.captured) {
            let values = one.values();
            sql.push_str(&format!(
                "INSERT INTO switchover.postponed ({COLUMNS}) VALUES ({next}, {values});\n"
            ));
        }
        sql
    }

    /// Returns the statement that notes it behind what is noted already, unless it is.
    pub(super) fn note_behind(&self) -> String {
        let (schema, table) = (literal(&self.schema), literal(&self.table));
        format!(
            "INSERT INTO switchover.postponed ({COLUMNS})
             SELECT COALESCE(pg_catalog.max(p.position), 0) + 1, {}
               FROM switchover.postponed p
             HAVING NOT COALESCE(pg_catalog.bool_or(p.schema_name = {schema} AND p.table_name = {table}
                       AND p.constraint_name IS NOT DISTINCT FROM {} AND p.done_at IS NULL), false);\n",
            self.values(),
            optional(self.constraint.as_deref()),
        )
    }

    /// What the list holds of it, behind its position.
    fn values(&self) -> String {
        format!(
            "{}, {}, {}, {}, {}, {}, {}, {}, {}",
            literal(&self.kind),
            literal(&self.name),
            literal(&self.schema),
            literal(&self.table),
            optional(self.constraint.as_deref()),
            literal(&self.statement),
            optional(self.comment.as_deref()),
            self.validated,
            self.partitioned
        )
    }
}

fn optional(text: Option<&str>) -> String {
    text.map_or("NULL".to_string(), literal)
}

/// Returns how many objects are still to be made or checked.
///
/// # Errors
/// As the server says.
pub fn pending(destination: &mut Session, kind: Kind) -> Result<usize> {
    Ok(outstanding(destination, kind)?.len())
}

/// Lists the foreign keys that are still to be made.
///
/// # Errors
/// As the server says.
pub fn waiting(destination: &mut Session) -> Result<Waiting> {
    let sql = "SELECT schema_name, table_name, constraint_name
                 FROM switchover.postponed WHERE constraint_name IS NOT NULL AND done_at IS NULL";
    let rows = destination.query("list what is postponed", sql, &[])?;
    let name = |row: &postgres::Row| [row.get(0), row.get(1), row.get(2)];
    Ok(rows.iter().map(name).collect())
}

pub(super) fn done(session: &mut Session, position: i32) -> Result<()> {
    session.execute("note what is done", &noting(position))
}

pub(super) fn noting(position: i32) -> String {
    format!(
        "UPDATE switchover.postponed SET done_at = pg_catalog.clock_timestamp() WHERE position = {position};"
    )
}

/// Lists what is not done yet, with its position. A foreign key that was taken away may be on the list
/// once more, as the source has it.
pub(super) fn outstanding(destination: &mut Session, kind: Kind) -> Result<Vec<(i32, Postponed)>> {
    let kind = match kind {
        Kind::Everything => "",
        Kind::ForeignKeys => "AND p.kind = 'foreign key'",
        Kind::Taken => "AND p.taken",
        Kind::Views => "AND p.kind = 'materialized view'",
    };
    let sql = format!(
        "SELECT {COLUMNS}
           FROM switchover.postponed p
          WHERE done_at IS NULL {kind}
            AND (taken OR NOT EXISTS (
                SELECT FROM switchover.postponed t
                 WHERE t.taken AND t.schema_name = p.schema_name AND t.table_name = p.table_name
                   AND t.constraint_name = p.constraint_name))
          ORDER BY position"
    );
    let rows = destination.query("list what is postponed", &sql, &[])?;
    Ok(rows
        .iter()
        .map(|row| {
            let one = Postponed {
                kind: row.get(1),
                oid: 0,
                name: row.get(2),
                schema: row.get(3),
                table: row.get(4),
                constraint: row.get(5),
                statement: row.get(6),
                comment: row.get(7),
                comment_tag: None,
                validated: row.get(8),
                partitioned: row.get(9),
                captured: true,
            };
            (row.get(0), one)
        })
        .collect())
}
