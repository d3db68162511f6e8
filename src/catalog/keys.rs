//! What identifies a row.

use std::collections::HashMap;

use crate::error::Result;
use crate::session::Session;

use super::read::oids;
use super::{Oid, Relation};

/// The columns that identify a row, of a unique index over NOT NULL columns.
#[derive(Debug, Clone)]
pub struct Key {
    /// The index.
    pub index: String,
    /// True if it is the primary key.
    pub primary: bool,
    /// Its columns in the index's order.
    pub columns: Vec<KeyColumn>,
}

/// A column of a key.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    /// Its name, raw.
    pub name: String,
    /// The type, ready for SQL; for a domain what it is over, because a cast to it would evaluate its
    /// constraints, which its owner writes; and without a length if a user made it, which its owner enforces.
    pub type_name: String,
    /// The equality of the index, `OPERATOR(pg_catalog.=)`: citext's is not found by `=` alone.
    pub equals: String,
    /// ` COLLATE …` of the index for a collatable type, else nothing; put behind an expression of it.
    pub collate: String,
    /// That collation takes only texts of the same bytes for equal; true where there is none.
    pub deterministic: bool,
    /// As [`Column::plain_text`].
    pub plain_text: bool,
}

impl KeyColumn {
    /// Returns true if a user, or an extension, made the type: only what is built in needs no schema.
    pub fn of_user(&self) -> bool {
        of_user(&self.type_name)
    }

    /// Returns true if many values of the type are sorted in no time, and those that were made one after the
    /// other are likely to lie side by side then. Not so texts: collations are slow.
    pub fn sorts_fast(&self) -> bool {
        const FAST: [&str; 7] = [
            "smallint", "integer", "bigint", "oid", "uuid", "date", "numeric",
        ];
        let name = self.type_name.split('(').next().unwrap_or_default();
        FAST.contains(&name) || name.starts_with("timestamp")
    }
}

/// Takes the `(20)` out of `s.short(20)`: a cast to that, were it of NULL, runs what the type's owner has defined for
/// lengths. Those of built-in types are PostgreSQL's own, and `character` is another type without.
fn castable(type_name: &str) -> String {
    let mut quoted = false;
    let open = type_name.find(|letter| {
        quoted ^= letter == '"';
        letter == '(' && !quoted
    });
    match (open, type_name.rfind(')')) {
        (Some(open), Some(close)) if of_user(type_name) => {
            format!("{}{}", &type_name[..open], &type_name[close + 1..])
        }
        _ => type_name.to_string(),
    }
}

fn of_user(type_name: &str) -> bool {
    type_name.contains('.')
}

pub(super) fn read_keys(session: &mut Session, relations: &mut [Relation]) -> Result<()> {
    let rows = session.query(
        "list the keys",
        include_str!("keys.sql"),
        &[&oids(relations)],
    )?;
    let mut of_relation: HashMap<Oid, Vec<&postgres::Row>> = HashMap::new();
    for row in &rows {
        of_relation.entry(row.get(0)).or_default().push(row);
    }
    for relation in relations {
        let mut key: Option<Key> = None;
        for row in of_relation.remove(&relation.oid).unwrap_or_default() {
            let index: String = row.get(1);
            let name: String = row.get(3);
            let Some(column) = relation.column(&name) else {
                continue;
            };
            let key_column = KeyColumn {
                name,
                type_name: castable(&column.base_type),
                equals: row.get(4),
                collate: row
                    .get::<_, Option<String>>(5)
                    .map_or_else(String::new, |collation| format!(" COLLATE {collation}")),
                deterministic: row.get(6),
                plain_text: column.plain_text,
            };
            match &mut key {
                None => {
                    key = Some(Key {
                        index,
                        primary: row.get(2),
                        columns: vec![key_column],
                    });
                }
                // Rows of a worse index follow those of the best.
                Some(best) if best.index == index => best.columns.push(key_column),
                Some(_) => break,
            }
        }
        relation.key = key;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_type_that_a_user_made_is_left_out() {
        for (spelled, wanted) in [
            ("s.short(20)", "s.short"),
            ("s.geometry(Point,4326)[]", "s.geometry[]"),
            ("\"a(b\".\"c\"\"(1)\"(2)", "\"a(b\".\"c\"\"(1)\""),
            ("\"a(b)\".c", "\"a(b)\".c"),
            ("numeric(10,2)", "numeric(10,2)"),
            (
                "timestamp(3) without time zone",
                "timestamp(3) without time zone",
            ),
        ] {
            assert_eq!(castable(spelled), wanted);
        }
    }
}
