//! Which relations are compared with which, and in which form each of their columns is hashed.

use super::verdict::Difference;
use crate::catalog::{Catalog, Relation};
use crate::ident::ident_list;

/// A table on both sides.
pub struct Pair<'a> {
    /// The source's relation.
    pub source: &'a Relation,
    /// The destination's of the same name.
    pub destination: &'a Relation,
    /// The source's columns, in its order.
    pub columns: Vec<Compared<'a>>,
}

/// A column that both sides have.
pub struct Compared<'a> {
    /// Its name, raw.
    pub name: &'a str,
    /// What of it goes into the hash.
    pub form: Form,
}

/// The form of a value that is the same on two servers if, and only if, the value is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The type's binary form.
    Binary,
    /// A float's binary form; NaN has many, which its text does not tell apart.
    Float,
    /// The text that the type's output function gives.
    Text,
}

/// Types whose binary form is all of the value and nothing else on every version. Not among them:
/// arrays (the form says whether there is a null bitmap, which an array without NULL may have), what
/// is made of user types or of oids (those differ between servers), and what is made of floats. All
/// of these are compared by their text.
const BINARY: &[&str] = &[
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "oid",
    "\"char\"",
    "name",
    "text",
    "character",
    "bpchar",
    "character varying",
    "bytea",
    "uuid",
    "numeric",
    "date",
    "time without time zone",
    "time with time zone",
    "timestamp without time zone",
    "timestamp with time zone",
    "interval",
    "json",
    "jsonb",
];

/// Pairs the relations, the largest first; those that cannot be compared are differences.
pub fn pair<'a>(source: &'a Catalog, destination: &'a Catalog) -> (Vec<Pair<'a>>, Vec<Difference>) {
    let mut pairs = Vec::new();
    let mut differences = Vec::new();
    for relation in &source.relations {
        let cannot = |what: String| Difference::Table {
            name: relation.name.clone(),
            what,
        };
        let Some(other) = destination.relation(&relation.name) else {
            differences.push(cannot("is missing on the destination".to_string()));
            continue;
        };
        match columns(relation, other) {
            Ok(columns) => pairs.push(Pair {
                source: relation,
                destination: other,
                columns,
            }),
            Err(missing) => differences.push(cannot(format!(
                "lacks {} on the destination",
                ident_list(missing.iter().copied())
            ))),
        }
    }
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.source.bytes));
    (pairs, differences)
}

/// Returns the columns to compare, or the names of those that the destination lacks.
fn columns<'a>(
    relation: &'a Relation,
    other: &Relation,
) -> std::result::Result<Vec<Compared<'a>>, Vec<&'a str>> {
    let mut compared = Vec::new();
    let mut missing = Vec::new();
    for column in &relation.columns {
        match other.column(&column.name) {
            Some(there) => compared.push(Compared {
                name: &column.name,
                form: form(&column.type_name.sql, &there.type_name.sql),
            }),
            None => missing.push(column.name.as_str()),
        }
    }
    if missing.is_empty() {
        Ok(compared)
    } else {
        Err(missing)
    }
}

fn form(source: &str, destination: &str) -> Form {
    let source = without_modifier(source);
    if source != without_modifier(destination) {
        return Form::Text;
    }
    match source.as_str() {
        "real" | "double precision" => Form::Float,
        name if BINARY.contains(&name) => Form::Binary,
        _ => Form::Text,
    }
}

/// Takes `(12,2)` out of `numeric(12,2)`, `(3)` out of `timestamp(3) without time zone`.
fn without_modifier(type_name: &str) -> String {
    match (type_name.find('('), type_name.find(')')) {
        (Some(open), Some(close)) if open < close && !type_name.contains('"') => {
            format!("{}{}", &type_name[..open], &type_name[close + 1..])
        }
        _ => type_name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_types_with_one_binary_form_are_compared_by_it() {
        assert_eq!(form("bigint", "bigint"), Form::Binary);
        assert_eq!(form("numeric(12,2)", "numeric(14,2)"), Form::Binary);
        assert_eq!(
            form(
                "timestamp(3) without time zone",
                "timestamp without time zone"
            ),
            Form::Binary
        );
        assert_eq!(form("interval day to second(2)", "interval"), Form::Text);
        assert_eq!(form("real", "real"), Form::Float);
        for text in [
            "bigint[]",
            "public.mood",
            "public.\"bigint(1)\"",
            "point",
            "int4range",
            "regclass",
        ] {
            assert_eq!(form(text, text), Form::Text, "{text}");
        }
        assert_eq!(form("integer", "bigint"), Form::Text);
        assert_eq!(form("\"char\"", "\"char\""), Form::Binary);
    }
}
