//! What tables need around them: extensions and tablespaces; and what watches our DDL.

use std::collections::HashMap;

use super::report::named;
use super::{CheckOptions, Finding, Looked, leftovers, roles};
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
    leftovers::compare(source, destination, findings);
    compare_extensions(source, destination, options.create_schema, findings);
    if options.create_schema {
        roles::compare(source, destination, options, findings);
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
        findings.push(Finding::stops(
            Side::Destination,
            format!(
                "{} of the source {} missing on the destination",
                named("tablespace", &missing),
                if missing.len() == 1 { "is" } else { "are" }
            ),
            "CREATE TABLESPACE … there first, or move the tables to the default one",
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::check::report::Severity;

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
}
