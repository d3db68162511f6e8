//! `copy` onto a schema that exists, after a kill, and of a selection.

use super::{LIMIT, silent};
use crate::support::pair::Pair;
use crate::support::{VARIED, compare, version_pairs, wait_for};

#[test]
fn copy_fills_a_schema_that_exists() {
    for versions in version_pairs() {
        let pair = Pair::new(versions.0, versions.1);
        pair.on_both(VARIED);
        // What the destination has is older than what the source has.
        pair.on_source("DELETE FROM varied.order_line WHERE line = 1; UPDATE varied.member SET seat = seat + 1");
        pair.run(&["check", "--truncate"]).expect(0);
        pair.run(&["init", "-q"]).expect(0);
        pair.run(&["copy", "-q"])
            .expect(1)
            .expect_stderr("hold rows already");
        silent(pair.run(&["copy", "-q", "--truncate"]));
        compare::assert_equal(&pair);
        // What initdb grants on schema public changed with 15.
        if (versions.0 < 15) == (versions.1 < 15) {
            compare::assert_same_schema(&pair);
        }
        silent(pair.run(&["verify", "-q"]));
        silent(pair.run(&["switch", "-q"]));
        compare::assert_equal(&pair);
    }
}

#[test]
fn a_copy_that_was_killed_goes_on_with_the_unfinished_tables_only() {
    let pair = Pair::new(15, 18);
    let tables = "DO $$ BEGIN FOR i IN 1..6 LOOP
        EXECUTE format('CREATE TABLE public.t%s (id int PRIMARY KEY, t text)', i); END LOOP; END $$";
    pair.on_both(tables);
    pair.on_source("DO $$ BEGIN FOR i IN 1..6 LOOP
        EXECUTE format('INSERT INTO public.t%s SELECT g, md5(g::text) FROM generate_series(1, 100) g', i); END LOOP; END $$");
    // Loading t3 waits at a gate.
    pair.on_destination(
        "CREATE FUNCTION public.gate() RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN true; END $$;
         ALTER TABLE public.t3 ADD CHECK (public.gate())",
    );
    pair.run(&["init", "-q"]).expect(0);
    let mut gate = pair.destination_client();
    gate.execute("SELECT pg_advisory_lock(42)", &[]).unwrap();
    let running = pair.spawn(&["copy", "-q", "--jobs=2"]);
    let finished = "SELECT table_name, finished_at, snapshot FROM switchover.copied WHERE finished_at IS NOT NULL ORDER BY 1";
    wait_for("five tables", LIMIT, || {
        pair.on_destination(finished).lines().count() == 5
    });
    running.kill();
    gate.execute("SELECT pg_advisory_unlock(42)", &[]).unwrap();
    wait_for("the end of the killed copy's sessions", LIMIT, || {
        let sql =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg_switchover%'";
        pair.on_source(sql) == "0" && pair.on_destination(sql) == "0"
    });
    let before = pair.on_destination(finished);
    assert_eq!(before.lines().count(), 5, "{before}");
    pair.on_source("UPDATE public.t1 SET t = 'changed' WHERE id = 1");
    pair.run(&["copy"])
        .expect(0)
        .expect_stderr("copied 1 table")
        .expect_stderr("(5 tables copied before)");
    let after = pair.on_destination(finished);
    assert_eq!(after.lines().count(), 6);
    assert!(
        before
            .lines()
            .all(|line| after.lines().any(|other| other == line)),
        "{before}\n\n{after}"
    );
    compare::assert_equal(&pair);
}

#[test]
fn a_selection_moves_what_it_names_and_no_more() {
    let tables = "
        CREATE SCHEMA shop; CREATE SCHEMA back;
        CREATE TABLE shop.item (id serial PRIMARY KEY, t text);
        CREATE TABLE shop.secret (id serial PRIMARY KEY, t text);
        CREATE TABLE shop.\"Item\" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text);
        CREATE TABLE back.item (id serial PRIMARY KEY, t text);
        CREATE TABLE public.item (id serial PRIMARY KEY, t text);";
    let names = [
        "shop.item",
        "shop.secret",
        "shop.\"Item\"",
        "back.item",
        "public.item",
    ];
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["-n", "shop"],
            &["shop.item", "shop.secret", "shop.\"Item\""],
        ),
        (
            &["-n", "shop", "-T", "shop.secret"],
            &["shop.item", "shop.\"Item\""],
        ),
        (&["-N", "shop"], &["back.item", "public.item"]),
        (
            &["-t", "*.item"],
            &["shop.item", "back.item", "public.item"],
        ),
        (
            &["-t", "shop.\"Item\"", "-t", "back.*"],
            &["shop.\"Item\"", "back.item"],
        ),
        (&["-T", "s*.*"], &["back.item", "public.item"]),
    ];
    let pair = Pair::new(15, 15);
    for (number, (options, selected)) in cases.iter().enumerate() {
        let database = format!("case{number}");
        for cluster in [&pair.source, &pair.destination] {
            cluster.create_database(&database);
            cluster.psql(&database, tables);
        }
        let insert = |how: &str| {
            for name in names {
                pair.source.psql(
                    &database,
                    &format!("INSERT INTO {name} (t) SELECT '{how}' FROM generate_series(1, 7)"),
                );
            }
        };
        insert("copied");
        let run = |args: &[&str]| {
            let (source, destination) =
                (pair.source.uri(&database), pair.destination.uri(&database));
            pair.program(args)
                .source(&source)
                .destination(&destination)
                .run()
                .expect(0)
        };
        run(&[&["init", "-q"], *options].concat());
        run(&["copy", "-q"]);
        insert("captured");
        run(&["sync", "-q"]);
        run(&["switch", "-q", "--unverified"]);
        for name in names {
            let sql = format!(
                "SELECT count(*), (SELECT last_value FROM {}) FROM {name}",
                pair.source.psql(
                    &database,
                    &format!("SELECT pg_get_serial_sequence('{name}', 'id')")
                )
            );
            let expected = if selected.contains(&name) {
                "14|14"
            } else {
                "0|1"
            };
            assert_eq!(
                pair.destination.psql(&database, &sql),
                expected,
                "{name} with {options:?}"
            );
            // What is not selected goes on taking writes where it is.
            let write = pair.source.try_psql(
                &database,
                &format!("INSERT INTO {name} (t) VALUES ('late')"),
            );
            assert_eq!(
                write.is_err(),
                selected.contains(&name),
                "{name} with {options:?}: {write:?}"
            );
        }
    }
}
