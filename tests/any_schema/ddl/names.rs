//! New, dropped and renamed tables, columns, schemas and sequences.

use super::{LIMIT, moved, versions};
use crate::support::compare;
use crate::support::pair::Pair;

const SCHEMA: &str = "
    CREATE SCHEMA s; CREATE SCHEMA other;
    CREATE TABLE s.a (id int PRIMARY KEY, v text, w text); CREATE TABLE s.b (id int PRIMARY KEY, v text, w text);
    CREATE TABLE s.c (id int, part int, v text, PRIMARY KEY (id, part));
    CREATE TABLE s.p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE s.p1 PARTITION OF s.p FOR VALUES FROM (0) TO (100);
    CREATE TABLE s.going (id int PRIMARY KEY); CREATE SEQUENCE s.counter; CREATE SEQUENCE s.gone;";

const ROWS: &str = "
    INSERT INTO s.a SELECT i, 'a', 'aw' FROM generate_series(1, 20) i;
    INSERT INTO s.b SELECT i, 'b', 'bw' FROM generate_series(1, 20) i;
    INSERT INTO s.c SELECT i, 100 - i, 'c' FROM generate_series(1, 20) i;
    INSERT INTO s.p SELECT i, 'p' FROM generate_series(1, 20) i; INSERT INTO s.going VALUES (1);
    SELECT nextval('s.counter'), nextval('s.gone');";

/// Done alike on both sides, with changes before and after on the source, and where rows may not be touched.
const ALIKE: &[(&str, &str, &str, &str)] = &[
    (
        "UPDATE s.a SET v = 'before' WHERE id = 1",
        "ALTER TABLE s.a RENAME TO \"A \"\"new\"\" one\"",
        "UPDATE s.\"A \"\"new\"\" one\" SET v = 'after' WHERE id = 2; DELETE FROM s.\"A \"\"new\"\" one\" WHERE id = 3",
        "s.\"A \"\"new\"\" one\" WHERE id > 3",
    ),
    (
        "UPDATE s.b SET v = 'before' WHERE id = 1",
        "ALTER TABLE s.\"A \"\"new\"\" one\" RENAME TO a; ALTER TABLE s.b RENAME TO x; ALTER TABLE s.a RENAME TO b; ALTER TABLE s.x RENAME TO a",
        "UPDATE s.a SET v = 'after' WHERE id = 2",
        "s.a WHERE id > 2",
    ),
    (
        "UPDATE s.b SET w = 'before' WHERE id = 4",
        "ALTER TABLE s.b RENAME v TO x; ALTER TABLE s.b RENAME w TO v; ALTER TABLE s.b RENAME x TO w",
        "UPDATE s.b SET w = 'after' WHERE id = 5",
        "s.b WHERE id > 5",
    ),
    (
        "UPDATE s.p SET v = 'before' WHERE id = 1",
        "ALTER SCHEMA s RENAME TO \"S\"; ALTER TABLE \"S\".p RENAME v TO value",
        "UPDATE \"S\".p SET value = 'after' WHERE id = 2",
        "\"S\".p WHERE id > 2",
    ),
    (
        "UPDATE \"S\".a SET w = 'before' WHERE id = 1",
        "ALTER SCHEMA \"S\" RENAME TO s; ALTER TABLE s.a DROP w; ALTER TABLE s.a SET SCHEMA other",
        "UPDATE other.a SET v = 'after the drop' WHERE id = 2",
        "other.a WHERE id > 2",
    ),
    (
        "DELETE FROM s.going",
        "DROP TABLE s.going; DROP SEQUENCE s.gone; ALTER SEQUENCE s.counter RENAME TO renamed; CREATE SEQUENCE s.fresh",
        "SELECT nextval('s.fresh'), nextval('s.renamed')",
        "other.a",
    ),
];

#[test]
fn what_changes_alike_on_both_sides_is_followed_without_a_copy() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    for (number, (before, ddl, after, untouched)) in ALIKE.iter().enumerate() {
        pair.on_source(before);
        pair.on_source(ddl);
        pair.on_source(after);
        // The source's alone is refused, by its name.
        let refused = pair.run(&["sync"]).expect(1);
        let told = ["is now called", "have changed", "was dropped"];
        assert!(
            told.iter().any(|text| refused.stderr.contains(text)),
            "{ddl}\n{}",
            refused.stderr
        );
        pair.on_destination(ddl);
        let kept = versions(&pair, untouched);
        let size = ["1", "100000"][number % 2];
        pair.run(&["sync", "--max-pending", size]).expect(0);
        compare::assert_equal(&pair);
        assert_eq!(versions(&pair, untouched), kept, "{ddl}");
        assert_eq!(
            pair.run(&["copy"])
                .expect(0)
                .stderr
                .matches("copied 1")
                .count(),
            0
        );
    }
    pair.run(&["switch", "--unverified"]).expect(0);
    super::super::judge(&pair);
}

/// Names that have been exchanged on the source only look as if nothing had happened.
#[test]
fn names_that_were_exchanged_on_one_side_only_are_refused() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    for (ddl, told) in [
        (
            "ALTER TABLE s.a RENAME TO x; ALTER TABLE s.b RENAME TO a; ALTER TABLE s.x RENAME TO b",
            "table \"s\".\"a\" is now called \"s\".\"b\"",
        ),
        (
            "ALTER TABLE s.b RENAME v TO x; ALTER TABLE s.b RENAME w TO v; ALTER TABLE s.b RENAME x TO w",
            "the columns of table \"s\".\"b\" have changed",
        ),
    ] {
        pair.on_source(ddl);
        pair.on_source(
            "UPDATE s.a SET v = v || '!' WHERE id < 5; UPDATE s.b SET v = v || '?' WHERE id < 5",
        );
        for command in [&["sync"][..], &["switch", "--unverified"], &["copy"]] {
            let refused = pair.run(command).expect(1);
            assert!(refused.stderr.contains(told), "{}", refused.stderr);
        }
        pair.run(&["init"]).expect(0);
        pair.run(&["copy"]).expect(0);
        compare::assert_equal(&pair);
    }
}

#[test]
fn a_new_table_is_taken_in_by_init_and_copy_and_a_new_sequence_by_itself() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    let mut follow = pair.spawn(&["sync", "--follow", "--interval", "0.05"]);
    follow.wait_for_stderr("nothing has changed since", LIMIT);
    let new = "CREATE TABLE s.new (id serial PRIMARY KEY, v text); CREATE SEQUENCE s.more";
    pair.on_source(new);
    pair.on_source("INSERT INTO s.new (v) VALUES ('x'), ('y'); SELECT setval('s.more', 77)");
    follow.wait_for_stderr("table \"s\".\"new\" is new", LIMIT);
    pair.on_destination(new);
    follow.wait_for_stderr(
        "sequence \"s\".\"more\" is new, and carried over from now on",
        LIMIT,
    );
    pair.on_source("UPDATE s.a SET v = 'meanwhile' WHERE id = 1");
    let brought = || pair.on_destination("SELECT v FROM s.a WHERE id = 1") == "meanwhile";
    crate::support::wait_for("the cycle", LIMIT, brought);
    follow.signal("TERM");
    follow.wait(LIMIT).expect(0);

    let kept = versions(&pair, "s.a") + &versions(&pair, "s.p");
    pair.on_source("UPDATE s.b SET v = 'logged' WHERE id = 1");
    pair.run(&["init"])
        .expect(0)
        .expect_stderr("(1 of them since now)");
    pair.on_source("UPDATE s.b SET v = 'logged' WHERE id = 2; INSERT INTO s.new (v) VALUES ('z')");
    pair.run(&["copy"])
        .expect(0)
        .expect_stderr("copied 1 table");
    compare::assert_equal(&pair);
    assert_eq!(versions(&pair, "s.a") + &versions(&pair, "s.p"), kept);
    pair.run(&["switch", "--unverified"]).expect(0);
    super::super::judge(&pair);
}
