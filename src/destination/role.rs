//! How the sessions that write rows stand on the destination: what they wait for, and what keeps
//! triggers, rules and foreign keys from acting on the rows.
//!
//! In the replica role ordinary ones do not act at all. Where the role may not have it, the session
//! writes as the tables' owner: each transaction switches off the triggers and rules of the tables it
//! writes and puts them back before its commit, so that no crash can leave them off, and the foreign
//! keys are away from `copy` to the final cycle (see `copy::foreign_keys`).

use crate::error::Result;
use crate::ident::{QualifiedName, literal};
use crate::session::{Session, text};

/// How long a lock of somebody else on a table is waited for.
pub const LOCK_TIMEOUT: &str = "SET lock_timeout = '60s';";

/// Only trying tells: superusers may, from 15 on those to whom SET was granted, and on managed services
/// whoever their patches let. A setting that is there already, for the role or for the database, needs
/// no privilege. A refusal that is caught here does not fill the server's log.
const TRY_REPLICA: &str = "DO $$ BEGIN
    IF pg_catalog.current_setting('session_replication_role') <> 'replica' THEN
        SET session_replication_role = replica;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $$;
SELECT pg_catalog.current_setting('session_replication_role');";

/// What keeps triggers and foreign keys of the destination from acting on what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `session_replication_role = replica`.
    Replica,
    /// The tables' owner switches triggers off and takes foreign keys away.
    Owner,
}

/// Prepares a session of a run for writing rows, in the way that its role may go, and bounds its waits.
/// The token is what the guard lets it pass by where that fires: see `guarded`.
///
/// # Errors
/// As the server says.
pub fn writer(session: &mut Session, run: &str) -> Result<Way> {
    let pass = format!("SET switchover.run = {};", literal(run));
    tried(session, &format!("{LOCK_TIMEOUT} {pass} {TRY_REPLICA}"))
}

/// Says which way [`writer`] will go, and changes nothing.
///
/// # Errors
/// As the server says.
pub fn way(session: &mut Session) -> Result<Way> {
    tried(session, &format!("BEGIN; {TRY_REPLICA} ROLLBACK;"))
}

/// As [`way`], in a transaction of the caller's that is going to be rolled back.
///
/// # Errors
/// As the server says.
pub fn way_in_transaction(session: &mut Session) -> Result<Way> {
    tried(session, TRY_REPLICA)
}

fn tried(session: &mut Session, sql: &str) -> Result<Way> {
    let rows = session.simple("see whether triggers can be switched off", sql)?;
    let role = rows.first().map(|row| text(row, 0));
    Ok(match role {
        Some("replica") => Way::Replica,
        _ => Way::Owner,
    })
}

/// Returns what lets a role of a server write without touching triggers and foreign keys; `role` is
/// quoted.
pub fn grant(version: i32, role: &str) -> String {
    if version >= 150_000 {
        format!("GRANT SET ON PARAMETER session_replication_role TO {role} there")
    } else {
        "connect to the destination as a superuser (PostgreSQL 15 and later know a GRANT for it)"
            .to_string()
    }
}

/// Returns the statement that comes before the first row that a transaction writes into these tables.
/// [`restore`] belongs before its commit.
pub fn silence<'a>(tables: impl IntoIterator<Item = &'a QualifiedName>) -> String {
    let names: Vec<String> = tables
        .into_iter()
        .map(|name| literal(&name.to_string()))
        .collect();
    match names.len() {
        0 => String::new(),
        _ => format!("SELECT switchover.silence(ARRAY[{}]);\n", names.join(",")),
    }
}

/// Returns the statement that puts back what [`silence`] has switched off.
pub fn restore() -> &'static str {
    "SELECT switchover.restore();\n"
}

/// Returns those of the tables with something that [`silence`] switches off: each transaction that
/// writes them locks every other one out.
///
/// # Errors
/// As the server says.
pub fn silenced(
    session: &mut Session,
    way: Way,
    tables: &[&QualifiedName],
) -> Result<Vec<QualifiedName>> {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let sql = "SELECT DISTINCT n.nspname::text, c.relname::text
                 FROM switchover.acting($1::text[]::pg_catalog.regclass[]::pg_catalog.oid[], $2) a
                 JOIN pg_catalog.pg_class c ON c.oid = a.root
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
    let rows = session.query("list the triggers", sql, &[&names, &(way == Way::Replica)])?;
    let name =
        |row: &postgres::Row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
    Ok(rows.iter().map(name).collect())
}
