//! The source's tables: what is slow, unsafe or not moved, table by table.

use std::collections::BTreeSet;

use postgres::Row;

use super::report::{counted, named, relation_name, size};
use super::{CheckOptions, Finding, Looked};
use crate::catalog::{Catalog, Oid, Relation};
use crate::error::{Result, Side};
use crate::ident::{QualifiedName, ident};
use crate::session::Session;

/// A table without a key that is larger than this is felt when it is copied anew.
const SMALL_BYTES: i64 = 10 << 20;

/// Checks the tables of the source.
pub(super) fn source(source: &mut Looked, options: &CheckOptions, findings: &mut Vec<Finding>) {
    if let Some(catalog) = &source.catalog {
        findings.extend(kinds(catalog));
    }
    let tables = source.table_oids(false);
    let with_partitions = source.table_oids(true);
    let whole = options.selection.takes_all();
    source.find(findings, |session| others(session, &tables, whole));
    source.find(findings, |session| deferrable_keys(session, &tables));
    source.find(findings, |session| triggers(session, &with_partitions));
    source.find(findings, |session| rules(session, &with_partitions));
}

fn kinds(catalog: &Catalog) -> Vec<Finding> {
    let side = Side::Source;
    let mut findings = Vec::new();
    if catalog.relations.is_empty() {
        findings.push(Finding::spoils(
            side,
            "the source has no table to move",
            "check --source and --dest",
        ));
    }
    findings.extend(
        catalog
            .relations
            .iter()
            .filter(|relation| relation.key.is_none())
            .map(no_key),
    );
    let unlogged: Vec<&QualifiedName> = catalog
        .relations
        .iter()
        .filter(|relation| relation.unlogged)
        .map(|relation| &relation.name)
        .collect();
    if !unlogged.is_empty() {
        findings.push(Finding::spoils(
            side,
            format!(
                "{} on the source: a crash empties what is unlogged, and the destination would not learn of it",
                are("unlogged", &unlogged)
            ),
            "ALTER TABLE … SET LOGGED, or leave it out with --exclude-table",
        ));
    }
    for relation in &catalog.relations {
        let foreign: Vec<&QualifiedName> = relation
            .partitions
            .iter()
            .filter(|partition| partition.foreign)
            .map(|partition| &partition.name)
            .collect();
        if !foreign.is_empty() {
            findings.push(Finding::stops(
                side,
                format!(
                    "table {} on the source has {} elsewhere (foreign), whose changes cannot be captured",
                    relation.name,
                    named("partition", &foreign)
                ),
                "detach them, or leave the whole table out with --exclude-table",
            ));
        }
    }
    if !catalog.foreign_tables.is_empty() {
        findings.push(Finding::note(
            side,
            format!(
                "the rows of {} are not moved: they live elsewhere",
                named("foreign table", &catalog.foreign_tables)
            ),
            "see that the destination reaches their server",
        ));
    }
    findings
}

fn are(what: &str, tables: &[&QualifiedName]) -> String {
    let verb = if tables.len() == 1 { "is" } else { "are" };
    format!("{} {verb} {what}", named("table", tables))
}

fn no_key(relation: &Relation) -> Finding {
    let message = format!(
        "table {} ({}) has no primary key and no unique index over NOT NULL columns: after any change it is copied as a whole",
        relation.name,
        size(relation.bytes)
    );
    let mend = "add a primary key, or leave it alone while the switchover runs";
    if relation.bytes > SMALL_BYTES {
        Finding::spoils(Side::Source, message, mend)
    } else {
        Finding::note(Side::Source, message, mend)
    }
}

/// Large objects, materialized views, inheritance.
fn others(session: &mut Session, tables: &[Oid], whole: bool) -> Result<Vec<Finding>> {
    let side = Side::Source;
    let sql = include_str!("sql/others.sql");
    let rows = session.query("look for what is not a plain table", sql, &[&tables])?;
    let of = |kind: &'static str| rows.iter().filter(move |row| row.get::<_, &str>(0) == kind);
    let mut findings = Vec::new();
    if let Some(row) = of("large object").next() {
        let number: String = row.get("name");
        let number = counted(number.parse().unwrap_or(i64::MAX), "large object");
        findings.push(if whole {
            Finding::stops(
                side,
                format!("the source has {number}, which cannot be moved"),
                "turn them into bytea columns (vacuumlo removes those that nothing refers to), or leave them behind by choosing what to move: --schema='*'",
            )
        } else {
            Finding::note(
                side,
                format!("the source has {number}, which are not moved"),
                "",
            )
        });
    }
    let views: Vec<QualifiedName> = of("materialized view").map(relation_name).collect();
    if !views.is_empty() {
        findings.push(Finding::note(
            side,
            format!(
                "{} of the source: contents are not moved",
                named("materialized view", &views)
            ),
            "switch refreshes them on the destination, just before the window",
        ));
    }
    let children: Vec<QualifiedName> = of("inheritance child").map(relation_name).collect();
    if !children.is_empty() {
        findings.push(Finding::note(
            side,
            format!(
                "{} by inheritance: each is moved by itself",
                named("child table", &children)
            ),
            "",
        ));
    }
    Ok(findings)
}

fn deferrable_keys(session: &mut Session, tables: &[Oid]) -> Result<Vec<Finding>> {
    let names: Vec<String> = constraints(session, tables)?
        .into_iter()
        .filter(|constraint| {
            constraint.deferrable && matches!(constraint.kind.as_str(), "p" | "u" | "x")
        })
        .map(|constraint| ident(&constraint.name))
        .collect();
    Ok(match names.len() {
        0 => Vec::new(),
        _ => vec![Finding::note(
            Side::Source,
            format!(
                "{} on the source {} deferrable: unique at every commit, which is all that a switchover needs",
                named("constraint", &names),
                if names.len() == 1 { "is" } else { "are" }
            ),
            "",
        )],
    })
}

/// A constraint, or a unique index that is none.
pub(super) struct Constraint {
    /// The table.
    pub(super) table: Oid,
    /// Its name, raw.
    pub(super) name: String,
    /// `pg_constraint.contype`, or `i` for a plain unique index.
    pub(super) kind: String,
    /// DEFERRABLE.
    pub(super) deferrable: bool,
    /// Checked for all rows.
    pub(super) validated: bool,
}

/// Lists the constraints of tables.
pub(super) fn constraints(session: &mut Session, tables: &[Oid]) -> Result<Vec<Constraint>> {
    let sql = include_str!("sql/constraints.sql");
    let rows = session.query("list the constraints", sql, &[&tables])?;
    Ok(rows
        .iter()
        .map(|row| Constraint {
            table: row.get(0),
            name: row.get(1),
            kind: row.get(2),
            deferrable: row.get(3),
            validated: row.get(4),
        })
        .collect())
}

/// Triggers that are not as CREATE TRIGGER leaves them, and those that are named like ours.
pub(super) fn triggers(session: &mut Session, tables: &[Oid]) -> Result<Vec<Finding>> {
    let side = session.side();
    let sql = include_str!("sql/triggers.sql");
    let rows = session.query("list the triggers", sql, &[&tables])?;
    let (mut disabled, mut firing, mut foreign) = (vec![], vec![], vec![]);
    let mut unenforced = BTreeSet::new();
    for row in rows {
        let enabled: String = row.get("enabled");
        let (internal, prefixed): (bool, bool) = (row.get("internal"), row.get("prefixed"));
        let shown = on_table(&row);
        if prefixed && side == Side::Source {
            if !row.get::<_, bool>("calls_ours") {
                foreign.push(shown);
            }
            continue;
        }
        match enabled.as_str() {
            // Four internal triggers make one foreign key.
            "D" if internal => {
                unenforced.insert(shown);
            }
            "D" => disabled.push(shown),
            // Our own tables' triggers are switched off by whoever writes there.
            "A" | "R" if internal || !row.get::<_, bool>("owned") => firing.push(shown),
            _ => {}
        }
    }
    Ok([
        disabled_triggers(side, &disabled),
        unenforced_keys(side, &Vec::from_iter(unenforced)),
        firing_triggers(side, &firing),
        foreign_prefix(side, &foreign),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// Shows a trigger or rule with its table.
fn on_table(row: &Row) -> String {
    let table = QualifiedName::new(
        row.get::<_, String>("schema"),
        row.get::<_, String>("table_name"),
    );
    format!("{} of {table}", ident(row.get("name")))
}

fn disabled_triggers(side: Side, triggers: &[String]) -> Option<Finding> {
    let source = side == Side::Source;
    (source && !triggers.is_empty()).then(|| {
        Finding::note(
            side,
            format!("{} on the source: disabled", named("trigger", triggers)),
            "see that it is meant to be so on the destination too",
        )
    })
}

fn unenforced_keys(side: Side, keys: &[String]) -> Option<Finding> {
    let source = side == Side::Source;
    (source && !keys.is_empty()).then(|| {
        Finding::spoils(
            side,
            format!(
                "{} on the source: not enforced, as its triggers are disabled",
                named("foreign key", keys)
            ),
            "rows that break it would be refused when it is created on the destination: ENABLE TRIGGER ALL, and look for such rows",
        )
    })
}

fn firing_triggers(side: Side, triggers: &[String]) -> Option<Finding> {
    (side == Side::Destination && !triggers.is_empty()).then(|| {
        Finding::stops(
            side,
            format!(
                "{} on the destination: enabled ALWAYS or REPLICA, so they would fire on moved rows",
                named("trigger", triggers)
            ),
            "ALTER TABLE … ENABLE TRIGGER … there, which makes it an ordinary one, until the switch",
        )
    })
}

fn foreign_prefix(side: Side, triggers: &[String]) -> Option<Finding> {
    (!triggers.is_empty()).then(|| {
        Finding::stops(
            side,
            format!(
                "{} on the {side}: named like pg_switchover's and calling another function",
                named("trigger", triggers)
            ),
            "ALTER TRIGGER … RENAME, or drop it",
        )
    })
}

/// Rules: on the source a word, on the destination those that fire in replica mode and that we may not
/// switch off.
pub(super) fn rules(session: &mut Session, tables: &[Oid]) -> Result<Vec<Finding>> {
    let side = session.side();
    let sql = include_str!("sql/rules.sql");
    let rows = session.query("list the rules", sql, &[&tables])?;
    let fires = |row: &&Row| {
        side == Side::Source
            || matches!(row.get("enabled"), "A" | "R") && !row.get::<_, bool>("owned")
    };
    let names: Vec<String> = rows.iter().filter(fires).map(on_table).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![match side {
        Side::Source => Finding::note(
            side,
            format!(
                "{} on the source: what it writes is captured where it arrives",
                named("rule", &names)
            ),
            "",
        ),
        Side::Destination => Finding::stops(
            side,
            format!(
                "{} on the destination: enabled ALWAYS or REPLICA, so they would change moved rows",
                named("rule", &names)
            ),
            "ALTER TABLE … ENABLE RULE … there, which makes it an ordinary one, until the switch",
        ),
    }])
}
