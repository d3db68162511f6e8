//! A small cycle: everything in one message, rows as literals, the commit at its end.

use super::{Applied, Applier, Confirmation, plan_of};
use crate::cycle::read::Changes;
use crate::destination;
use crate::error::{Error, Result};
use crate::plan::{Plans, TablePlan};

/// Literals in one statement: enough that statements cost nothing beside them.
const ROWS_PER_STATEMENT: usize = 1000;

impl Applier {
    /// Returns the one message that applies a complete set of changes and commits, with what it does.
    /// `settings` go behind BEGIN.
    pub fn message(
        &self,
        plans: &Plans,
        changes: &Changes,
        confirmation: Confirmation,
        settings: &str,
    ) -> Result<(String, Applied)> {
        let bytes: usize = changes
            .rows
            .iter()
            .map(|row| {
                row.key.as_ref().map_or(0, String::len)
                    + row.contents.as_ref().map_or(0, String::len)
                    + 8
            })
            .sum();
        let mut sql = String::with_capacity(bytes + 4096);
        let mut applied = Applied::default();
        sql.push_str("BEGIN;\n");
        sql.push_str(settings);
        sql.push_str(&destination::hold(&self.claim.run));
        // Deletes from the referring tables to the referenced ones, inserts the other way round.
        let tables = by_table(plans, changes)?;
        sql.push_str(&destination::silence(
            tables.iter().map(|table| &table.plan.name),
        ));
        for TableChanges {
            plan, whole, keys, ..
        } in tables.iter().rev()
        {
            if *whole {
                sql.push_str(&plan.delete_all);
                sql.push_str(";\n");
            }
            for keys in keys.chunks(ROWS_PER_STATEMENT) {
                sql.push_str(&plan.delete(keys));
            }
            applied.keys += keys.len() as u64;
        }
        for TableChanges { plan, rows, .. } in &tables {
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                sql.push_str(&plan.insert(rows));
            }
            applied.rows += rows.len() as u64;
        }
        self.push_end(&mut sql, changes, confirmation, applied);
        Ok((sql, applied))
    }
}

/// What one message has to do to one table.
struct TableChanges<'a> {
    plan: &'a TablePlan,
    whole: bool,
    keys: Vec<&'a str>,
    rows: Vec<&'a str>,
}

/// Sorts the changes by table, in the order of the foreign keys.
fn by_table<'a>(plans: &'a Plans, changes: &'a Changes) -> Result<Vec<TableChanges<'a>>> {
    let mut tables = Vec::with_capacity(changes.tables.len());
    let mut left = changes.rows.as_slice();
    for table in &changes.tables {
        let count = left.iter().take_while(|row| row.oid == table.oid).count();
        let (own, rest) = left.split_at(count);
        left = rest;
        tables.push(TableChanges {
            plan: plan_of(plans, table.oid)?,
            whole: table.whole,
            keys: own.iter().filter_map(|row| row.key.as_deref()).collect(),
            rows: own
                .iter()
                .filter_map(|row| row.contents.as_deref())
                .collect(),
        });
    }
    if !left.is_empty() {
        return Err(Error::failed(
            "the source sent rows of a table that it did not list as changed",
        ));
    }
    tables.sort_by_key(|table| table.plan.rank);
    Ok(tables)
}
