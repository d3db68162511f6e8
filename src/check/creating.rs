//! What our roles need so that the source's schema can be dumped, and created on the destination.

use super::privileges::{grants, role, role_name};
use super::report::{named, relation_name};
use super::{Finding, Looked};
use crate::catalog::{self, Oid};
use crate::error::{Result, Side};
use crate::ident::QualifiedName;
use crate::session::Session;

/// Checks what dumping the source's schema and creating it takes.
pub(super) fn creation(source: &mut Looked, destination: &mut Looked, findings: &mut Vec<Finding>) {
    let tables = source.table_oids(false);
    let moved = source.table_oids(true);
    let Some(here) = role_name(source, findings) else {
        return;
    };
    source.find(findings, |session| undumped(session, &here, &moved));
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = 'public')
                   OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                               WHERE n.nspname = 'public')";
    let public = source.ask(findings, |session| {
        session.query_one("look into schema public", sql, &[])
    });
    let role = destination.ask(findings, role);
    if let (Some(public), Some(role)) = (public, role)
        && public.get(0)
        && !role.public_create
    {
        // Not everyone's from 15 on.
        findings.push(Finding::stops(
            Side::Destination,
            format!(
                "role {} may not create tables in schema public of the destination",
                role.name
            ),
            format!("GRANT CREATE ON SCHEMA public TO {} there", role.name),
        ));
    }
    let bound = destination.ask(findings, catalog::bound_role).flatten();
    let forced = source.ask(findings, |session| catalog::forced(session, &tables));
    if let (Some(role), Some(forced)) = (bound, forced)
        && !forced.is_empty()
    {
        let (message, mend) = catalog::forced_there(&role, &forced);
        findings.push(Finding::stops(Side::Destination, message, mend));
    }
}

/// `pg_dump` locks every table of the database, whichever are moved; those that are have a finding of
/// their own.
fn undumped(session: &mut Session, role: &str, moved: &[Oid]) -> Result<Vec<Finding>> {
    let sql = include_str!("sql/undumped.sql");
    let rows = session.query("list the tables that pg_dump reads", sql, &[&moved])?;
    let names: Vec<QualifiedName> = rows.iter().map(relation_name).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let closed: Vec<QualifiedName> = rows
        .iter()
        .filter(|row| !row.get::<_, bool>("usage"))
        .map(relation_name)
        .collect();
    Ok(vec![Finding::stops(
        Side::Source,
        format!(
            "role {role} may not read {} on the source, which pg_dump locks for --create-schema though {} not moved",
            named("table", &names),
            if names.len() == 1 {
                "it is"
            } else {
                "they are"
            }
        ),
        grants(role, &closed, "SELECT", "TABLE", &names),
    )])
}
