//! The source changes its schema under a switchover: sync and switch notice before they do anything.

use super::{Untouched, copied, refused};
use crate::support::compare;
use crate::support::pair::Pair;

/// Changes the source after the copy and demands that sync and switch name what happened; then makes the
/// same change on the destination and demands that init and copy mend it.
fn noticed(change: &str, told: &str) {
    let pair = copied();
    pair.on_source(change);
    let untouched = Untouched::note(&pair);
    for args in [&["sync"][..], &["switch", "--unverified"], &["copy"]] {
        refused(
            pair.run(args),
            1,
            &[
                "the source has changed since init",
                told,
                "run init and copy again",
            ],
        );
    }
    untouched.check();
    pair.on_destination(change);
    mended(&pair);
}

fn mended(pair: &Pair) {
    pair.on_source("INSERT INTO public.account VALUES (999, 0)");
    for command in ["init", "copy", "sync"] {
        pair.run(&[command, "-q"]).expect(0);
    }
    compare::assert_equal(pair);
}

#[test]
fn a_dropped_table_is_noticed() {
    noticed(
        "DROP TABLE public.entry",
        "table \"public\".\"entry\" was dropped",
    );
}

#[test]
fn a_renamed_table_is_noticed() {
    noticed(
        "ALTER TABLE public.entry RENAME TO booking",
        "table \"public\".\"entry\" is now called \"public\".\"booking\"",
    );
}

#[test]
fn a_new_table_is_noticed() {
    noticed(
        "CREATE TABLE public.later (id int PRIMARY KEY)",
        "table \"public\".\"later\" is new",
    );
}

#[test]
fn a_new_column_is_noticed() {
    noticed(
        "ALTER TABLE public.entry ADD COLUMN more int DEFAULT 7",
        "the columns of table \"public\".\"entry\" have changed",
    );
}

#[test]
fn a_dropped_column_is_noticed() {
    noticed(
        "ALTER TABLE public.entry DROP COLUMN note",
        "the columns of table \"public\".\"entry\" have changed",
    );
}

#[test]
fn a_column_of_another_type_is_noticed() {
    noticed(
        "ALTER TABLE public.entry ALTER COLUMN id TYPE numeric",
        "the columns of table \"public\".\"entry\" have changed",
    );
}

#[test]
fn another_key_is_noticed_and_what_was_logged_with_the_old_one_does_no_harm() {
    let change = "ALTER TABLE public.entry DROP CONSTRAINT entry_pkey; ALTER TABLE public.entry ADD PRIMARY KEY (note)";
    let pair = copied();
    pair.on_source("UPDATE public.entry SET account = 1 WHERE id < 10");
    pair.on_both(change);
    pair.on_source("UPDATE public.entry SET account = 2 WHERE id > 40; UPDATE public.entry SET note = id WHERE id = 5");
    let untouched = Untouched::note(&pair);
    for args in [
        &["sync"][..],
        &["switch", "--unverified"],
        &["copy"],
        &["verify"],
    ] {
        refused(
            pair.run(args),
            1,
            &[
                "the key of table \"public\".\"entry\" has changed",
                "run init and copy again",
            ],
        );
    }
    untouched.check();
    mended(&pair);
    pair.on_source("UPDATE public.entry SET account = 3 WHERE id % 7 = 0");
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_new_sequence_is_noticed() {
    let pair = copied();
    pair.on_source("CREATE SEQUENCE public.ticket");
    let untouched = Untouched::note(&pair);
    let told = "sequence \"public\".\"ticket\" is missing on the destination";
    for args in [&["sync"][..], &["switch", "--unverified"]] {
        refused(
            pair.run(args),
            1,
            &[
                told,
                "there: CREATE SEQUENCE \"public\".\"ticket\" AS bigint",
            ],
        );
    }
    untouched.check();
    pair.on_destination("CREATE SEQUENCE public.ticket");
    mended(&pair);
}

#[test]
fn a_dropped_schema_is_noticed() {
    noticed(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE public.account (id int PRIMARY KEY, balance bigint NOT NULL)",
        "was dropped",
    );
}

#[test]
fn a_disabled_trigger_is_noticed_and_mended_by_init() {
    let pair = copied();
    pair.on_source("ALTER TABLE public.account DISABLE TRIGGER ALL; INSERT INTO public.account VALUES (500, 0)");
    let untouched = Untouched::note(&pair);
    for args in [&["sync"][..], &["switch", "--unverified"]] {
        refused(
            pair.run(args),
            1,
            &[
                "pg_switchover_capture",
                "\"public\".\"account\" is disabled",
                "init",
            ],
        );
    }
    untouched.check();
    mended(&pair);
}
