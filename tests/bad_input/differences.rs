//! The destination's tables are not those of the source.

use super::{Untouched, copied, pair, refused};
use crate::support::compare;

/// Changes the destination and demands that the command names what is different, with a statement that
/// mends it.
fn named(change: &str, told: &str, mend: &str) {
    // Before the copy, which has a look of its own, and after it.
    let pair = pair();
    pair.run(&["init", "-q"]).expect(0);
    pair.on_destination(change);
    let untouched = Untouched::note(&pair);
    refused(pair.run(&["copy"]), 1, &[told, mend]);
    untouched.check();
    let pair = copied();
    pair.on_destination(change);
    let untouched = Untouched::note(&pair);
    for args in [&["sync"][..], &["switch", "--unverified"]] {
        refused(pair.run(args), 1, &[told, mend]);
    }
    untouched.check();
}

#[test]
fn a_missing_table_is_named() {
    named(
        "DROP TABLE public.entry",
        "table \"public\".\"entry\" is missing on the destination",
        "create it there",
    );
}

#[test]
fn a_missing_column_is_named() {
    named(
        "ALTER TABLE public.entry DROP COLUMN note",
        "column \"note\" of table \"public\".\"entry\" is missing on the destination",
        "ADD COLUMN \"note\" text",
    );
}

#[test]
fn a_column_too_many_is_named() {
    named(
        "ALTER TABLE public.entry ADD COLUMN more int",
        "column \"more\" of table \"public\".\"entry\" exists on the destination only",
        "DROP COLUMN \"more\"",
    );
}

#[test]
fn a_column_of_another_type_is_named() {
    named(
        "ALTER TABLE public.account ALTER COLUMN balance TYPE int",
        "column \"balance\" of table \"public\".\"account\" is of type bigint on the source and integer on the destination",
        "ALTER COLUMN \"balance\" TYPE bigint",
    );
}

#[test]
fn a_missing_key_is_named() {
    named(
        "ALTER TABLE public.entry DROP CONSTRAINT entry_pkey",
        "table \"public\".\"entry\" has no key (\"id\") on the destination",
        "ADD PRIMARY KEY (\"id\")",
    );
}

#[test]
fn an_unlogged_table_is_named() {
    named(
        "ALTER TABLE public.entry SET UNLOGGED",
        "table \"public\".\"entry\" is unlogged on the destination only",
        "SET LOGGED",
    );
}

#[test]
fn a_missing_sequence_is_named() {
    named(
        "DROP SEQUENCE public.entry_id_seq CASCADE",
        "sequence \"public\".\"entry_id_seq\" is missing on the destination",
        "there: CREATE SEQUENCE \"public\".\"entry_id_seq\" AS bigint",
    );
}

#[test]
fn what_the_destination_refuses_is_told_without_the_values() {
    let pair = copied();
    pair.on_destination(
        "ALTER TABLE public.entry ADD CONSTRAINT tidy CHECK (note <> 'top secret') NOT VALID",
    );
    pair.on_source("UPDATE public.entry SET note = 'top secret' WHERE id = 1");
    let line = refused(
        pair.run(&["sync", "-q"]),
        1,
        &["\"tidy\"", "on the destination"],
    );
    assert!(!line.contains("top secret"), "{line}");
    let outcome = pair.run(&["switch", "-q", "--unverified"]);
    assert_eq!(
        outcome.last_line(),
        "pg_switchover: the source is in charge"
    );
    refused(outcome, 1, &["\"tidy\""]);
    pair.on_source("INSERT INTO public.entry (note) VALUES ('the source still takes writes')");
    pair.on_destination("ALTER TABLE public.entry DROP CONSTRAINT tidy");
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}
