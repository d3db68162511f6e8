//! The destination's tables against the source's: missing, different, not empty, or refusing rows.

use std::collections::HashSet;

use super::report::{counted, named, relation_name};
use super::{
    CheckOptions, Finding, Looked, creating, privileges, stricter, tables, unlike, writing,
};
use crate::catalog::{self, Catalog, Oid, Relation};
use crate::destination;
use crate::error::{Result, Side};
use crate::ident::{QualifiedName, ident};
use crate::session::{Session, text};

/// Tables asked for their first row in one message.
const BATCH: usize = 200;

/// Checks the destination's tables against the source's.
pub(super) fn compare(
    source: &mut Looked,
    destination: &mut Looked,
    options: &CheckOptions,
    findings: &mut Vec<Finding>,
) {
    let (Some(from), Some(to)) = (source.catalog.clone(), destination.catalog.clone()) else {
        return;
    };
    let identity = &from.database.identity;
    let Some(progress) = destination.ask(findings, |session| progress(session, identity)) else {
        return;
    };
    let way = writing::way(destination, &mut Vec::new());
    let way = (way, destination.session.version());
    let role = privileges::role_name(destination, &mut Vec::new()).unwrap_or_default();
    let names: Vec<&QualifiedName> = from.relations.iter().map(|one| &one.name).collect();
    writing::foreign_keys(destination, way, &names, &role, findings);
    if options.create_schema && !progress.schema_created {
        // Those that are yet to be made are the source's.
        writing::foreign_keys(source, way, &names, &role, findings);
    }
    let from = match options.create_schema {
        true => {
            creation(destination, &from, &to, &progress, findings);
            if !progress.schema_created {
                creating::creation(source, destination, findings);
            }
            present(&from, &to)
        }
        false => from,
    };
    let targets: Vec<&Relation> = from
        .relations
        .iter()
        .filter_map(|relation| to.relation(&relation.name))
        .collect();
    // Keys are there once copy has finished the schema that it created.
    let keys = !progress.schema_created || progress.schema_finished;
    findings.extend(differences(&from, &to, keys));
    findings.extend(
        catalog::looser_sequences(&from, &to)
            .into_iter()
            .map(|difference| Finding::note(Side::Destination, difference.what, difference.mend)),
    );
    findings.extend(stray_references(&from, &to));
    findings.extend(stricter::not_null(&from, &targets));
    stricter::constraints(source, destination, (&from, &targets), findings);
    triggers_and_rules(destination, &targets, findings);
    let sequences: Vec<Oid> = to
        .sequences
        .iter()
        .filter(|there| from.sequences.iter().any(|here| here.name == there.name))
        .map(|sequence| sequence.oid)
        .collect();
    privileges::destination_tables(destination, &targets, &sequences, findings);
    // Indexes and the rest are there once copy has finished the schema that it created.
    if keys && !targets.is_empty() {
        let ours = progress.schema_created;
        unlike::compare(source, destination, (&from, ours), options, findings);
    }
    let filled = destination.ask(findings, |session| filled(session, &targets));
    findings
        .extend(filled.and_then(|filled| not_empty(&filled, &progress.copied, options.truncate)));
}

/// How far a copy from this very source has come.
#[derive(Default)]
struct Progress {
    schema_created: bool,
    schema_finished: bool,
    copied: HashSet<QualifiedName>,
}

fn progress(session: &mut Session, source_identity: &str) -> Result<Progress> {
    let readable = "SELECT COALESCE(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false)
                       AND pg_catalog.to_regclass('switchover.confirmation') IS NOT NULL
                      FROM pg_catalog.pg_namespace n WHERE n.nspname = 'switchover'";
    let rows = session.query("look for the bookkeeping", readable, &[])?;
    if !rows.first().is_some_and(|row| row.get::<_, bool>(0)) {
        return Ok(Progress::default());
    }
    let state = "SELECT schema_created_at IS NOT NULL, schema_finished_at IS NOT NULL
                   FROM switchover.state WHERE source_identity = $1";
    let Some(row) = session
        .query("read the bookkeeping", state, &[&source_identity])?
        .pop()
    else {
        return Ok(Progress::default());
    };
    let copied = destination::copied_tables(session)?;
    Ok(Progress {
        schema_created: row.get(0),
        schema_finished: row.get(1),
        copied: copied.into_iter().map(|table| table.name).collect(),
    })
}

/// Returns the source without what `copy --create-schema` will create.
fn present(from: &Catalog, to: &Catalog) -> Catalog {
    let mut present = from.clone();
    present
        .relations
        .retain(|relation| to.relation(&relation.name).is_some());
    present
        .sequences
        .retain(|sequence| to.sequences.iter().any(|other| other.name == sequence.name));
    present
}

/// What `copy --create-schema` finds: it creates what is missing, and leaves alone what is there.
fn creation(
    destination: &mut Looked,
    from: &Catalog,
    to: &Catalog,
    progress: &Progress,
    findings: &mut Vec<Finding>,
) {
    let missing: Vec<&QualifiedName> = from
        .relations
        .iter()
        .map(|relation| &relation.name)
        .filter(|name| to.relation(name).is_none())
        .collect();
    if progress.schema_created {
        return;
    }
    if !missing.is_empty() && missing.len() < from.relations.len() {
        findings.push(Finding::note(
            Side::Destination,
            format!(
                "the destination lacks {} of the source",
                named("table", &missing)
            ),
            "copy --create-schema creates what is missing, and leaves alone what is there",
        ));
    }
    if missing.len() < from.relations.len() {
        return;
    }
    let others: Vec<&QualifiedName> = to.relations.iter().map(|relation| &relation.name).collect();
    if !others.is_empty() {
        findings.push(Finding::spoils(
            Side::Destination,
            format!(
                "the destination is not empty: it has {}",
                named("table", &others)
            ),
            "check --dest; copy leaves alone what is not the source's",
        ));
    }
    let contents = destination.ask(findings, contents);
    if let Some(contents) = contents.filter(|contents| !contents.is_empty()) {
        findings.push(Finding::spoils(
            Side::Destination,
            format!("the destination already has {}", contents.join(", ")),
            "check --dest; what the source has too is not created again: see that it is the same",
        ));
    }
}

/// Counts what is not a table, which has its own finding.
fn contents(session: &mut Session) -> Result<Vec<String>> {
    let sql = include_str!("sql/contents.sql");
    let rows = session.query("look for objects", sql, &[])?;
    Ok(rows
        .iter()
        .filter(|row| row.get::<_, &str>(0) != "table")
        .map(|row| counted(row.get(1), row.get(0)))
        .collect())
}

fn differences(from: &Catalog, to: &Catalog, keys: bool) -> Vec<Finding> {
    let all = catalog::compare(from, to, keys);
    // A destination without any of them is one mistake, not thousands.
    if from.relations.len() > 1
        && !from
            .relations
            .iter()
            .any(|relation| to.relation(&relation.name).is_some())
    {
        return vec![Finding::stops(
            Side::Destination,
            format!(
                "none of the {} to move exists on the destination",
                counted(from.relations.len() as i64, "table")
            ),
            "use --create-schema, or create them there",
        )];
    }
    all.into_iter()
        .map(|difference| Finding::stops(Side::Destination, difference.what, difference.mend))
        .collect()
}

/// A table that stays and refers to one that is emptied and filled anew.
fn stray_references(from: &Catalog, to: &Catalog) -> Vec<Finding> {
    let moved = |oid| {
        to.relation_by_oid(oid)
            .map(|there| (there, from.relation(&there.name).is_some()))
    };
    to.foreign_keys
        .iter()
        .filter_map(|key| match (moved(key.from), moved(key.to)) {
            (Some((child, false)), Some((parent, true))) => Some(Finding::spoils(
                Side::Destination,
                format!(
                    "table {} on the destination is not moved and refers to table {} by foreign key {}",
                    child.name,
                    parent.name,
                    ident(&key.name)
                ),
                "its rows may refer to rows that are gone: move both tables, or look at it after the switch",
            )),
            _ => None,
        })
        .collect()
}

/// What would fire on rows that arrive although we are in replica mode.
fn triggers_and_rules(
    destination: &mut Looked,
    targets: &[&Relation],
    findings: &mut Vec<Finding>,
) {
    let mut oids = Vec::new();
    for target in targets {
        oids.push(target.oid);
        oids.extend(target.partitions.iter().map(|partition| partition.oid));
    }
    destination.find(findings, |session| tables::triggers(session, &oids));
    destination.find(findings, |session| tables::rules(session, &oids));
}

/// Returns the tables that have rows.
fn filled(session: &mut Session, targets: &[&Relation]) -> Result<Vec<QualifiedName>> {
    let oids: Vec<Oid> = targets.iter().map(|relation| relation.oid).collect();
    let sql = include_str!("sql/fillable.sql");
    let rows = session.query("list the tables that may hold rows", sql, &[&oids])?;
    let names: Vec<QualifiedName> = rows.iter().map(relation_name).collect();
    let partitioned: HashSet<&QualifiedName> = targets
        .iter()
        .filter(|relation| relation.partitioned)
        .map(|relation| &relation.name)
        .collect();
    let mut filled = Vec::new();
    for batch in names.chunks(BATCH) {
        let questions: Vec<String> = batch
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let only = if partitioned.contains(name) {
                    ""
                } else {
                    "ONLY"
                };
                format!("SELECT {index} WHERE EXISTS (SELECT FROM {only} {name})")
            })
            .collect();
        let rows = session.simple("look for rows", &questions.join(" UNION ALL "))?;
        filled.extend(rows.iter().filter_map(|row| {
            let index: usize = text(row, 0).parse().ok()?;
            batch.get(index).cloned()
        }));
    }
    filled.sort();
    Ok(filled)
}

fn not_empty(
    filled: &[QualifiedName],
    copied: &HashSet<QualifiedName>,
    truncate: bool,
) -> Option<Finding> {
    let foreign: Vec<&QualifiedName> = filled
        .iter()
        .filter(|name| !copied.contains(name))
        .collect();
    if foreign.is_empty() {
        return None;
    }
    let message = format!(
        "{} on the destination: not empty, and pg_switchover did not put the rows there",
        named("table", &foreign)
    );
    Some(if truncate {
        Finding::note(Side::Destination, message, "--truncate empties them")
    } else {
        Finding::stops(
            Side::Destination,
            message,
            "check --dest; add --truncate if the rows may go",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Severity;

    #[test]
    fn rows_that_copy_has_brought_are_not_in_the_way() {
        let (ours, theirs) = (QualifiedName::new("a", "b"), QualifiedName::new("a", "c"));
        let copied = HashSet::from([ours.clone()]);
        assert_eq!(not_empty(std::slice::from_ref(&ours), &copied, false), None);
        let both = [ours, theirs];
        let found = not_empty(&both, &copied, true);
        assert_eq!(found.map(|finding| finding.severity), Some(Severity::Note));
        let found = not_empty(&both, &copied, false);
        assert!(found.is_some_and(
            |finding| finding.severity == Severity::Stops && !finding.message.contains("\"b\"")
        ));
    }
}
