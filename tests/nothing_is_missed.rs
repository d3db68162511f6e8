//! Promise 1: a row that is changed by any transaction that commits after `init` is noted by that same
//! transaction, and so reaches the destination.

mod drift;
mod triggers;
mod two_sessions;
mod values;
mod ways;

use std::time::Duration;

use postgres::{Client, NoTls};

use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::{Action, Proxy};
use crate::support::workload::{self, Kind, Workload};
use crate::support::{compare, wait_for};
use ways::Way;

const LIMIT: Duration = Duration::from_secs(60);

/// A version, beside 15, whose build has ICU and contrib modules everywhere.
const CONTRIB: u32 = 15;

/// A table that alone has more changes than `--max-pending 5` lets through as literals.
const BULK: &str = "CREATE SCHEMA bulk; CREATE TABLE bulk.t (id int PRIMARY KEY, n int NOT NULL);
                    INSERT INTO bulk.t SELECT i, 0 FROM generate_series(1, 20) i;";

/// Loads a schema on both sides and copies it.
fn moved(pair: &Pair, schema: &str) {
    pair.on_both(schema);
    pair.run(&["init"]).expect(0);
    pair.run(&["copy", "--truncate"]).expect(0);
    compare::assert_equal(pair);
}

fn in_schema(way: &Way, script: &str) -> String {
    format!("SET search_path = {}, public;\n{script}", way.name)
}

fn every_way_reaches_the_destination(sync: &[&str]) {
    let pair = Pair::new(15, 18);
    pair.on_both(BULK);
    for way in ways::all() {
        let schema = format!("CREATE SCHEMA {};\n", way.name);
        let there = way.there.unwrap_or(way.before);
        pair.on_source(&(schema.clone() + &in_schema(way, way.before)));
        pair.on_destination(&(schema + &in_schema(way, there)));
    }
    let partitioned_there_only = [
        "columns_in_another_order.t",
        "columns_in_another_order.t_all",
    ];
    pair.run(&["init"]).expect(0);
    pair.run(&["copy", "--truncate"]).expect(0);
    compare::assert_equal_except(&pair, &partitioned_there_only);

    for way in ways::all() {
        pair.on_source(&in_schema(way, way.change));
    }
    pair.on_source("UPDATE bulk.t SET n = n + 1");
    let before = compare::differences(&pair, &partitioned_there_only).join("\n");
    for way in ways::all().filter(|way| way.there.is_none()) {
        assert!(before.contains(way.name), "{} changes nothing", way.name);
    }
    pair.run(sync).expect(0);
    compare::assert_equal_except(&pair, &partitioned_there_only);
    let rows = "SELECT a, b, c FROM columns_in_another_order.t ORDER BY a, b";
    assert_eq!(pair.on_source(rows), pair.on_destination(rows));
    assert_eq!(
        pair.on_source("SELECT count(*) FROM switchover.change_log"),
        "0"
    );
}

#[test]
fn every_way_to_change_a_row_reaches_the_destination_in_a_small_cycle() {
    every_way_reaches_the_destination(&["sync", "--max-pending", "100000"]);
}

#[test]
fn every_way_to_change_a_row_reaches_the_destination_in_a_large_cycle() {
    every_way_reaches_the_destination(&["sync", "--max-pending", "5"]);
}

/// Keys that are equal though their texts are not, by rules that only some builds have (ICU, contrib).
#[test]
fn keys_without_case_reach_the_destination() {
    let pair = Pair::new(15, CONTRIB);
    moved(
        &pair,
        "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
         CREATE TABLE ci (k ext.citext PRIMARY KEY, n int);
         INSERT INTO ci VALUES ('Key', 1), ('other', 2), ('third', 3);
         CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         CREATE TABLE nd (k text COLLATE no_case PRIMARY KEY, n int);
         CREATE TABLE pair (a text COLLATE no_case, b ext.citext, n int, PRIMARY KEY (a, b));
         INSERT INTO nd VALUES ('Straße', 1), ('abc', 2), ('xyz', 3);
         INSERT INTO pair VALUES ('A', 'a', 1), ('b', 'b', 2);",
    );
    for (sync, change) in [
        (
            &["sync"][..],
            "UPDATE ci SET k = 'KEY' WHERE n = 1; UPDATE ci SET n = 20 WHERE k OPERATOR(ext.=) 'OTHER';
             DELETE FROM ci WHERE k OPERATOR(ext.=) 'THIRD'; UPDATE nd SET k = 'ABC' WHERE n = 2;
             UPDATE nd SET n = 11 WHERE n = 1; DELETE FROM nd WHERE k = 'XYZ';
             UPDATE pair SET a = 'a', b = 'A' WHERE n = 1; UPDATE pair SET n = 22 WHERE a = 'B';",
        ),
        (
            &["sync", "--max-pending", "2"],
            "UPDATE ci SET k = 'kEY' WHERE n = 1; DELETE FROM ci WHERE n = 20; INSERT INTO ci VALUES ('Other', 5);
             UPDATE nd SET k = 'aBc' WHERE n = 2; DELETE FROM nd WHERE n = 11; INSERT INTO nd VALUES ('STRAßE', 9);
             UPDATE pair SET a = 'A' WHERE n = 1; DELETE FROM pair WHERE a = 'B'; INSERT INTO pair VALUES ('B', 'b', 7);",
        ),
    ] {
        pair.on_source(change);
        pair.run(sync).expect(0);
        compare::assert_equal(&pair);
    }
}

/// A role that may do nothing in schema `switchover`, with everything that a capture function could be made
/// to run by mistake first on its `search_path`.
#[test]
fn a_role_without_rights_writes_on_under_a_hostile_search_path() {
    let pair = Pair::new(15, 18);
    let captured = "CREATE TABLE one (k numeric PRIMARY KEY, v text);
         CREATE TABLE two (a text, b timestamptz, v text, PRIMARY KEY (a, b)); CREATE TABLE none (v text);
         INSERT INTO one VALUES (1), (2), (3); INSERT INTO two VALUES ('a', 'epoch'), ('b', 'epoch');";
    moved(&pair, captured);
    pair.on_source(
        "CREATE ROLE app LOGIN; GRANT ALL ON one, two, none TO app;
         CREATE SCHEMA evil AUTHORIZATION app; SET ROLE app; SET search_path = evil;
         CREATE FUNCTION bad(a pg_catalog.text, b pg_catalog.text) RETURNS bool LANGUAGE plpgsql AS
             $$BEGIN RAISE 'hijacked'; END$$;
         CREATE FUNCTION bad(a pg_catalog.numeric, b pg_catalog.numeric) RETURNS bool LANGUAGE plpgsql AS
             $$BEGIN RAISE 'hijacked'; END$$;
         CREATE OPERATOR = (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = bad);
         CREATE OPERATOR <> (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = bad);
         CREATE FUNCTION pg_sequence_last_value(regclass) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RAISE 'hijacked'; END$$;
         CREATE FUNCTION now() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE 'hijacked'; END$$;
         CREATE FUNCTION text(pg_catalog.numeric) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$BEGIN RAISE 'hijacked'; END$$;
         CREATE DOMAIN text AS pg_catalog.text CHECK (false); CREATE DOMAIN oid AS pg_catalog.oid CHECK (false);
         CREATE VIEW change_log_1 AS SELECT 1::pg_catalog.oid AS table_id, ''::pg_catalog.text AS row_id;
         CREATE VIEW change_log_2 AS SELECT * FROM change_log_1; CREATE VIEW state AS SELECT true AS use_next_db;",
    );
    let mut app = Client::connect(&pair.source.uri_as("app", DATABASE), NoTls).unwrap();
    app.batch_execute("SET search_path = evil, pg_catalog, public; SET TimeZone = 'Asia/Tokyo'")
        .unwrap();
    for table in ["state", "change_log_1", "captured", "change_log"] {
        let refused = app.batch_execute(&format!("SELECT * FROM switchover.{table}"));
        assert!(refused.is_err(), "{table} is open to everybody");
    }
    for function in [
        "capture_truncate",
        "flipped",
        "refuse_writes",
        "read_sequences",
    ] {
        let refused = app.batch_execute(&format!("SELECT switchover.{function}()"));
        let refused = refused.unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "42501", "{function}");
    }
    let change =
        "INSERT INTO one VALUES (4, 'new'); UPDATE one SET k = 5 WHERE k OPERATOR(pg_catalog.=) 1;
         DELETE FROM one WHERE k OPERATOR(pg_catalog.=) 2;
         UPDATE two SET a = 'c' WHERE a OPERATOR(pg_catalog.=) 'a'; UPDATE two SET v = 'x';
         INSERT INTO none VALUES ('y')";
    app.batch_execute(change).unwrap();
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    app.batch_execute("TRUNCATE one, two; INSERT INTO two VALUES ('d', 'epoch')")
        .unwrap();
    pair.run(&["sync", "--max-pending", "1"]).expect(0);
    compare::assert_equal(&pair);
}

/// Writers that are in the middle of a transaction when CREATE TRIGGER comes: it waits for those that have
/// written, and those that have only read fire the trigger when they write.
#[test]
fn changes_of_writers_that_were_open_before_init_reach_the_destination() {
    let pair = Pair::new(15, 18);
    pair.on_both(
        "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text);
         CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);",
    );
    pair.on_source(
        "INSERT INTO a SELECT generate_series(1, 9); INSERT INTO p SELECT generate_series(1, 9)",
    );
    let begin = |sql: &str| {
        let mut client = pair.source_client();
        client
            .batch_execute(&format!("BEGIN ISOLATION LEVEL REPEATABLE READ; {sql}"))
            .unwrap();
        client
    };
    let mut written =
        begin("UPDATE a SET v = 'before init' WHERE id = 1; DELETE FROM a WHERE id = 2");
    let mut leaf =
        begin("UPDATE p1 SET v = 'before init' WHERE id = 1; INSERT INTO p1 VALUES (50)");
    let mut read = begin("SELECT count(*) FROM a, b, p");
    let patient = ["init", "--lock-timeout", "50", "--lock-attempts", "1000"];
    let mut init = pair.spawn(&patient);
    init.wait_for_stderr("could not capture table", LIMIT);
    written
        .batch_execute("UPDATE a SET v = 'while init waits' WHERE id = 3; COMMIT")
        .unwrap();
    init.wait_for_stderr("could not capture table \"public\".\"p\"", LIMIT);
    leaf.batch_execute("UPDATE p1 SET v = 'while init waits' WHERE id = 3; COMMIT")
        .unwrap();
    init.wait(LIMIT).expect(0);
    let mut straddling = begin("SELECT count(*) FROM a, b, p");
    pair.run(&["copy"]).expect(0);
    for (client, id) in [(&mut read, 5), (&mut straddling, 6)] {
        client
            .batch_execute(&format!(
                "UPDATE a SET v = 'after the copy' WHERE id = {id}; INSERT INTO b VALUES ({id});
                 UPDATE p SET v = 'after the copy' WHERE id = {id}; DELETE FROM p1 WHERE id = {id} + 2; COMMIT"
            ))
            .unwrap();
    }
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}

/// Writers are at work from before `init` until after the copy, on tables that are copied while they write.
#[test]
fn changes_committed_during_init_and_copy_reach_the_destination() {
    let pair = Pair::new(15, 18);
    pair.on_both(workload::SCHEMA);
    let uri = pair.source.uri(DATABASE);
    let writers = Workload::start(&uri, &uri, &Kind::all());
    writers.wait_for_more(100);
    pair.run(&["init", "--lock-attempts", "1000"]).expect(0);
    writers.wait_for_more(100);
    pair.run(&["copy", "--truncate"]).expect(0);
    writers.wait_for_more(100);
    pair.run(&["sync", "--max-pending", "5"]).expect(0);
    writers.wait_for_more(100);
    let testimony = writers.stop();
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    testimony.check(&mut pair.destination_client());
}

/// The rows of a table are on their way when they change, and so are those of a table that has arrived.
#[test]
fn changes_committed_while_a_table_is_on_its_way_reach_the_destination() {
    let mut pair = Pair::new(15, 18);
    pair.on_both(
        "CREATE TABLE large (id int PRIMARY KEY, u int UNIQUE, v text); CREATE TABLE small (id int PRIMARY KEY, v text);",
    );
    pair.on_source(
        "INSERT INTO large SELECT i, i, 'v' FROM generate_series(1, 2000) i; INSERT INTO small SELECT generate_series(1, 9)",
    );
    pair.run(&["init"]).expect(0);
    let proxy = Proxy::start(&pair.source);
    pair.source_uri = proxy.uri(DATABASE);
    let change = |v: &str| {
        pair.on_source(&format!(
            "UPDATE small SET v = '{v}' WHERE id < 5; DELETE FROM small WHERE id = 6; INSERT INTO small VALUES (6, '{v}');
             UPDATE large SET v = '{v}' WHERE id % 7 = 0; DELETE FROM large WHERE id % 11 = 0;
             UPDATE large SET id = id + 100000 WHERE id % 13 = 0;
             BEGIN; UPDATE large SET u = -1 WHERE id = 1; UPDATE large SET u = 1 WHERE id = 2; UPDATE large SET u = 2 WHERE id = 1; COMMIT;
             INSERT INTO large SELECT i, i, '{v}' FROM generate_series(3000, 3100) i ON CONFLICT DO NOTHING"
        ));
    };
    // The largest table comes first. One worker takes them one after the other.
    proxy.at("COPY \"public\".\"large\"", Action::HoldReply);
    let copy = pair.spawn(&["copy", "-j", "1"]);
    wait_for("the copy of the first table", LIMIT, || proxy.hits() == 1);
    change("while the first is read");
    proxy.at("COPY \"public\".\"small\"", Action::HoldReply);
    proxy.release();
    wait_for("the copy of the second table", LIMIT, || proxy.hits() == 2);
    change("while the second is read");
    proxy.release();
    copy.wait(LIMIT).expect(0);
    compare::assert_equal(&pair);
    assert_eq!(
        pair.on_source("SELECT count(*) FROM switchover.change_log"),
        "0"
    );
}
