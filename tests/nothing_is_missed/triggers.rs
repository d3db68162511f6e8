//! What a trigger of another kind would not see: statement triggers are not called for the children of a table, nor
//! by the workers of logical replication.

use std::thread;

use super::{LIMIT, moved};
use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::{compare, wait_for};

/// It was no child when `init` came, and is none when somebody looks.
#[test]
fn rows_of_a_table_that_is_a_child_for_a_while_reach_the_destination() {
    let pair = Pair::new(15, 18);
    moved(
        &pair,
        "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE t (id int PRIMARY KEY, v text);
         CREATE TABLE u (id int PRIMARY KEY); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i;
         INSERT INTO u SELECT generate_series(1, 9);",
    );
    pair.on_source(
        "ALTER TABLE t INHERIT parent; UPDATE parent SET v = 'through the parent' WHERE id < 4;
         DELETE FROM parent WHERE id = 5; UPDATE parent SET id = 60 WHERE id = 6; INSERT INTO t VALUES (10, 'new');
         ALTER TABLE t NO INHERIT parent; CREATE TABLE columnless (); ALTER TABLE u INHERIT columnless;
         DELETE FROM columnless; ALTER TABLE u NO INHERIT columnless; DROP TABLE columnless",
    );
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}

/// It was no partition when `init` came, and is none when somebody looks: of a table that nobody captures, of one
/// that is captured, or further below.
#[test]
fn rows_of_a_table_that_is_a_partition_for_a_while_reach_the_destination() {
    let pair = Pair::new(15, 18);
    moved(
        &pair,
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE keyless (id int NOT NULL, v text);
         CREATE TABLE known (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
         CREATE TABLE k1 PARTITION OF known FOR VALUES FROM (0) TO (10);
         INSERT INTO known VALUES (1, 'v'); INSERT INTO t VALUES (101, 'v'); INSERT INTO keyless VALUES (201, 'v');",
    );
    let through = |root: &str, what: &str| {
        pair.on_source(what);
        pair.run(&["sync"]).expect(0);
        let found = compare::differences(&pair, &[]).join("\n");
        assert!(found.is_empty(), "through {root}:\n{found}");
    };
    through(
        "a table that nobody captures",
        "CREATE TABLE stranger (id int, v text) PARTITION BY RANGE (id);
         ALTER TABLE stranger ATTACH PARTITION t FOR VALUES FROM (100) TO (200);
         ALTER TABLE stranger ATTACH PARTITION keyless FOR VALUES FROM (200) TO (300);
         INSERT INTO stranger SELECT i, 'inserted' FROM generate_series(110, 115) i;
         COPY stranger FROM STDIN;\n120\tcopied\n220\tcopied\n\\.\n
         MERGE INTO stranger s USING (VALUES (101), (130)) n (id) ON s.id = n.id
         WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (n.id, 'merged in');
         SET session_replication_role = replica; INSERT INTO stranger VALUES (140, 'by a replica'); RESET ALL;
         ALTER TABLE stranger DETACH PARTITION keyless; ALTER TABLE stranger DETACH PARTITION t; DROP TABLE stranger;",
    );
    through(
        "one that is captured",
        "ALTER TABLE known ATTACH PARTITION t FOR VALUES FROM (100) TO (200);
         INSERT INTO known VALUES (150, 'inserted'), (2, 'inserted'); UPDATE known SET id = 151 WHERE id = 1;
         ALTER TABLE known DETACH PARTITION t;",
    );
    through(
        "two that nobody captures, in one transaction",
        "BEGIN; CREATE TABLE top (id int, v text) PARTITION BY RANGE (id);
         CREATE TABLE middle PARTITION OF top FOR VALUES FROM (0) TO (1000) PARTITION BY RANGE (id);
         ALTER TABLE middle ATTACH PARTITION t FOR VALUES FROM (100) TO (200);
         INSERT INTO top VALUES (160, 'inserted'); INSERT INTO middle VALUES (161, 'inserted');
         ALTER TABLE middle DETACH PARTITION t; DROP TABLE top; COMMIT;",
    );

    // One whose snapshot is older than the first half of DETACH ... CONCURRENTLY, which waits for another one.
    pair.on_source(
        "CREATE TABLE stranger (id int, v text) PARTITION BY RANGE (id);
         ALTER TABLE stranger ATTACH PARTITION t FOR VALUES FROM (100) TO (200);",
    );
    let (mut reader, mut writer, mut detacher) = (
        pair.source_client(),
        pair.source_client(),
        pair.source_client(),
    );
    reader.batch_execute("BEGIN; TABLE stranger").unwrap();
    writer
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; TABLE k1")
        .unwrap();
    let detaching = thread::spawn(move || {
        let detach = "ALTER TABLE stranger DETACH PARTITION t CONCURRENTLY";
        detacher.batch_execute(detach).unwrap();
    });
    wait_for("half of the detachment", LIMIT, || {
        let sql = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
        pair.on_source(sql) == "1"
    });
    writer
        .batch_execute("INSERT INTO stranger VALUES (170, 'while it goes'); COMMIT")
        .unwrap();
    reader.batch_execute("COMMIT").unwrap();
    detaching.join().unwrap();
    through("one that it leaves", "DROP TABLE stranger");
    let there = "SELECT count(*) FROM t WHERE v = 'inserted' OR id IN (120, 130, 140, 170)";
    assert_eq!(pair.on_destination(there), "13");
}

/// The first rows come by COPY, those after them one by one.
#[test]
fn rows_that_logical_replication_brings_reach_the_destination() {
    let table = "CREATE TABLE t (id int PRIMARY KEY, v text);";
    let publisher = Cluster::with_settings(15, &[("wal_level", "logical")]);
    publisher.create_database(DATABASE);
    publisher.psql(
        DATABASE,
        &format!(
            "{table} CREATE PUBLICATION p FOR TABLE t; INSERT INTO t VALUES (1, 'a'), (2, 'b')"
        ),
    );
    let pair = Pair::new(15, 18);
    moved(&pair, table);
    pair.on_source(&format!(
        "CREATE SUBSCRIPTION s CONNECTION '{}' PUBLICATION p",
        publisher.uri(DATABASE)
    ));
    let rows = |expected: &str| {
        let sql = "SELECT string_agg(id || v, ' ' ORDER BY id) FROM t";
        wait_for("the publisher's rows", LIMIT, || {
            pair.on_source(sql) == expected
        });
    };
    rows("1a 2b");
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    publisher.psql(DATABASE, "INSERT INTO t VALUES (3, 'c'), (4, 'd')");
    rows("1a 2b 3c 4d");
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    publisher.psql(
        DATABASE,
        "UPDATE t SET v = 'e' WHERE id = 1; UPDATE t SET id = 5 WHERE id = 2; DELETE FROM t WHERE id = 3",
    );
    rows("1e 4d 5b");
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    pair.on_source("ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s");
}

/// The names that the triggers were made with are gone, come back, or mean another type: writers write on, and what
/// they write is noted.
#[test]
fn rows_that_are_inserted_while_the_key_has_another_name_or_type_reach_the_destination() {
    let pair = Pair::new(15, 18);
    moved(
        &pair,
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE w (a int, b text, PRIMARY KEY (a, b));
         CREATE TABLE r (id int PRIMARY KEY, v text);",
    );
    pair.on_source(
        "PREPARE one (int) AS INSERT INTO t VALUES ($1, 'v'); PREPARE two (int) AS INSERT INTO w VALUES ($1, 'b');
         EXECUTE one(1); EXECUTE two(1); ALTER TABLE t RENAME id TO other; ALTER TABLE w RENAME b TO r;
         EXECUTE one(2); EXECUTE two(2); INSERT INTO t (other) VALUES (3); UPDATE t SET v = 'w' WHERE other = 1;
         ALTER TABLE t RENAME other TO id; ALTER TABLE w RENAME r TO b; EXECUTE one(4); EXECUTE two(4);",
    );
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    pair.on_source(
        "PREPARE one (int) AS INSERT INTO r VALUES ($1, 'v'); EXECUTE one(1);
         BEGIN; EXECUTE one(2); ALTER TABLE r ALTER id TYPE bigint; INSERT INTO r VALUES (3); EXECUTE one(4);
         SAVEPOINT s; ALTER TABLE r ALTER id TYPE text; INSERT INTO r VALUES ('undone'); ROLLBACK TO s;
         EXECUTE one(5); ALTER TABLE r ALTER id TYPE int; EXECUTE one(6); COMMIT; EXECUTE one(7);",
    );
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}
