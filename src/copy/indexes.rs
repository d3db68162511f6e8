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
use crate::catalog::Oid;
use crate::destination;
use crate::error::Result;
use crate::session::Session;

/// A table of this many bytes is large: its indexes take longer than the program that tells how they are made.
const LARGE: u64 = 8 << 20;

/// Small tables that one transaction makes them for.
const TOGETHER: usize = 50;

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

impl<'a> Indexes<'a> {
    /// Finds those of the tables in the archive.
    pub fn new(schema: &'a Schema<'a>, tables: &[Table<'_>]) -> Indexes<'a> {
        let mut positions: BTreeMap<Oid, usize> = BTreeMap::new();
        for (position, table) in tables.iter().enumerate() {
            let relation = table.relation;
            let leaves = relation.partitions.iter().filter(|one| one.leaf);
            positions.extend(leaves.map(|one| (one.oid, position)));
            if !relation.partitioned {
                positions.insert(relation.oid, position);
            }
        }
        let mut entries: BTreeMap<usize, Entries> = BTreeMap::new();
        for index in contents::indexes(schema.listing()) {
            let Some(position) = positions.get(&index.table) else {
                continue;
            };
            let entries = entries.entry(*position).or_default();
            entries.large = unsigned(tables[*position].relation.bytes) >= LARGE;
            match index.constraint {
                true => entries.constraints.push_str(&format!("{}\n", index.line)),
                false => entries.indexes.push(format!("{}\n", index.line)),
            }
        }
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

    /// Makes some entries in one transaction, or none of them.
    ///
    /// # Errors
    /// As pg_restore or the server says.
    pub fn make(&self, make: &Make, destination: &mut Session, run: &str) -> Result<()> {
        // By the number of the first entry.
        let name = make.list.split(';').next().unwrap_or_default();
        let script = self
            .schema
            .script(&make.list, name, destination.version())?;
        let sql = format!(
            "BEGIN;\n{script}\nSET search_path = '';\n{}\nCOMMIT;",
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
