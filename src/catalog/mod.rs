//! What a database contains, read into plain data: relations, columns, keys, foreign keys, sequences.
//!
//! A partitioned table stands for its partitions: rows are captured, applied and compared through
//! the root, so that the two sides may be partitioned differently.

mod compare;
mod compare_sequences;
mod compare_types;
mod keys;
pub mod objects;
mod order;
mod pattern;
mod policies;
mod read;
mod schema;
mod types;

use std::collections::{BTreeMap, BTreeSet};

pub use compare::{compare, refuse_differences};
pub use compare_sequences::looser_sequences;
pub use keys::{Key, KeyColumn};
pub use order::order;
pub use pattern::Selection;
pub use policies::{bound_role, forced, forced_there, no_force, refuse_forced, refuse_policies};
pub use schema::{CREATE_SCHEMA, refuse_untrusted_schema};
pub use types::{Spelled, UserType};

use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::session::Session;

/// A relation's identity on its own server.
pub type Oid = u32;

/// Types that users made, by name.
pub type UserTypes = BTreeMap<QualifiedName, UserType>;

/// A database as one transaction saw it.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Which database this is.
    pub database: Database,
    /// Tables and partitioned tables (not their partitions), by name.
    pub relations: Vec<Relation>,
    /// Foreign tables and others that hold no rows of their own, by name.
    pub foreign_tables: Vec<QualifiedName>,
    /// Foreign keys between any two tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// Sequences, by name.
    pub sequences: Vec<Sequence>,
    /// The types that users made, of those that the relations' columns are made of.
    pub types: UserTypes,
}

/// Facts about a database as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Database {
    /// System identifier and oid, `7312345678901234567/16384`: the same only for the same database.
    pub identity: String,
    /// `pg_database.datname`.
    pub name: String,
    /// For example `UTF8`.
    pub encoding: String,
    /// `datcollate`.
    pub collate: String,
    /// `datctype`.
    pub ctype: String,
    /// True if our role is a superuser there.
    pub superuser: bool,
}

/// A table, or a partitioned table with all its partitions.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its oid on the server that the catalog was read from.
    pub oid: Oid,
    /// Schema and name.
    pub name: QualifiedName,
    /// True for a partitioned table.
    pub partitioned: bool,
    /// True for an unlogged table.
    pub unlogged: bool,
    /// The owning role.
    pub owner: String,
    /// True if our role is, or is a member of, the owner.
    pub owned: bool,
    /// Columns in the table's order, dropped ones left out.
    pub columns: Vec<Column>,
    /// What identifies a row; `None` if nothing does.
    pub key: Option<Key>,
    /// The partitions at all levels, by name; empty for an ordinary table.
    pub partitions: Vec<Partition>,
    /// Bytes of the heap and TOAST, partitions included; 0 before [`Catalog::read_sizes`].
    pub bytes: i64,
    /// 8 kB pages of the main fork; of an ordinary table only. 0 before [`Catalog::read_sizes`].
    pub pages: i64,
    /// The planner's estimate, partitions included.
    pub rows: f64,
}

/// A partition below a root.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Its oid.
    pub oid: Oid,
    /// Schema and name.
    pub name: QualifiedName,
    /// True if it holds rows; false if it is partitioned itself.
    pub leaf: bool,
    /// True if it is a foreign table.
    pub foreign: bool,
    /// 8 kB pages of the main fork; 0 before [`Catalog::read_sizes`].
    pub pages: i64,
    /// Bytes of the heap and TOAST; likewise.
    pub bytes: i64,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name, raw.
    pub name: String,
    /// The type.
    pub type_name: Spelled,
    /// The type, ready for SQL; of a domain, what it is over.
    pub base_type: String,
    /// NOT NULL.
    pub not_null: bool,
    /// Computed from other columns (stored or virtual), so never written.
    pub generated: bool,
    /// The built-in type whose binary form it has, if that means the same on every server.
    pub binary_form: Option<Oid>,
    /// Its text does not depend on settings of the session that prints it.
    pub plain_text: bool,
}

/// A foreign key.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: String,
    /// The referencing table.
    pub from: Oid,
    /// The referenced table.
    pub to: Oid,
}

/// A sequence.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Its oid.
    pub oid: Oid,
    /// Schema and name.
    pub name: QualifiedName,
    /// The relation that owns it, if any.
    pub owner: Option<Oid>,
    /// How it goes on.
    pub how: SequenceType,
}

/// What CREATE SEQUENCE says of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceType {
    /// `smallint`, `integer` or `bigint`.
    pub type_name: String,
    /// START.
    pub start: i64,
    /// INCREMENT BY.
    pub increment: i64,
    /// MINVALUE.
    pub lowest: i64,
    /// MAXVALUE.
    pub highest: i64,
    /// CACHE.
    pub cache: i64,
    /// CYCLE.
    pub cycles: bool,
}

impl Relation {
    /// Returns ` ONLY` for an ordinary table, whose inheritance children are relations of their own.
    pub fn only(&self) -> &'static str {
        if self.partitioned { "" } else { " ONLY" }
    }

    /// Returns the columns that are written: all but the generated ones.
    pub fn written_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| !column.generated)
    }

    /// Returns true if COPY may use its binary form from this table into that one: every written column
    /// has one that means the same on every server, and the same on both sides. The names of types do
    /// not tell: domains of one name may be over different types. Text converts.
    pub fn binary_into(&self, other: &Relation) -> bool {
        self.written_columns().all(|column| {
            column.binary_form.is_some()
                && other
                    .column(&column.name)
                    .is_some_and(|there| there.binary_form == column.binary_form)
        })
    }

    /// Returns the names of the key's columns, in the key's order; none without a key.
    pub fn key_columns(&self) -> impl Iterator<Item = &str> {
        self.key
            .iter()
            .flat_map(|key| &key.columns)
            .map(|column| column.name.as_str())
    }

    /// Returns the column of a name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Catalog {
    /// Reads the relations that the selection takes in. One consistent picture only if the session
    /// is in a REPEATABLE READ transaction.
    ///
    /// # Errors
    /// As the server says; a pattern that matches nothing.
    pub fn read(session: &mut Session, selection: &Selection) -> Result<Catalog> {
        let database = read_database(session)?;
        let (mut relations, mut foreign_tables) = read::relations(session)?;
        relations.sort_by(|one, other| one.name.cmp(&other.name));
        selection.apply(&mut relations, &mut foreign_tables)?;
        let types = read::columns(session, &mut relations)?;
        keys::read_keys(session, &mut relations)?;
        let foreign_keys = read::foreign_keys(session)?;
        let mut sequences = read::sequences(session)?;
        // A sequence goes with the table that owns it: without the one the other is of no use there.
        let kept: BTreeSet<Oid> = relations
            .iter()
            .flat_map(|relation| {
                let partitions = relation.partitions.iter().map(|partition| partition.oid);
                partitions.chain([relation.oid])
            })
            .collect();
        sequences.retain(|sequence| match sequence.owner {
            Some(owner) => selection.takes_all() || kept.contains(&owner),
            None => selection.takes_schema(&sequence.name.schema),
        });
        Ok(Catalog {
            database,
            relations,
            foreign_tables,
            foreign_keys,
            sequences,
            types: types.of_users(),
        })
    }

    /// Reads the sizes, for those who plan by them: the server takes longer for them than for all the rest.
    ///
    /// # Errors
    /// As the server says.
    pub fn read_sizes(&mut self, session: &mut Session) -> Result<()> {
        read::sizes(session, &mut self.relations)
    }

    /// Returns the relation of a name.
    pub fn relation(&self, name: &QualifiedName) -> Option<&Relation> {
        let place = self
            .relations
            .binary_search_by(|relation| relation.name.cmp(name));
        self.relations.get(place.ok()?)
    }

    /// Returns the relation of an oid.
    pub fn relation_by_oid(&self, oid: Oid) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.oid == oid)
    }
}

/// Reads which database a session is connected to.
///
/// # Errors
/// As the server says.
pub fn read_database(session: &mut Session) -> Result<Database> {
    let row = session.query_one("identify the database", include_str!("server.sql"), &[])?;
    Ok(Database {
        identity: row.get(0),
        name: row.get(1),
        encoding: row.get(2),
        collate: row.get(3),
        ctype: row.get(4),
        superuser: row.get(5),
    })
}

/// Refuses a source and a destination that are one database, by whatever names they were reached.
///
/// # Errors
/// They are the same.
pub fn refuse_same_database(source: &Database, destination: &Database) -> Result<()> {
    if source.identity != destination.identity {
        return Ok(());
    }
    Err(Error::failed(format!(
        "source and destination are the same database \"{}\" (system identifier and oid {})",
        source.name, source.identity
    ))
    .mend("check --source and --dest"))
}
