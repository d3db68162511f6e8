//! Indexes and constraints: the workers make them as soon as a table is whole, while it is still in the destination's
//! memory and other tables are copied; those of small tables together with those of others. What could not be made
//! here pg_restore makes at the end, and tells why it cannot.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::chunks::unsigned;
use super::contents;
use super::crew::lock;
use super::queue::Job;
use super::schema::Schema;
use super::table::Table;
use crate::catalog::{Oid, Relation};
use crate::destination;
use crate::error::Result;
use crate::session::{Session, text};

/// A table of this many bytes is large: its indexes take longer than the program that tells how they are made.
const LARGE: u64 = 8 << 20;

/// Small tables that one transaction makes them for.
const TOGETHER: usize = 50;

/// How many processes the server adds to the one that makes an index.
const HELPERS: &str = "max_parallel_maintenance_workers";

/// Returns how many the server adds of its own accord: not if somebody has chosen a number.
///
/// # Errors
/// As the server says.
pub fn helpers_by_default(destination: &mut Session) -> Result<Option<usize>> {
    let sql = format!(
        "SELECT setting FROM pg_catalog.pg_settings WHERE name = '{HELPERS}' AND source = 'default'"
    );
    let rows = destination.simple("read how indexes are made", &sql)?;
    Ok(rows.first().and_then(|row| text(row, 0).parse().ok()))
}

/// What the tables have, by the table's position.
pub struct Indexes<'a> {
    schema: &'a Schema<'a>,
    tables: BTreeMap<usize, Entries>,
    small: Mutex<Small>,
}

/// Small tables that have any.
#[derive(Default)]
struct Small {
    /// Those that are not whole yet.
    left: usize,
    /// Those that are, and wait for others.
    waiting: usize,
    /// What these have.
    list: String,
}

impl Small {
    /// Adds a table that is whole; returns what is made now.
    fn add(&mut self, entries: &Entries) -> Vec<Job> {
        self.left = self.left.saturating_sub(1);
        self.waiting += 1;
        self.list.push_str(&entries.constraints);
        self.list.extend(entries.indexes.iter().map(String::as_str));
        if self.waiting < TOGETHER && self.left > 0 {
            return Vec::new();
        }
        self.waiting = 0;
        let list = std::mem::take(&mut self.list);
        vec![Job::Make(Make::new(list, Vec::new()))]
    }
}

/// Entries of the archive for one table.
#[derive(Default)]
struct Entries {
    large: bool,
    /// All at once, because each wants the table for itself.
    constraints: String,
    /// One by one, side by side.
    indexes: Vec<String>,
}

/// Entries that are made at once, and what can be made when they are there.
pub struct Make {
    list: String,
    behind: Vec<String>,
}

impl Make {
    /// The list is that of `pg_restore --use-list`.
    pub fn new(list: String, behind: Vec<String>) -> Make {
        Make { list, behind }
    }

    /// Returns the work that was waiting for this.
    pub fn behind(&self) -> Vec<Job> {
        let make = |list: &String| Job::Make(Make::new(list.clone(), Vec::new()));
        self.behind.iter().map(make).collect()
    }
}

/// Finds the entries of each relation, by its position.
fn entries(listing: &str, relations: &[&Relation]) -> BTreeMap<usize, Entries> {
    let mut positions: BTreeMap<Oid, usize> = BTreeMap::new();
    for (position, relation) in relations.iter().enumerate() {
        let leaves = relation.partitions.iter().filter(|one| one.leaf);
        positions.extend(leaves.map(|one| (one.oid, position)));
        if !relation.partitioned {
            positions.insert(relation.oid, position);
        }
    }
    let mut found: BTreeMap<usize, Entries> = BTreeMap::new();
    for index in contents::indexes(listing) {
        let Some(position) = positions.get(&index.table) else {
            continue;
        };
        let entries = found.entry(*position).or_default();
        entries.large = unsigned(relations[*position].bytes) >= LARGE;
        match index.constraint {
            true => entries.constraints.push_str(&format!("{}\n", index.line)),
            false => entries.indexes.push(format!("{}\n", index.line)),
        }
    }
    found
}

/// Lists what will be made by itself of large tables, the largest first.
pub fn of_large(listing: &str, relations: &[Relation]) -> Vec<String> {
    let mut order: Vec<&Relation> = relations.iter().collect();
    order.sort_by_key(|relation| std::cmp::Reverse(relation.bytes));
    let large = entries(listing, &order).into_values();
    large
        .filter(|entries| entries.large)
        .flat_map(|entries| std::iter::once(entries.constraints).chain(entries.indexes))
        .filter(|list| !list.is_empty())
        .collect()
}

impl<'a> Indexes<'a> {
    /// Finds those of the tables in the archive.
    pub fn new(schema: &'a Schema<'a>, tables: &[Table<'_>]) -> Indexes<'a> {
        let relations: Vec<&Relation> = tables.iter().map(|table| table.relation).collect();
        let entries = entries(schema.listing(), &relations);
        let small = Small {
            left: entries.values().filter(|one| !one.large).count(),
            ..Small::default()
        };
        Indexes {
            schema,
            tables: entries,
            small: Mutex::new(small),
        }
    }

    /// Returns how many may be made side by side.
    pub fn most(&self) -> usize {
        self.tables
            .values()
            .map(|one| one.indexes.len().max(1))
            .sum()
    }

    /// Returns the work on a table that is whole.
    pub fn of(&self, table: usize) -> Vec<Job> {
        let Some(entries) = self.tables.get(&table) else {
            return Vec::new();
        };
        if !entries.large {
            return lock(&self.small).add(entries);
        }
        let make = Make::new(entries.constraints.clone(), entries.indexes.clone());
        match make.list.is_empty() {
            true => make.behind(),
            false => vec![Job::Make(make)],
        }
    }

    /// Makes some entries in one transaction, or none of them, with no more helpers than the server has to
    /// start if a number is given.
    ///
    /// # Errors
    /// As pg_restore or the server says.
    pub fn make(
        &self,
        make: &Make,
        helpers: Option<usize>,
        destination: &mut Session,
        run: &str,
    ) -> Result<()> {
        let script = self.schema.script_once(&make.list, destination.version())?;
        let helpers =
            helpers.map_or_else(String::new, |most| format!("SET LOCAL {HELPERS} = {most};"));
        let sql = format!(
            "BEGIN;{helpers}\n{script}\nSET search_path = '';\n{}\nCOMMIT;",
            destination::hold(run)
        );
        destination.transaction("create an index", &sql)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_are_made_together_and_the_last_ones_wait_for_nobody() {
        let mut small = Small {
            left: TOGETHER + 2,
            ..Small::default()
        };
        let entries = Entries {
            constraints: "c\n".to_string(),
            indexes: vec!["i\n".to_string(), "j\n".to_string()],
            ..Entries::default()
        };
        let made: Vec<usize> = (0..TOGETHER + 2)
            .flat_map(|_| small.add(&entries))
            .map(|job| match job {
                Job::Make(make) => make.list.lines().count(),
                Job::Chunk(_) => 0,
            })
            .collect();
        assert_eq!(made, [3 * TOGETHER, 6]);
    }
}
