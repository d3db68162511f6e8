//! What else than rows the destination lacks or has otherwise.

use super::report::{named, relation_name};
use super::{CheckOptions, Finding, Looked};
use crate::catalog::Catalog;
use crate::catalog::objects::{self, Waiting};
use crate::copy;
use crate::error::{Result, Side};
use crate::ident::{QualifiedName, ident};
use crate::session::Session;

/// Compares the objects of both sides; `from` has what is moved and there. `ours` says that
/// `copy --create-schema` made the schema.
pub(super) fn compare(
    source: &mut Looked,
    destination: &mut Looked,
    (from, ours): (&Catalog, bool),
    options: &CheckOptions,
    findings: &mut Vec<Finding>,
) {
    let (Some(here), Some(there), Some(waiting)) = (
        source.ask(findings, objects::read),
        destination.ask(findings, objects::read),
        destination.ask(findings, waiting),
    ) else {
        return;
    };
    let all = options.selection.takes_all();
    let mut unlike = objects::unlike(&here, &there, from, all);
    // Extensions are compared by themselves.
    unlike.retain(|one| !one.waits(&waiting) && one.object.kind != "extension");
    let side = Side::Destination;
    for (line, mend) in objects::lines(&unlike, ours) {
        findings.push(Finding::spoils(side, line, mend));
    }
    destination.find(findings, foreign_views);
}

fn waiting(session: &mut Session) -> Result<Waiting> {
    let there = "SELECT pg_catalog.to_regclass('switchover.postponed') IS NOT NULL";
    if !session
        .query_one("look for the bookkeeping", there, &[])?
        .get::<_, bool>(0)
    {
        return Ok(Waiting::new());
    }
    copy::waiting(session)
}

/// Materialized views that `switch` would refresh in vain.
fn foreign_views(session: &mut Session) -> Result<Vec<Finding>> {
    let sql = include_str!("sql/foreign_views.sql");
    let rows = session.query("list the materialized views", sql, &[])?;
    let views: Vec<QualifiedName> = rows.iter().map(relation_name).collect();
    let Some(row) = rows.first() else {
        return Ok(Vec::new());
    };
    let owner = ident(row.get("owner"));
    Ok(vec![Finding::spoils(
        session.side(),
        format!(
            "our role may not refresh {} on the destination, of role {owner}",
            named("materialized view", &views)
        ),
        format!("GRANT {owner} TO our role there, or let its owner REFRESH it before the switch"),
    )])
}
