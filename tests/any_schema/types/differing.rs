//! Types of one name that differ between the two databases.

use std::time::Duration;

use crate::any_schema::judge;
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::program::Outcome;
use crate::support::stage::{LIMIT, expect_source_in_charge};
use crate::support::wait_for;

const MADE: &str = "
    CREATE SCHEMA \"my types\";
    CREATE TYPE \"my types\".\"Mood's\" AS ENUM ('sad', 'ok', 'a \"happy\" one');
    CREATE TYPE \"my types\".duo AS (a int, m \"my types\".\"Mood's\");
    CREATE DOMAIN \"my types\".amount AS numeric(10, 2);
    CREATE TYPE \"my types\".span AS RANGE (subtype = float8);
    CREATE TYPE \"my types\".untouched AS ENUM ('x');
    CREATE TABLE t (id int PRIMARY KEY, m \"my types\".\"Mood's\", d \"my types\".duo[], n \"my types\".amount, s \"my types\".span, u \"my types\".untouched);
    INSERT INTO t SELECT i, 'ok', ARRAY[(i, 'sad')]::\"my types\".duo[], i / 3.0, '[1,2)' FROM generate_series(1, 20) i;";

fn copied() -> Pair {
    let pair = Pair::new(15, 18);
    pair.on_source(MADE);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    pair
}

/// Demands that a command stopped with these words, and returns the way out that it named for the destination.
fn stopped(outcome: &Outcome, words: &str) -> String {
    let report = outcome.report();
    let line = outcome.stderr.lines().find(|line| line.contains(words));
    let line = line.unwrap_or_else(|| panic!("no \"{words}\"\n{report}"));
    let mend = line.rsplit_once(words).unwrap().1;
    let mend = mend.trim_start_matches("; ");
    let mend = mend
        .strip_suffix(" there")
        .unwrap_or_else(|| panic!("no way out: {line}"));
    mend.to_string()
}

#[test]
fn a_new_value_of_an_enum_stops_sync_by_name_and_what_it_says_lets_it_go_on() {
    let pair = copied();
    pair.on_source("ALTER TYPE \"my types\".\"Mood's\" ADD VALUE 'so ''so''' BEFORE 'ok'");
    pair.on_source("ALTER TYPE \"my types\".\"Mood's\" ADD VALUE 'best'");
    pair.on_source("UPDATE t SET m = 'so ''so''' WHERE id < 5; UPDATE t SET d = ARRAY[(1, 'best')]::\"my types\".duo[] WHERE id > 15; DELETE FROM t WHERE id = 10");
    let rows = "SELECT string_agg(xmin::text || ctid, ' ' ORDER BY id) FROM t";
    let before = pair.on_destination(rows);
    let words = "enum \"my types\".\"Mood's\" has no value 'so ''so''', 'best' on the destination";
    for command in [&["sync"][..], &["switch", "--unverified"], &["verify"]] {
        let outcome = pair.run(command).expect(1);
        stopped(&outcome, words);
    }
    assert_eq!(pair.on_destination(rows), before);
    let found = pair.run(&["check"]).expect(3);
    assert!(found.stdout.contains(words), "{}", found.report());
    pair.on_destination(&stopped(&pair.run(&["sync"]), words));
    pair.run(&["sync"]).expect(0);
    judge(&pair);
    // Neither was the table copied anew: rows that did not change are the same.
    let unchanged = "SELECT count(DISTINCT xmin::text) FROM t WHERE id BETWEEN 5 AND 15";
    assert_eq!(pair.on_destination(unchanged), "1");
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    judge(&pair);
}

#[test]
fn a_renamed_value_of_an_enum_changes_rows_that_nothing_logs_and_is_noticed() {
    let pair = copied();
    pair.on_source("ALTER TYPE \"my types\".\"Mood's\" RENAME VALUE 'ok' TO 'fine'");
    let words = "enum \"my types\".\"Mood's\" has 'fine' on the source and 'ok' on the destination";
    let outcome = expect_source_in_charge(pair.run(&["switch", "--unverified"]), 1);
    pair.on_destination(&stopped(&outcome, words));
    pair.run(&["sync"]).expect(0);
    judge(&pair);
    // The other way round, there is nothing to do but to follow.
    pair.on_destination("ALTER TYPE \"my types\".untouched ADD VALUE 'y'");
    pair.run(&["sync"]).expect(1).expect_stderr(
        "enum \"my types\".\"untouched\" has value 'y' on the destination only; ALTER TYPE \"my types\".\"untouched\" ADD VALUE 'y' on the source",
    );
}

#[test]
fn a_type_that_changes_while_switch_waits_for_the_lock_is_noticed_before_the_flip() {
    let pair = copied();
    pair.run(&["verify", "-q"]).expect(0);
    let mut writer = pair.source_client();
    writer
        .batch_execute("BEGIN; DELETE FROM t WHERE id = 1")
        .unwrap();
    let args = [
        "switch",
        "--lock-timeout=200",
        "--lock-attempts=1000",
        "--interval=0.02",
    ];
    let mut running = pair.spawn(&args);
    running.wait_for_stderr("attempt 1 of 1000", LIMIT);
    pair.on_source("ALTER TYPE \"my types\".\"Mood's\" RENAME VALUE 'sad' TO 'blue'");
    writer.batch_execute("COMMIT").unwrap();
    let outcome = expect_source_in_charge(running.wait(LIMIT), 1);
    outcome.expect_stderr("type \"my types\".\"Mood's\" has changed on the source a moment ago");
}

#[test]
fn a_value_that_arrives_while_sync_follows_names_its_table() {
    let pair = copied();
    let running = pair.spawn(&["sync", "--follow", "--interval=0.05"]);
    pair.on_source("UPDATE t SET n = 7 WHERE id = 7");
    wait_for("the change", Duration::from_secs(60), || {
        pair.on_destination("SELECT n FROM t WHERE id = 7") == "7.00"
    });
    pair.on_source("ALTER TYPE \"my types\".\"Mood's\" ADD VALUE 'late'");
    pair.on_source("UPDATE t SET m = 'late' WHERE id = 3");
    let outcome = running.wait(LIMIT).expect(1);
    outcome
        .expect_stderr("could not write table \"public\".\"t\" on the destination")
        .expect_stderr("late");
}

#[test]
fn what_a_type_is_made_of_is_compared() {
    let pair = Pair::new(15, 18);
    pair.on_source(MADE);
    pair.on_destination(MADE);
    pair.on_destination("TRUNCATE t");
    // Of the same size on disk and on the wire.
    let domains = ["int4", "float4"];
    for (number, cluster) in [&pair.source, &pair.destination].into_iter().enumerate() {
        cluster.psql(
            "app",
            &format!(
                "CREATE DOMAIN \"my types\".size AS {}; CREATE TYPE \"my types\".inner AS (x \"my types\".size);
                 CREATE TABLE sized (id int PRIMARY KEY, s \"my types\".size, i \"my types\".inner); INSERT INTO sized VALUES (1, 1)",
                domains[number]
            ),
        );
    }
    pair.on_destination(
        "TRUNCATE sized; ALTER TYPE \"my types\".duo ADD ATTRIBUTE extra text;
         ALTER TABLE t DROP s; DROP TYPE \"my types\".span; CREATE TYPE \"my types\".span AS RANGE (subtype = float4); ALTER TABLE t ADD s \"my types\".span;
         ALTER TABLE t DROP n; DROP DOMAIN \"my types\".amount; CREATE DOMAIN \"my types\".amount AS numeric; ALTER TABLE t ADD n \"my types\".amount;
         ALTER TABLE t DROP u; DROP TYPE \"my types\".untouched; CREATE DOMAIN \"my types\".untouched AS text; ALTER TABLE t ADD u \"my types\".untouched",
    );
    let expected = [
        "composite type \"my types\".\"duo\" has \"extra\" on the destination only; ALTER TYPE \"my types\".\"duo\" DROP ATTRIBUTE \"extra\" CASCADE there",
        "domain \"my types\".\"size\" is over integer on the source and real on the destination; drop it there and create it over integer",
        "domain \"my types\".\"amount\" is over numeric(10,2) on the source and numeric on the destination; drop it there and create it over numeric(10,2)",
        "range type \"my types\".\"span\" is over double precision on the source and real on the destination; drop it there and create it over double precision",
        "type \"my types\".\"untouched\" is an enum on the source and a domain on the destination; make it alike on both sides",
    ];
    let found = pair.run(&["check"]).expect(3);
    for line in expected {
        assert!(
            found.stdout.contains(&format!("stops: {line}\n")),
            "{line}\n{}",
            found.report()
        );
    }
    pair.run(&["init"])
        .expect(1)
        .expect_stderr("composite type \"my types\".\"duo\"");
    assert_eq!(pair.on_source("SELECT to_regnamespace('switchover')"), "");
    // A table whose rows are values.
    let pair = Pair::new(15, 18);
    pair.on_source("CREATE TABLE part (a int, b int); CREATE TABLE whole (id int PRIMARY KEY, p part); INSERT INTO whole VALUES (1, (1, 2))");
    pair.on_destination(
        "CREATE TABLE part (b int, a int); CREATE TABLE whole (id int PRIMARY KEY, p part)",
    );
    let outcome = pair.run(&["init"]).expect(1);
    outcome.expect_stderr("the columns of table \"public\".\"part\", whose rows are values of another column, are not the same in the same order on the destination");
}

#[test]
fn an_extension_may_live_in_another_schema_on_the_destination() {
    let pair = Pair::new(15, 15);
    for (cluster, schema) in [
        (&pair.source, "public"),
        (&pair.destination, "\"Other 'ext'\""),
    ] {
        cluster.psql(
            "app",
            &format!(
                "CREATE SCHEMA IF NOT EXISTS {schema}; CREATE EXTENSION citext SCHEMA {schema}; CREATE EXTENSION hstore SCHEMA {schema};
                 CREATE EXTENSION ltree SCHEMA {schema}; CREATE EXTENSION pg_trgm SCHEMA {schema}; CREATE EXTENSION btree_gist SCHEMA {schema};
                 CREATE DOMAIN code AS {schema}.citext; CREATE TYPE duo AS (c {schema}.citext, h {schema}.hstore);
                 CREATE TABLE t (k {schema}.citext, l {schema}.ltree, h {schema}.hstore, hs {schema}.hstore[], c code, d duo, ds duo[], q {schema}.lquery, body text,
                     r int4range, n int, PRIMARY KEY (k, l), EXCLUDE USING gist (n WITH =, r WITH &&));
                 CREATE INDEX ON t USING gin (body {schema}.gin_trgm_ops);
                 CREATE TABLE by_code (k code PRIMARY KEY, n int); CREATE TABLE by_codes (k {schema}.citext[] PRIMARY KEY, n int);"
            ),
        );
    }
    pair.on_source(
        "INSERT INTO t SELECT 'Key ' || i, ('a.b' || i)::ltree, hstore('it''s \"k\"', '=>, ' || i) || hstore('n', NULL), ARRAY[hstore('a', 'b'), NULL, ''], 'C' || i,
                              ('X', 'a=>\"b \\\\\\\"c\"')::duo, ARRAY[(NULL, '')::duo], '*.a{1,2}.b|c*', 'text ' || i, int4range(i, i + 1), i % 3 FROM generate_series(1, 30) i;
         INSERT INTO by_code SELECT 'K' || i, i FROM generate_series(1, 20) i; INSERT INTO by_codes SELECT ARRAY['K' || i, NULL]::citext[], i FROM generate_series(1, 20) i",
    );
    let found = pair.run(&["check"]);
    assert!(!found.stdout.contains("stops: "), "{}", found.report());
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    for pending in ["--max-pending=1000", "--max-pending=1"] {
        pair.on_source(
            "UPDATE t SET k = upper(k) WHERE n = 1; UPDATE t SET body = body || 'x', h = h || 'z=>1' WHERE n = 2; DELETE FROM t WHERE k = (SELECT min(k) FROM t);
             UPDATE by_code SET k = lower(k) WHERE n < 5; UPDATE by_code SET n = n + 1; DELETE FROM by_code WHERE k = (SELECT max(k) FROM by_code);
             UPDATE by_codes SET k = ARRAY[lower(k[1]), NULL]::citext[] WHERE n BETWEEN 3 AND 6; UPDATE by_codes SET n = n + 1; INSERT INTO by_codes SELECT k || random()::text::citext, -100 FROM by_codes LIMIT 2",
        );
        pair.run(&["sync", "-q", pending]).expect(0);
        compare::assert_equal(&pair);
    }
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    compare::assert_equal(&pair);
}
