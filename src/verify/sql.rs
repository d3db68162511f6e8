//! The statements of the comparison, as text. Columns are always written with the alias `t`.
//!
//! A row is hashed as `record_send(ROW(…))`: 64 bits over every column's type, length and bytes, NULL
//! told apart, text in the encoding of the client, so servers of different encodings agree. It takes
//! two thirds of the time of `ROW(…)::text`. `hash_record_extended` would be twice as fast again, but
//! it says nothing exact: 1.0 and 1.00 hash alike, int8 is folded to 32 bits, and columns are
//! combined linearly, so values swapped between two rows cancel in a sum.

use super::pairs::{Compared, Form, Pair};
use crate::catalog::{Key, Relation};
use crate::error::Side;
use crate::ident::{QualifiedName, ident, ident_list};

/// Answers a hash whose value depends on the server's byte order, and a random seed.
pub const PROBE: &str = "SELECT pg_catalog.hash_array_extended(
    ARRAY['\\x70675f7377697463686f766572'::pg_catalog.bytea], 1),
    ('x' || pg_catalog.translate(pg_catalog.left(pg_catalog.gen_random_uuid()::text, 8), '-', '')
    )::pg_catalog.bit(32)::pg_catalog.int8";

/// What every session runs first: joins the snapshot; takes no more of the server than one process
/// per session; groups by hashing, since the planner takes every row for a group of its own.
pub fn join(snapshot: &str) -> String {
    format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
         SET TRANSACTION SNAPSHOT {};
         SET LOCAL max_parallel_workers_per_gather = 0;
         SET LOCAL enable_sort = off;
         {}",
        crate::ident::literal(snapshot),
        crate::destination::LOCK_TIMEOUT
    )
}

/// How bytes are hashed to 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// With PostgreSQL's own hash function, the only way to which from a bytea leads through an
    /// array on versions before 18.
    Native {
        /// Drawn for the run.
        seed: i64,
    },
    /// The first half of a SHA-256.
    Sha256 {
        /// Drawn for the run.
        seed: i64,
    },
}

impl Hash {
    fn seed(self) -> i64 {
        match self {
            Hash::Native { seed } | Hash::Sha256 { seed } => seed,
        }
    }

    /// Returns an expression of type int8; `salt` makes independent hashes of the same columns.
    fn of(self, columns: &[Compared<'_>], salt: i64) -> String {
        let forms: Vec<String> = columns.iter().map(value).collect();
        let bytes = format!("pg_catalog.record_send(ROW({}))", forms.join(", "));
        let seed = self.seed() + salt;
        match self {
            Hash::Native { .. } => {
                format!("pg_catalog.hash_array_extended(ARRAY[{bytes}], {seed})")
            }
            Hash::Sha256 { .. } => format!(
                "('x' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(\
                 pg_catalog.int8send({seed}) || {bytes}), 'hex'), 16))::pg_catalog.bit(64)::pg_catalog.int8"
            ),
        }
    }

    /// Returns the hash of the whole row.
    pub fn row(self, pair: &Pair<'_>) -> String {
        self.of(&pair.columns, 0)
    }

    /// Returns the number of the row's bucket, of `buckets`, a power of two: by the key, else by the
    /// whole row.
    pub fn bucket(self, pair: &Pair<'_>, buckets: u64) -> String {
        let mask = buckets.saturating_sub(1);
        let hash = match &pair.source.key {
            Some(key) => match whole_number(pair, key) {
                // Cheaper, and good enough to spread rows; the same whatever the byte order.
                Some(column) => format!("pg_catalog.hashint8extended({column}, {})", self.seed()),
                None => self.of(&key_columns(pair, key), 1),
            },
            None => self.row(pair),
        };
        format!("{hash} & {mask}")
    }
}

/// Returns a key of one column that is a whole number on both sides, as an int8.
fn whole_number(pair: &Pair<'_>, key: &Key) -> Option<String> {
    let [column] = key.columns.as_slice() else {
        return None;
    };
    let is_whole = |relation: &Relation| {
        relation.column(&column.name).is_some_and(|column| {
            matches!(
                column.type_name.sql.as_str(),
                "smallint" | "integer" | "bigint"
            )
        })
    };
    (is_whole(pair.source) && is_whole(pair.destination))
        .then(|| format!("t.{}::pg_catalog.int8", ident(&column.name)))
}

fn key_columns<'a>(pair: &Pair<'a>, key: &'a Key) -> Vec<Compared<'a>> {
    key.columns
        .iter()
        .map(|column| Compared {
            name: &column.name,
            form: pair
                .columns
                .iter()
                .find(|compared| compared.name == column.name)
                .map_or(Form::Text, |compared| compared.form),
        })
        .collect()
}

/// Returns what of a column is hashed. `format('%L')` calls the type's output function, as COPY does
/// (a cast to text need not: it strips the blanks of char(n)), and tells NULL from 'NULL'.
fn value(column: &Compared<'_>) -> String {
    let name = format!("t.{}", ident(column.name));
    match column.form {
        Form::Binary => name,
        Form::Float => format!("CASE WHEN {name} = 'NaN' THEN 'NaN' ELSE {name} END"),
        Form::Text => format!("pg_catalog.format('%L', {name})"),
    }
}

/// A range of a relation's pages: from the first to before the last, or to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    /// The relation or a partition of it, with `ONLY`.
    pub from: String,
    /// The first page.
    pub first: i64,
    /// The page after the last; `None` for all that follow, however many there are by now.
    pub end: Option<i64>,
}

impl Pages {
    /// Makes a range of all pages.
    pub fn all(name: &QualifiedName) -> Pages {
        Pages {
            from: format!("ONLY {name}"),
            first: 0,
            end: None,
        }
    }

    fn scanned_relation(&self) -> String {
        let mut conditions = Vec::new();
        if self.first > 0 {
            conditions.push(format!("t.ctid >= '({},0)'", self.first));
        }
        if let Some(end) = self.end {
            conditions.push(format!("t.ctid < '({end},0)'"));
        }
        let condition = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        format!("FROM {} AS t{condition}", self.from)
    }
}

/// Returns the statement that adds up a range: bucket, rows, sum of hashes; a row per bucket.
pub fn scan(hash: Hash, pair: &Pair<'_>, pages: &Pages, buckets: u64) -> String {
    let from = pages.scanned_relation();
    let row = hash.row(pair);
    if buckets <= 1 {
        return format!("SELECT 0, pg_catalog.count(*), pg_catalog.sum({row}) {from}");
    }
    let bucket = hash.bucket(pair, buckets);
    format!("SELECT {bucket}, pg_catalog.count(*), pg_catalog.sum({row}) {from} GROUP BY 1")
}

/// Returns the relation of a pair on one side.
pub fn relation<'a>(pair: &Pair<'a>, side: Side) -> &'a Relation {
    match side {
        Side::Source => pair.source,
        Side::Destination => pair.destination,
    }
}

/// Returns the COPY of what tells the rows of some buckets apart, in an order that both sides share:
/// the key, as hex of its list of literals, and the row's hash; without a key, the hash and how many
/// rows have it.
pub fn rows(hash: Hash, pair: &Pair<'_>, side: Side, buckets: u64, wanted: &[u64]) -> String {
    let relation = relation(pair, side);
    let from = format!("FROM{} {} AS t", relation.only(), relation.name);
    let condition = if wanted.len() as u64 >= buckets {
        String::new()
    } else {
        let list: Vec<String> = wanted.iter().map(u64::to_string).collect();
        format!(
            " WHERE {} = ANY ('{{{}}}'::pg_catalog.int8[])",
            hash.bucket(pair, buckets),
            list.join(",")
        )
    };
    let row = hash.row(pair);
    match &pair.source.key {
        Some(key) => {
            let key = key_text(key);
            format!("COPY (SELECT {key}, {row} {from}{condition} ORDER BY 1) TO STDOUT")
        }
        None => format!(
            "COPY (SELECT {row}, pg_catalog.count(*) {from}{condition} GROUP BY 1 ORDER BY 1) \
             TO STDOUT"
        ),
    }
}

/// Returns the key as a list of literals in UTF-8, in hex, whose order no collation touches.
fn key_text(key: &Key) -> String {
    let places = vec!["%L"; key.columns.len()].join(", ");
    let columns: Vec<String> = key
        .columns
        .iter()
        .map(|column| format!("t.{}", ident(&column.name)))
        .collect();
    format!(
        "pg_catalog.encode(pg_catalog.convert_to(pg_catalog.format('{places}', {}), 'UTF8'), 'hex') \
         COLLATE pg_catalog.\"C\"",
        columns.join(", ")
    )
}

/// Returns the query of the rows of some keys (lists of literals): the key as in [`rows`], and an
/// int8[] with the hash of each column.
pub fn columns(hash: Hash, pair: &Pair<'_>, key: &Key, side: Side, keys: &[&str]) -> String {
    let relation = relation(pair, side);
    let hashes: Vec<String> = pair
        .columns
        .iter()
        .map(|column| hash.of(std::slice::from_ref(column), 0))
        .collect();
    let names: Vec<String> = (0..key.columns.len()).map(|n| format!("k{n}")).collect();
    // The operator may live in another schema there (citext).
    let own = relation.key.as_ref().unwrap_or(key);
    let mut typed = Vec::new();
    let joins: Vec<String> = key
        .columns
        .iter()
        .zip(&names)
        .map(|(column, wanted)| {
            let column = own
                .columns
                .iter()
                .find(|other| other.name == column.name)
                .unwrap_or(column);
            // The first row gives the literals their types, so that they need no cast.
            typed.push(format!("NULL::{}{}", column.type_name, column.collate));
            format!(
                "t.{} {} wanted.{wanted}{}",
                ident(&column.name),
                column.equals,
                column.collate
            )
        })
        .collect();
    format!(
        "SELECT {}, ARRAY[{}]::pg_catalog.int8[] FROM (VALUES ({}), ({})) AS wanted ({}) \
         JOIN{} {} AS t ON {}",
        key_text(key),
        hashes.join(", "),
        typed.join(", "),
        keys.join("), ("),
        names.join(", "),
        relation.only(),
        relation.name,
        joins.join(" AND ")
    )
}

/// Returns a key as a condition that an operator can use: `"id" = '42'`.
pub fn key_condition(key: &Key, literals: &str) -> String {
    let names = ident_list(key.columns.iter().map(|column| column.name.as_str()));
    if key.columns.len() == 1 {
        format!("{names} = {}", literals.trim_start())
    } else {
        format!("({names}) = ({literals})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "sql_tests.rs"]
mod tests;
