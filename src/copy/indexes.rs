//! The indexes and constraints of large tables: the workers make them as soon as a table is whole, while it is still
//! in the destination's memory and other tables are copied. Those of small tables are not worth a message of their
//! own; pg_restore makes them at the end, and with them whatever could not be made here, and tells why it cannot.

use std::collections::BTreeMap;

use super::chunks::unsigned;
use super::contents;
use super::queue::Job;
use super::schema::Schema;
use super::table::Table;
use crate::catalog::Oid;
use crate::destination;
use crate::error::Result;
use crate::session::Session;

/// A table of this many bytes is large: its indexes take longer than the program that tells how they are made.
const LARGE: u64 = 8 << 20;

/// What the large tables have, by the table's position.
pub struct Indexes<'a> {
    schema: &'a Schema<'a>,
    tables: BTreeMap<usize, Entries>,
}

/// Entries of the archive for one table.
#[derive(Default)]
struct Entries {
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
            if unsigned(relation.bytes) >= LARGE {
                let leaves = relation.partitions.iter().filter(|one| one.leaf);
                positions.extend(leaves.map(|one| (one.oid, position)));
                if !relation.partitioned {
                    positions.insert(relation.oid, position);
                }
            }
        }
        let mut tables: BTreeMap<usize, Entries> = BTreeMap::new();
        for index in contents::indexes(schema.listing()) {
            let Some(position) = positions.get(&index.table) else {
                continue;
            };
            let entries = tables.entry(*position).or_default();
            match index.constraint {
                true => entries.constraints.push_str(&format!("{}\n", index.line)),
                false => entries.indexes.push(format!("{}\n", index.line)),
            }
        }
        Indexes { schema, tables }
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
