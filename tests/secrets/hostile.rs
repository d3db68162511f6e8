//! An owner of tables lays traps for the role, here a superuser, that moves them: operators, functions, casts,
//! types, temporary tables and a search_path of its own. A trap that is sprung says in the server's log by whom.

use postgres::{Client, NoTls};

use crate::support::pair::{DATABASE, Pair};
use crate::support::stage::LIMIT;
use crate::support::wait_for;

const TRAPS: &str = include_str!("hostile.sql");
const ROWS: &str = include_str!("rows.sql");

/// Temporary objects with the names of ours and of PostgreSQL's, found before all others.
const SESSION: &str = "
    CREATE TEMP TABLE change_log_1 (table_id oid, row_id text);
    CREATE TEMP TABLE change_log_2 (table_id oid, row_id text);
    CREATE TEMP TABLE state (use_next_db boolean, destination_name text);
    CREATE TEMP TABLE pg_class (oid oid);
    CREATE TEMP SEQUENCE fence; CREATE TEMP SEQUENCE turn;
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (evil.spring('pg_temp.text'));
    CREATE DOMAIN pg_temp.int8 AS pg_catalog.int8 CHECK (evil.spring('pg_temp.int8'));
    CREATE DOMAIN pg_temp.oid AS pg_catalog.oid CHECK (evil.spring('pg_temp.oid'));
    CREATE DOMAIN pg_temp.bool AS pg_catalog.bool CHECK (evil.spring('pg_temp.bool'));
    SET search_path = pg_temp, evil, public, pg_catalog;
    SET plpgsql.extra_errors = 'all'; SET transform_null_equals = on; SET quote_all_identifiers = on;
    SET array_nulls = off; SET standard_conforming_strings = off; SET backslash_quote = on;";

/// Every kind of write into every table.
fn changes(tables: &[&str]) -> String {
    tables
        .iter()
        .map(|table| {
            format!(
                "UPDATE evil.{table} SET n = 7; UPDATE evil.{table} SET id = id WHERE n = 7;
                 CREATE TEMP TABLE kept AS SELECT * FROM evil.{table};
                 DELETE FROM evil.{table}; INSERT INTO evil.{table} SELECT * FROM kept;
                 TRUNCATE evil.{table}; INSERT INTO evil.{table} SELECT * FROM kept;
                 DROP TABLE kept;\n"
            )
        })
        .collect()
}

const TABLES: [&str; 9] = [
    "by_number",
    "by_text",
    "by_mood",
    "by_pair",
    "by_span",
    "by_moods",
    "by_age",
    "by_word",
    "by_short",
];

fn mallory(pair: &Pair) -> Client {
    let uri = pair.source.uri_as("mallory", DATABASE);
    let mut mallory = Client::connect(&uri, NoTls).unwrap();
    mallory.batch_execute(SESSION).unwrap();
    mallory
}

struct Hostile {
    pair: Pair,
    mallory: Client,
}

impl Hostile {
    fn new() -> Hostile {
        let pair = Pair::new(15, 18);
        pair.on_both(TRAPS);
        let mallory = mallory(&pair);
        Hostile { pair, mallory }
    }

    /// The traps that a role other than mallory has sprung, on either side.
    fn sprung(&self) -> Vec<String> {
        sprung(&[self.pair.source.log(), self.pair.destination.log()].join("\n"))
    }
}

fn sprung(log: &str) -> Vec<String> {
    let mut sprung: Vec<String> = log
        .lines()
        .filter(|line| line.contains("sprung by") && !line.contains("sprung by mallory"))
        .filter_map(|line| line.split_once("WARNING:  "))
        .map(|(_, said)| said.to_string())
        .collect();
    sprung.sort();
    sprung.dedup();
    sprung
}

#[test]
fn the_trigger_functions_run_nothing_of_a_writers_with_their_owners_rights() {
    let mut hostile = Hostile::new();
    hostile.mallory.batch_execute(ROWS).unwrap();
    hostile.pair.run(&["init", "-q"]).expect(0);
    hostile.mallory.batch_execute(&changes(&TABLES)).unwrap();
    let asked = "SELECT switchover.use_next_db()";
    assert!(
        !hostile
            .mallory
            .query_one(asked, &[])
            .unwrap()
            .get::<_, bool>(0)
    );
    assert_eq!(hostile.sprung(), [""; 0]);
    // A key that was of a built-in type when its function was made.
    hostile
        .mallory
        .batch_execute(
            "BEGIN; DELETE FROM evil.by_number WHERE id OPERATOR(pg_catalog.>) 2; DELETE FROM evil.by_text WHERE id OPERATOR(pg_catalog.>) 'a';
             ALTER TABLE evil.by_number ALTER id TYPE evil.mood
                 USING (pg_catalog.enum_range(NULL::evil.mood))[id];
             ALTER TABLE evil.by_text ALTER id TYPE evil.pair USING ROW(1, 'bad'::evil.mood)::evil.pair;
             COMMIT",
        )
        .unwrap();
    // A new session plans the function for what the key is now.
    let changes = changes(&["by_number", "by_text"]);
    mallory(&hostile.pair).batch_execute(&changes).unwrap();
    assert_eq!(hostile.sprung(), [""; 0]);
}

/// What can only be sprung by writing: rows of the destination pass the constraints, and the lengths, that the owners
/// of tables and types have made.
const OF_WRITING: [&str; 2] = [
    "trap of a domain's check sprung by postgres",
    "trap of the length of a value sprung by postgres",
];

#[test]
fn whoever_reads_the_tables_runs_nothing_of_their_owners() {
    let mut hostile = Hostile::new();
    hostile.mallory.batch_execute(ROWS).unwrap();
    let on_source = |hostile: &Hostile| sprung(&hostile.pair.source.log());
    let update = |n: i32, pair: &Pair, args: &[&str]| {
        let updates = TABLES.map(|table| format!("UPDATE evil.{table} SET n = {n};"));
        let mut mallory = mallory(pair);
        mallory.batch_execute(&updates.concat()).unwrap();
        pair.run(args).expect(0);
    };
    for args in [["check", "-q"], ["init", "-q"], ["copy", "-q"]] {
        let code = hostile.pair.run(&args).code();
        assert!(code == Some(0) || args[0] == "check");
    }
    update(8, &hostile.pair, &["sync", "-q"]);
    update(9, &hostile.pair, &["sync", "-q", "--max-pending=2"]);
    assert_eq!(sums(&hostile.pair), "9 9 9 9 9 9 9 9 9");
    // Differences, so that the rows are looked up by their keys.
    for table in TABLES {
        hostile.pair.on_destination(&format!(
            "SET session_replication_role = replica; UPDATE evil.{table} SET n = 1"
        ));
    }
    let told = hostile.pair.run(&["verify", "-q"]).expect(3);
    assert_eq!(
        told.stdout.matches("n differs").count(),
        0,
        "{}",
        told.report()
    );
    assert_eq!(on_source(&hostile), [""; 0]);
    assert_eq!(hostile.sprung(), OF_WRITING);
    // An implicit cast makes what compares two values of its type ambiguous, which is an error, and nothing of
    // its owner's is run. PostgreSQL's own foreign keys fail like that.
    hostile
        .mallory
        .batch_execute(
            "DROP CAST (evil.mood AS pg_catalog.int4);
             CREATE CAST (evil.mood AS pg_catalog.int4) WITH FUNCTION evil.mood_int(evil.mood) AS IMPLICIT;
             UPDATE evil.by_mood SET n = 10",
        )
        .unwrap();
    hostile
        .pair
        .run(&["sync", "-q"])
        .expect(1)
        .expect_stderr("operator is not unique: evil.mood pg_catalog.= evil.mood");
    assert_eq!(hostile.sprung(), OF_WRITING);
}

fn sums(pair: &Pair) -> String {
    let sums = TABLES.map(|table| format!("(SELECT max(n) FROM evil.{table})"));
    pair.on_destination(&format!("SELECT concat_ws(' ', {})", sums.join(", ")))
}

/// A table's owner puts a view in its place after we have looked at it, and before we read it: while we wait
/// for another table.
#[test]
fn a_view_that_takes_the_place_of_a_table_is_not_read() {
    let Hostile { pair, mut mallory } = Hostile::new();
    mallory.batch_execute(ROWS).unwrap();
    pair.run(&["init", "-q", "-t", "evil.by_number", "-t", "evil.by_text"])
        .expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    mallory
        .batch_execute("UPDATE evil.by_number SET n = 5; TRUNCATE evil.by_text; INSERT INTO evil.by_text VALUES ('a', 1)")
        .unwrap();
    mallory
        .batch_execute("BEGIN; LOCK TABLE evil.by_number IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let running = pair.spawn(&["sync"]);
    wait_for("a sync that waits", LIMIT, || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'evil.by_number'::regclass";
        pair.on_source(waiting) == "1"
    });
    self::mallory(&pair)
        .batch_execute(
            "BEGIN; ALTER TABLE evil.by_text RENAME TO was_text;
             CREATE VIEW evil.by_text AS SELECT * FROM evil.was_text WHERE evil.spring('a view'); COMMIT",
        )
        .unwrap();
    mallory.batch_execute("COMMIT").unwrap();
    running
        .wait(LIMIT)
        .expect(1)
        .expect_stderr("table \"evil\".\"by_text\" was dropped or moved away");
    assert_eq!(sprung(&pair.source.log()), [""; 0]);
}

/// Where a role may create schemas, it could make ours first, with whatever it likes in it.
#[test]
fn a_schema_of_ours_that_somebody_else_has_made_is_not_touched() {
    let pair = Pair::new(15, 18);
    pair.on_both(&format!(
        "CREATE TABLE public.t (id int PRIMARY KEY); {TRAPS};
         RESET ROLE; GRANT CREATE ON DATABASE {DATABASE} TO mallory; SET ROLE mallory;
         CREATE SCHEMA switchover;
         CREATE TABLE switchover.state (phase text, use_next_db boolean, m evil.mood);
         INSERT INTO switchover.state VALUES ('copied', false, 'bad');
         CREATE TABLE switchover.confirmation (m evil.mood)",
    ));
    let told = "schema switchover on the source belongs to role \"mallory\", which role \"postgres\" does not trust";
    for command in ["init", "sync", "switch", "drop", "run"] {
        pair.run(&[command]).expect(1).expect_stderr(told);
    }
    pair.run(&["status"]);
    pair.run(&["check"])
        .expect(3)
        .expect_stdout("schema switchover on the source belongs to role \"mallory\"")
        .expect_stdout("schema switchover on the destination belongs to role \"mallory\"");
    assert_eq!(sprung(&pair.source.log()), [""; 0]);
    assert_eq!(sprung(&pair.destination.log()), [""; 0]);
    pair.on_source("DROP SCHEMA switchover CASCADE");
    let there = told.replace("the source", "the destination");
    pair.run(&["init"]).expect(1).expect_stderr(&there);
    assert_eq!(sprung(&pair.destination.log()), [""; 0]);
}
