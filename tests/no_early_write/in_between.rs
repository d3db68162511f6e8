//! Between a final cycle and its flip the destination is open. What becomes of those who come in, by what becomes of
//! the flip.

use super::{LIMIT, REFUSED, destination_as, state};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::program::Running;
use crate::support::proxy::Action;
use crate::support::stage::{FLIP, Stage, expect_source_in_charge};

const TABLES: &str = "
    CREATE ROLE clerk LOGIN;
    CREATE TABLE t (id serial PRIMARY KEY, n int);
    CREATE TABLE untouched (id int PRIMARY KEY, n int);
    CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
    GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk;
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO clerk;";

const ROWS: &str = "INSERT INTO t (n) SELECT i FROM generate_series(1, 10) i;
    INSERT INTO untouched SELECT i, i FROM generate_series(1, 10) i;
    INSERT INTO part SELECT i, i FROM generate_series(1, 10) i;";

const SWITCH: &[&str] = &[
    "switch",
    "--unverified",
    "--lock-timeout=60000",
    "--interval=0.05",
];

/// A switch whose final cycle has committed, and whose flip is on its way.
fn between() -> (Stage, Running) {
    let stage = Stage::copied(TABLES, ROWS);
    let running = up_to_the_flip(&stage);
    (stage, running)
}

fn up_to_the_flip(stage: &Stage) -> Running {
    let hits = stage.source_wire.hits();
    stage.source_wire.at(FLIP, Action::HoldBefore);
    let running = stage.pair.spawn(SWITCH);
    crate::support::wait_for("the flip", LIMIT, || stage.source_wire.hits() > hits);
    assert!(!stage.flipped());
    running
}

/// The flip never reaches the source.
fn lose_the_flip(stage: &Stage, running: Running) {
    stage.source_wire.reset();
    stage.source_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1);
    assert!(!stage.flipped());
}

fn takes_writes(pair: &Pair) -> bool {
    let status = pair.run(&["status", "--json"]).expect(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    status["destination_takes_writes"].as_bool().unwrap()
}

fn refused(pair: &Pair) {
    for table in ["t", "untouched", "part", "part_1"] {
        let update = format!("UPDATE {table} SET n = 0");
        let result = destination_as(pair, "clerk").batch_execute(&update);
        assert_eq!(
            result.as_ref().err().map(state).as_deref(),
            Some(REFUSED),
            "{table}"
        );
    }
}

fn copied_at(pair: &Pair) -> String {
    pair.on_destination("SELECT table_name, finished_at FROM switchover.copied WHERE finished_at IS NOT NULL ORDER BY 1")
}

/// Copies what was written into, and only that, and switches.
fn mended(stage: &Stage, before: &str, written: &[&str]) {
    let pair = &stage.pair;
    refused(pair);
    // Nothing else may be done before.
    let early = pair.run(&["sync"]).expect(1);
    assert!(
        early.last_line().contains("pg_switchover copy"),
        "{}",
        early.report()
    );
    pair.run(&["copy"]).expect(0);
    let after = copied_at(pair);
    for line in before.lines() {
        let name = line.split('|').next().unwrap();
        assert_eq!(
            after.contains(line),
            !written.contains(&name),
            "{before}\n{after}"
        );
    }
    compare::assert_equal(pair);
    refused(pair);
    pair.on_source("UPDATE t SET n = n + 1; UPDATE part SET n = n + 1");
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(pair);
    pair.on_destination("INSERT INTO t (n) VALUES (77); UPDATE part_1 SET n = 0");
}

#[test]
fn a_flip_that_is_lost_lets_nobody_in_any_more() {
    let (stage, running) = between();
    assert!(takes_writes(&stage.pair));
    lose_the_flip(&stage, running);
    // Open until somebody looks, and nobody came: the next cycle goes on as if nothing had been.
    assert!(takes_writes(&stage.pair));
    stage.pair.on_source("UPDATE t SET n = 0 WHERE id = 1");
    stage.pair.run(&["sync", "-q"]).expect(0);
    assert!(!takes_writes(&stage.pair));
    refused(&stage.pair);
    compare::assert_equal(&stage.pair);
    stage.pair.run(&["switch", "-q", "--unverified"]).expect(0);
    assert!(takes_writes(&stage.pair));
}

#[test]
fn what_was_written_before_a_flip_was_lost_is_named_and_copied_anew() {
    let (stage, running) = between();
    let pair = &stage.pair;
    let before = copied_at(pair);
    let mut clerk = destination_as(pair, "clerk");
    clerk
        .batch_execute("INSERT INTO t (n) VALUES (901)")
        .unwrap();
    clerk.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1 FROM t; UPDATE part_1 SET n = 902; COMMIT").unwrap();
    // What is taken back leaves no note.
    clerk
        .batch_execute("BEGIN; DELETE FROM untouched; ROLLBACK")
        .unwrap();
    // The crash of the server forgets no note of what it remembers.
    lose_the_flip(&stage, running);
    pair.destination.stop_immediate();
    pair.destination.start_again();
    let outcome = expect_source_in_charge(pair.run(SWITCH), 1);
    for text in [
        "tables \"public\".\"part\", \"public\".\"t\" were written into on the destination by somebody else",
        "pg_switchover copy",
    ] {
        assert!(outcome.stderr.contains(text), "{}", outcome.report());
    }
    mended(&stage, &before, &["t", "part"]);
}

/// They throw away what somebody has written, so they say so first.
#[test]
fn copy_and_run_say_it_and_mend_it_when_they_are_run_again() {
    let (stage, running) = between();
    let pair = &stage.pair;
    pair.on_destination("TRUNCATE untouched");
    lose_the_flip(&stage, running);
    let told =
        "table \"public\".\"untouched\" was written into on the destination by somebody else";
    pair.run(&["copy"]).expect(1).expect_stderr(told);
    assert_eq!(pair.on_destination("SELECT count(*) FROM untouched"), "0");
    pair.run(&["copy"]).expect(0);
    compare::assert_equal(pair);
    let running = up_to_the_flip(&stage);
    pair.on_destination("DELETE FROM untouched");
    lose_the_flip(&stage, running);
    expect_source_in_charge(pair.run(&["run"]), 1).expect_stderr(told);
    pair.run(&["run"]).expect(0);
    compare::assert_equal(pair);
    assert!(stage.flipped());
}

/// The next one is killed as well, while it notes what it has found.
fn killed_twice(action: Action) {
    let (stage, running) = between();
    let pair = &stage.pair;
    let before = copied_at(pair);
    pair.on_destination("UPDATE t SET n = 901");
    running.kill();
    stage.source_wire.reset();
    stage.source_wire.release();
    stage.wait_until_free();
    let wire = &stage.destination_wire;
    wire.at("DELETE FROM switchover.early_write", action);
    let running = pair.spawn(&["sync"]);
    wire.wait_until_hit(LIMIT);
    running.kill();
    wire.reset();
    wire.release();
    stage.wait_until_free();
    refused(pair);
    if action == Action::HoldBefore {
        // What that one had not said is said.
        pair.run(&["copy"])
            .expect(1)
            .expect_stderr("table \"public\".\"t\" was written into");
    }
    mended(&stage, &before, &["t"]);
}

#[test]
fn a_tool_that_is_killed_before_the_flip_is_cleaned_up_after() {
    killed_twice(Action::HoldBefore);
}

#[test]
fn a_tool_that_is_killed_while_it_cleans_up_forgets_nothing() {
    killed_twice(Action::HoldReply);
}

fn still_writing(until: &str, end: &str, shown: &str) {
    let (stage, running) = between();
    let pair = &stage.pair;
    let before = copied_at(pair);
    let mut clerk = destination_as(pair, "clerk");
    let write = format!("BEGIN; UPDATE untouched SET n = 901; {until}");
    clerk.batch_execute(&write).unwrap();
    lose_the_flip(&stage, running);
    let impatient = ["sync", "--lock-timeout=1000", "--lock-attempts=1"];
    for _ in 0..2 {
        pair.run(&impatient)
            .expect(4)
            .expect_stderr("refuse early writers on the destination")
            .expect_stderr(shown);
        // Nobody else comes in meanwhile.
        refused(pair);
    }
    clerk.batch_execute(end).unwrap();
    if end.starts_with("COMMIT") {
        pair.run(&["sync"])
            .expect(1)
            .expect_stderr("\"public\".\"untouched\" was written");
        mended(&stage, &before, &["untouched"]);
    } else {
        pair.run(&["sync"]).expect(0);
        compare::assert_equal(pair);
        refused(pair);
    }
}

#[test]
fn who_is_still_writing_is_waited_for_and_named() {
    let shown = "UPDATE untouched SET n = 901";
    still_writing("", "COMMIT", shown);
    still_writing("", "ROLLBACK", shown);
}

#[test]
fn a_prepared_write_is_waited_for_and_named() {
    let prepare = "PREPARE TRANSACTION 'late'";
    still_writing(
        prepare,
        "COMMIT PREPARED 'late'",
        "prepared transaction 'late'",
    );
}

/// Makes the source refuse the flip in a way that the same `switch` tries again.
const REFUSE_THE_FLIP: &str = "
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN RAISE EXCEPTION 'no flip today' USING ERRCODE = '55000'; END$$;
    CREATE TRIGGER refuse BEFORE UPDATE ON switchover.state
        FOR EACH ROW WHEN (NEW.use_next_db) EXECUTE FUNCTION public.refuse()";

#[test]
fn the_next_cycle_of_the_same_run_refuses_again_first() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    pair.on_source(REFUSE_THE_FLIP);
    let running = up_to_the_flip(&stage);
    // Sequences are nobody's to guard.
    pair.on_destination("SELECT setval('t_id_seq', 3)");
    // What the flip's answer will be is decided; the next attempt works.
    stage.source_wire.at(FLIP, Action::HoldBefore);
    stage.source_wire.release();
    crate::support::wait_for("the second flip", LIMIT, || stage.source_wire.hits() == 2);
    // Between the two it was shut: the destination's own log of statements says so.
    let shut = stage.destination_wire.trips();
    let shuts = shut
        .iter()
        .filter(|trip| trip.sql.contains("IN EXCLUSIVE MODE"));
    assert_eq!(shuts.count(), 1, "{shut:#?}");
    pair.on_source("DROP TRIGGER refuse ON switchover.state");
    stage.source_wire.release();
    running.wait(LIMIT).expect(0);
    compare::assert_equal(pair);
    pair.on_destination("UPDATE t SET n = 0");
}

#[test]
fn what_the_same_run_finds_written_ends_it() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    pair.on_source(REFUSE_THE_FLIP);
    let running = up_to_the_flip(&stage);
    let before = copied_at(pair);
    pair.on_destination("DELETE FROM part WHERE id = 3");
    stage.source_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1)
        .expect_stderr("table \"public\".\"part\" was written into");
    pair.on_source("DROP TRIGGER refuse ON switchover.state");
    mended(&stage, &before, &["part"]);
}

/// A run that stood still while another one switched must not shut that one's destination.
#[test]
fn a_run_that_was_overtaken_refuses_nobody() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    pair.on_source(REFUSE_THE_FLIP);
    let running = up_to_the_flip(&stage);
    pair.on_destination("UPDATE switchover.state SET run = 'of another one'");
    stage.source_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1)
        .expect_stderr("another pg_switchover has taken over");
    assert!(takes_writes(pair));
    pair.on_destination("UPDATE t SET n = 0");
}

/// The flip has worked, though its answer says otherwise: not in any way that is known.
#[test]
fn a_destination_in_charge_is_not_shut_by_its_own_run() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    pair.on_source(REFUSE_THE_FLIP);
    let running = up_to_the_flip(&stage);
    pair.on_source(
        "SET session_replication_role = replica; UPDATE switchover.state SET use_next_db = true",
    );
    stage.source_wire.release();
    running.wait(LIMIT).expect(0);
    let trips = stage.destination_wire.trips();
    let shut = |trip: &&crate::support::proxy::Trip| trip.sql.contains("IN EXCLUSIVE MODE");
    assert_eq!(trips.iter().filter(shut).count(), 0);
    pair.on_destination("UPDATE t SET n = 0");
}

#[test]
fn a_final_cycle_that_is_taken_back_at_its_commit_lets_nobody_in() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    pair.on_destination(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN RAISE EXCEPTION 'no final state today'; END$$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON switchover.confirmation
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.final) EXECUTE FUNCTION public.refuse();
         ALTER TABLE switchover.confirmation ENABLE ALWAYS TRIGGER refuse",
    );
    stage
        .destination_wire
        .at("setval('switchover.entrance', 2)", Action::HoldBefore);
    let running = pair.spawn(SWITCH);
    stage.destination_wire.wait_until_hit(LIMIT);
    // The value is set, and means nothing.
    let is_called = "SELECT is_called FROM switchover.entrance";
    assert_eq!(pair.on_destination(is_called), "t");
    assert!(!takes_writes(pair));
    refused(pair);
    stage.destination_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1).expect_stderr("no final state today");
    assert_eq!(pair.on_destination(is_called), "f");
    refused(pair);
}

/// Between its look at the value and its lock, that is.
#[test]
fn a_writer_that_the_closing_overtakes_is_refused() {
    let (stage, running) = between();
    let pair = &stage.pair;
    let mut closing = pair.destination_client();
    closing
        .batch_execute("BEGIN; LOCK TABLE switchover.early_write IN EXCLUSIVE MODE")
        .unwrap();
    let mut clerk = destination_as(pair, "clerk");
    std::thread::scope(|scope| {
        let write = scope.spawn(move || clerk.batch_execute("UPDATE t SET n = 901"));
        let waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'switchover.early_write'::regclass AND NOT granted";
        crate::support::wait_for("the writer to wait", LIMIT, || {
            pair.on_destination(waiting) == "1"
        });
        closing
            .batch_execute("SELECT setval('switchover.entrance', 1, false); COMMIT")
            .unwrap();
        let error = write.join().unwrap().unwrap_err();
        assert_eq!(state(&error), REFUSED);
    });
    running.kill();
}

#[test]
fn a_flip_whose_answer_is_lost_lets_everybody_in() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    stage.source_wire.at(FLIP, Action::HoldReply);
    let running = pair.spawn(SWITCH);
    stage.source_wire.wait_until_hit(LIMIT);
    assert!(stage.flipped());
    running.kill();
    stage.source_wire.reset();
    stage.source_wire.release();
    stage.wait_until_free();
    let mut clerk = destination_as(pair, "clerk");
    clerk
        .batch_execute("INSERT INTO t (n) VALUES (901)")
        .unwrap();
    // However long ago it was: the confirmation tells when the server has forgotten how a transaction ended.
    pair.on_destination("VACUUM (FREEZE) switchover.confirmation");
    let confirmed = "SELECT count(*) FROM switchover.confirmation c, switchover.entrance e
                      WHERE c.final AND c.xmin::text = (e.last_value % 4294967296)::text";
    assert_eq!(pair.on_destination(confirmed), "1");
    clerk.batch_execute("UPDATE untouched SET n = 902").unwrap();
    assert!(takes_writes(pair));
    // Neither of these shuts a destination that is in charge.
    for command in [&["sync"][..], &["copy"], &["init"], &["verify"]] {
        pair.run(command).expect(1);
        clerk
            .batch_execute("UPDATE untouched SET n = n + 1")
            .unwrap();
    }
    let notes = "SELECT count(*) FROM switchover.early_write";
    assert_eq!(pair.on_destination(notes), "2");
    pair.run(&["switch"]).expect(0);
    clerk.batch_execute("UPDATE part SET n = 903").unwrap();
    // No more notes.
    assert_eq!(pair.on_destination(notes), "2");
    let written =
        "SELECT max(t.n) || ' ' || max(u.n) || ' ' || max(p.n) FROM t, untouched u, part p";
    assert_eq!(pair.on_destination(written), "901 906 903");
}

/// Its snapshot shows rows that the final cycle has replaced: it would change none of them, and say so to nobody.
#[test]
fn a_statement_that_began_before_the_final_cycle_is_told_to_try_again() {
    let stage = Stage::copied(TABLES, ROWS);
    let pair = &stage.pair;
    // Comes before the guard, and after the statement's snapshot.
    pair.on_destination(
        "CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END$$;
         CREATE TRIGGER a BEFORE UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION hold_up()",
    );
    let running = stage.switch_up_to_the_lock(SWITCH);
    pair.on_source("UPDATE t SET n = 100 WHERE id = 5");
    let mut holder = destination_as(pair, "postgres");
    holder.batch_execute("SELECT pg_advisory_lock(7)").unwrap();
    let mut early = destination_as(pair, "clerk");
    let late = std::thread::spawn(move || {
        let sql = "UPDATE t SET n = n + 1 WHERE id = 5";
        let first = early.execute(sql, &[]);
        (first, early.execute(sql, &[]))
    });
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    crate::support::wait_for("the early statement", LIMIT, || {
        pair.on_destination(waits) == "1"
    });
    stage.source_wire.at(FLIP, Action::HoldBefore);
    stage.source_wire.release();
    crate::support::wait_for("the flip", LIMIT, || stage.source_wire.hits() == 2);
    holder
        .batch_execute("SELECT pg_advisory_unlock(7)")
        .unwrap();
    let (first, second) = late.join().unwrap();
    assert_eq!(
        first.as_ref().err().map(state).as_deref(),
        Some("40001"),
        "{first:?}"
    );
    assert_eq!(second.unwrap(), 1);
    stage.source_wire.release();
    running.wait(LIMIT).expect(0);
    assert_eq!(pair.on_destination("SELECT n FROM t WHERE id = 5"), "101");
    compare::assert_equal_except(pair, &["public.t"]);
}
