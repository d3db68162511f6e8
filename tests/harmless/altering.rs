//! Somebody alters a table that a session of ours reads: it waits for us, and every writer waits behind it. So
//! we give way, within `--lock-timeout`, and read again later. Each reading stands still here for as long as it
//! is not ended, which no clock decides.

use std::time::{Duration, Instant};

use postgres::Client;

use super::{ROWS, TABLES};
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::{Outcome, Running};
use crate::support::proxy::{Action, Proxy};
use crate::support::stage::LIMIT;
use crate::support::stall::Meter;
use crate::support::{compare, wait_for};

/// Takes what somebody takes who adds a column; the bound is against a hang only.
const ALTER: &str = "SET statement_timeout = '20s'; BEGIN;
    ALTER TABLE much ALTER n SET DEFAULT 5; COMMIT";
const TIMEOUT: &str = "--lock-timeout=500";

/// Part of the statement that looks who waits for us, and ends what it found twice.
const LOOK: &str = "WITH RECURSIVE ours (pid)";

/// A table that does not fit into the buffers of two sockets, and two small ones.
fn tables(pair: &Pair) {
    pair.on_both(TABLES);
    pair.on_both("CREATE TABLE much (id int PRIMARY KEY, n int, payload text)");
    pair.on_source(ROWS);
    pair.on_source(
        "INSERT INTO much SELECT i, 0, repeat('x', 4000) FROM generate_series(1, 8000) i",
    );
}

/// Alters the table once `reads` says that one of our sessions has it, and lets the rest of the command go on when
/// that is done.
fn alter_while(pair: &Pair, wire: &Proxy, command: &str, mut running: Running) -> Outcome {
    wait_for("the message that is held", LIMIT, || {
        assert!(
            running.is_running() || wire.hits() > 0,
            "{}",
            running.stderr()
        );
        wire.hits() > 0
    });
    let reads = "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                  WHERE l.relation = 'much'::regclass AND l.granted
                    AND a.application_name LIKE 'pg\\_switchover: %'";
    wait_for("a session that reads the table", LIMIT, || {
        pair.on_source(reads) == "t"
    });
    let meter = Meter::start(&pair.source.uri(DATABASE), &["a", "much"]);
    meter.lap();
    let mut other: Client = pair.source_client();
    other.batch_execute(ALTER).unwrap();
    let stall = meter.lap();
    drop(meter);
    eprintln!("ALTER TABLE during {command}: {stall} (--lock-timeout 500 ms)");
    wire.release();
    let outcome = running.wait(LIMIT);
    assert!(stall.held.as_secs() < 10, "{stall}\n{}", outcome.report());
    outcome
}

#[test]
fn a_copy_gives_way_and_begins_the_table_again() {
    let mut pair = Pair::new(15, 18);
    tables(&pair);
    pair.run(&["init", "-q"]).expect(0);
    let wire = Proxy::start(&pair.destination);
    pair.destination_uri = wire.uri(DATABASE);
    wire.at("COPY \"public\".\"much\"", Action::HoldBefore);
    let running = pair.spawn(&["copy", TIMEOUT]);
    alter_while(&pair, &wire, "copy", running)
        .expect(0)
        .expect_stderr("gave way, and begins again");
    pair.on_destination("ALTER TABLE much ALTER n SET DEFAULT 5");
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_large_cycle_gives_way_and_is_begun_again() {
    let mut pair = Pair::new(15, 18);
    tables(&pair);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source("UPDATE much SET n = 1; UPDATE a SET n = 1");
    let wire = Proxy::start(&pair.destination);
    pair.destination_uri = wire.uri(DATABASE);
    // The applier stands still with the first table; the others wait for it with their locks.
    wire.at("CREATE TEMP", Action::HoldBefore);
    let running = pair.spawn(&["sync", "-v", "--max-pending=10", TIMEOUT]);
    alter_while(&pair, &wire, "sync (large)", running).expect(0);
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_comparison_gives_way_and_goes_on() {
    let mut pair = Pair::new(15, 18);
    tables(&pair);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    // So that rows are looked for, on both sides at once.
    pair.past_the_guard("DELETE FROM much WHERE id = 5");
    let wire = Proxy::start(&pair.destination);
    pair.destination_uri = wire.uri(DATABASE);
    wire.at("COPY (SELECT", Action::HoldBefore);
    let running = pair.spawn(&["verify", TIMEOUT]);
    // Where all rows were on their way already when the session was ended, nothing has to be read again.
    alter_while(&pair, &wire, "verify", running)
        .expect(3)
        .expect_stdout("table \"public\".\"much\": 1 missing");
}

#[test]
fn pg_dump_of_the_schema_gives_way_and_begins_again() {
    let mut pair = Pair::new(15, 18);
    pair.on_source(TABLES);
    pair.on_source("CREATE TABLE much (id int PRIMARY KEY, n int)");
    pair.on_source(ROWS);
    pair.on_source("INSERT INTO much SELECT * FROM a");
    pair.run(&["init", "-q"]).expect(0);
    let wire = Proxy::start(&pair.source);
    pair.source_uri = wire.uri(DATABASE);
    // It locks all tables at once.
    wire.at("IN ACCESS SHARE MODE", Action::HoldReply);
    let running = pair.spawn(&["copy", "--create-schema", TIMEOUT]);
    alter_while(&pair, &wire, "pg_dump", running)
        .expect(0)
        .expect_stderr("pg_dump gave way, and begins again");
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
}

/// The program says nothing of what ended it but its words; and it may have ended, and be asked about, before the
/// session that ended it has its answer.
#[test]
fn pg_dump_that_has_given_way_before_we_hear_of_it_begins_again() {
    let mut pair = Pair::new(15, 18);
    pair.on_source(TABLES);
    pair.run(&["init", "-q"]).expect(0);
    let wire = Proxy::start(&pair.source);
    pair.source_uri = wire.uri(DATABASE);
    wire.at("IN ACCESS SHARE MODE", Action::HoldBefore);
    let mut running = pair.spawn(&["copy", "--create-schema", TIMEOUT]);
    wire.wait_until_hit(LIMIT);
    // The dump has the first table, waits for the second, and so hears what ends it.
    let mut in_the_way = pair.source_client();
    in_the_way.batch_execute("BEGIN; LOCK TABLE b").unwrap();
    wire.at(LOOK, Action::HoldReply);
    wire.release();
    let dump = "SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
                 WHERE relation = 'a'::regclass AND application_name = 'pg_switchover: pg_dump'";
    wait_for("the dump", LIMIT, || !pair.on_source(dump).is_empty());
    let ended = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE pid = {}",
        pair.on_source(dump)
    );
    let mut other = pair.source_client();
    let altered = std::thread::spawn(move || {
        other.batch_execute("SET statement_timeout = '60s'; ALTER TABLE a ALTER n SET DEFAULT 5")
    });
    // Every look but the one that ends it has its answer.
    let mut looks = 0;
    wait_for("the end of the dump", LIMIT, || {
        wait_for("a look", LIMIT, || wire.hits() > 1 + looks);
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(200) {
            if pair.on_source(&ended) == "0" {
                return true;
            }
        }
        looks += 1;
        wire.at(LOOK, Action::HoldReply);
        wire.release();
        false
    });
    running.wait_for_stderr("pg_dump gave way, and begins again", LIMIT);
    wire.calm();
    in_the_way.batch_execute("COMMIT").unwrap();
    running.wait(LIMIT).expect(0);
    altered.join().unwrap().unwrap();
}

/// It happens on the destination, and applications may be there already.
#[test]
fn checking_a_foreign_key_gives_way_and_begins_again() {
    let mut pair = Pair::new(15, 18);
    pair.on_source(TABLES);
    pair.on_source("CREATE TABLE much (id int PRIMARY KEY, n int REFERENCES a)");
    pair.on_source(ROWS);
    pair.on_source("INSERT INTO much SELECT * FROM a");
    pair.run(&["init", "-q"]).expect(0);
    let wire = Proxy::start(&pair.destination);
    pair.destination_uri = wire.uri(DATABASE);
    wire.at("VALIDATE CONSTRAINT", Action::HoldBefore);
    let running = pair.spawn(&["copy", "--create-schema", TIMEOUT]);
    wire.wait_until_hit(LIMIT);
    let mut in_the_way = pair.destination_client();
    in_the_way.batch_execute("BEGIN; LOCK TABLE a").unwrap();
    wire.release();
    let checks = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'much'::regclass AND granted
                     AND mode = 'ShareUpdateExclusiveLock'";
    wait_for("the check", LIMIT, || pair.on_destination(checks) == "t");
    let mut other = pair.destination_client();
    other.batch_execute(ALTER).unwrap();
    in_the_way.batch_execute("COMMIT").unwrap();
    running
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("gave way, and begins again");
}
