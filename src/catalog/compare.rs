//! What differs between the relations of the source and those of the destination, each by name.

use super::{Catalog, Column, Relation};
use crate::ident::{QualifiedName, ident, ident_list};

/// Something that the destination lacks or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The relation or sequence.
    pub name: QualifiedName,
    /// What is different, ready to be shown.
    pub what: String,
    /// What can be done.
    pub mend: String,
}

/// Compares what rows need to arrive: tables, columns, the key that finds a row, sequences. With
/// `keys` false, keys are left out: they come after the data when the schema is created by `copy`.
pub fn compare(source: &Catalog, destination: &Catalog, keys: bool) -> Vec<Difference> {
    let mut differences = Vec::new();
    for relation in &source.relations {
        let Some(other) = destination.relation(&relation.name) else {
            differences.push(missing("table", &relation.name));
            continue;
        };
        compare_columns(relation, other, &mut differences);
        if keys {
            compare_keys(relation, other, &mut differences);
        }
        if relation.unlogged != other.unlogged {
            let (is, should) = if other.unlogged {
                ("unlogged", "LOGGED")
            } else {
                ("logged", "UNLOGGED")
            };
            differences.push(Difference {
                name: relation.name.clone(),
                what: format!("table {} is {is} on the destination only", relation.name),
                mend: format!("ALTER TABLE {} SET {should} there", relation.name),
            });
        }
    }
    for sequence in &source.sequences {
        if !destination
            .sequences
            .iter()
            .any(|other| other.name == sequence.name)
        {
            differences.push(missing("sequence", &sequence.name));
        }
    }
    differences
}

fn missing(kind: &str, name: &QualifiedName) -> Difference {
    Difference {
        name: name.clone(),
        what: format!("{kind} {name} is missing on the destination"),
        mend: "create it there, or let copy --create-schema do it".to_string(),
    }
}

fn compare_columns(relation: &Relation, other: &Relation, differences: &mut Vec<Difference>) {
    let name = &relation.name;
    let mut differ = |what: String, mend: String| {
        differences.push(Difference {
            name: name.clone(),
            what,
            mend,
        });
    };
    for column in &relation.columns {
        let quoted = ident(&column.name);
        let Some(there) = other.column(&column.name) else {
            differ(
                format!("column {quoted} of table {name} is missing on the destination"),
                format!(
                    "ALTER TABLE {name} ADD COLUMN {quoted} {} there",
                    column.type_name
                ),
            );
            continue;
        };
        if there.type_name != column.type_name {
            differ(
                format!(
                    "column {quoted} of table {name} is of type {} on the source and {} on the destination",
                    column.type_name, there.type_name
                ),
                format!(
                    "ALTER TABLE {name} ALTER COLUMN {quoted} TYPE {} there",
                    column.type_name
                ),
            );
        }
        if there.generated != column.generated {
            let side = if there.generated {
                "destination"
            } else {
                "source"
            };
            differ(
                format!("column {quoted} of table {name} is generated on the {side} only"),
                "define it alike on both sides".to_string(),
            );
        }
    }
    let extra: Vec<&Column> = other
        .columns
        .iter()
        .filter(|column| relation.column(&column.name).is_none())
        .collect();
    for column in extra {
        let quoted = ident(&column.name);
        differ(
            format!("column {quoted} of table {name} exists on the destination only"),
            format!("ALTER TABLE {name} DROP COLUMN {quoted} there"),
        );
    }
}

/// Without an index over the key's columns the destination could not find a changed row quickly.
fn compare_keys(relation: &Relation, other: &Relation, differences: &mut Vec<Difference>) {
    let Some(key) = &relation.key else { return };
    let columns = |key: &super::Key| {
        let mut names: Vec<String> = key
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        names.sort();
        names
    };
    let wanted = columns(key);
    if other.key.as_ref().map(columns).as_ref() != Some(&wanted) {
        let list = ident_list(key.columns.iter().map(|column| column.name.as_str()));
        differences.push(Difference {
            name: relation.name.clone(),
            what: format!(
                "table {} has no key ({list}) on the destination",
                relation.name
            ),
            mend: format!(
                "ALTER TABLE {} ADD {} ({list}) there",
                relation.name,
                if key.primary { "PRIMARY KEY" } else { "UNIQUE" }
            ),
        });
    }
}
