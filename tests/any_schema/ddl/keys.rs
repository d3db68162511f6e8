//! Columns that are renamed, retyped, dropped or rewritten while applications write on.

use super::{Writer, moved, versions};
use crate::support::compare;
use crate::support::pair::Pair;

const SCHEMA: &str = "
    CREATE TABLE k (id int PRIMARY KEY, v int NOT NULL);
    CREATE TABLE kk (a int, b int, v int NOT NULL, PRIMARY KEY (a, b));
    CREATE TABLE p (id int PRIMARY KEY, v int NOT NULL) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (1000);
    CREATE TABLE retyped (id int PRIMARY KEY, v int NOT NULL); CREATE TABLE dropped (id int PRIMARY KEY, n int UNIQUE NOT NULL, v int NOT NULL);
    CREATE TABLE plain (id int PRIMARY KEY, v int NOT NULL);";

const ROWS: &str = "
    INSERT INTO k SELECT i, 0 FROM generate_series(1, 20) i; INSERT INTO kk SELECT i, 100 - i, 0 FROM generate_series(1, 20) i;
    INSERT INTO p SELECT i, 0 FROM generate_series(1, 20) i; INSERT INTO retyped SELECT i, 0 FROM generate_series(1, 20) i;
    INSERT INTO dropped SELECT i, 100 + i, 0 FROM generate_series(1, 20) i; INSERT INTO plain SELECT i, 0 FROM generate_series(1, 20) i;";

/// Statements that name no key column, in one session from the first to the last.
fn statements(round: usize) -> Vec<String> {
    let tables = ["k", "kk", "p", "retyped", "dropped"];
    let table = tables[round % tables.len()];
    vec![
        format!(
            "UPDATE {table} SET v = {round} WHERE ctid IN (SELECT ctid FROM {table} ORDER BY v LIMIT 1)"
        ),
        format!("UPDATE k SET v = v + 1 WHERE v % 7 = {}", round % 7),
    ]
}

#[test]
fn writes_go_on_when_a_key_column_is_renamed_retyped_or_dropped() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    let writer = Writer::start(&pair, &["40P01"], statements);
    writer.wait_for_more(10);
    let renamed = "BEGIN; ALTER TABLE k RENAME id TO \"new id\"; ALTER TABLE p RENAME id TO k; ALTER TABLE kk RENAME v TO x;
         ALTER TABLE kk RENAME a TO v; ALTER TABLE kk RENAME x TO a; ALTER TABLE kk RENAME v TO x; ALTER TABLE kk RENAME a TO v; COMMIT";
    pair.on_source(renamed);
    writer.wait_for_more(10);
    pair.run(&["sync"])
        .expect(1)
        .expect_stderr("the columns of table \"public\".\"k\" have changed");
    pair.on_destination(renamed);
    pair.run(&["sync"]).expect(0);
    writer.wait_for_more(10);
    pair.run(&["sync", "--max-pending", "1"]).expect(0);
    let retyped = "ALTER TABLE retyped ALTER id TYPE text; ALTER TABLE dropped DROP id";
    pair.on_source(retyped);
    writer.wait_for_more(10);
    let refused = pair.run(&["sync"]).expect(1);
    for table in ["retyped", "dropped"] {
        let told = format!("the columns of table \"public\".\"{table}\" have changed");
        assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    }
    pair.on_destination(retyped);
    pair.run(&["init", "-q"]).expect(0);
    writer.wait_for_more(10);
    pair.run(&["copy", "-q"]).expect(0);
    writer.wait_for_more(10);
    pair.run(&["switch", "--unverified", "--lock-attempts", "100"])
        .expect(0);
    writer.stop();
    super::super::judge(&pair);
}

/// The former name of a key's column is another column's now: what is logged until somebody looks are that one's
/// values.
#[test]
fn a_key_whose_name_is_taken_by_another_column_loses_nothing() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    pair.on_source("UPDATE kk SET v = 5 WHERE a = 3");
    let exchanged = "ALTER TABLE kk RENAME a TO x; ALTER TABLE kk RENAME b TO a; ALTER TABLE kk RENAME x TO b;
                     ALTER TABLE plain RENAME id TO x; ALTER TABLE plain RENAME v TO id; ALTER TABLE plain RENAME x TO v";
    pair.on_both(exchanged);
    pair.on_source("UPDATE kk SET v = 6 WHERE b = 4; DELETE FROM kk WHERE b = 5; UPDATE plain SET id = 7 WHERE v = 4");
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    pair.on_source("UPDATE kk SET v = 7 WHERE b = 6; DELETE FROM kk WHERE b = 7; UPDATE plain SET id = 7 WHERE v = 5");
    pair.run(&["sync", "--max-pending", "1"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn contents_that_alter_table_rewrites_are_brought_and_other_rewrites_cost_nothing() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    let kept = versions(&pair, "plain") + &versions(&pair, "p");
    // None of these changes contents; each command looks once more.
    for harmless in [
        "VACUUM FULL plain; CLUSTER p1 USING p1_pkey",
        "ALTER TABLE plain ALTER v SET STATISTICS 7; ALTER TABLE p ALTER v SET STORAGE PLAIN; ALTER TABLE p ALTER v SET DEFAULT 1",
        "ALTER TABLE plain SET UNLOGGED; ALTER TABLE plain SET LOGGED; VACUUM FREEZE p; ANALYZE; REINDEX TABLE plain",
        "CREATE INDEX ON plain (v); ALTER TABLE plain ADD CHECK (v < 1000)",
    ] {
        for statement in harmless.split(';') {
            pair.on_source(statement);
        }
        pair.run(&["sync", "-q"]).expect(0);
        assert_eq!(
            versions(&pair, "plain") + &versions(&pair, "p"),
            kept,
            "{harmless}"
        );
    }
    for (ddl, size) in [
        ("ALTER TABLE plain ALTER v TYPE int USING v + id", "1"),
        ("ALTER TABLE p ALTER v TYPE int USING v - 1", "100000"),
        (
            "UPDATE k SET v = 1 WHERE id = 3; ALTER TABLE k ALTER id TYPE int USING id + 1000",
            "1",
        ),
    ] {
        pair.on_source(ddl);
        assert!(!compare::differences(&pair, &[]).is_empty(), "{ddl}");
        let sync = pair.run(&["sync", "--max-pending", size]).expect(0);
        assert!(
            sync.stderr.contains("was rewritten by ALTER TABLE"),
            "{}",
            sync.stderr
        );
        compare::assert_equal(&pair);
        assert!(!pair.run(&["sync"]).expect(0).stderr.contains("rewritten"));
    }
    pair.on_source("ALTER TABLE plain ALTER v TYPE int USING -v");
    pair.run(&["switch", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
}
