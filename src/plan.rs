//! How each table is carried over: the SQL, put together once from the catalogs of both sides.
//!
//! On the destination every changed key is deleted first and the current rows are inserted then. What
//! stands at any instant is a subset of a state that was valid on the source, so no unique or exclusion
//! constraint can fail, whatever values rows have exchanged; that no foreign key acts and no user trigger
//! fires is seen to by `destination::role`.

use std::collections::BTreeMap;

use crate::capture::{changed_keys, key_matches};
use crate::catalog::{Catalog, Key, KeyColumn, Oid, Relation, order};
use crate::error::{Error, Result};
use crate::ident::{QualifiedName, ident, ident_list};

/// The statements for one table.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// Schema and name, the same on both sides.
    pub name: QualifiedName,
    /// Its place in the order of the foreign keys: referenced tables before those that refer to them.
    pub rank: usize,
    /// On the source: `COPY … TO STDOUT` of the distinct changed keys; empty without a key.
    pub keys_out: String,
    /// On the source: `COPY … TO STDOUT` of the rows that have these keys now.
    pub rows_out: String,
    /// On the source: settings for both of these, in their transaction.
    pub keys_settings: &'static str,
    /// On the source: with so many keys in place of `$1`, says how they are to be joined with the table.
    pub join_settings: String,
    /// On the source: `COPY … TO STDOUT` of all rows.
    pub all_out: String,
    /// On the destination: makes the staging table for keys, if it is not there yet.
    pub stage: String,
    /// On the destination: `COPY … FROM STDIN` into the staging table.
    pub keys_in: String,
    /// On the destination: deletes the rows whose keys are staged.
    pub delete_staged: String,
    /// On the destination: deletes all rows. Not TRUNCATE, which readers with an older snapshot see.
    pub delete_all: String,
    /// On the destination: `COPY … FROM STDIN` into the table.
    pub rows_in: String,
    /// On the destination: has the statements planned that write single rows; writes nothing.
    pub explain: String,
    columns: usize,
    delete_head: String,
    delete_tail: String,
    insert_head: String,
}

/// Plans by the oid of the source's relation.
pub type Plans = BTreeMap<Oid, TablePlan>;

/// Makes the plans of all relations of the source.
///
/// # Errors
/// A relation is missing on the destination.
pub fn plan(source: &Catalog, destination: &Catalog) -> Result<Plans> {
    let oids: Vec<Oid> = source
        .relations
        .iter()
        .map(|relation| relation.oid)
        .collect();
    let sorted = order(&oids, &source.foreign_keys);
    for cycle in &sorted.cycles {
        let names: Vec<String> = cycle
            .iter()
            .filter_map(|oid| source.relation_by_oid(*oid))
            .map(|relation| relation.name.to_string())
            .collect();
        log::debug!(
            "tables that refer to each other in a circle: {}",
            names.join(", ")
        );
    }
    let ranks: BTreeMap<Oid, usize> = sorted
        .order
        .iter()
        .enumerate()
        .map(|(rank, oid)| (*oid, rank))
        .collect();
    let one = |relation: &Relation| {
        let other = destination.relation(&relation.name).ok_or_else(|| {
            Error::failed(format!(
                "table {} is missing on the destination",
                relation.name
            ))
            .mend("create it there")
        })?;
        let rank = ranks.get(&relation.oid).copied().unwrap_or(0);
        Ok((relation.oid, TablePlan::new(relation, other, rank)))
    };
    source.relations.iter().map(one).collect()
}

impl TablePlan {
    fn new(source: &Relation, destination: &Relation, rank: usize) -> TablePlan {
        let name = &source.name;
        let format = match source.binary_into(destination) {
            true => "(FORMAT binary)",
            false => "(FORMAT text)",
        };
        let columns: Vec<&str> = source.written_columns().map(|c| c.name.as_str()).collect();
        let listed = ident_list(columns.iter().copied());
        let wanted: Vec<String> = columns.iter().map(|c| format!("t.{}", ident(c))).collect();
        let wanted = wanted.join(", ");
        let (here, there) = (source.only(), destination.only());
        let mut plan = TablePlan {
            name: name.clone(),
            rank,
            keys_out: String::new(),
            rows_out: String::new(),
            keys_settings: "",
            join_settings: String::new(),
            all_out: format!("COPY (SELECT {wanted} FROM{here} {name} t) TO STDOUT {format}"),
            stage: String::new(),
            keys_in: String::new(),
            delete_staged: String::new(),
            delete_all: format!("DELETE FROM{there} {name}"),
            rows_in: match columns.is_empty() {
                // An empty list of columns is not SQL, though a table without columns is.
                true => format!("COPY {name} FROM STDIN {format}"),
                false => format!("COPY {name} ({listed}) FROM STDIN {format}"),
            },
            explain: format!("EXPLAIN INSERT INTO {name} DEFAULT VALUES;\n"),
            columns: columns.len(),
            delete_head: String::new(),
            delete_tail: String::new(),
            insert_head: format!("INSERT INTO {name} ({listed}) OVERRIDING SYSTEM VALUE VALUES "),
        };
        if let Some(key) = &source.key {
            let theirs = destination_key(key, destination);
            let stage = format!("pg_temp.{}", ident(&format!("keys_{}", source.oid)));
            let mut keys = changed_keys(source, key);
            if key.columns.iter().all(KeyColumn::sorts_fast) {
                // Rows that lie side by side on the source are then read one after the other, and the
                // destination's index over them grows at its end, or page by page, instead of everywhere.
                keys.push_str(&format!(" ORDER BY {}", key_names("k", key)));
                plan.keys_settings = "SET LOCAL enable_hashagg = off;";
                plan.join_settings =
                    include_str!("join.sql").replace("$2", &source.oid.to_string());
            }
            plan.keys_out = format!("COPY ({keys}) TO STDOUT");
            plan.rows_out = format!(
                "COPY (SELECT {wanted} FROM ({keys}) k JOIN{here} {name} t ON {}) TO STDOUT {format}",
                key_matches(key)
            );
            plan.stage = stage_table(&stage, &theirs);
            plan.keys_in = format!("COPY {stage} FROM STDIN");
            plan.delete_staged = format!(
                "DELETE FROM{there} {name} t USING {stage} k WHERE {}{}",
                key_matches(&theirs),
                not_beyond(&theirs, &format!("{there} {name}"))
            );
            (plan.delete_head, plan.delete_tail) =
                delete_by_key(&theirs, &format!("{there} {name}"));
            let nothing = typed_nulls(&theirs);
            plan.explain.push_str("EXPLAIN ");
            plan.explain.push_str(&plan.delete(&[nothing.as_str()]));
        }
        plan
    }

    /// Returns the statement that deletes rows by key; `keys` are lists of literals.
    pub fn delete(&self, keys: &[&str]) -> String {
        statement(&self.delete_head, keys, &self.delete_tail)
    }

    /// Returns the statement that inserts rows; `rows` are lists of literals.
    pub fn insert(&self, rows: &[&str]) -> String {
        if self.columns == 0 {
            return format!("INSERT INTO {} DEFAULT VALUES;\n", self.name).repeat(rows.len());
        }
        statement(&self.insert_head, rows, "")
    }
}

/// The key with the destination's own operators: an extension may live in another schema there.
fn destination_key(key: &Key, destination: &Relation) -> Key {
    let mut theirs = key.clone();
    for column in &mut theirs.columns {
        let same = destination
            .key
            .iter()
            .flat_map(|other| &other.columns)
            .find(|other| other.name == column.name);
        if let Some(other) = same {
            *column = other.clone();
        }
    }
    theirs
}

/// Returns what stands before and behind the lists of literals in a statement that deletes rows by key. An array
/// takes the server half as long as a join to plan and run; it holds what is of one column and is no array itself.
fn delete_by_key(key: &Key, table: &str) -> (String, String) {
    match key.columns.as_slice() {
        [one] if !one.type_name.ends_with("[]") => (
            format!(
                "DELETE FROM{table} t WHERE t.{} {} ANY (ARRAY[",
                ident(&one.name),
                one.equals
            ),
            format!("]::{}[]{})", one.type_name, one.collate),
        ),
        _ => (
            format!("DELETE FROM{table} t USING (VALUES ({}),", typed_nulls(key)),
            format!(") k ({}) WHERE {}", key_names("k", key), key_matches(key)),
        ),
    }
}

/// Returns a condition that takes new rows out at once where keys only grow: beyond the last key that a table has,
/// there is none to be looked for. Only for types where nothing but the number itself decides.
fn not_beyond(key: &Key, table: &str) -> String {
    match key.columns.as_slice() {
        [one] if matches!(one.type_name.as_str(), "smallint" | "integer" | "bigint") => format!(
            " AND k.k1 OPERATOR(pg_catalog.<=) (SELECT pg_catalog.max(l.{}) FROM{table} l)",
            ident(&one.name)
        ),
        _ => String::new(),
    }
}

fn stage_table(stage: &str, key: &Key) -> String {
    let columns: Vec<String> = key
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| format!("k{} {}{}", index + 1, column.type_name, column.collate))
        .collect();
    format!(
        "CREATE TEMPORARY TABLE IF NOT EXISTS {stage} ({}) ON COMMIT DELETE ROWS",
        columns.join(", ")
    )
}

/// Returns a first row that gives literals their types and is no key: read by the types' input functions they
/// need no cast from text, which the owner of a type may have defined.
fn typed_nulls(key: &Key) -> String {
    let nulls: Vec<String> = key
        .columns
        .iter()
        .map(|column| format!("NULL::{}{}", column.type_name, column.collate))
        .collect();
    nulls.join(", ")
}

fn key_names(letter: &str, key: &Key) -> String {
    let names: Vec<String> = (1..=key.columns.len())
        .map(|n| format!("{letter}{n}"))
        .collect();
    names.join(", ")
}

fn statement(head: &str, lists: &[&str], tail: &str) -> String {
    let bytes: usize = lists.iter().map(|list| list.len() + 3).sum();
    let mut sql = String::with_capacity(head.len() + bytes + tail.len() + 2);
    sql.push_str(head);
    for (index, list) in lists.iter().enumerate() {
        sql.push_str(if index == 0 { "(" } else { ",(" });
        sql.push_str(list);
        sql.push(')');
    }
    sql.push_str(tail);
    sql.push_str(";\n");
    sql
}
