//! Refreshes the destination's materialized views. No trigger tells when one is refreshed on the source, so
//! their contents are not carried over; what they read is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, Oid};
use crate::destination::LOCK_TIMEOUT;
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::session::Session;
use crate::stop::Stop;

/// How long one view may take before it is left as it is.
const STATEMENT_TIMEOUT: &str = "SET statement_timeout = '10min';";

/// What [`refresh`] came to.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Views refreshed.
    pub views: usize,
    /// Time for all.
    pub time: Duration,
    /// Statements that have failed, each with the reason.
    pub problems: Vec<(String, String)>,
}

/// Refreshes every materialized view of the destination that is populated on the source and reads moved
/// tables, directly or through other views; with `all`, every one that is populated.
///
/// # Errors
/// The connection is lost; a signal.
pub fn refresh(
    source: &mut Session,
    destination: &Session,
    catalog: &Catalog,
    all: bool,
    stop: &Stop,
) -> Result<Refreshed> {
    let began = Instant::now();
    let tables: Vec<Oid> = catalog
        .relations
        .iter()
        .flat_map(|one| one.partitions.iter().map(|part| part.oid).chain([one.oid]))
        .collect();
    let moved = (!all).then_some(tables);
    let sql = include_str!("views.sql");
    let rows = source.query("list the materialized views", sql, &[&moved])?;
    let mut refreshed = Refreshed::default();
    if rows.is_empty() {
        return Ok(refreshed);
    }
    let mut session = destination.another("switch views")?;
    let there = present(&mut session)?;
    session.execute(
        "bound the waits",
        &format!("{LOCK_TIMEOUT} {STATEMENT_TIMEOUT}"),
    )?;
    for row in rows {
        let name = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
        if !there.contains(&name) {
            continue;
        }
        stop.check()?;
        let statement = format!("REFRESH MATERIALIZED VIEW {name}");
        match session.execute(&format!("refresh materialized view {name}"), &statement) {
            Ok(()) => refreshed.views += 1,
            Err(error) if error.connection_lost => return Err(error),
            Err(error) => refreshed.problems.push((statement, error.to_string())),
        }
    }
    refreshed.time = began.elapsed();
    Ok(refreshed)
}

fn present(destination: &mut Session) -> Result<BTreeSet<QualifiedName>> {
    let sql = "SELECT n.nspname::text, c.relname::text
                 FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind = 'm'";
    let rows = destination.query("list the materialized views", sql, &[])?;
    let name =
        |row: &postgres::Row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
    Ok(rows.iter().map(name).collect())
}
