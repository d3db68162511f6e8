//! What `--create-schema` can only make once the destination's data is of one snapshot: foreign keys,
//! which would find children without parents, and the contents of materialized views.
//!
//! Each table is copied in a snapshot of its own. The first cycle after the copy makes the whole
//! consistent, and [`complete`] belongs behind it. It may be run again at any time. Foreign keys that are
//! away while rows are written wait for the final cycle instead, see `foreign_keys`.

use std::time::Duration;

use crate::destination::{self, writer};
use crate::error::{Result, Side};
use crate::ident::{QualifiedName, ident, literal};
use crate::lock as courtesy;
use crate::session::Session;
use crate::stop::Stop;

use super::crew::{Crew, lock, run};
use super::noted::{done, noting, outstanding};

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

/// Which of the postponed objects are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All of them.
    Everything,
    /// Foreign keys.
    ForeignKeys,
    /// Foreign keys that were here before us.
    Taken,
    /// Materialized views.
    Views,
}

/// What [`complete`] is to do.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The objects.
    pub kind: Kind,
    /// Makes foreign keys that are not there. On a destination that is in charge they were all made, so
    /// that one which is not there was dropped by somebody since.
    pub add: bool,
    /// Parallel sessions that check rows.
    pub jobs: usize,
    /// The longest that anybody may wait for what they read.
    pub lock_timeout: Duration,
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
        Ok(rows.iter().map(Postponed::from_row).collect())
    }

    /// Takes a row of a catalog's list, ours or that of `foreign_keys`.
    pub(super) fn from_row(row: &postgres::Row) -> Postponed {
        Postponed {
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
        }
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
    pub(super) fn addition(&self, version: i32) -> String {
        let at_once = self.is_checked_at_once(version) || !self.enforced();
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

    /// True if a server of this version makes the foreign key only by checking all rows at once.
    pub fn is_checked_at_once(&self, version: i32) -> bool {
        self.partitioned && version < NOT_VALID_ON_PARTITIONED && self.enforced()
    }

    fn enforced(&self) -> bool {
        !self.statement.ends_with(" NOT ENFORCED")
    }

    /// Looks which of the foreign keys are on the destination; an answer for each.
    pub(super) fn exist<'a>(
        destination: &mut Session,
        keys: impl Iterator<Item = &'a Postponed>,
    ) -> Result<Vec<bool>> {
        let (names, tables): (Vec<_>, Vec<_>) = keys
            .map(|key| (key.constraint.as_deref(), key.relation().to_string()))
            .unzip();
        let rows = destination.query(
            "look for the foreign keys",
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint con
                             WHERE con.conname::text = k.name
                               AND con.conrelid = pg_catalog.to_regclass(k.relation)::pg_catalog.oid)
               FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]))
                    WITH ORDINALITY AS k (name, relation, number)
              ORDER BY k.number",
            &[&names, &tables],
        )?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub(super) fn relation(&self) -> QualifiedName {
        QualifiedName::new(self.schema.as_str(), self.table.as_str())
    }
}

/// Makes what is postponed: adds foreign keys, checks their rows in parallel, refreshes materialized
/// views. To be called when a cycle has been applied since the copy, and none is being applied.
///
/// # Errors
/// The connection is lost; a signal. What a single object meets is told in [`Completed::problems`].
pub fn complete(
    destination: &mut Session,
    run_token: &str,
    wanted: Wanted,
    stop: &Stop,
) -> Result<Completed> {
    let postponed = outstanding(destination, wanted.kind)?;
    let mut completed = Completed::default();
    if postponed.is_empty() {
        return Ok(completed);
    }
    let mut session = destination.another("copy postponed")?;
    // Event triggers of the application have been created and are not meant for what we do.
    writer(&mut session, run_token)?;
    let hold = destination::hold(run_token);
    session.execute("prove that no other run is at work", &hold)?;
    session.commit_later()?;
    let (mut keys, views): (Vec<_>, Vec<_>) = postponed
        .into_iter()
        .partition(|(_, one)| one.constraint.is_some());
    for (number, what) in [
        (
            keys.len(),
            if wanted.add {
                "adding foreign keys"
            } else {
                "checking the rows of foreign keys"
            },
        ),
        (views.len(), "refreshing materialized views"),
    ] {
        if number > 0 {
            log::info!("{what}: {number}");
        }
    }
    add(&mut session, &mut keys, wanted.add, &mut completed, stop)?;
    if !keys.is_empty() {
        // Before the flip nobody but us writes here; after it, applications work with what is checked.
        let _giving_way = courtesy::give_way(&session, wanted.lock_timeout)?;
        let jobs = wanted.jobs;
        validate(&session, run_token, &keys, jobs, &mut completed, stop)?;
    }
    for (position, view) in &views {
        stop.check()?;
        let made = session.execute("refresh it", &view.statement);
        if keep(made, view, &mut completed)? {
            done(&mut session, *position)?;
            completed.materialized_views += 1;
        }
    }
    // What has been made, and noted, is not taken back by a crash from here on.
    let last = "UPDATE switchover.state SET copied_at = copied_at";
    destination.execute("make sure of what was made", last)?;
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
    missing: bool,
    completed: &mut Completed,
    stop: &Stop,
) -> Result<()> {
    let mut added = Vec::new();
    let there = Postponed::exist(session, keys.iter().map(|(_, key)| key))?;
    for ((position, key), there) in keys.drain(..).zip(there) {
        stop.check()?;
        let version = session.version();
        let made = match (there, missing) {
            (true, _) => Ok(()),
            (false, true) => session.execute("add it", &key.addition(version)),
            (false, false) => {
                log::warn!("foreign key {} is not there any more", key.name);
                done(session, position)?;
                continue;
            }
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
    run_token: &str,
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
        writer(&mut session, run_token)?;
        session.commit_later()?;
        while !crew.over() {
            let Some((position, key)) = lock(&queue).next() else {
                break;
            };
            let validation = match (&key.constraint, key.validated) {
                (Some(constraint), true) => format!(
                    "ALTER TABLE {} VALIDATE CONSTRAINT {};",
                    key.relation(),
                    ident(constraint)
                ),
                _ => String::new(),
            };
            let sql = format!("{validation} {}", noting(*position));
            let made = check(&mut session, crew, (&key.name, &sql));
            crew.check()?;
            if keep(made, key, &mut lock(&shared))? {
                lock(&shared).foreign_keys += 1;
            }
        }
        Ok(())
    };
    run(jobs.min(keys.len()), stop, work, || {})
}

/// Applications may work with the table by now, and somebody may want to alter it.
fn check(session: &mut Session, crew: &Crew<'_>, (name, sql): (&str, &str)) -> Result<()> {
    let mut attempt = 1;
    loop {
        match session.execute("check the rows", sql) {
            Err(error)
                if attempt < courtesy::GIVE_WAY
                    && courtesy::gave_way(&error)
                    && !session.is_closed()
                    && !crew.over() =>
            {
                log::info!("checking foreign key {name} gave way, and begins again: {error}");
                attempt += 1;
            }
            other => return other,
        }
    }
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
