//! `copy --create-schema` on a destination that has a part of the schema.

use crate::any_schema::judge;
use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};
use crate::support::stage::LIMIT;
use crate::support::wait_for;

pub(super) const FIRST: &str = "
CREATE SCHEMA app;
CREATE TYPE app.state AS ENUM ('new', 'done');
CREATE TABLE app.old (id int PRIMARY KEY, state app.state, extra text);
INSERT INTO app.old SELECT i, 'new', 'x' || i FROM generate_series(1, 100) i;
CREATE TABLE app.log (at date NOT NULL, id serial, note text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE INDEX log_note ON app.log (note);
CREATE TABLE app.log_1 PARTITION OF app.log FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
INSERT INTO app.log (at, note) SELECT date '2024-01-01' + i % 30, 'n' || i FROM generate_series(1, 50) i;
CREATE MATERIALIZED VIEW app.counts AS SELECT state, count(*) AS n FROM app.old GROUP BY state;
";

/// Everything that a table can bring along, and what is of no table.
const LATER: &str = r#"
CREATE DOMAIN app.percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE SCHEMA "Other ""S""";
CREATE FUNCTION app.mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.marked := true; RETURN NEW; END $$;
CREATE TABLE "Other ""S"""."It's
new" (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number serial,
    old int REFERENCES app.old ON DELETE CASCADE,
    rate app.percent DEFAULT 7,
    marked boolean,
    code text COLLATE "C" UNIQUE CHECK (code <> ''),
    double int GENERATED ALWAYS AS (id * 2) STORED
);
COMMENT ON TABLE "Other ""S"""."It's
new" IS 'with; a -- comment';
COMMENT ON COLUMN "Other ""S"""."It's
new".rate IS 'per cent';
COMMENT ON CONSTRAINT "It's
new_old_fkey" ON "Other ""S"""."It's
new" IS 'a key''s comment';
CREATE INDEX "by
rate" ON "Other ""S"""."It's
new" (rate) WHERE marked;
CREATE TRIGGER mark BEFORE INSERT ON "Other ""S"""."It's
new" FOR EACH ROW EXECUTE FUNCTION app.mark();
ALTER TABLE "Other ""S"""."It's
new" ENABLE ROW LEVEL SECURITY;
CREATE POLICY see ON "Other ""S"""."It's
new" TO reader USING (marked);
CREATE RULE quiet AS ON DELETE TO "Other ""S"""."It's
new" WHERE OLD.rate = 100 DO INSTEAD NOTHING;
CREATE STATISTICS app.both ON rate, marked FROM "Other ""S"""."It's
new";
GRANT SELECT, UPDATE (rate) ON "Other ""S"""."It's
new" TO reader;
INSERT INTO "Other ""S"""."It's
new" (old, rate, code) SELECT i, i, 'c' || i FROM generate_series(1, 40) i;
CREATE TABLE app.parent (id int, part int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
CREATE TABLE app.parent_1 PARTITION OF app.parent FOR VALUES IN (1) PARTITION BY RANGE (id);
CREATE TABLE app.parent_1_1 PARTITION OF app.parent_1 FOR VALUES FROM (0) TO (1000);
CREATE INDEX parent_part ON app.parent (part);
INSERT INTO app.parent SELECT i, 1 FROM generate_series(1, 20) i;
CREATE VIEW app.shown AS SELECT n.id, n.rate FROM "Other ""S"""."It's
new" AS n WHERE n.marked;
GRANT SELECT ON app.shown TO reader;
CREATE MATERIALIZED VIEW app.sums AS SELECT rate % 10 AS digit, sum(id) AS total FROM app.shown GROUP BY 1;
CREATE UNIQUE INDEX sums_digit ON app.sums (digit);
CREATE SEQUENCE app.numbers INCREMENT 3 START 10 CYCLE MAXVALUE 1000;
SELECT nextval('app.numbers');
CREATE INDEX old_extra ON app.old (extra);
ALTER TABLE app.old ADD CONSTRAINT extra_short CHECK (length(extra) < 100) NOT VALID;
CREATE TRIGGER untouched AFTER UPDATE ON app.old FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
"#;

/// Partitions beside those that are there: one that was made in place, one that was filled and attached,
/// with its columns in another order, indexes of its own, and one that is partitioned itself.
pub(super) const PARTITIONS: &str = "
CREATE TABLE app.log_2 PARTITION OF app.log FOR VALUES FROM ('2024-02-01') TO ('2024-03-01') WITH (fillfactor = 70);
CREATE TABLE app.\"log 3\" (note text, gone int, id int NOT NULL DEFAULT 4, at date NOT NULL, CONSTRAINT odd PRIMARY KEY (at, id));
ALTER TABLE app.\"log 3\" DROP COLUMN gone;
CREATE INDEX \"its own\" ON app.\"log 3\" (id);
CREATE INDEX \"another name\" ON app.\"log 3\" (note);
ALTER TABLE app.log ATTACH PARTITION app.\"log 3\" FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
GRANT SELECT ON app.\"log 3\" TO reader;
CREATE TABLE app.log_4 PARTITION OF app.log FOR VALUES FROM ('2024-04-01') TO ('2024-05-01') PARTITION BY HASH (id);
CREATE TABLE app.log_4_a PARTITION OF app.log_4 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.log_4_b PARTITION OF app.log_4 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO app.log (at, note) SELECT date '2024-02-01' + i, 'p' || i FROM generate_series(0, 80) i;
";

pub(super) fn moved() -> Pair {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE ROLE reader");
    pair.on_source(FIRST);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    pair
}

#[test]
fn what_is_new_on_the_source_is_created_by_the_next_copy() {
    let pair = moved();
    pair.on_source(LATER);
    pair.on_source(PARTITIONS);
    pair.run(&["init", "-q"]).expect(0);
    let outcome = pair.run(&["check", "--create-schema"]);
    assert!(!outcome.stdout.contains("stops:"), "{}", outcome.report());
    let copy = pair.run(&["copy", "--create-schema"]).expect(0);
    assert!(
        copy.stderr.contains("creating on the destination: "),
        "{}",
        copy.report()
    );
    judge(&pair);
    let views = "SELECT * FROM app.sums ORDER BY 1";
    assert_eq!(pair.on_source(views), pair.on_destination(views));
    // Once more, there is nothing to do.
    let again = pair.run(&["copy", "--create-schema"]).expect(0);
    assert!(!again.stderr.contains("creating"), "{}", again.report());
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    judge(&pair);
}

#[test]
fn a_copy_that_is_killed_while_it_creates_what_is_new_goes_on() {
    let pair = moved();
    pair.on_source(LATER);
    pair.run(&["init", "-q"]).expect(0);
    // Somebody on the destination keeps what the creation needs; and then what the copy needs.
    let gates = [
        "BEGIN; CREATE TYPE app.percent AS (x int)",
        "BEGIN; LOCK TABLE switchover.copied IN EXCLUSIVE MODE",
    ];
    for gate in gates {
        let mut holder = pair.destination_client();
        holder.batch_execute(gate).unwrap();
        let copy = pair.spawn(&["copy", "-q", "--create-schema"]);
        wait_for("a waiting session", LIMIT, || {
            let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted";
            pair.on_destination(sql) != "0"
        });
        copy.kill();
        holder.batch_execute("ROLLBACK").unwrap();
        wait_for("the advisory lock", LIMIT, || {
            let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
            pair.on_source(sql) == "0"
        });
    }
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    judge(&pair);
}

/// As [`FIRST`], but made by hand: with another index, and without the materialized view.
pub(super) const BY_HAND: &str = "
CREATE SCHEMA app;
CREATE TYPE app.state AS ENUM ('new', 'done');
CREATE TABLE app.old (id int PRIMARY KEY, state app.state, extra text);
CREATE INDEX of_the_dba ON app.old (extra);
CREATE TABLE app.log (at date NOT NULL, id serial, note text, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE INDEX log_note ON app.log (note);
CREATE TABLE app.log_1 PARTITION OF app.log FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
";

#[test]
fn beside_tables_that_the_user_made_only_tables_and_what_they_need_are_created() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE ROLE reader");
    pair.on_source(FIRST);
    pair.on_source(LATER);
    pair.on_source(PARTITIONS);
    pair.on_destination(BY_HAND);
    pair.run(&["check", "--create-schema"])
        .expect(0)
        .expect_stdout("note: the destination lacks tables ");
    pair.run(&["init", "-q"]).expect(0);
    // Without being asked to, copy makes nothing.
    pair.run(&["copy"])
        .expect(1)
        .expect_stderr("CREATE TABLE \"app\".\"log_2\" PARTITION OF");
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    compare::assert_equal(&pair);
    let names = "SELECT string_agg(relname::text, ' ' ORDER BY relname) FROM pg_class
                  WHERE relnamespace = 'app'::regnamespace AND relname ~ '^(old|of_|shown|sums|counts)'";
    assert_eq!(pair.on_destination(names), "of_the_dba old old_pkey");
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
    // Types, functions and foreign keys that the tables need are there.
    let insert = "INSERT INTO \"Other \"\"S\"\"\".\"It's\nnew\" (old, code) VALUES (1000, 'z')";
    let refused = pair.destination.try_psql(DATABASE, insert).unwrap_err();
    assert!(
        refused.contains("violates foreign key constraint"),
        "{refused}"
    );
}

#[test]
fn a_table_that_differs_is_refused_before_anything_is_created() {
    let pair = moved();
    pair.on_source(LATER);
    pair.run(&["init", "-q"]).expect(0);
    pair.on_destination("ALTER TABLE app.old DROP COLUMN extra");
    let copy = pair.run(&["copy", "-q", "--create-schema"]).expect(1);
    assert!(
        copy.last_line()
            .contains("column \"extra\" of table \"app\".\"old\" is missing on the destination"),
        "{}",
        copy.report()
    );
    assert_eq!(pair.on_destination("SELECT to_regclass('app.parent')"), "");
}
