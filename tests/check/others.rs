//! What others do, or have left, on the two servers; and that they are left alone.

use super::*;

#[test]
fn check_waits_for_no_lock_and_changes_nothing() {
    let pair = both_bad();
    let dump = |server: &Cluster| {
        // pg_dump would wait for a lock on tables, and a token in its output is random.
        let mut command = std::process::Command::new(servers::client("pg_dump"));
        servers::without_libpq_variables(&mut command);
        let text = servers::output_of(
            command
                .args(["--restrict-key=test", "-d"])
                .arg(server.uri(DATABASE)),
        );
        text + &server.psql(
            DATABASE,
            "SELECT txid_current_if_assigned() IS NULL, pg_current_xact_id()::text",
        )
    };
    let number = |text: &str| -> u64 {
        let last = text.rsplit('|').next().unwrap_or_default();
        last.parse().unwrap()
    };
    let before = [dump(&pair.source), dump(&pair.destination)];
    pair.run(&["check"]).expect(3);
    let after = [dump(&pair.source), dump(&pair.destination)];
    for (before, after) in before.iter().zip(&after) {
        // Our own question drew one number; check has drawn none.
        assert_eq!(number(before) + 1, number(after));
        assert_eq!(
            before.rsplit_once('|').unwrap().0,
            after.rsplit_once('|').unwrap().0
        );
    }

    let mut holder = pair.destination_client();
    let mut lock = holder.transaction().unwrap();
    lock.batch_execute("LOCK TABLE plain IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "on the destination: canceling statement due to lock timeout (SQLSTATE 55P03)",
            ),
            ("stops", "the source has 2 large objects"),
        ],
    );
    assert!(
        outcome.elapsed < Duration::from_secs(10),
        "{}",
        outcome.report()
    );
}

#[test]
fn what_another_switchover_left_is_found() {
    let pair = Pair::new(15, 18);
    pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
    // As far as check looks at them.
    let destination_of = "CREATE SCHEMA switchover;
         CREATE TABLE switchover.confirmation ();
         CREATE TABLE switchover.copied (schema_name text, table_name text, finished_at timestamptz,
                                         source_id oid, table_id oid, columns jsonb);
         CREATE TABLE switchover.state (source_identity text, schema_created_at timestamptz,
                                        schema_finished_at timestamptz);
         INSERT INTO switchover.state VALUES ('1/2');";
    pair.on_destination(destination_of);
    pair.on_source(destination_of);
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "on the destination is of a switchover with another database (1/2)",
            ),
            ("stops", "in which this database was the destination"),
        ],
    );
    pair.on_destination("DROP SCHEMA switchover CASCADE");
    pair.on_source("DROP SCHEMA switchover CASCADE");

    let identity = |server: &Cluster| {
        server.psql(
            DATABASE,
            "SELECT system_identifier::text || '/' || oid::text
               FROM pg_control_system(), pg_database WHERE datname = current_database()",
        )
    };
    pair.on_source(&format!(
        "CREATE SCHEMA switchover;
         CREATE TABLE switchover.change_log_1 ();
         CREATE TABLE switchover.state (destination_identity text, use_next_db boolean);
         INSERT INTO switchover.state VALUES ('{}', false)",
        identity(&pair.destination)
    ));
    pair.run(&["check", "--create-schema"]).expect(0);
    pair.on_source("UPDATE switchover.state SET use_next_db = true");
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(&outcome, &[("stops", "the switch has been done")]);

    // Rows that copy from this source has put there are not in the way of going on.
    pair.on_source("UPDATE switchover.state SET use_next_db = false; INSERT INTO t VALUES (1)");
    pair.on_destination("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[("stops", "\"public\".\"t\" on the destination: not empty")],
    );
    pair.on_destination(&format!(
        "{destination_of}
         UPDATE switchover.state SET source_identity = '{}';
         INSERT INTO switchover.copied VALUES ('public', 't')",
        identity(&pair.source)
    ));
    pair.run(&["check"]).expect(0);
}

#[test]
fn what_init_installs_is_not_in_its_own_way() {
    let pair = Pair::new(15, 18);
    pair.on_source(VARIED);
    // What init selects stands for check too.
    pair.run(&["init", "-T", "varied.nothing"]).expect(0);
    let outcome = pair.run(&["check", "--create-schema"]).expect(0);
    expect_no_line(&outcome, "stops: ");
    expect_no_line(&outcome, "pg_switchover_");
    expect_no_line(&outcome, "\"varied\".\"nothing\"");
}

#[test]
#[ignore = "a transaction has to be a minute old"]
fn transactions_that_are_a_minute_old_are_found() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id int PRIMARY KEY)");
    let mut clients = [pair.source_client(), pair.destination_client()];
    let mut reader = pair.destination_client();
    for client in &mut clients {
        client
            .batch_execute("BEGIN; INSERT INTO t VALUES (1)")
            .unwrap();
    }
    reader.batch_execute("BEGIN; SELECT 1").unwrap();
    std::thread::sleep(Duration::from_secs(61));
    let outcome = pair.run(&["check"]).expect(0);
    expect_lines(
        &outcome,
        &[
            (
                "spoils",
                "(role \"postgres\", idle in transaction) on the source has been open for 00:01:0",
            ),
            (
                "spoils",
                "(role \"postgres\", idle in transaction) on the destination has been open for 00:01:0",
            ),
        ],
    );
    assert_eq!(
        outcome.stdout.matches("has been open").count(),
        2,
        "{}",
        outcome.report()
    );
}
