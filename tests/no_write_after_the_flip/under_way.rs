//! Writes that are under way while the pointer flips: a long COPY, a long statement, and a subscription's
//! apply worker, which is no session that anybody could ask.

use std::io::Write;

use super::{ROWS, TABLES, assert_refused, contents, stage, switch};
use crate::support::cluster::Cluster;
use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};
use crate::support::stage::{LIMIT, Stage};
use crate::support::wait_for;

const REFUSAL: &str = "this database has been switched over and takes no more writes";

/// The triggers of a statement fire at its end, so until then it holds nothing that the switch waits for.
#[test]
fn a_copy_that_has_begun_before_the_flip_is_refused_at_its_end() {
    let stage = stage();
    let before = contents(&stage);
    for (table, replica) in [("plain", false), ("parted", true), ("keyless", false)] {
        let mut client = stage.pair.source_client();
        if replica {
            client
                .batch_execute("SET session_replication_role = replica")
                .unwrap();
        }
        let columns = if table == "keyless" { "" } else { "\t1" };
        let mut rows = client.copy_in(&format!("COPY {table} FROM STDIN")).unwrap();
        rows.write_all(format!("3000{columns}\n").as_bytes())
            .unwrap();
        rows.flush().unwrap();
        if table == "plain" {
            switch(&stage);
        }
        rows.write_all(format!("3001{columns}\n").as_bytes())
            .unwrap();
        assert_refused(table, rows.finish().map(|_| ()));
    }
    assert_eq!(contents(&stage), before);
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_statement_that_runs_through_the_flip_is_refused_at_its_end() {
    let stage = stage();
    let before = contents(&stage);
    let mut gate = stage.pair.source_client();
    gate.batch_execute("SELECT pg_advisory_lock(7)").unwrap();
    let waiting = || {
        stage
            .pair
            .on_source("SELECT count(*) FROM pg_locks WHERE NOT granted AND objid = 7")
    };
    std::thread::scope(|scope| {
        // The rows are written when they have been sent through the gate.
        let writers: Vec<_> = ["", "SET session_replication_role = replica"]
            .iter()
            .zip([4, 5])
            .map(|(setting, id)| {
                let mut client = stage.pair.source_client();
                client.batch_execute(setting).unwrap();
                let sql = format!(
                    "UPDATE plain SET n = -1 FROM (SELECT pg_advisory_lock_shared(7) OFFSET 0) g
                      WHERE id = {id}"
                );
                scope.spawn(move || client.batch_execute(&sql))
            })
            .collect();
        wait_for("both statements", LIMIT, || waiting() == "2");
        switch(&stage);
        gate.batch_execute("SELECT pg_advisory_unlock(7)").unwrap();
        for writer in writers {
            assert_refused("a long statement", writer.join().unwrap());
        }
    });
    assert_eq!(contents(&stage), before);
}

/// The source is itself a subscriber. What comes before the flip moves on; what comes after it stays with the
/// publisher, whose slot keeps it: row by row through the apply worker, and whole tables through COPY.
#[test]
fn the_workers_of_a_subscription_are_refused_too() {
    let publisher = Cluster::with_settings(15, &[("wal_level", "logical")]);
    publisher.create_database(DATABASE);
    publisher.psql(DATABASE, TABLES);
    publisher.psql(
        DATABASE,
        "CREATE PUBLICATION all_of_it FOR TABLE plain, parent, parted",
    );
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(TABLES);
    let subscribe = |name: &str, publication: &str| {
        stage.pair.on_source(&format!(
            "CREATE SUBSCRIPTION {name} CONNECTION '{}' PUBLICATION {publication}",
            publisher.uri(DATABASE)
        ));
    };
    subscribe("follows", "all_of_it");
    stage.pair.run(&["init", "-q"]).expect(0);
    stage.pair.run(&["copy", "-q"]).expect(0);
    publisher.psql(DATABASE, ROWS);
    wait_for("the publisher's rows", LIMIT, || {
        let sql = "SELECT count(*) FROM plain, parted";
        stage.pair.on_source(sql) == "120"
    });
    switch(&stage);
    compare::assert_equal(&stage.pair);
    let before = contents(&stage);
    let refusals = || stage.pair.source.log().matches(REFUSAL).count();
    assert_eq!(refusals(), 0);
    publisher.psql(
        DATABASE,
        "INSERT INTO plain VALUES (1000, 1); UPDATE parted SET n = -1; TRUNCATE parent CASCADE",
    );
    wait_for("the apply worker's refusal", LIMIT, || refusals() > 0);
    assert_eq!(contents(&stage), before);
    let drop = |name: &str| {
        stage.pair.on_source(&format!(
            "ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE);
             DROP SUBSCRIPTION {name}"
        ))
    };
    drop("follows");
    // Another subscription begins with a copy, by a worker of its own.
    publisher.psql(DATABASE, "CREATE PUBLICATION rest FOR TABLE keyless");
    let seen = refusals();
    subscribe("later", "rest");
    wait_for("the refusal of the copy", LIMIT, || refusals() > seen);
    drop("later");
    assert_eq!(contents(&stage), before);
}
