//! What our role may do on either side.

use postgres::error::SqlState;

use super::report::{named, relation_name};
use super::{Finding, Looked};
use crate::catalog::{Oid, Relation};
use crate::error::{Result, Side};
use crate::ident::{QualifiedName, ident};
use crate::session::Session;

/// What our role may do in a database as a whole.
struct Role {
    name: String,
    may_create: bool,
    may_temp: bool,
    plpgsql: bool,
    sees_others: bool,
    public_create: bool,
    functions: Vec<String>,
}

fn role(session: &mut Session) -> Result<Role> {
    let row = session.query_one("read our privileges", include_str!("sql/role.sql"), &[])?;
    Ok(Role {
        name: ident(row.get(0)),
        may_create: row.get(1),
        may_temp: row.get(2),
        plpgsql: row.get(3),
        sees_others: row.get(4),
        public_create: row.get(5),
        functions: row.get(6),
    })
}

/// Checks what init, sync and switch need on the source.
pub(super) fn source(source: &mut Looked, findings: &mut Vec<Finding>) {
    let Some(role) = source.ask(findings, role) else {
        return;
    };
    findings.extend(in_database(Side::Source, &role));
    if !role.sees_others {
        findings.push(Finding::note(
            Side::Source,
            format!(
                "role {} cannot see what other roles run on the source, so who blocks is shown by pid only",
                role.name
            ),
            format!("GRANT pg_read_all_stats TO {} there", role.name),
        ));
    }
    if let Some(catalog) = &source.catalog {
        let all: Vec<&Relation> = catalog.relations.iter().collect();
        findings.extend(ownership(Side::Source, &role, &all));
    }
    let (tables, sequences) = (source.table_oids(true), sequence_oids(source));
    let role = &role.name;
    source.find(findings, |session| {
        let mut found = tables_readable(session, role, &tables)?;
        found.extend(sequences_usable(session, role, &sequences)?);
        Ok(found)
    });
}

/// Checks what every command but `check` needs on the destination, whatever tables are there.
pub(super) fn destination_role(destination: &mut Looked, findings: &mut Vec<Finding>) {
    let Some(role) = destination.ask(findings, role) else {
        return;
    };
    findings.extend(in_database(Side::Destination, &role));
    if !role.may_temp {
        findings.push(Finding::stops(
            Side::Destination,
            format!(
                "role {} may not create temporary tables on the destination",
                role.name
            ),
            format!("GRANT TEMPORARY ON DATABASE … TO {} there", role.name),
        ));
    }
    findings.extend(replication_role(destination, &role));
}

/// Checks the tables and sequences of the destination that rows will be written into.
pub(super) fn destination_tables(
    destination: &mut Looked,
    tables: &[&Relation],
    sequences: &[Oid],
    findings: &mut Vec<Finding>,
) {
    let Some(role) = destination.ask(findings, role) else {
        return;
    };
    findings.extend(ownership(Side::Destination, &role, tables));
    let oids: Vec<Oid> = tables.iter().map(|relation| relation.oid).collect();
    let role = &role.name;
    destination.find(findings, |session| {
        let mut found = tables_writable(session, role, &oids)?;
        found.extend(sequences_usable(session, role, sequences)?);
        Ok(found)
    });
}

/// Checks what creating the schema needs: `public` is not everyone's from 15 on.
pub(super) fn destination_schema(
    destination: &mut Looked,
    public: bool,
    findings: &mut Vec<Finding>,
) {
    let Some(role) = destination.ask(findings, role) else {
        return;
    };
    if public && !role.public_create {
        findings.push(Finding::stops(
            Side::Destination,
            format!(
                "role {} may not create tables in schema public of the destination",
                role.name
            ),
            format!("GRANT CREATE ON SCHEMA public TO {} there", role.name),
        ));
    }
}

fn in_database(side: Side, role: &Role) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !role.may_create {
        findings.push(Finding::stops(
            side,
            format!(
                "role {} may not create schema switchover on the {side}",
                role.name
            ),
            format!("GRANT CREATE ON DATABASE … TO {} there", role.name),
        ));
    }
    if !role.plpgsql {
        findings.push(Finding::stops(
            side,
            format!(
                "role {} may not write functions in plpgsql on the {side}",
                role.name
            ),
            format!(
                "CREATE EXTENSION plpgsql there, and GRANT USAGE ON LANGUAGE plpgsql TO {}",
                role.name
            ),
        ));
    }
    if !role.functions.is_empty() {
        findings.push(Finding::stops(
            side,
            format!(
                "role {} may not call {} on the {side}",
                role.name,
                named("function", &role.functions)
            ),
            format!("GRANT EXECUTE ON FUNCTION … TO {} there", role.name),
        ));
    }
    findings
}

/// Groups the tables that are not ours by their owner.
fn ownership(side: Side, role: &Role, relations: &[&Relation]) -> Vec<Finding> {
    let mut owners: Vec<&str> = Vec::new();
    for relation in relations.iter().filter(|relation| !relation.owned) {
        if !owners.contains(&relation.owner.as_str()) {
            owners.push(&relation.owner);
        }
    }
    let why = match side {
        Side::Source => "capture triggers need",
        Side::Destination => "copy needs",
    };
    owners
        .into_iter()
        .map(|owner| {
            let theirs: Vec<String> = relations
                .iter()
                .filter(|relation| !relation.owned && relation.owner == owner)
                .map(|relation| relation.name.to_string())
                .collect();
            let owner = ident(owner);
            Finding::stops(
                side,
                format!(
                    "{} on the {side} {} to role {owner}, and {why} the owner",
                    named("table", &theirs),
                    if theirs.len() == 1 {
                        "belongs"
                    } else {
                        "belong"
                    }
                ),
                format!(
                    "connect as its owner or as a superuser, or GRANT {owner} TO {} there",
                    role.name
                ),
            )
        })
        .collect()
}

fn tables_readable(session: &mut Session, role: &str, oids: &[Oid]) -> Result<Vec<Finding>> {
    let privileges = table_privileges(session, oids)?;
    let pick = |wanted: fn(&TablePrivileges) -> bool| pick(&privileges, wanted);
    let mut findings = Vec::new();
    let hidden = pick(|table| !table.usage || !table.may_select);
    if !hidden.is_empty() {
        findings.push(Finding::stops(
            Side::Source,
            format!(
                "role {role} may not read {} on the source",
                named("table", &hidden)
            ),
            format!("GRANT USAGE ON SCHEMA …, and SELECT ON …, TO {role} there"),
        ));
    }
    findings.extend(policies(Side::Source, role, &pick(|table| table.policies)));
    Ok(findings)
}

fn tables_writable(session: &mut Session, role: &str, oids: &[Oid]) -> Result<Vec<Finding>> {
    let privileges = table_privileges(session, oids)?;
    let pick = |wanted: fn(&TablePrivileges) -> bool| pick(&privileges, wanted);
    let mut findings = Vec::new();
    let closed = pick(|table| !table.usage || !table.may_select || !table.may_write);
    if !closed.is_empty() {
        findings.push(Finding::stops(
            Side::Destination,
            format!("role {role} may not load {} on the destination", named("table", &closed)),
            format!(
                "GRANT USAGE ON SCHEMA …, and SELECT, INSERT, DELETE, TRUNCATE ON …, TO {role} there"
            ),
        ));
    }
    findings.extend(policies(
        Side::Destination,
        role,
        &pick(|table| table.policies),
    ));
    Ok(findings)
}

struct TablePrivileges {
    name: QualifiedName,
    usage: bool,
    may_select: bool,
    may_write: bool,
    policies: bool,
}

fn table_privileges(session: &mut Session, oids: &[Oid]) -> Result<Vec<TablePrivileges>> {
    let sql = include_str!("sql/table_privileges.sql");
    let rows = session.query("read our privileges on the tables", sql, &[&oids])?;
    Ok(rows
        .iter()
        .map(|row| TablePrivileges {
            name: relation_name(row),
            usage: row.get("usage"),
            may_select: row.get("may_select"),
            may_write: row.get("may_write"),
            policies: row.get("policies"),
        })
        .collect())
}

fn pick(
    privileges: &[TablePrivileges],
    wanted: fn(&TablePrivileges) -> bool,
) -> Vec<QualifiedName> {
    privileges
        .iter()
        .filter(|table| wanted(table))
        .map(|table| table.name.clone())
        .collect()
}

fn policies(side: Side, role: &str, tables: &[QualifiedName]) -> Option<Finding> {
    (!tables.is_empty()).then(|| {
        Finding::stops(
            side,
            format!(
                "row-level security of {} on the {side} applies to role {role} and hides rows from it",
                named("table", tables)
            ),
            format!("ALTER ROLE {role} BYPASSRLS there, or ALTER TABLE … NO FORCE ROW LEVEL SECURITY if it is the owner"),
        )
    })
}

fn sequences_usable(session: &mut Session, role: &str, oids: &[Oid]) -> Result<Option<Finding>> {
    let side = session.side();
    let sql = include_str!("sql/sequence_privileges.sql");
    let rows = session.query("read our privileges on the sequences", sql, &[&oids])?;
    let (column, verb, privilege) = match side {
        Side::Source => ("may_select", "read", "SELECT"),
        Side::Destination => ("may_update", "set", "UPDATE"),
    };
    let closed: Vec<QualifiedName> = rows
        .iter()
        .filter(|row| !row.get::<_, bool>(column))
        .map(relation_name)
        .collect();
    Ok((!closed.is_empty()).then(|| {
        Finding::stops(
            side,
            format!(
                "role {role} may not {verb} {} on the {side}",
                named("sequence", &closed)
            ),
            format!("GRANT {privilege} ON SEQUENCE … TO {role} there"),
        )
    }))
}

fn sequence_oids(looked: &Looked) -> Vec<Oid> {
    looked.catalog.as_ref().map_or_else(Vec::new, |catalog| {
        catalog
            .sequences
            .iter()
            .map(|sequence| sequence.oid)
            .collect()
    })
}

/// Only trying tells: superusers may, from 15 on those to whom SET was granted, and on managed
/// services whoever their patches let.
fn replication_role(destination: &mut Looked, role: &Role) -> Option<Finding> {
    let tried = destination.try_ask(|session| {
        session.execute(
            "set session_replication_role",
            "SET LOCAL session_replication_role = replica",
        )
    });
    let error = tried.err()?;
    if !error.is(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return Some(Finding::failure(Side::Destination, error));
    }
    let mend = if destination.session.version() >= 150_000 {
        format!(
            "GRANT SET ON PARAMETER session_replication_role TO {} there, or connect as a superuser",
            role.name
        )
    } else {
        "connect to the destination as a superuser".to_string()
    };
    Some(Finding::stops(
        Side::Destination,
        format!(
            "role {} may not set session_replication_role on the destination",
            role.name
        ),
        mend,
    ))
}
