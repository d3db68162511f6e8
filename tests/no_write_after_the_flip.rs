//! Promise 5: after the flip no write commits on the source, from any session, at any isolation level,
//! whatever it had begun before.

mod after_switch;
mod prepared;
mod under_way;

use std::io::Write;

use postgres::Client;
use postgres::error::{DbError, SqlState};

use crate::support::pair::DATABASE;
use crate::support::proxy::Action;
use crate::support::stage::{FLIP, LIMIT, Stage, expect_source_in_charge};
use crate::support::{compare, wait_for};

const TABLES: &str = "
    CREATE TABLE plain (id int PRIMARY KEY, n int);
    CREATE TABLE keyless (n int);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
    CREATE TABLE parted (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
    CREATE TABLE parted_high PARTITION OF parted DEFAULT;";
const ROWS: &str = "
    INSERT INTO plain SELECT i, i FROM generate_series(1, 20) i;
    INSERT INTO keyless SELECT i FROM generate_series(1, 5) i;
    INSERT INTO parent SELECT i FROM generate_series(1, 5) i;
    INSERT INTO child SELECT i, i FROM generate_series(1, 5) i;
    INSERT INTO parted SELECT i * 30, i FROM generate_series(1, 6) i;";

const LEVELS: [&str; 3] = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];

/// Every way to write that goes through SQL, each of which would change something.
const WRITES: &[&str] = &[
    "INSERT INTO plain VALUES (1000, 1)",
    "INSERT INTO plain VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = -1",
    "UPDATE plain SET n = -1 WHERE id = 2",
    "UPDATE plain SET id = 2000 WHERE id = 3",
    "DELETE FROM plain WHERE id = 4",
    "WITH gone AS (DELETE FROM plain WHERE id = 5 RETURNING 1) SELECT * FROM gone",
    "DO $$BEGIN UPDATE plain SET n = -1; END$$",
    "TRUNCATE plain",
    "TRUNCATE parted",
    "TRUNCATE parted_low",
    "TRUNCATE parent CASCADE",
    "INSERT INTO keyless VALUES (7)",
    "DELETE FROM keyless",
    "DELETE FROM parent WHERE id = 1",
    "INSERT INTO parted VALUES (5, 5)",
    "INSERT INTO parted_high VALUES (5000, 5)",
    "UPDATE parted SET id = id + 95 WHERE id = 30",
    "SET LOCAL session_replication_role = replica; UPDATE plain SET n = -1 WHERE id = 6",
    "BEGIN; SAVEPOINT s; UPDATE plain SET n = -1 WHERE id = 6",
];

fn stage() -> Stage {
    Stage::copied(TABLES, ROWS)
}

fn switch(stage: &Stage) {
    stage.pair.run(&["switch", "--unverified"]).expect(0);
    assert!(stage.flipped());
}

/// Demands the refusal that tells an application where to go.
fn assert_refused(what: &str, result: Result<(), postgres::Error>) {
    let error = match result {
        Ok(()) => panic!("not refused: {what}"),
        Err(error) => error,
    };
    let refusal: &DbError = error
        .as_db_error()
        .unwrap_or_else(|| panic!("{what}: {error:?}"));
    assert_eq!(
        refusal.code(),
        &SqlState::READ_ONLY_SQL_TRANSACTION,
        "{what}: {refusal:?}"
    );
    let hint = refusal.hint().unwrap_or_default();
    assert!(
        hint.starts_with("Connect to the new database: "),
        "{what}: {refusal:?}"
    );
}

/// What the source's tables hold.
fn contents(stage: &Stage) -> String {
    stage.pair.on_source(
        "SELECT 'plain', * FROM plain ORDER BY id; SELECT 'keyless', * FROM keyless ORDER BY n;
         SELECT 'parent', * FROM parent ORDER BY id; SELECT 'child', * FROM child ORDER BY id;
         SELECT 'parted', * FROM parted ORDER BY id",
    )
}

#[test]
fn transactions_that_began_before_the_flip_cannot_write_after_it() {
    let stage = stage();
    let before = contents(&stage);
    let mut begun: Vec<(String, &str, Client)> = Vec::new();
    for level in LEVELS {
        for snapshot in ["", "SELECT count(*) FROM pg_class"] {
            for write in WRITES {
                // One level is enough for what does not depend on it.
                if level != LEVELS[1] && snapshot.is_empty() {
                    continue;
                }
                let mut client = stage.pair.source_client();
                client
                    .batch_execute(&format!("BEGIN ISOLATION LEVEL {level}; {snapshot}"))
                    .unwrap();
                begun.push((format!("{level}; {snapshot}; {write}"), write, client));
            }
        }
    }
    switch(&stage);
    for (what, write, mut client) in begun {
        assert_refused(&what, client.batch_execute(write));
        client.batch_execute("ROLLBACK").unwrap();
    }
    assert_eq!(contents(&stage), before);
    compare::assert_equal(&stage.pair);
}

#[test]
fn single_statements_and_new_sessions_cannot_write_after_the_flip() {
    let stage = stage();
    let before = contents(&stage);
    let mut old = stage.pair.source_client();
    let prepared = old.prepare("UPDATE plain SET n = $1 WHERE id = 7").unwrap();
    old.execute(&prepared, &[&7]).unwrap();
    switch(&stage);
    let executed = old.execute(&prepared, &[&8]).map(|_| ());
    assert_refused("a prepared statement", executed);
    for mut client in [old, stage.pair.source_client()] {
        for write in WRITES {
            assert_refused(write, client.batch_execute(write));
            client.batch_execute("ROLLBACK").unwrap();
        }
        let copied = client
            .copy_in("COPY plain FROM STDIN")
            .and_then(|mut rows| {
                rows.write_all(b"3000\t1\n").unwrap();
                rows.finish().map(|_| ())
            });
        assert_refused("COPY", copied);
    }
    assert_eq!(contents(&stage), before);
}

#[test]
fn roles_that_may_not_see_the_schema_are_refused_with_the_same_hint() {
    let stage = stage();
    stage.pair.on_source(
        "CREATE ROLE clerk LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk;
         REVOKE ALL ON SCHEMA switchover FROM PUBLIC",
    );
    let uri = stage.pair.source.uri_as("clerk", DATABASE);
    let mut clerk = Client::connect(&uri, postgres::NoTls).unwrap();
    clerk
        .batch_execute("UPDATE plain SET n = 0 WHERE id = 1")
        .unwrap();
    clerk
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM plain")
        .unwrap();
    switch(&stage);
    compare::assert_equal(&stage.pair);
    assert_refused(
        "clerk",
        clerk.batch_execute("UPDATE plain SET n = 1 WHERE id = 1"),
    );
}

#[test]
fn the_hint_names_the_new_database() {
    let stage = stage();
    switch(&stage);
    let said = stage
        .pair
        .source
        .try_psql(DATABASE, "TRUNCATE plain")
        .unwrap_err();
    let place = format!("127.0.0.1:{}/{DATABASE}", stage.destination_wire.port());
    assert!(said.contains(&place), "no {place} in {said}");
}

/// A transaction that wrote only to tables that do not move holds no lock that the switch waits for; what
/// its deferred trigger writes at the commit is refused there.
#[test]
fn triggers_deferred_past_the_flip_are_refused_at_the_commit() {
    let stage = Stage::new(crate::support::pair::Pair::new(15, 18));
    stage.pair.on_both(TABLES);
    stage.pair.on_source(ROWS);
    stage.pair.on_source(
        "CREATE TABLE elsewhere (id int PRIMARY KEY);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO plain VALUES (NEW.id, 0); RETURN NULL; END$$;
         CREATE CONSTRAINT TRIGGER note AFTER INSERT ON elsewhere DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION note()",
    );
    stage.pair.run(&["init", "-q", "-T", "elsewhere"]).expect(0);
    stage.pair.run(&["copy", "-q"]).expect(0);
    let before = contents(&stage);
    let mut client = stage.pair.source_client();
    client
        .batch_execute("BEGIN; INSERT INTO elsewhere VALUES (500)")
        .unwrap();
    switch(&stage);
    assert_refused("a deferred trigger", client.batch_execute("COMMIT"));
    assert_eq!(contents(&stage), before);
    assert_eq!(stage.pair.on_source("SELECT count(*) FROM elsewhere"), "0");
}

/// Writers that wait for the lock of the window while it flips: the check has to come after the wait.
#[test]
fn writers_that_waited_through_the_window_are_refused() {
    let stage = stage();
    let before = contents(&stage);
    stage.source_wire.at(FLIP, Action::HoldBefore);
    let running = stage
        .pair
        .spawn(&["switch", "--unverified", "--lock-timeout=60000"]);
    stage.source_wire.wait_until_hit(LIMIT);
    let waiting = || {
        stage.pair.on_source(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'",
        )
    };
    std::thread::scope(|scope| {
        let mut writers = Vec::new();
        for level in LEVELS {
            for write in ["UPDATE plain SET n = -1 WHERE id = 2", "TRUNCATE keyless"] {
                let mut client = stage.pair.source_client();
                let sql = format!(
                    "BEGIN ISOLATION LEVEL {level}; SELECT * FROM switchover.use_next_db() WHERE false;
                     SELECT * FROM parent; {write}"
                );
                // The second write would wait for the first one's row, so each has rows of its own.
                let sql = sql.replace("id = 2", &format!("id = {}", writers.len() + 2));
                let what = format!("{level} {write}");
                writers.push((what, scope.spawn(move || client.batch_execute(&sql))));
                if write.starts_with("TRUNCATE") {
                    break;
                }
            }
        }
        // TRUNCATE statements wait for each other's table, too.
        wait_for("writers that wait", LIMIT, || waiting().as_str() >= "3");
        stage.source_wire.release();
        for (what, writer) in writers {
            assert_refused(&what, writer.join().unwrap());
        }
    });
    running.wait(LIMIT).expect(0);
    assert_eq!(contents(&stage), before);
}

#[test]
fn use_next_db_tells_the_present_to_old_snapshots_too() {
    let stage = stage();
    stage.pair.on_source("CREATE ROLE clerk LOGIN");
    let uri = stage.pair.source.uri_as("clerk", DATABASE);
    let mut sessions: Vec<Client> = LEVELS
        .iter()
        .map(|level| {
            let mut client = Client::connect(&uri, postgres::NoTls).unwrap();
            client
                .batch_execute(&format!("BEGIN ISOLATION LEVEL {level}; SELECT 1"))
                .unwrap();
            client
        })
        .collect();
    let ask = |client: &mut Client| -> bool {
        client
            .query_one("SELECT switchover.use_next_db()", &[])
            .unwrap()
            .get(0)
    };
    assert!(!ask(&mut Client::connect(&uri, postgres::NoTls).unwrap()));
    switch(&stage);
    for client in &mut sessions {
        assert!(ask(client));
    }
    assert!(ask(&mut Client::connect(&uri, postgres::NoTls).unwrap()));
}

/// An application that asked, and was told to stay, may stay until its transaction ends.
#[test]
fn the_answer_of_use_next_db_holds_to_the_end_of_the_transaction() {
    let stage = stage();
    let mut client = stage.pair.source_client();
    client
        .batch_execute("BEGIN; SELECT switchover.use_next_db()")
        .unwrap();
    let patience = [
        "switch",
        "--unverified",
        "--lock-timeout=300",
        "--lock-attempts=2",
        "--interval=0.05",
    ];
    expect_source_in_charge(stage.pair.run(&patience), 4);
    client
        .batch_execute("UPDATE plain SET n = 0 WHERE id = 1; COMMIT")
        .unwrap();
    switch(&stage);
    compare::assert_equal(&stage.pair);
}

/// A fence whose flip never committed, still in the log of a server that crashed.
#[test]
fn a_fence_that_a_crash_has_left_refuses_nobody_and_is_taken_back() {
    let stage = stage();
    let fence = || {
        stage
            .pair
            .on_source("SELECT pg_sequence_last_value('switchover.fence') IS NOT NULL")
    };
    let mut flip = stage.pair.source_client();
    flip.batch_execute(
        "BEGIN; LOCK TABLE switchover.change_log_1, switchover.change_log_2 IN EXCLUSIVE MODE;
         SELECT setval('switchover.fence', pg_current_xact_id()::text::bigint);
         UPDATE switchover.state SET use_next_db = true",
    )
    .unwrap();
    // A commit of another session brings the fence to the disk.
    stage.pair.on_source("CREATE TABLE flushes ()");
    stage.pair.source.stop_immediate();
    stage.pair.source.start_again();
    assert_eq!(fence(), "t");
    assert!(!stage.flipped());
    let asked = stage.pair.on_source(
        "UPDATE plain SET n = 0 WHERE id = 1; DROP TABLE flushes; SELECT switchover.use_next_db()",
    );
    assert_eq!(asked, "f");
    stage.pair.run(&["sync", "-q"]).expect(0);
    assert_eq!(fence(), "f");
    compare::assert_equal(&stage.pair);
    switch(&stage);
    assert_refused(
        "after the flip",
        stage
            .pair
            .source_client()
            .batch_execute("UPDATE plain SET n = 0"),
    );
}

#[test]
fn a_flip_that_was_rolled_back_refuses_nobody() {
    let stage = stage();
    stage.pair.on_source(
        "BEGIN; SELECT setval('switchover.fence', pg_current_xact_id()::text::bigint);
         UPDATE switchover.state SET use_next_db = true; ROLLBACK;
         UPDATE plain SET n = 0 WHERE id = 1; TRUNCATE keyless",
    );
    switch(&stage);
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_source_that_restarts_after_the_flip_goes_on_refusing() {
    let stage = stage();
    switch(&stage);
    stage.pair.source.stop_immediate();
    stage.pair.source.start_again();
    for write in WRITES {
        assert_refused(write, stage.pair.source_client().batch_execute(write));
    }
}
