//! An owner of tables lays traps for the role, here a superuser, that moves them: operators, functions, casts,
//! types, temporary tables and a search_path of its own. A trap that is sprung says in the server's log by whom.

use postgres::{Client, NoTls};

use crate::support::pair::{DATABASE, Pair};

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

const TABLES: [&str; 8] = [
    "by_number",
    "by_text",
    "by_mood",
    "by_pair",
    "by_span",
    "by_moods",
    "by_age",
    "by_word",
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
        let logs = [self.pair.source.log(), self.pair.destination.log()].join("\n");
        let mut sprung: Vec<String> = logs
            .lines()
            .filter(|line| line.contains("sprung by") && !line.contains("sprung by mallory"))
            .filter_map(|line| line.split_once("WARNING:  "))
            .map(|(_, said)| said.to_string())
            .collect();
        sprung.sort();
        sprung.dedup();
        sprung
    }
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
                 USING CASE id OPERATOR(pg_catalog.=) 1 WHEN true THEN 'bad' ELSE 'good' END::evil.mood;
             ALTER TABLE evil.by_text ALTER id TYPE evil.pair USING (1, 'bad'::evil.mood)::evil.pair;
             COMMIT",
        )
        .unwrap();
    // A new session plans the function for what the key is now.
    let changes = changes(&["by_number", "by_text"]);
    mallory(&hostile.pair).batch_execute(&changes).unwrap();
    assert_eq!(hostile.sprung(), [""; 0]);
}
