//! What the destination's tables ask of rows that the source's do not.

use super::report::named;
use super::tables::{self, Constraint};
use super::{Finding, Looked};
use crate::catalog::{Catalog, Oid, Relation};
use crate::error::Side;
use crate::ident::ident;

/// Columns that may be NULL on the source only.
pub(super) fn not_null(from: &Catalog, targets: &[&Relation]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for there in targets {
        let Some(here) = from.relation(&there.name) else {
            continue;
        };
        let stricter: Vec<String> = there
            .columns
            .iter()
            .filter(|column| {
                column.not_null
                    && !column.generated
                    && here.column(&column.name).is_some_and(|here| !here.not_null)
            })
            .map(|column| ident(&column.name))
            .collect();
        if !stricter.is_empty() {
            findings.push(Finding::spoils(
                Side::Destination,
                format!(
                    "{} of table {} may be NULL on the source and not on the destination",
                    named("column", &stricter),
                    there.name
                ),
                "rows with NULL there would be refused: ALTER COLUMN … DROP NOT NULL there, or SET it on the source",
            ));
        }
    }
    findings
}

/// Constraints of the destination that rows of the source need not meet.
pub(super) fn constraints(
    source: &mut Looked,
    destination: &mut Looked,
    (from, targets): (&Catalog, &[&Relation]),
    findings: &mut Vec<Finding>,
) {
    let oids: Vec<Oid> = targets.iter().map(|relation| relation.oid).collect();
    let tables = source.table_oids(false);
    let (Some(here), Some(there)) = (
        source.ask(findings, |session| tables::constraints(session, &tables)),
        destination.ask(findings, |session| tables::constraints(session, &oids)),
    ) else {
        return;
    };
    for target in targets {
        let Some(relation) = from.relation(&target.name) else {
            continue;
        };
        let ours: Vec<&Constraint> = of_table(&here, relation.oid);
        for constraint in of_table(&there, target.oid) {
            let shown = ident(&constraint.name);
            // Foreign keys are not checked for rows that arrive; the source's tell what holds.
            if constraint.kind == "f" || is_the_key(constraint, target) {
                continue;
            }
            match ours.iter().find(|ours| ours.name == constraint.name) {
                None => findings.push(Finding::spoils(
                    Side::Destination,
                    format!("constraint {shown} of table {} exists on the destination only", target.name),
                    "rows that break it would be refused: drop it there until the switch, or add it on the source",
                )),
                Some(ours) if !ours.validated => findings.push(Finding::spoils(
                    Side::Source,
                    format!("constraint {shown} of table {} is NOT VALID on the source", target.name),
                    "rows that break it would be refused on the destination: VALIDATE CONSTRAINT, or drop it there until the switch",
                )),
                Some(_) => {}
            }
        }
    }
}

fn of_table(constraints: &[Constraint], table: Oid) -> Vec<&Constraint> {
    constraints
        .iter()
        .filter(|constraint| constraint.table == table)
        .collect()
}

/// The keys are compared by their columns, whatever their names.
fn is_the_key(constraint: &Constraint, table: &Relation) -> bool {
    constraint.kind == "p"
        || table
            .key
            .as_ref()
            .is_some_and(|key| key.index == constraint.name)
}
