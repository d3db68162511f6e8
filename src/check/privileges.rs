//! What our role may do on either side.

use super::report::{named, relation_name};
use super::{Finding, Looked, writing};
use crate::catalog::{self, Oid, Relation};
use crate::error::{Result, Side};
use crate::ident::{QualifiedName, ident};
use crate::session::Session;

/// What our role may do in a database as a whole; the name is quoted.
pub(super) struct Role {
    pub(super) name: String,
    database: String,
    may_create: bool,
    may_temp: bool,
    plpgsql: bool,
    sees_others: bool,
    ends_others: bool,
    pub(super) public_create: bool,
    functions: Vec<String>,
}

/// Reads what our role may do.
pub(super) fn role(session: &mut Session) -> Result<Role> {
    let row = session.query_one("read our privileges", include_str!("sql/role.sql"), &[])?;
    Ok(Role {
        name: ident(row.get(0)),
        may_create: row.get(1),
        may_temp: row.get(2),
        plpgsql: row.get(3),
        sees_others: row.get(4),
        public_create: row.get(5),
        functions: row.get(6),
        ends_others: row.get(7),
        database: ident(row.get(8)),
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
    if !role.ends_others {
        findings.push(Finding::note(
            Side::Source,
            format!(
                "role {} may not end sessions of other roles on the source, so --terminate-blockers cannot",
                role.name
            ),
            format!("GRANT pg_signal_backend TO {} there", role.name),
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
            format!(
                "GRANT TEMPORARY ON DATABASE {} TO {} there",
                role.database, role.name
            ),
        ));
    }
    writing::owner_way(destination, &role.name, findings);
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

fn in_database(side: Side, role: &Role) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !role.may_create {
        findings.push(Finding::stops(
            side,
            format!(
                "role {} may not create schema switchover on the {side}",
                role.name
            ),
            format!(
                "GRANT CREATE ON DATABASE {} TO {} there",
                role.database, role.name
            ),
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
            format!(
                "GRANT EXECUTE ON FUNCTION {} TO {} there",
                role.functions.join(", "),
                role.name
            ),
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
        let schemas = pick(|table| !table.usage);
        let tables = pick(|table| !table.may_select);
        findings.push(Finding::stops(
            Side::Source,
            format!(
                "role {role} may not read {} on the source",
                named("table", &hidden)
            ),
            grants(role, &schemas, "SELECT", "TABLE", &tables),
        ));
    }
    findings.extend(policies(Side::Source, role, &privileges));
    Ok(findings)
}

fn tables_writable(session: &mut Session, role: &str, oids: &[Oid]) -> Result<Vec<Finding>> {
    let privileges = table_privileges(session, oids)?;
    let pick = |wanted: fn(&TablePrivileges) -> bool| pick(&privileges, wanted);
    let mut findings = Vec::new();
    let closed = pick(|table| !table.usage || !table.may_select || !table.may_write);
    if !closed.is_empty() {
        let schemas = pick(|table| !table.usage);
        let tables = pick(|table| !table.may_select || !table.may_write);
        let wanted = "SELECT, INSERT, DELETE, TRUNCATE";
        findings.push(Finding::stops(
            Side::Destination,
            format!(
                "role {role} may not load {} on the destination",
                named("table", &closed)
            ),
            grants(role, &schemas, wanted, "TABLE", &tables),
        ));
    }
    findings.extend(policies(Side::Destination, role, &privileges));
    Ok(findings)
}

/// Names listed in a GRANT; of more, whole schemas are named.
const GRANTED: usize = 20;

/// Returns the statements that grant what is missing: USAGE on the schemas of some relations, and
/// privileges on others.
pub(super) fn grants(
    role: &str,
    usage: &[QualifiedName],
    privileges: &str,
    kind: &str,
    relations: &[QualifiedName],
) -> String {
    let schemas = |names: &[QualifiedName]| {
        let mut schemas: Vec<String> = names.iter().map(|name| ident(&name.schema)).collect();
        schemas.dedup();
        schemas.join(", ")
    };
    let names: Vec<String> = relations.iter().map(ToString::to_string).collect();
    let mut statements = Vec::new();
    if !usage.is_empty() {
        statements.push(format!(
            "GRANT USAGE ON SCHEMA {} TO {role}",
            schemas(usage)
        ));
    }
    match names.len() {
        0 => {}
        1..=GRANTED => statements.push(format!(
            "GRANT {privileges} ON {kind} {} TO {role}",
            names.join(", ")
        )),
        _ => statements.push(format!(
            "GRANT {privileges} ON ALL {kind}S IN SCHEMA {} TO {role}",
            schemas(relations)
        )),
    }
    format!("{} there", statements.join(", "))
}

struct TablePrivileges {
    name: QualifiedName,
    usage: bool,
    may_select: bool,
    may_write: bool,
    policies: bool,
    owned: bool,
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
            owned: row.get("owned"),
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

fn policies(side: Side, role: &str, privileges: &[TablePrivileges]) -> Vec<Finding> {
    let one = |owned: bool| {
        let tables: Vec<QualifiedName> = privileges
            .iter()
            .filter(|table| table.policies && table.owned == owned)
            .map(|table| table.name.clone())
            .collect();
        (!tables.is_empty()).then(|| {
            Finding::stops(
                side,
                format!(
                    "row-level security of {} on the {side} applies to role {role} and hides rows from it",
                    named("table", &tables)
                ),
                catalog::no_force(role, &tables, owned),
            )
        })
    };
    [one(true), one(false)].into_iter().flatten().collect()
}

fn sequences_usable(session: &mut Session, role: &str, oids: &[Oid]) -> Result<Option<Finding>> {
    let side = session.side();
    let sql = include_str!("sql/sequence_privileges.sql");
    let rows = session.query("read our privileges on the sequences", sql, &[&oids])?;
    let (column, verb, privilege) = match side {
        Side::Source => ("may_select", "read", "SELECT"),
        Side::Destination => ("may_update", "set", "SELECT, UPDATE"),
    };
    let closed_rows = rows.iter().filter(|row| !row.get::<_, bool>(column));
    let closed: Vec<QualifiedName> = closed_rows.clone().map(relation_name).collect();
    let schemas: Vec<QualifiedName> = closed_rows
        .filter(|row| !row.get::<_, bool>("usage"))
        .map(relation_name)
        .collect();
    Ok((!closed.is_empty()).then(|| {
        Finding::stops(
            side,
            format!(
                "role {role} may not {verb} {} on the {side}",
                named("sequence", &closed)
            ),
            grants(role, &schemas, privilege, "SEQUENCE", &closed),
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

/// Our role on a side, quoted.
pub(super) fn role_name(looked: &mut Looked, findings: &mut Vec<Finding>) -> Option<String> {
    looked.ask(findings, role).map(|role| role.name)
}
