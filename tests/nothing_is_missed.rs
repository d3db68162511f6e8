//! Promise 1: a row that is changed by any transaction that commits after `init` is noted by that same
//! transaction, and so reaches the destination.

mod drift;
mod values;
mod ways;

use crate::support::compare;
use crate::support::pair::Pair;
use ways::Way;

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
