//! What differs between the relations of the source and those of the destination, each by name.

use super::compare_sequences::compare_sequences;
use super::compare_types::compare_types;
use super::{Catalog, Column, Relation};
use crate::error::{Error, Result};
use crate::ident::{QualifiedName, ident, ident_list};

/// Something that the destination lacks or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The relation, sequence or type.
    pub name: QualifiedName,
    /// What is different, ready to be shown.
    pub what: String,
    /// What can be done.
    pub mend: String,
}

/// Compares what rows need to arrive: types, tables, columns, the key that finds a row, sequences. With
/// `keys` false, keys are left out: they come after the data when the schema is created by `copy`.
pub fn compare(source: &Catalog, destination: &Catalog, keys: bool) -> Vec<Difference> {
    let mut differences = compare_types(source, destination);
    for relation in &source.relations {
        let Some(other) = destination.relation(&relation.name) else {
            differences.push(missing(&relation.name));
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
    differences.extend(compare_sequences(source, destination));
    differences
}

/// Fails if rows could not arrive; see [`compare`].
///
/// # Errors
/// Names the first few differences.
pub fn refuse_differences(source: &Catalog, destination: &Catalog, keys: bool) -> Result<()> {
    const SHOWN: usize = 3;
    let differences = compare(source, destination, keys);
    let Some(first) = differences.first() else {
        return Ok(());
    };
    let what: Vec<&str> = differences
        .iter()
        .take(SHOWN)
        .map(|difference| difference.what.as_str())
        .collect();
    let more = match differences.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more (see check)"),
    };
    Err(Error::failed(format!("{}{more}", what.join(", "))).mend(first.mend.as_str()))
}

fn missing(name: &QualifiedName) -> Difference {
    Difference {
        name: name.clone(),
        what: format!("table {name} is missing on the destination"),
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
                    column.type_name.sql
                ),
            );
            continue;
        };
        if there.type_name != column.type_name {
            differ(
                format!(
                    "column {quoted} of table {name} is of type {} on the source and {} on the destination",
                    column.type_name.sql, there.type_name.sql
                ),
                format!(
                    "ALTER TABLE {name} ALTER COLUMN {quoted} TYPE {} there",
                    column.type_name.sql
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
    let Some(theirs) = other.key.as_ref().filter(|key| columns(key) == wanted) else {
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
        return;
    };
    // Texts that are one key here and two there: the row of the one would stay when the other comes.
    for column in &key.columns {
        let there = theirs
            .columns
            .iter()
            .find(|there| there.name == column.name);
        let Some(there) = there.filter(|there| {
            there.deterministic != column.deterministic
                || !column.deterministic && there.collate != column.collate
        }) else {
            continue;
        };
        let quoted = ident(&column.name);
        differences.push(Difference {
            name: relation.name.clone(),
            what: format!(
                "the key of table {} compares {quoted} with{} on the source and with{} on the destination",
                relation.name,
                column.collate,
                there.collate
            ),
            mend: format!(
                "ALTER TABLE {} ALTER COLUMN {quoted} TYPE {}{} there",
                relation.name, column.type_name, column.collate
            ),
        });
    }
}
