//! Whatever a real schema contains arrives exactly, or is refused by name: never a silent difference.

mod cases;
mod columns;
mod databases;
mod ddl;
mod foreign_keys;
mod keys;
mod names;
mod objects;
mod relations;
mod roles;
mod sequences;
mod truncate;
mod types;
mod unique_values;

use crate::support::compare;
use crate::support::pair::Pair;

/// Demands that both databases hold the same rows and sequences, under the same schema.
#[allow(dead_code)]
fn judge(pair: &Pair) {
    compare::assert_equal(pair);
    compare::assert_same_schema(pair);
}
