//! The indexes of large tables are made while other tables are still copied.

use std::time::Duration;

use super::WAIT_AT_THE_GATE;
use crate::support::pair::Pair;
use crate::support::{compare, wait_for};

/// A table that is large enough, with all that goes with an index, a large partition, and a small table.
const LARGE: &str = "
CREATE FUNCTION public.gate(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF n = 1 THEN PERFORM pg_catalog.pg_advisory_xact_lock_shared(42); END IF;
    RETURN n;
END $$;
CREATE TABLE public.large (id int PRIMARY KEY, other int NOT NULL, filler text NOT NULL,
                           UNIQUE (other) DEFERRABLE, EXCLUDE (other WITH =));
INSERT INTO public.large SELECT i, -i, repeat(chr(65 + i % 26), 1900) FROM generate_series(1, 6000) i;
CREATE UNIQUE INDEX identity ON public.large (other, id);
CREATE INDEX \"in order; 1 2 3 INDEX ATTACH\" ON public.large (id DESC) WHERE other < -1;
CREATE INDEX zeroth ON public.large (public.gate(id), (other + 1));
ALTER INDEX public.zeroth ALTER COLUMN 2 SET STATISTICS 77;
ALTER TABLE public.large CLUSTER ON large_pkey;
ALTER TABLE public.large REPLICA IDENTITY USING INDEX identity;
COMMENT ON INDEX public.identity IS 'told';
CREATE TABLE public.parts (id int, filler text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE public.part PARTITION OF public.parts FOR VALUES FROM (0) TO (10000);
CREATE INDEX ON public.parts (filler, id);
INSERT INTO public.parts SELECT i, repeat(chr(65 + i % 26), 1900) FROM generate_series(1, 5000) i;
CREATE TABLE public.small (id int PRIMARY KEY);
INSERT INTO public.small VALUES (1);
ANALYZE;
";

#[test]
fn an_index_of_a_large_table_is_made_before_other_tables_are_there_and_a_kill_costs_no_more_than_it()
 {
    let pair = Pair::new(15, 18);
    pair.on_source(LARGE);
    pair.run(&["init", "-q"]).expect(0);
    let mut gate = pair.destination_client();
    gate.execute("SELECT pg_advisory_lock(42)", &[]).unwrap();
    let copy = pair.spawn(&["copy", "-q", "--create-schema", "--jobs=1"]);
    wait_for("the index", Duration::from_secs(60), || {
        pair.on_destination(WAIT_AT_THE_GATE) == "1"
    });
    let finished =
        "SELECT string_agg(table_name, ' ') FROM switchover.copied WHERE finished_at IS NOT NULL";
    assert_eq!(pair.on_destination(finished), "large");
    let made = "SELECT count(*) FROM pg_index WHERE indrelid = 'public.large'::regclass";
    assert_eq!(
        pair.on_destination(made),
        "5",
        "all but the one at the gate"
    );
    copy.kill();
    gate.execute("SELECT pg_advisory_unlock(42)", &[]).unwrap();
    let again = pair.run(&["copy", "--create-schema", "--jobs=2"]).expect(0);
    again.expect_stderr("(1 table copied before)");
    compare::assert_equal(&pair);
    compare::assert_same_schema(&pair);
}

/// For indexes that cannot be made before the one row of another table is there.
const ONCE_READY: &str = "
    CREATE TABLE public.ready (id int PRIMARY KEY);
    INSERT INTO public.ready VALUES (1);
    CREATE FUNCTION public.once_ready(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    BEGIN
        IF NOT EXISTS (SELECT FROM public.ready) THEN RAISE EXCEPTION 'too early'; END IF;
        RETURN n;
    END $$";

#[test]
fn an_index_that_cannot_be_made_at_once_is_made_at_the_end_or_told() {
    let pair = Pair::new(15, 18);
    pair.on_source(ONCE_READY);
    pair.on_source(
        "CREATE TABLE public.large (id int PRIMARY KEY, filler text NOT NULL);
         INSERT INTO public.large SELECT i, repeat('x', 1900) FROM generate_series(1, 6000) i;
         CREATE INDEX late ON public.large (public.once_ready(id));
         ANALYZE",
    );
    pair.run(&["init", "-q"]).expect(0);
    let copy = ["copy", "-q", "--create-schema", "--jobs=1"];
    assert_eq!(pair.run(&copy).expect(0).stderr, "");
    compare::assert_equal(&pair);
    compare::assert_same_schema(&pair);

    // Where the other table stays behind, the end comes to the same.
    pair.run(&["drop", "-q"]).expect(0);
    pair.on_destination(
        "DROP TABLE public.large, public.ready; DROP FUNCTION public.once_ready(int)",
    );
    pair.run(&["init", "-q", "-t", "public.large"]).expect(0);
    pair.run(&copy).expect(1).expect_stderr("too early");
    pair.on_destination("INSERT INTO public.ready VALUES (1)");
    pair.run(&copy).expect(0);
    compare::assert_same_schema(&pair);
}

/// Fifty small tables are made at once, before the last one is there.
#[test]
fn indexes_of_small_tables_that_cannot_be_made_together_are_made_at_the_end() {
    let pair = Pair::new(15, 18);
    pair.on_source(ONCE_READY);
    pair.on_source(
        "DO $$ BEGIN FOR i IN 1..50 LOOP
             EXECUTE format('CREATE TABLE public.t%s (id int PRIMARY KEY);
                             INSERT INTO public.t%s SELECT generate_series(1, 1000)', i, i);
         END LOOP; END $$;
         CREATE INDEX late ON public.t1 (public.once_ready(id))",
    );
    pair.run(&["init", "-q"]).expect(0);
    let copied = pair.run(&["copy", "-q", "--create-schema", "--jobs=1"]);
    assert_eq!(copied.expect(0).stderr, "");
    assert!(pair.destination.log().contains("too early"));
    compare::assert_equal(&pair);
    compare::assert_same_schema(&pair);
}

#[test]
fn an_index_takes_no_processors_from_other_workers_unless_somebody_has_chosen_how_many() {
    let pair = Pair::new(15, 18);
    pair.on_source(
        "CREATE FUNCTION public.helpers(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
         BEGIN
             IF n = 1 THEN
                 RAISE LOG 'at most % helpers', current_setting('max_parallel_maintenance_workers');
             END IF;
             RETURN n;
         END $$;
         CREATE TABLE public.large (id int, filler text NOT NULL);
         INSERT INTO public.large SELECT i, repeat('x', 1900) FROM generate_series(1, 6000) i;
         CREATE INDEX told ON public.large (public.helpers(id));
         ANALYZE",
    );
    let chosen = "ALTER DATABASE app SET max_parallel_maintenance_workers = 3";
    let mut told = 0;
    for (setting, jobs, helpers) in [("", "1", 0), ("", "2", 1), (chosen, "1", 3)] {
        pair.on_destination(&format!(
            "DROP TABLE IF EXISTS public.large; DROP FUNCTION IF EXISTS public.helpers; {setting}"
        ));
        pair.run(&["init", "-q"]).expect(0);
        pair.run(&["copy", "-q", "--create-schema", "--jobs", jobs])
            .expect(0);
        pair.run(&["drop", "-q"]).expect(0);
        let log = pair.destination.log();
        let lines: Vec<&str> = log.split("LOG:  at most ").skip(1).collect();
        // ANALYZE asks the function as well, later.
        let made = lines.get(told).copied().unwrap_or_default();
        assert!(
            made.starts_with(&format!("{helpers} helpers")),
            "{jobs} jobs: {made}"
        );
        told = lines.len();
    }
}

#[test]
fn what_cannot_be_made_with_the_rest_at_the_end_is_told_and_the_others_are_made() {
    let pair = Pair::new(15, 18);
    pair.on_source(
        "CREATE ROLE only_there;
         CREATE TABLE public.t (id int PRIMARY KEY);
         CREATE POLICY told ON public.t TO only_there USING (true);
         CREATE RULE quiet AS ON DELETE TO public.t DO INSTEAD NOTHING;
         CREATE TABLE public.parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE public.part PARTITION OF public.parts FOR VALUES FROM (0) TO (10)",
    );
    pair.run(&["init", "-q"]).expect(0);
    let copy = ["copy", "-q", "--create-schema", "--no-privileges"];
    pair.run(&copy)
        .expect(1)
        .expect_stderr("could not create the indexes and constraints on the destination")
        .expect_stderr("only_there");
    pair.on_destination("CREATE ROLE only_there");
    pair.run(&copy).expect(0);
    compare::assert_same_schema(&pair);
}
