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
    /// constraints, which its owner writes.
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
        self.type_name.contains('.')
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
                type_name: column.base_type.clone(),
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
