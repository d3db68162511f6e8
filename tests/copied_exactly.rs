//! Whatever the source holds arrives as it is: every kind of table, every type, every privilege, and
//! tables that change while they are copied.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::pair::{DATABASE, Pair};
use crate::support::{VARIED, compare, version_pairs, wait_for};

mod indexes;

const TYPES: &str = include_str!("copied_exactly/types.sql");

/// Two roles, a table of one, and grants to the other.
const ROLES: &str = "CREATE ROLE clerk; CREATE ROLE reader; CREATE ROLE \"Odd Role\"";
const GRANTS: &str = "
ALTER TABLE varied.customer OWNER TO clerk;
ALTER SCHEMA \"Odd \"\"Schema\"\"; --\" OWNER TO \"Odd Role\";
ALTER FUNCTION varied.note_change() OWNER TO clerk;
ALTER TYPE varied.mood OWNER TO clerk;
GRANT USAGE ON SCHEMA varied TO reader, clerk;
GRANT SELECT ON ALL TABLES IN SCHEMA varied TO reader;
GRANT UPDATE (email) ON varied.customer TO reader WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE varied.never_called TO \"Odd Role\";
REVOKE EXECUTE ON FUNCTION varied.note_change() FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA varied GRANT SELECT ON TABLES TO reader;
";

fn moved(pair: &Pair, options: &[&str]) {
    pair.run(&["init", "-q"]).expect(0);
    let outcome = pair.run(&[&["copy", "-q"], options].concat()).expect(0);
    assert_eq!(outcome.stderr, "");
}

#[test]
fn the_varied_schema_arrives_with_its_owners_and_privileges() {
    for versions in version_pairs() {
        let pair = Pair::new(versions.0, versions.1);
        pair.on_source(VARIED);
        pair.on_both(ROLES);
        pair.on_source(GRANTS);
        moved(&pair, &["--create-schema", "--jobs=3"]);
        compare::assert_equal(&pair);
        compare::assert_same_schema(&pair);
        // The materialized view was refreshed, behind the data that it is made of.
        let totals = "SELECT customer, total FROM varied.totals ORDER BY 1, 2";
        assert_eq!(pair.on_source(totals), pair.on_destination(totals));
        assert_ne!(pair.on_destination(totals), "");
        // The planner knows the tables.
        let analyzed =
            "SELECT count(*) FROM pg_stats WHERE schemaname = 'varied' AND tablename = 'customer'";
        assert_ne!(pair.on_destination(analyzed), "0");
        // Foreign keys are valid, as they were.
        let invalid = "SELECT count(*) FROM pg_constraint WHERE NOT convalidated";
        assert_eq!(pair.on_destination(invalid), "0");
    }
}

#[test]
fn owners_and_privileges_stay_behind_where_that_is_asked_for() {
    let pair = Pair::new(15, 18);
    pair.on_source(VARIED);
    pair.on_source(ROLES);
    pair.on_source(GRANTS);
    moved(&pair, &["--create-schema", "-O", "-x"]);
    compare::assert_equal(&pair);
    let schema = compare::dump_schema(&pair.destination, DATABASE, &["-N", "switchover"]);
    for line in schema
        .lines()
        .filter(|line| line.starts_with("GRANT ") || line.contains(" OWNER TO "))
    {
        assert!(line.contains("postgres"), "{line}");
    }
    assert!(!schema.contains("clerk") && !schema.contains("reader"));
}

#[test]
fn every_type_arrives_with_every_value() {
    for versions in version_pairs() {
        let pair = Pair::new(versions.0, versions.1);
        pair.on_source(TYPES);
        moved(&pair, &["--create-schema"]);
        compare::assert_equal(&pair);
        // Ranges have multiranges from 14 on, with names.
        if versions.0 >= 14 {
            compare::assert_same_schema(&pair);
        }
        // The same through a cycle: every row is written again.
        pair.on_source("UPDATE types.scalar SET touched = touched + 1; UPDATE types.made SET touched = touched + 1;
                        UPDATE types.keyless SET touched = touched + 1; UPDATE types.key_float SET touched = touched + 1;
                        UPDATE types.key_time SET touched = touched + 1; UPDATE types.key_bytes SET touched = touched + 1");
        pair.run(&["sync", "-q"]).expect(0);
        compare::assert_equal(&pair);
        pair.run(&["verify", "-q"]).expect(0);
    }
}

/// About 80 MB in rows of about 2 KB: several chunks.
const BIG: &str = "
CREATE TABLE public.big (id int PRIMARY KEY, n bigint NOT NULL DEFAULT 0, filler text NOT NULL);
ALTER TABLE public.big ALTER filler SET STORAGE PLAIN;
INSERT INTO public.big SELECT i, 0, repeat(chr(65 + i % 26), 1900) FROM generate_series(1, 42000) i;
VACUUM ANALYZE public.big;
";

#[test]
fn a_big_table_that_changes_while_it_is_copied_in_chunks_arrives_whole() {
    let pair = Pair::new(15, 18);
    pair.on_source(BIG);
    pair.run(&["init", "-q"]).expect(0);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // New versions of rows go to the end, or into holes: from one chunk into another.
            let mut client = pair.source_client();
            let mut turn = 0_i64;
            while !over.load(Ordering::Relaxed) || turn < 20 {
                let (from, step) = (turn * 311 % 42000, 97 + turn % 11);
                let sql = format!(
                    "UPDATE public.big SET n = n + 1 WHERE id % {step} = {};
                     DELETE FROM public.big WHERE id = {};
                     INSERT INTO public.big VALUES (100000 + {turn}, 1, repeat('z', 1900));
                     UPDATE public.big SET id = 200000 + {turn} WHERE id = {}",
                    turn % step,
                    from + 1,
                    from + 2,
                );
                client.batch_execute(&sql).unwrap();
                turn += 1;
            }
            turn
        });
        let copy = pair.run(&["copy", "-v", "--create-schema", "--jobs=4"]);
        over.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() >= 20);
        copy.expect(0);
    });
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
    pair.run(&["verify", "-q"]).expect(0);
}

/// A copy of BIG's table waits at a gate, which the destination has before one row or all.
fn gated(condition: &str) -> String {
    format!(
        "CREATE TABLE public.big (id int PRIMARY KEY, n bigint NOT NULL DEFAULT 0, filler text NOT NULL);
         CREATE FUNCTION public.gate() RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN true; END $$;
         ALTER TABLE public.big ADD CHECK ({condition})"
    )
}

const WAIT_AT_THE_GATE: &str =
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";

#[test]
fn one_big_table_keeps_all_jobs_busy_at_once() {
    let pair = Pair::new(15, 18);
    pair.on_source(BIG);
    pair.on_destination(&gated("public.gate()"));
    pair.run(&["init", "-q"]).expect(0);
    let mut gate = pair.destination_client();
    gate.execute("SELECT pg_advisory_lock(42)", &[]).unwrap();
    let copy = pair.spawn(&["copy", "-q", "--jobs=4"]);
    wait_for("four writers of one table", Duration::from_secs(60), || {
        pair.on_destination(WAIT_AT_THE_GATE) == "4"
    });
    gate.execute("SELECT pg_advisory_unlock(42)", &[]).unwrap();
    copy.wait(Duration::from_secs(60)).expect(0);
    assert_eq!(
        pair.on_destination("SELECT count(*) FROM public.big"),
        "42000"
    );
}

#[test]
fn rows_that_fill_a_block_to_their_end_arrive() {
    // As they travel, headers included, texts and words are a few bytes more than a block of 64 kB.
    let pair = Pair::new(15, 18);
    pair.on_source(
        "CREATE TYPE public.note AS (number int, words text);
         CREATE TABLE public.texts (id int PRIMARY KEY, note public.note);
         CREATE TABLE public.words (id int PRIMARY KEY, words text);
         INSERT INTO public.texts SELECT i, ROW(i, repeat('x', 32763))::public.note FROM generate_series(1, 2) i;
         INSERT INTO public.words SELECT i, repeat('x', 32746) FROM generate_series(1, 2) i;
         CREATE TABLE public.large (id int PRIMARY KEY, words text);
         INSERT INTO public.large SELECT i, repeat('y', 300000) FROM generate_series(1, 3) i",
    );
    moved(&pair, &["--create-schema"]);
    compare::assert_equal(&pair);
}

#[test]
fn all_chunks_of_a_table_are_read_in_one_snapshot() {
    let pair = Pair::new(15, 18);
    pair.on_source(BIG);
    pair.on_destination(&gated("id > 1 OR public.gate()"));
    pair.run(&["init", "-q"]).expect(0);
    let mut gate = pair.destination_client();
    gate.execute("SELECT pg_advisory_lock(42)", &[]).unwrap();
    // One worker reads the second chunk when it has written the first, which waits at the gate.
    let copy = pair.spawn(&["copy", "-q", "--jobs=1"]);
    wait_for("the first row", Duration::from_secs(60), || {
        pair.on_destination(WAIT_AT_THE_GATE) == "1"
    });
    // From the first chunk to the end of the second, and a key from the second into the first's gap.
    pair.on_source(
        "UPDATE public.big SET n = 1 WHERE id BETWEEN 1 AND 500;
         DELETE FROM public.big WHERE id = 600;
         UPDATE public.big SET id = 600 WHERE id = 42000",
    );
    gate.execute("SELECT pg_advisory_unlock(42)", &[]).unwrap();
    copy.wait(Duration::from_secs(60)).expect(0);
    // The first cycle has brought what came later; the copy itself saw nothing of it.
    assert_eq!(
        pair.on_destination("SELECT rows FROM switchover.copied"),
        "42000"
    );
    compare::assert_equal(&pair);
}

#[test]
fn a_table_may_be_partitioned_in_another_way_on_the_destination() {
    let pair = Pair::new(15, 18);
    let columns = "(id int NOT NULL, region text NOT NULL, n int, PRIMARY KEY (id, region))";
    pair.on_source(&format!(
        "CREATE TABLE public.split {columns} PARTITION BY LIST (region);
         CREATE TABLE public.split_a PARTITION OF public.split FOR VALUES IN ('a');
         CREATE TABLE public.split_rest PARTITION OF public.split DEFAULT;
         CREATE TABLE public.whole {columns};
         CREATE TABLE public.joined {columns} PARTITION BY LIST (region);
         CREATE TABLE public.joined_rest PARTITION OF public.joined DEFAULT;"
    ));
    pair.on_destination(&format!(
        "CREATE TABLE public.split {columns} PARTITION BY HASH (id);
         CREATE TABLE public.split_0 PARTITION OF public.split FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE public.split_1 PARTITION OF public.split FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE public.whole {columns} PARTITION BY RANGE (id);
         CREATE TABLE public.whole_low PARTITION OF public.whole FOR VALUES FROM (MINVALUE) TO (50);
         CREATE TABLE public.whole_high PARTITION OF public.whole FOR VALUES FROM (50) TO (MAXVALUE);
         CREATE TABLE public.joined {columns};"
    ));
    for table in ["split", "whole", "joined"] {
        pair.on_source(&format!(
            "INSERT INTO public.{table} SELECT i, (ARRAY['a', 'b', 'c'])[1 + i % 3], i FROM generate_series(1, 100) i"
        ));
    }
    let same = || {
        for table in ["split", "whole", "joined"] {
            let sql = format!("SELECT * FROM public.{table} ORDER BY 1, 2");
            assert_eq!(pair.on_source(&sql), pair.on_destination(&sql), "{table}");
        }
    };
    moved(&pair, &[]);
    same();
    for table in ["split", "whole", "joined"] {
        // From one partition into another, on either side.
        pair.on_source(&format!(
            "UPDATE public.{table} SET region = 'b' WHERE region = 'a' AND id < 30;
             UPDATE public.{table} SET id = id + 1000 WHERE id % 10 = 0;
             DELETE FROM public.{table} WHERE id % 10 = 1"
        ));
    }
    pair.run(&["sync", "-q"]).expect(0);
    same();
    pair.run(&["verify", "-q"]).expect(0);
}

#[test]
fn generated_and_identity_columns_keep_their_values_and_go_on_from_them() {
    let pair = Pair::new(15, 18);
    let table = "CREATE TABLE public.made (
        id int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY,
        other int GENERATED BY DEFAULT AS IDENTITY,
        side int NOT NULL,
        square int GENERATED ALWAYS AS (side * side) STORED,
        text text DEFAULT 'default')";
    pair.on_source(table);
    // The destination's columns stand in another order, behind one that is gone.
    pair.on_destination(
        "CREATE TABLE public.made (gone int, text text DEFAULT 'default', side int NOT NULL,
            id int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY,
            square int GENERATED ALWAYS AS (side * side) STORED,
            other int GENERATED BY DEFAULT AS IDENTITY);
         ALTER TABLE public.made DROP COLUMN gone",
    );
    pair.on_source("INSERT INTO public.made (side) SELECT i FROM generate_series(1, 20) i; DELETE FROM public.made WHERE id = 20");
    moved(&pair, &[]);
    compare::assert_equal(&pair);
    pair.on_source("INSERT INTO public.made (side, text) VALUES (7, NULL); UPDATE public.made SET side = -side WHERE side < 4");
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    compare::assert_equal(&pair);
    let next = pair.on_destination(
        "INSERT INTO public.made (side) VALUES (9) RETURNING id, other, square, text",
    );
    assert_eq!(next, "115|22|81|default");
}
