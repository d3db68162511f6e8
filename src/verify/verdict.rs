//! What a comparison has found, and how an operator reads it. Keys are shown, other values never.

use std::fmt;

use crate::ident::{QualifiedName, ident_list, visible};
use crate::sequences::Value;

/// So many rows of a table are named; the others are only counted.
pub const SHOWN_PER_TABLE: usize = 100;

/// The result of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Tables whose rows were compared; a partitioned table counts once.
    pub tables: u64,
    /// Their rows on the source.
    pub rows: u64,
    /// Everything that differs, by name; empty if both sides are the same.
    pub differences: Vec<Difference>,
    /// Tables that could not be compared, because they were truncated or rewritten on the source after
    /// the snapshot: to be compared in another one. By name.
    pub rewritten: Vec<QualifiedName>,
}

/// A table or sequence that differs. `Display` gives one line for it and one for every row shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The rows cannot be compared at all.
    Table {
        /// The table.
        name: QualifiedName,
        /// For example "is missing on the destination".
        what: String,
    },
    /// Rows differ.
    Rows {
        /// The table.
        name: QualifiedName,
        /// Rows that only the source has.
        missing: u64,
        /// Rows that only the destination has.
        extra: u64,
        /// Rows that both have under one key, with different values.
        changed: u64,
        /// False if there were too many to look at all of them: the counts are lower bounds.
        complete: bool,
        /// The first of them, at most [`SHOWN_PER_TABLE`], by key; none of a table without a key.
        shown: Vec<RowDifference>,
    },
    /// A sequence stands elsewhere.
    Sequence {
        /// The sequence.
        name: QualifiedName,
        /// As the cycle read it on the source.
        source: Value,
        /// And on the destination; `None` if it is missing there.
        destination: Option<Value>,
    },
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowDifference {
    /// The key as a condition in SQL: `"id" = '42'`, `("a", "b") = ('1', 'x')`.
    pub key: String,
    /// How it differs.
    pub kind: Kind,
}

/// How a row differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Only the source has it.
    Missing,
    /// Only the destination has it.
    Extra,
    /// These columns have other values.
    Columns(Vec<String>),
}

impl Verdict {
    /// Returns true if nothing differs.
    pub fn same(&self) -> bool {
        self.differences.is_empty()
    }

    /// Adds what a further comparison says of the tables that were rewritten during this one.
    pub fn add(&mut self, further: Verdict) {
        self.tables += further.tables;
        self.rows += further.rows;
        self.differences.extend(further.differences);
        self.differences.sort_by(|a, b| a.name().cmp(b.name()));
        self.rewritten = further.rewritten;
    }

    /// Counts the rows that differ, and the tables that could not be compared and the sequences that
    /// differ as one each.
    pub fn count(&self) -> u64 {
        self.differences.iter().map(Difference::count).sum()
    }
}

impl Difference {
    /// Returns the table or sequence.
    pub fn name(&self) -> &QualifiedName {
        match self {
            Difference::Table { name, .. }
            | Difference::Rows { name, .. }
            | Difference::Sequence { name, .. } => name,
        }
    }

    fn count(&self) -> u64 {
        match self {
            Difference::Rows {
                missing,
                extra,
                changed,
                ..
            } => missing + extra + changed,
            _ => 1,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown_name = visible(&self.name().to_string());
        match self {
            Difference::Table { what, .. } => {
                write!(f, "table {shown_name} {}", visible(what))
            }
            Difference::Rows {
                missing,
                extra,
                changed,
                complete,
                shown,
                ..
            } => {
                let at_least = if *complete { "" } else { "at least " };
                write!(
                    f,
                    "table {shown_name}: {at_least}{missing} missing on the destination, \
                     {extra} only on the destination, {changed} with other values"
                )?;
                for row in shown {
                    write!(f, "\n  {row}")?;
                }
                let hidden = self.count().saturating_sub(shown.len() as u64);
                if !shown.is_empty() && hidden > 0 {
                    write!(f, "\n  and {hidden} more")?;
                }
                Ok(())
            }
            Difference::Sequence {
                source,
                destination,
                ..
            } => {
                write!(
                    f,
                    "sequence {shown_name} is at {} on the source, ",
                    at(*source)
                )?;
                match destination {
                    Some(value) => write!(f, "at {} on the destination", at(*value)),
                    None => f.write_str("and missing on the destination"),
                }
            }
        }
    }
}

fn at(value: Value) -> String {
    let called = if value.is_called {
        ""
    } else {
        " (not called yet)"
    };
    format!("{}{called}", value.last_value)
}

impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = visible(&self.key);
        match &self.kind {
            Kind::Missing => write!(f, "{key}: missing on the destination"),
            Kind::Extra => write!(f, "{key}: only on the destination"),
            // Its columns are looked up after the row: by then a key may not be found by its text.
            Kind::Columns(columns) if columns.is_empty() => {
                write!(f, "{key}: values differ")
            }
            Kind::Columns(columns) => {
                let names = ident_list(columns.iter().map(String::as_str));
                write!(f, "{key}: differs in {}", visible(&names))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_one_line_and_each_row_another() {
        let difference = Difference::Rows {
            name: QualifiedName::new("s", "t"),
            missing: 1,
            extra: 0,
            changed: 2,
            complete: true,
            shown: vec![
                RowDifference {
                    key: "\"id\" = '1'".to_string(),
                    kind: Kind::Missing,
                },
                RowDifference {
                    key: "\"id\" = '2'".to_string(),
                    kind: Kind::Columns(vec!["a".to_string(), "b c".to_string()]),
                },
            ],
        };
        assert_eq!(
            difference.to_string(),
            "table \"s\".\"t\": 1 missing on the destination, 0 only on the destination, \
             2 with other values\n  \"id\" = '1': missing on the destination\n  \
             \"id\" = '2': differs in \"a\", \"b c\"\n  and 1 more"
        );
    }

    #[test]
    fn a_sequence_says_where_it_stands_on_both_sides() {
        let difference = Difference::Sequence {
            name: QualifiedName::new("s", "q"),
            source: Value {
                last_value: 5,
                is_called: true,
            },
            destination: Some(Value {
                last_value: 1,
                is_called: false,
            }),
        };
        assert_eq!(
            difference.to_string(),
            "sequence \"s\".\"q\" is at 5 on the source, at 1 (not called yet) on the destination"
        );
    }
}
