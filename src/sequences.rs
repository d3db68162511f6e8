//! Sequence values: read where they are, set where they have to be, all in one statement.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::ident::{QualifiedName, literal};
use crate::session::{Session, text};

/// Sequences read, or set, by one statement: it keeps a lock on each of them until it has ended, and plans slowly
/// where it names thousands.
const PER_STATEMENT: usize = 250;

/// What a sequence holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// `last_value`.
    pub last_value: i64,
    /// False if `last_value` is what nextval will return next.
    pub is_called: bool,
}

/// Values by name.
pub type Values = BTreeMap<QualifiedName, Value>;

/// Reads sequences as they are now, whatever the transaction's snapshot.
///
/// # Errors
/// One of them does not exist; or as the server says.
pub fn read(session: &mut Session, names: &[QualifiedName]) -> Result<Values> {
    let mut values = Values::new();
    for chunk in names.chunks(PER_STATEMENT) {
        let quoted: Vec<String> = chunk.iter().map(ToString::to_string).collect();
        // A function answers sooner than the relation, but does not know those that were not called since their
        // creation, RESTART or setval(..., false).
        let sql = "SELECT pg_catalog.pg_sequence_last_value(n::pg_catalog.regclass)
                     FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS s (n, place) ORDER BY place";
        let rows = session.query("read the sequences", sql, &[&quoted])?;
        let mut others = Vec::new();
        for (name, row) in chunk.iter().zip(&rows) {
            match row.get(0) {
                Some(last_value) => {
                    let is_called = true;
                    let value = Value {
                        last_value,
                        is_called,
                    };
                    values.insert(name.clone(), value);
                }
                None => others.push(name),
            }
        }
        read_relations(session, &others, &mut values)?;
    }
    Ok(values)
}

fn read_relations(
    session: &mut Session,
    names: &[&QualifiedName],
    values: &mut Values,
) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let one = |name: &&QualifiedName| format!("SELECT s.last_value, s.is_called FROM {name} s");
    let sql: Vec<String> = names.iter().map(one).collect();
    let rows = session.simple("read the sequences", &sql.join("\nUNION ALL "))?;
    for (name, row) in names.iter().zip(&rows) {
        let value = Value {
            last_value: text(row, 0).parse().unwrap_or(0),
            is_called: text(row, 1) == "t",
        };
        values.insert((*name).clone(), value);
    }
    Ok(())
}

/// Returns the statements that set sequences; nothing for none. `setval` is not undone by a rollback,
/// which does no harm on the destination: it has no use for its sequences until it is in charge.
pub fn set(values: &Values) -> String {
    let one = |(name, value): (&QualifiedName, &Value)| {
        format!(
            // Quoted: the lowest one, unquoted, is the negative of a number that is no bigint.
            "pg_catalog.setval({}::pg_catalog.regclass, '{}', {})",
            literal(&name.to_string()),
            value.last_value,
            value.is_called
        )
    };
    let calls: Vec<String> = values.iter().map(one).collect();
    calls
        .chunks(PER_STATEMENT)
        .map(|chunk| format!("SELECT {};\n", chunk.join(", ")))
        .collect()
}

/// Returns those of `wanted` that `known` does not have, or has otherwise.
pub fn changed(wanted: &Values, known: &Values) -> Values {
    wanted
        .iter()
        .filter(|(name, value)| known.get(name) != Some(value))
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_set() {
        let name = |name: &str| QualifiedName::new("public", name);
        let value = |last_value, is_called| Value {
            last_value,
            is_called,
        };
        let known = Values::from([(name("a"), value(1, true)), (name("b"), value(1, false))]);
        let wanted = Values::from([
            (name("a"), value(1, true)),
            (name("b"), value(1, true)),
            (name("c"), value(9, true)),
        ]);
        let changed = changed(&wanted, &known);
        assert_eq!(
            set(&changed),
            "SELECT pg_catalog.setval('\"public\".\"b\"'::pg_catalog.regclass, '1', true), \
             pg_catalog.setval('\"public\".\"c\"'::pg_catalog.regclass, '9', true);\n"
        );
        assert_eq!(set(&Values::new()), "");
    }
}
