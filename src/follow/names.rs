//! Tables, schemas and columns that were renamed, and columns that were dropped, alike on both sides: rows and
//! logged keys are what they were, and only the functions have to be made anew.
//!
//! That the destination's table is the one that was copied, and its column the one that was written, is
//! told by oid and number: names may have been exchanged.

use super::{Sides, stale};
use crate::capture::{Captured, follow};
use crate::catalog::{Oid, Relation};
use crate::destination;
use crate::error::Result;

impl Sides<'_> {
    /// Follows what was renamed. Returns true if anything was.
    pub(super) fn names(&mut self) -> Result<bool> {
        let mut renamed = Vec::new();
        let tables: Vec<Captured> = self.capture.tables.values().cloned().collect();
        for table in tables {
            let Some(relation) = self.catalog.relation_by_oid(table.oid) else {
                continue;
            };
            let relation = relation.clone();
            let same = relation.name == table.name && table.same_columns();
            if same && (!stale(&relation, &table) || !table.has_key_of(&relation)) {
                continue;
            }
            if !agree(&relation, &table) || !table.has_key_of(&relation) {
                continue;
            }
            if same {
                renamed.push((relation, table, None));
            } else if let Some(there) = self.renamed_alike(&relation, &table)? {
                renamed.push((relation, table, Some(there)));
            }
        }
        // The destination's notes first: they go by oid, so doing this again changes nothing.
        let notes: Vec<_> = renamed
            .iter()
            .filter_map(|(relation, _, there)| Some(((*there)?, &relation.name)))
            .collect();
        if !notes.is_empty() {
            destination::rename_tables(self.destination, &notes)?;
        }
        for (relation, table, _) in &renamed {
            if table.key_name_taken() || (table.moved() && !table.same_columns()) {
                // Until now another column may have been logged under the key's name; and the bound of a
                // partition that has gone is in the former names.
                follow::log_whole(self.source, table.oid)?;
            }
            follow::renew_functions(self.source, relation, table)?;
            if relation.name != table.name {
                log::info!(
                    "table {} is now called {} on both sides",
                    table.name,
                    relation.name
                );
            } else if !table.same_columns() {
                log::info!(
                    "columns of table {} were renamed or dropped on both sides",
                    table.name
                );
            }
        }
        Ok(!renamed.is_empty())
    }

    /// Returns the oid of the destination's table if it has been changed like the source's: it is the one
    /// that was copied, and each of its columns is the one that has held the source's column.
    fn renamed_alike(&mut self, relation: &Relation, table: &Captured) -> Result<Option<Oid>> {
        let Some(copied) = self.copied.get(&table.oid) else {
            return Ok(None);
        };
        let there = self.there.relation(&relation.name).map(|there| there.oid);
        let (Some(oid), true) = (there, copied.oid == there && table.renamed_columns_only()) else {
            return Ok(None);
        };
        let numbers = destination::columns(self.destination, oid)?;
        let now = table.columns_now.as_deref().unwrap_or_default();
        let alike = now.iter().all(|column| {
            let then = table
                .columns
                .iter()
                .find(|then| then.number == column.number);
            let number = then.and_then(|then| copied.columns.get(&then.name));
            number.is_some() && number == numbers.get(&column.name)
        });
        Ok((alike && numbers.len() == now.len()).then_some(oid))
    }
}

/// Returns true if the catalog, from which the functions are made, and the look saw the same columns.
fn agree(relation: &Relation, table: &Captured) -> bool {
    let now = table.columns_now.as_deref().unwrap_or_default();
    let names = relation.columns.iter().map(|column| &column.name);
    names.eq(now.iter().map(|column| &column.name))
}
