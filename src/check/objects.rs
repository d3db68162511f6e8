//! What tables need around them: extensions, roles, tablespaces; and what watches our DDL.

use std::collections::{BTreeMap, HashMap};

use super::report::named;
use super::{CheckOptions, Finding, Looked};
use crate::catalog::{Catalog, Oid};
use crate::error::{Result, Side};
use crate::ident::ident;
use crate::session::Session;

/// Checks what needs to see both sides.
pub(super) fn compare(
    source: &mut Looked,
    destination: &mut Looked,
    options: &CheckOptions,
    findings: &mut Vec<Finding>,
) {
    leftovers(source, destination, findings);
    compare_extensions(source, destination, options.create_schema, findings);
    if options.create_schema {
        if !options.no_owner {
            compare_roles(source, destination, options, findings);
        }
        compare_tablespaces(source, destination, findings);
    }
}

struct Available {
    version: String,
    superuser: bool,
    installed: bool,
}

fn compare_extensions(
    source: &mut Looked,
    destination: &mut Looked,
    create_schema: bool,
    findings: &mut Vec<Finding>,
) {
    let (Some(used), Some(available)) = (
        source.ask(findings, extensions),
        destination.ask(findings, available),
    ) else {
        return;
    };
    let superuser = destination
        .catalog
        .as_ref()
        .is_some_and(|catalog| catalog.database.superuser);
    for (name, version, holds_rows) in used {
        let there = available.get(&name);
        findings.extend(extension(&name, &version, there, create_schema, superuser));
        if holds_rows {
            findings.push(Finding::note(
                Side::Source,
                format!(
                    "extension {} may keep rows in tables of its own, which are not moved",
                    ident(&name)
                ),
                "see to them on the destination by hand",
            ));
        }
    }
}

fn extensions(session: &mut Session) -> Result<Vec<(String, String, bool)>> {
    let sql = include_str!("sql/extensions.sql");
    let rows = session.query("list the extensions", sql, &[])?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect())
}

fn available(session: &mut Session) -> Result<HashMap<String, Available>> {
    let sql = include_str!("sql/available.sql");
    let rows = session.query("list the available extensions", sql, &[])?;
    Ok(rows
        .iter()
        .map(|row| {
            let available = Available {
                version: row.get::<_, Option<String>>(1).unwrap_or_default(),
                superuser: row.get(2),
                installed: row.get(3),
            };
            (row.get(0), available)
        })
        .collect())
}

fn extension(
    name: &str,
    version: &str,
    there: Option<&Available>,
    create_schema: bool,
    superuser: bool,
) -> Option<Finding> {
    let side = Side::Destination;
    let quoted = ident(name);
    let Some(there) = there else {
        let message =
            format!("extension {quoted} of the source is not available on the destination");
        let mend = "install its package on that server";
        return Some(if create_schema {
            Finding::stops(side, message, mend)
        } else {
            // Tables that use it are compared by themselves.
            Finding::spoils(side, message, mend)
        });
    };
    if there.installed {
        return None;
    }
    if !create_schema {
        return Some(Finding::spoils(
            side,
            format!(
                "extension {quoted} of the source is not installed in the destination database"
            ),
            format!("CREATE EXTENSION {quoted} there"),
        ));
    }
    if there.superuser && !superuser {
        return Some(Finding::spoils(
            side,
            format!(
                "extension {quoted} of the source can be created on the destination by a superuser only"
            ),
            format!("let one run CREATE EXTENSION {quoted} there first"),
        ));
    }
    (there.version != version).then(|| {
        Finding::note(
            side,
            format!(
                "extension {quoted} is of version {version} on the source and will be {} on the destination",
                there.version
            ),
            "",
        )
    })
}

/// Owners, grantees and roles that policies name, which `pg_restore` expects to exist.
fn compare_roles(
    source: &mut Looked,
    destination: &mut Looked,
    options: &CheckOptions,
    findings: &mut Vec<Finding>,
) {
    let Some(catalog) = &source.catalog else {
        return;
    };
    let owners: Vec<String> = catalog
        .relations
        .iter()
        .map(|relation| relation.owner.clone())
        .collect();
    let wanted = (!options.selection.takes_all()).then(|| restored(catalog));
    let Some(mut roles) = source.ask(findings, |session| roles(session, wanted.as_deref())) else {
        return;
    };
    // What initdb's own role owns is not in pg_shdepend.
    for owner in owners {
        roles.insert(owner, true);
    }
    let names: Vec<String> = roles.keys().cloned().collect();
    let Some(there) = destination.ask(findings, |session| role_names(session, &names)) else {
        return;
    };
    findings.extend(missing_roles(&roles, &there));
}

fn restored(catalog: &Catalog) -> Vec<Oid> {
    let tables = catalog.relations.iter().flat_map(|relation| {
        let partitions = relation.partitions.iter().map(|partition| partition.oid);
        std::iter::once(relation.oid).chain(partitions)
    });
    let sequences = catalog.sequences.iter().map(|sequence| sequence.oid);
    tables.chain(sequences).collect()
}

/// Returns the roles of the source by name, with true for those that own something.
fn roles(session: &mut Session, oids: Option<&[Oid]>) -> Result<BTreeMap<String, bool>> {
    let sql = include_str!("sql/roles.sql");
    let mut roles = BTreeMap::new();
    for row in session.query("list the roles", sql, &[&oids])? {
        *roles.entry(row.get(0)).or_insert(false) |= row.get::<_, &str>(1) == "o";
    }
    Ok(roles)
}

/// Returns those of the roles that exist, with true for those that we may give objects to.
fn role_names(session: &mut Session, names: &[String]) -> Result<HashMap<String, bool>> {
    let sql = include_str!("sql/role_names.sql");
    let rows = session.query("list the roles", sql, &[&names])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn missing_roles(roles: &BTreeMap<String, bool>, there: &HashMap<String, bool>) -> Vec<Finding> {
    let side = Side::Destination;
    let missing: Vec<String> = roles
        .keys()
        .filter(|role| !there.contains_key(*role))
        .map(|role| ident(role))
        .collect();
    let barred: Vec<String> = roles
        .iter()
        .filter(|(role, owns)| **owns && there.get(*role) == Some(&false))
        .map(|(role, _)| ident(role))
        .collect();
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(Finding::stops(
            side,
            format!(
                "{} of the source {} missing on the destination",
                named("role", &missing),
                if missing.len() == 1 { "is" } else { "are" }
            ),
            "CREATE ROLE … there (pg_dumpall --roles-only prints them), or add --no-owner",
        ));
    }
    if !barred.is_empty() {
        findings.push(Finding::stops(
            side,
            format!(
                "our role on the destination may not give objects to {}",
                named("role", &barred)
            ),
            "GRANT … TO our role there, or add --no-owner",
        ));
    }
    findings
}

fn compare_tablespaces(source: &mut Looked, destination: &mut Looked, findings: &mut Vec<Finding>) {
    let oids = source.table_oids(true);
    let used = source.ask(findings, |session| {
        let sql = include_str!("sql/others.sql");
        let rows = session.query("list the tablespaces in use", sql, &[&oids])?;
        Ok(rows
            .iter()
            .filter(|row| row.get::<_, &str>(0) == "tablespace")
            .map(|row| row.get::<_, String>("name"))
            .collect::<Vec<_>>())
    });
    let there = destination.ask(findings, |session| {
        let sql = include_str!("sql/tablespaces.sql");
        let rows = session.query("list the tablespaces", sql, &[])?;
        Ok(rows
            .iter()
            .map(|row| row.get::<_, String>(0))
            .collect::<Vec<_>>())
    });
    let (Some(used), Some(there)) = (used, there) else {
        return;
    };
    let missing: Vec<String> = used
        .iter()
        .filter(|name| !there.contains(name))
        .map(|name| ident(name))
        .collect();
    if !missing.is_empty() {
        findings.push(Finding::note(
            Side::Destination,
            format!(
                "{} of the source: missing on the destination, so tables go to the default one",
                named("tablespace", &missing)
            ),
            "CREATE TABLESPACE … there first if that matters",
        ));
    }
}

/// Event triggers see what we create and drop; on either side.
pub(super) fn event_triggers(looked: &mut Looked, findings: &mut Vec<Finding>) {
    let side = looked.side();
    looked.find(findings, |session| {
        let sql = include_str!("sql/event_triggers.sql");
        let rows = session.query("list the event triggers", sql, &[])?;
        Ok(rows
            .iter()
            .map(|row| {
                let (name, event, function): (String, String, String) =
                    (row.get(0), row.get(1), row.get(2));
                let message = format!(
                    "event trigger {} ({event}, function {function}) on the {side} fires for what pg_switchover does",
                    ident(&name)
                );
                if event == "login" {
                    Finding::note(side, message, "")
                } else {
                    Finding::spoils(
                        side,
                        message,
                        "see that it lets schema switchover pass, or ALTER EVENT TRIGGER … DISABLE there",
                    )
                }
            })
            .collect())
    });
}

/// What is in a schema `switchover`.
struct Bookkeeping {
    owner: String,
    ours: bool,
    tables: Vec<String>,
    /// The state row's columns that matter here, where there are any.
    source_identity: Option<String>,
    destination_identity: Option<String>,
    switched: bool,
}

fn bookkeeping(session: &mut Session) -> Result<Option<Bookkeeping>> {
    let sql = include_str!("sql/leftover.sql");
    let Some(row) = session.query("look for schema switchover", sql, &[])?.pop() else {
        return Ok(None);
    };
    let mut found = Bookkeeping {
        owner: row.get(0),
        ours: row.get(1),
        tables: row.get(2),
        source_identity: None,
        destination_identity: None,
        switched: false,
    };
    if !found.ours || !found.tables.iter().any(|table| table == "state") {
        return Ok(Some(found));
    }
    // Through JSON: what another version left may have other columns.
    let state = "SELECT j ->> 'source_identity', j ->> 'destination_identity',
                        COALESCE((j ->> 'use_next_db')::boolean, false)
                   FROM (SELECT pg_catalog.to_jsonb(s) FROM switchover.state s LIMIT 1) AS t (j)";
    if let Some(row) = session.query("read schema switchover", state, &[])?.pop() {
        found.source_identity = row.get(0);
        found.destination_identity = row.get(1);
        found.switched = row.get(2);
    }
    Ok(Some(found))
}

/// A schema `switchover` on either side that is not of this very switchover.
fn leftovers(source: &mut Looked, destination: &mut Looked, findings: &mut Vec<Finding>) {
    for (side, wrong) in [
        (Side::Source, "confirmation"),
        (Side::Destination, "change_log_1"),
    ] {
        let (one, other) = match side {
            Side::Source => (&mut *source, &*destination),
            Side::Destination => (&mut *destination, &*source),
        };
        let Some(Some(found)) = one.ask(findings, bookkeeping) else {
            continue;
        };
        let other = other
            .catalog
            .as_ref()
            .map(|catalog| catalog.database.identity.as_str());
        findings.extend(leftover(side, wrong, &found, other));
    }
}

/// `wrong` is a table that only the bookkeeping of the other side has.
fn leftover(
    side: Side,
    wrong: &str,
    found: &Bookkeeping,
    other_identity: Option<&str>,
) -> Option<Finding> {
    let mend =
        "run pg_switchover drop for that switchover, or DROP SCHEMA switchover CASCADE there";
    let has = |table: &str| found.tables.iter().any(|name| name == table);
    if !found.ours {
        return Some(Finding::stops(
            side,
            format!(
                "schema switchover on the {side} belongs to role {}, which ours is not a member of",
                ident(&found.owner)
            ),
            "connect as that role, or drop the schema",
        ));
    }
    if has(wrong) {
        let was = match side {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        };
        return Some(Finding::stops(
            side,
            format!(
                "schema switchover on the {side} is of another switchover, in which this database was the {was}"
            ),
            mend,
        ));
    }
    if !has("state") {
        return Some(Finding::stops(
            side,
            format!("schema switchover on the {side} is not pg_switchover's"),
            "rename it, or drop it if nobody needs it",
        ));
    }
    let partner = match side {
        Side::Source => &found.destination_identity,
        Side::Destination => &found.source_identity,
    };
    if let (Some(partner), Some(other)) = (partner, other_identity) {
        if partner != other {
            return Some(Finding::stops(
                side,
                format!(
                    "schema switchover on the {side} is of a switchover with another database ({partner})"
                ),
                mend,
            ));
        }
    }
    found.switched.then(|| {
        Finding::stops(
            side,
            "the switch has been done: the destination is in charge",
            "nothing is left to do but pg_switchover drop",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;

    fn book(tables: &[&str]) -> Bookkeeping {
        Bookkeeping {
            owner: "joe".into(),
            ours: true,
            tables: tables.iter().map(ToString::to_string).collect(),
            source_identity: Some("1/2".into()),
            destination_identity: None,
            switched: false,
        }
    }

    #[test]
    fn only_this_switchover_may_have_left_a_schema() {
        let on_destination = |tables: &[&str], source| {
            leftover(
                Side::Destination,
                "change_log_1",
                &book(tables),
                Some(source),
            )
            .is_some()
        };
        assert!(!on_destination(&["state", "confirmation"], "1/2"));
        assert!(on_destination(&["state", "confirmation"], "3/4"));
        assert!(on_destination(&["state", "change_log_1"], "1/2"));
        assert!(on_destination(&[], "1/2"));
    }

    #[test]
    fn extensions_must_be_where_they_are_needed() {
        let there = Available {
            version: "1.1".into(),
            superuser: true,
            installed: false,
        };
        let severity = |there, create, superuser| {
            extension("x", "1.0", there, create, superuser).map(|finding| finding.severity)
        };
        assert_eq!(severity(None, true, true), Some(Severity::Stops));
        assert_eq!(severity(None, false, true), Some(Severity::Spoils));
        assert_eq!(severity(Some(&there), false, true), Some(Severity::Spoils));
        assert_eq!(severity(Some(&there), true, false), Some(Severity::Spoils));
        assert_eq!(severity(Some(&there), true, true), Some(Severity::Note));
    }

    #[test]
    fn a_role_must_exist_and_an_owner_be_ours_to_give_to() {
        let roles = BTreeMap::from([("a".into(), true), ("b".into(), false), ("c".into(), true)]);
        let there = HashMap::from([("a".into(), false), ("b".into(), false)]);
        let messages: Vec<String> = missing_roles(&roles, &there)
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        assert_eq!(messages.len(), 2);
        assert!(messages[0].contains("role \"c\" of the source is missing"));
        assert!(messages[1].ends_with("to role \"a\""));
    }
}
