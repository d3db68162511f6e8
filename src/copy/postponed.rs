//! What `--create-schema` can only make once the destination's data is of one snapshot: foreign keys,
//! which would find children without parents, and the contents of materialized views.
//!
//! Each table is copied in a snapshot of its own. The first cycle after the copy makes the whole
//! consistent, and [`complete`] belongs behind it. It may be run again at any time.

use crate::catalog::objects::Waiting;
use crate::destination::{self, LOCK_TIMEOUT, replica_role};
use crate::error::{Result, Side};
use crate::ident::{QualifiedName, ident, literal};
use crate::session::Session;
use crate::stop::Stop;

use super::crew::{Crew, lock, run};

/// The first version that takes `NOT VALID` for a partitioned table's foreign key.
const NOT_VALID_ON_PARTITIONED: i32 = 180_000;

/// An object that is made later.
#[derive(Debug, Clone)]
pub struct Postponed {
    /// `foreign key` or `materialized view`.
    pub kind: String,
    /// Of the foreign key or view on the source; 0 once it is read from the list.
    pub oid: u32,
    /// For messages.
    pub name: String,
    /// The schema of the table or view.
    pub schema: String,
    /// The table or view.
    pub table: String,
    /// The foreign key.
    pub constraint: Option<String>,
    /// Makes it, without a semicolon.
    pub statement: String,
    /// The foreign key's comment.
    pub comment: Option<String>,
    /// The foreign key's comment as an archive lists it.
    pub comment_tag: Option<String>,
    /// All rows satisfy the foreign key.
    pub validated: bool,
    /// Of a partitioned table.
    pub partitioned: bool,
    /// All tables that it needs are moved.
    pub captured: bool,
}

/// What [`complete`] came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completed {
    /// Foreign keys added and checked.
    pub foreign_keys: usize,
    /// Materialized views refreshed.
    pub materialized_views: usize,
    /// What could not be made, with the server's reason; it stays on the list.
    pub problems: Vec<String>,
}

impl Postponed {
    /// Lists the foreign keys and materialized views of the source.
    ///
    /// # Errors
    /// As the server says.
    pub fn list(source: &mut Session, captured: &[u32]) -> Result<Vec<Postponed>> {
        let sql = include_str!("postponed.sql");
        let rows = source.query("list the foreign keys", sql, &[&captured])?;
        Ok(rows
            .iter()
            .map(|row| Postponed {
                kind: row.get("kind"),
                oid: row.get("oid"),
                name: row.get("name"),
                schema: row.get("schema_name"),
                table: row.get("table_name"),
                constraint: row.get("constraint_name"),
                statement: row.get("statement"),
                comment: row.get("comment"),
                comment_tag: row.get("comment_tag"),
                validated: row.get("validated"),
                partitioned: row.get("partitioned"),
                captured: row.get("captured"),
            })
            .collect())
    }

    /// Warns of foreign keys that lead out of the captured tables, which nothing could satisfy.
    pub fn warn_left_out(postponed: &[Postponed]) {
        for one in postponed.iter().filter(|one| !one.captured) {
            log::warn!(
                "foreign key {} is left out, because one of its tables is not moved",
                one.name
            );
        }
    }

    /// Returns the statement for a server, which checks no rows yet where that can be done apart.
    fn addition(&self, version: i32) -> String {
        let at_once = self.partitioned && version < NOT_VALID_ON_PARTITIONED
            || self.statement.ends_with(" NOT ENFORCED");
        let not_valid = if at_once { "" } else { " NOT VALID" };
        let mut sql = format!("{}{not_valid};", self.statement);
        if let (Some(comment), Some(constraint)) = (&self.comment, &self.constraint) {
            sql.push_str(&format!(
                " COMMENT ON CONSTRAINT {} ON {} IS {};",
                ident(constraint),
                self.relation(),
                literal(comment)
            ));
        }
        sql
    }

    fn relation(&self) -> QualifiedName {
        QualifiedName::new(self.schema.as_str(), self.table.as_str())
    }
}

/// Returns how many objects are still to be made.
///
/// # Errors
/// As the server says.
pub fn pending(destination: &mut Session) -> Result<i64> {
    let sql = "SELECT pg_catalog.count(*) FROM switchover.postponed WHERE done_at IS NULL";
    let row = destination.query_one("count what is postponed", sql, &[])?;
    Ok(row.get(0))
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

/// Makes what is postponed: adds foreign keys, checks their rows in parallel, refreshes materialized
/// views. To be called when a cycle has been applied since the copy, and none is being applied.
///
/// # Errors
/// The connection is lost; a signal. What a single object meets is told in [`Completed::problems`].
pub fn complete(
    destination: &mut Session,
    run_token: &str,
    jobs: usize,
    stop: &Stop,
) -> Result<Completed> {
    let postponed = outstanding(destination)?;
    let mut completed = Completed::default();
    if postponed.is_empty() {
        return Ok(completed);
    }
    let hold = format!("{LOCK_TIMEOUT} {}", destination::hold(run_token));
    let mut session = destination.another("copy postponed")?;
    // Event triggers of the application have been created and are not meant for what we do.
    replica_role(&mut session)?;
    session.execute("prove that no other run is at work", &hold)?;
    let (mut keys, views): (Vec<_>, Vec<_>) = postponed
        .into_iter()
        .partition(|(_, one)| one.constraint.is_some());
    for (number, what) in [
        (keys.len(), "adding foreign keys"),
        (views.len(), "refreshing materialized views"),
    ] {
        if number > 0 {
            log::info!("{what}: {number}");
        }
    }
    add(&mut session, &mut keys, &mut completed, stop)?;
    validate(&session, &keys, jobs, &mut completed, stop)?;
    for (position, view) in &views {
        stop.check()?;
        let made = session.execute("refresh it", &view.statement);
        if keep(made, view, &mut completed)? {
            done(&mut session, *position)?;
            completed.materialized_views += 1;
        }
    }
    Ok(completed)
}

/// Notes a problem with one object and returns false, or fails if nothing more can be done.
fn keep(made: Result<()>, one: &Postponed, completed: &mut Completed) -> Result<bool> {
    match made {
        Ok(()) => Ok(true),
        Err(error) if error.connection_lost => Err(error),
        Err(error) => {
            let problem = format!("{} {}: {error}", one.kind, one.name);
            completed.problems.push(problem);
            Ok(false)
        }
    }
}

/// Adds the foreign keys that are not there yet; what cannot be added leaves the list.
fn add(
    session: &mut Session,
    keys: &mut Vec<(i32, Postponed)>,
    completed: &mut Completed,
    stop: &Stop,
) -> Result<()> {
    let mut added = Vec::new();
    for (position, key) in keys.drain(..) {
        stop.check()?;
        let there = session.query(
            "look for a foreign key",
            "SELECT FROM pg_catalog.pg_constraint con
              WHERE con.conname::text = $1 AND con.conrelid = $2::text::pg_catalog.regclass",
            &[&key.constraint, &key.relation().to_string()],
        )?;
        let version = session.version();
        let made = match there.is_empty() {
            true => session.execute("add it", &key.addition(version)),
            false => Ok(()),
        };
        if keep(made, &key, completed)? {
            added.push((position, key));
        }
    }
    *keys = added;
    Ok(())
}

/// Checks the rows of foreign keys; VALIDATE of a checked one does nothing.
fn validate(
    session: &Session,
    keys: &[(i32, Postponed)],
    jobs: usize,
    completed: &mut Completed,
    stop: &Stop,
) -> Result<()> {
    let queue = std::sync::Mutex::new(keys.iter());
    let shared = std::sync::Mutex::new(completed);
    let conninfo = session.conninfo();
    let work = |crew: &Crew<'_>, number: usize| {
        let mut session = crew.open(conninfo, Side::Destination, &format!("copy keys {number}"))?;
        replica_role(&mut session)?;
        while !crew.over() {
            let Some((position, key)) = lock(&queue).next() else {
                break;
            };
            let made = match (&key.constraint, key.validated) {
                (Some(constraint), true) => {
                    let sql = format!(
                        "ALTER TABLE {} VALIDATE CONSTRAINT {}",
                        key.relation(),
                        ident(constraint)
                    );
                    session.execute("check the rows", &sql)
                }
                _ => Ok(()),
            };
            crew.check()?;
            if keep(made, key, &mut lock(&shared))? {
                done(&mut session, *position)?;
                lock(&shared).foreign_keys += 1;
            }
        }
        Ok(())
    };
    run(jobs.min(keys.len()), stop, work, || {})
}

fn done(session: &mut Session, position: i32) -> Result<()> {
    let sql = format!(
        "UPDATE switchover.postponed SET done_at = pg_catalog.clock_timestamp() WHERE position = {position}"
    );
    session.execute("note what is done", &sql)
}

/// Lists what is not done yet, with its position.
fn outstanding(destination: &mut Session) -> Result<Vec<(i32, Postponed)>> {
    let sql = "SELECT position, kind, name, schema_name, table_name, constraint_name, statement,
                      comment, validated, partitioned
                 FROM switchover.postponed WHERE done_at IS NULL ORDER BY position";
    let rows = destination.query("list what is postponed", sql, &[])?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(partitioned: bool, statement: &str) -> Postponed {
        Postponed {
            kind: "foreign key".to_string(),
            oid: 0,
            name: "f".to_string(),
            schema: "s".to_string(),
            table: "t".to_string(),
            constraint: Some("f".to_string()),
            statement: statement.to_string(),
            comment: None,
            comment_tag: None,
            validated: true,
            partitioned,
            captured: true,
        }
    }

    #[test]
    fn rows_are_checked_apart_where_the_server_can() {
        let plain = key(false, "ADD f");
        assert_eq!(plain.addition(130_000), "ADD f NOT VALID;");
        let partitioned = key(true, "ADD f");
        assert_eq!(partitioned.addition(170_005), "ADD f;");
        assert_eq!(partitioned.addition(180_000), "ADD f NOT VALID;");
        let not_enforced = key(false, "ADD f NOT ENFORCED");
        assert_eq!(not_enforced.addition(180_000), "ADD f NOT ENFORCED;");
    }

    #[test]
    fn the_comment_follows_its_foreign_key() {
        let mut commented = key(false, "ADD f");
        commented.comment = Some("it's".to_string());
        assert_eq!(
            commented.addition(180_000),
            "ADD f NOT VALID; COMMENT ON CONSTRAINT \"f\" ON \"s\".\"t\" IS 'it''s';"
        );
    }
}
