//! Foreign keys of the destination while rows are written by a role that may not set
//! `session_replication_role`: they would act on the rows, refuse them or take others along, so they are
//! away from `copy` to the final cycle.
//!
//! Each is noted in `switchover.postponed` by the transaction that drops it. The final cycle makes them
//! all again, NOT VALID, which reads no row; their rows are checked after the flip, beside the
//! applications. Where the flip did not follow, the next command takes them away once more.

use postgres::error::SqlState;

use super::noted::outstanding;
use super::postponed::{Kind, Postponed};
use crate::destination;
use crate::error::{Error, Result};
use crate::ident::{QualifiedName, ident, literal};
use crate::session::Session;

/// Foreign keys dropped in one transaction: each takes locks on two tables.
const PER_TRANSACTION: usize = 50;

/// Takes away the foreign keys from and to the moved tables; returns how many were there.
///
/// # Errors
/// One cannot be made again without reading all rows; as the server says. What is away by then is
/// noted.
pub fn take_away(session: &mut Session, moved: &[&QualifiedName], run: &str) -> Result<usize> {
    let here = acting(session, moved)?;
    let here: Vec<Postponed> = here.into_iter().map(|one| one.key).collect();
    refuse_slow(session, &here)?;
    for some in here.chunks(PER_TRANSACTION) {
        let mut sql = String::from("BEGIN;\n");
        for key in some {
            sql.push_str(&note(key));
            sql.push_str(&removal(key));
        }
        sql.push_str(&destination::hold(run));
        sql.push_str("COMMIT;");
        let what = "take foreign keys away until the switch";
        if let Err(error) = session.transaction(what, &sql) {
            return Err(match error.is(&SqlState::INSUFFICIENT_PRIVILEGE) {
                true => error.mend(format!(
                    "connect as the tables' owner, or {}",
                    grant(session)?
                )),
                false => error,
            });
        }
    }
    if !here.is_empty() {
        log::debug!("took {} foreign keys away", here.len());
    }
    Ok(here.len())
}

/// Returns the statements with which the final cycle makes again what is away; none reads a row.
///
/// # Errors
/// One cannot be made without that; as the server says.
pub fn additions(session: &mut Session) -> Result<Vec<String>> {
    let keys: Vec<Postponed> = outstanding(session, Kind::ForeignKeys)?
        .into_iter()
        .map(|(_, key)| key)
        .collect();
    refuse_slow(session, &keys)?;
    let version = session.version();
    let there = Postponed::exist(session, keys.iter())?;
    let missing = keys.iter().zip(there).filter(|(_, there)| !there);
    Ok(missing.map(|(key, _)| key.addition(version)).collect())
}

/// Makes what [`additions`] returned and takes it back: what is wrong with it is better known before
/// the window.
///
/// # Errors
/// As the server says.
pub fn rehearse(session: &mut Session, additions: &[String]) -> Result<()> {
    if additions.is_empty() {
        return Ok(());
    }
    let sql = format!("BEGIN;\n{}\nROLLBACK;", additions.join("\n"));
    session.transaction("make the foreign keys again", &sql)
}

/// Refuses foreign keys of `keys` that a server of this version can only make by checking all rows.
///
/// # Errors
/// Names the first.
pub fn refuse_slow(session: &mut Session, keys: &[Postponed]) -> Result<()> {
    let version = session.version();
    let slow_one = |key: &&Postponed| key.captured && key.is_checked_at_once(version);
    let Some(key) = keys.iter().find(slow_one) else {
        return Ok(());
    };
    let grant = grant(session)?;
    Err(Error::failed(slow(&key.name, version)).mend(grant))
}

/// Returns what would make all this unnecessary.
fn grant(session: &mut Session) -> Result<String> {
    let sql = "SELECT current_user::text";
    let role: String = session.query_one("read our role", sql, &[])?.get(0);
    Ok(destination::grant(session.version(), &ident(&role)))
}

/// Says why a foreign key of a partitioned table is in the way.
pub fn slow(name: &str, version: i32) -> String {
    format!(
        "foreign key {name} is of a partitioned table, which PostgreSQL {} on the destination cannot make again without checking all rows, and our role may not set session_replication_role there",
        version / 10_000
    )
}

/// A foreign key that would act on moved rows.
pub struct Acting {
    /// As it is noted.
    key: Postponed,
    /// For messages.
    pub name: String,
    /// The owner of its table.
    pub owner: String,
    /// Our role may drop it.
    pub owned: bool,
}

impl Acting {
    /// True if a server of this version makes it only by checking all rows at once.
    pub fn is_checked_at_once(&self, version: i32) -> bool {
        self.key.is_checked_at_once(version)
    }
}

/// Lists the foreign keys from and to the moved tables.
///
/// # Errors
/// As the server says.
pub fn acting(session: &mut Session, moved: &[&QualifiedName]) -> Result<Vec<Acting>> {
    let (schemas, names): (Vec<&str>, Vec<&str>) = moved
        .iter()
        .map(|name| (name.schema.as_str(), name.name.as_str()))
        .unzip();
    let sql = include_str!("foreign_keys.sql");
    let rows = session.query("list the foreign keys", sql, &[&schemas, &names])?;
    Ok(rows
        .iter()
        .map(|row| Acting {
            name: row.get("name"),
            owner: row.get("owner"),
            owned: row.get("owned"),
            key: Postponed::from_row(row),
        })
        .collect())
}

/// One that a final cycle without a flip has made is not valid yet, and was before.
fn note(key: &Postponed) -> String {
    let constraint = literal(key.constraint.as_deref().unwrap_or_default());
    let comment = match &key.comment {
        Some(comment) => literal(comment),
        None => "NULL".to_string(),
    };
    let (schema, table) = (literal(&key.schema), literal(&key.table));
    let (statement, validated) = (literal(&key.statement), key.validated);
    let partitioned = key.partitioned;
    let same = format!(
        "p.schema_name = {schema} AND p.table_name = {table} AND p.constraint_name = {constraint}"
    );
    format!(
        "UPDATE switchover.postponed p
            SET statement = {statement}, comment = {comment}, partitioned = {partitioned},
                validated = {validated} OR (p.validated AND p.done_at IS NULL),
                done_at = NULL, taken = true
          WHERE {same};
         INSERT INTO switchover.postponed (position, kind, name, schema_name, table_name,
                constraint_name, statement, comment, validated, partitioned, taken)
         SELECT (SELECT COALESCE(pg_catalog.max(p.position), 0) + 1 FROM switchover.postponed p),
                'foreign key', {}, {schema}, {table}, {constraint}, {statement}, {comment},
                {validated}, {partitioned}, true
          WHERE NOT EXISTS (SELECT FROM switchover.postponed p WHERE {same});\n",
        literal(&key.name)
    )
}

fn removal(key: &Postponed) -> String {
    let only = if key.partitioned { "" } else { " ONLY" };
    format!(
        "ALTER TABLE{only} {} DROP CONSTRAINT {};\n",
        key.relation(),
        ident(key.constraint.as_deref().unwrap_or_default())
    )
}
