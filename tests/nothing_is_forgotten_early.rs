//! Promise 2: an entry of the change log goes only after the destination has durably committed the row as
//! seen by a snapshot that sees that entry; and a crash of the source takes nothing back that the destination
//! holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::{Action, Proxy, Trip};
use crate::support::stage::CONFIRM;
use crate::support::{compare, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// The statement that forgets.
const FORGET: &str = "DELETE FROM switchover.change_log";

const SCHEMA: &str =
    "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, v text); CREATE TABLE keyless (v text);";

const CHANGES: &str = "UPDATE t SET v = coalesce(v, '') || 'x' WHERE id % 2 = 0; DELETE FROM t WHERE id % 5 = 0;
    UPDATE t SET id = id + 1000 WHERE id % 7 = 0; INSERT INTO t SELECT i, -i, 'new' FROM generate_series(2000, 2020) i ON CONFLICT DO NOTHING;
    BEGIN; UPDATE t SET u = 0 WHERE id = 1; UPDATE t SET u = 1 WHERE id = 2; UPDATE t SET u = 2 WHERE id = 1; COMMIT;
    UPDATE keyless SET v = v || 'x'; INSERT INTO keyless VALUES ('new');";

/// Both ways that a cycle goes: literals, and fetchers with COPY.
const CYCLES: [&[&str]; 2] = [&["sync"], &["sync", "--max-pending", "2"]];

/// A pair with tables that are copied, and a proxy between the program and the source.
fn proxied(source: Cluster, destination: Cluster) -> (Pair, Proxy) {
    let proxy = Proxy::start(&source);
    let pair = Pair {
        source_uri: proxy.uri(DATABASE),
        destination_uri: destination.uri(DATABASE),
        source: source.into(),
        destination: destination.into(),
    };
    for cluster in [&pair.source, &pair.destination] {
        cluster.create_database(DATABASE);
    }
    pair.on_both(SCHEMA);
    pair.on_source("INSERT INTO t SELECT i, i FROM generate_series(1, 30) i; INSERT INTO keyless VALUES ('a'), ('b')");
    pair.run(&["init"]).expect(0);
    (pair, proxy)
}

fn ready() -> (Pair, Proxy) {
    let (pair, proxy) = proxied(
        Cluster::start(15),
        Cluster::builder(18).lineage("destination").start(),
    );
    pair.run(&["copy"]).expect(0);
    (pair, proxy)
}

fn entries(pair: &Pair) -> u32 {
    let count = pair.on_source("SELECT count(*) FROM switchover.change_log");
    count.parse().unwrap()
}

#[test]
fn a_crash_between_the_destinations_commit_and_the_deletion_forgets_nothing() {
    let (pair, proxy) = ready();
    for sync in CYCLES {
        for action in [Action::CutBefore, Action::DropReply] {
            pair.on_source(CHANGES);
            let written = entries(&pair);
            assert!(written > 20);
            proxy.at(FORGET, action);
            pair.run(sync).expect(1);
            // The destination has it all; the source remembers, unless only the answer was lost.
            compare::assert_equal(&pair);
            match action {
                Action::CutBefore => assert_eq!(entries(&pair), written),
                _ => assert_eq!(entries(&pair), 0),
            }
            // Applied twice, with newer changes or without: the same.
            if sync.len() > 1 {
                pair.on_source(CHANGES);
            }
            pair.run(sync).expect(0);
            compare::assert_equal(&pair);
            assert_eq!(entries(&pair), 0);
        }
    }
}

#[test]
fn a_cycle_that_the_destination_did_not_commit_forgets_nothing() {
    let (mut pair, _proxy) = ready();
    let proxy = Proxy::start(&pair.destination);
    pair.destination_uri = proxy.uri(DATABASE);
    for sync in CYCLES {
        for action in [Action::CutBefore, Action::DropReply] {
            pair.on_source(CHANGES);
            let written = entries(&pair);
            proxy.at(CONFIRM, action);
            pair.run(sync).expect(1);
            assert_eq!(entries(&pair), written, "{action:?}");
            pair.run(sync).expect(0);
            compare::assert_equal(&pair);
        }
    }
}

#[test]
fn entries_written_during_a_cycle_survive_it() {
    let (pair, proxy) = ready();
    for sync in CYCLES {
        pair.on_source(CHANGES);
        // Begun before the cycle's snapshot, committed after it has forgotten.
        let mut straddling = pair.source_client();
        straddling
            .batch_execute("BEGIN; UPDATE t SET v = 'straddling' WHERE id IN (1, 3)")
            .unwrap();
        proxy.at("switchover.read_changes(", Action::HoldReply);
        let before = proxy.hits();
        let running = pair.spawn(sync);
        wait_for("the reader's snapshot", LIMIT, || {
            proxy.hits() == before + 1
        });
        pair.on_source("UPDATE t SET v = 'while the rows travel' WHERE id IN (2, 4); DELETE FROM t WHERE id = 6");
        proxy.at(FORGET, Action::HoldBefore);
        proxy.release();
        wait_for("the deletion", LIMIT, || proxy.hits() == before + 2);
        pair.on_source(
            "INSERT INTO t VALUES (6, 6, 'between commit and deletion'); INSERT INTO keyless VALUES ('late')",
        );
        proxy.release();
        running.wait(LIMIT).expect(0);
        assert_eq!(entries(&pair), 5);
        straddling.batch_execute("COMMIT").unwrap();
        assert_eq!(entries(&pair), 7);
        assert!(!compare::differences(&pair, &[]).is_empty());
        pair.run(sync).expect(0);
        compare::assert_equal(&pair);
    }
}

/// Many entries are deleted while the rows still travel; that is committed as late as any other deletion.
#[test]
fn many_entries_that_are_deleted_ahead_are_there_until_the_destination_has_committed() {
    const MANY: &str = "INSERT INTO t SELECT i, -i, 'many' FROM generate_series(100001, 112000) i";
    let (mut pair, source) = ready();
    let destination = Proxy::start(&pair.destination);
    pair.destination_uri = destination.uri(DATABASE);
    pair.on_source(MANY);
    let sync = &["sync", "--max-pending", "1000"];
    // Deleted, and the destination does not commit.
    destination.at(CONFIRM, Action::CutBefore);
    source.forget_trips();
    pair.run(sync).expect(1);
    let deleted = |trip: &Trip| trip.sql.contains(FORGET) && !trip.sql.contains("COMMIT");
    assert!(
        source.trips().iter().any(deleted),
        "nothing was deleted ahead"
    );
    assert_eq!(entries(&pair), 12_000);
    // The destination has committed, and then the source is lost, or its answer.
    for action in [Action::CutBefore, Action::DropReply] {
        let hits = destination.hits();
        destination.at(CONFIRM, Action::HoldReply);
        let running = pair.spawn(sync);
        wait_for("the destination's commit", LIMIT, || {
            destination.hits() > hits
        });
        assert_eq!(entries(&pair), 12_000);
        pair.on_source("UPDATE t SET v = 'late' WHERE id <= 3");
        source.at("COMMIT", action);
        destination.release();
        running.wait(LIMIT).expect(1);
        if action == Action::CutBefore {
            assert_eq!(entries(&pair), 12_003);
            pair.on_source("UPDATE t SET v = 'again' WHERE id > 100000");
            pair.run(sync).expect(0);
            pair.on_source("UPDATE t SET v = 'once more' WHERE id > 100000");
        } else {
            assert_eq!(entries(&pair), 3);
            pair.run(sync).expect(0);
        }
    }
    compare::assert_equal(&pair);
    assert_eq!(entries(&pair), 0);
}

/// A cycle that is tried many times must not write that much each time; and the one that succeeds forgets all the same.
#[test]
fn many_entries_that_were_deleted_in_vain_are_not_deleted_ahead_again() {
    let (mut pair, source) = ready();
    let destination = Proxy::start(&pair.destination);
    pair.destination_uri = destination.uri(DATABASE);
    // More than one message may bring: every attempt goes through the fetchers.
    pair.on_source(
        "INSERT INTO t SELECT i, -i, repeat('x', 2000) FROM generate_series(100001, 112000) i",
    );
    source.forget_trips();
    destination.at("SET LOCAL enable_hashjoin = on", Action::HoldBefore);
    let running = pair.spawn(&["sync", "--max-pending=1000", "--lock-timeout=10"]);
    destination.wait_until_hit(LIMIT);
    let mut holder = pair.destination_client();
    holder
        .batch_execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    destination.release();
    let count = |wanted: fn(&str) -> bool| {
        let trips = source.trips();
        trips.iter().filter(|trip| wanted(&trip.sql)).count()
    };
    wait_for("a third attempt", LIMIT, || {
        count(|sql| sql.contains("switchover.read_changes(")) >= 3
    });
    holder.batch_execute("COMMIT").unwrap();
    running.wait(LIMIT).expect(0);
    assert_eq!(
        count(|sql| sql.contains(FORGET) && !sql.contains("COMMIT")),
        1
    );
    assert_eq!(entries(&pair), 0);
    compare::assert_equal(&pair);
}

/// A source whose commits are on disk only when somebody asks for it, which a crash then takes back.
fn forgetful() -> (Pair, Proxy) {
    let source = Cluster::with_settings(
        15,
        &[
            ("fsync", "on"),
            ("synchronous_commit", "off"),
            ("wal_writer_delay", "10s"),
            ("autovacuum", "off"),
        ],
    );
    proxied(source, Cluster::builder(18).lineage("destination").start())
}

/// The source's clients are gone with it.
fn crash(pair: &Pair) {
    pair.source.stop_immediate();
    pair.source.start_again();
}

#[test]
fn a_crash_of_the_source_takes_nothing_back_that_a_cycle_has_carried_over() {
    let (pair, proxy) = forgetful();
    pair.run(&["copy"]).expect(0);
    for sync in CYCLES {
        // With nothing to do there would be no cycle.
        pair.on_source("UPDATE t SET v = 'before' WHERE id = 1");
        let before = proxy.hits();
        proxy.at("switchover.read_changes(", Action::HoldBefore);
        let running = pair.spawn(sync);
        wait_for("the cycle to begin", LIMIT, || proxy.hits() == before + 1);
        pair.on_source(CHANGES);
        proxy.at(FORGET, Action::HoldBefore);
        proxy.release();
        wait_for("the destination's commit", LIMIT, || {
            proxy.hits() == before + 2
        });
        crash(&pair);
        proxy.release();
        running.wait(LIMIT).expect(1);
        compare::assert_equal(&pair);
        pair.run(sync).expect(0);
        compare::assert_equal(&pair);
    }
}

#[test]
fn a_crash_of_the_source_takes_nothing_back_that_was_copied() {
    let (pair, proxy) = forgetful();
    // Init and the proxy's start have flushed what was before.
    pair.on_source(CHANGES);
    proxy.at("SET phase = 'copied'", Action::HoldBefore);
    let copy = pair.spawn(&["copy"]);
    wait_for("the tables to be copied", LIMIT, || proxy.hits() == 1);
    crash(&pair);
    proxy.release();
    copy.wait(LIMIT).expect(1);
    pair.run(&["copy"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_crash_of_the_source_takes_nothing_back_that_init_has_installed() {
    // As `init` leaves it.
    let (pair, _proxy) = forgetful();
    crash(&pair);
    pair.run(&["copy"]).expect(0);
    pair.on_source(CHANGES);
    assert!(entries(&pair) > 20);
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}

/// What `--create-schema` makes in every step.
const MADE: &str = "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES t, v text);
    CREATE INDEX ON child (parent);
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER nothing BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION nothing();";

/// Commits of copy may be on disk later; not after the source has been told that all is there, nor when the
/// command says that it is done.
#[test]
fn a_crash_of_the_destination_takes_nothing_back_that_copy_has_promised() {
    for create_schema in [false, true] {
        let destination = Cluster::builder(18)
            .lineage("destination")
            .setting("wal_writer_delay", "10s")
            .setting("wal_writer_flush_after", "1GB")
            .setting("autovacuum", "off");
        let mut pair = Pair::from_builders(Cluster::builder(15), destination);
        let proxy = Proxy::start(&pair.source);
        pair.source_uri = proxy.uri(DATABASE);
        pair.on_source(&[SCHEMA, MADE].concat());
        let copy: &[&str] = match create_schema {
            true => &["copy", "--create-schema"],
            false => &["copy"],
        };
        if !create_schema {
            pair.on_destination(&[SCHEMA, MADE].concat());
        }
        pair.on_source(
            "INSERT INTO t SELECT i, i FROM generate_series(1, 30) i;
             INSERT INTO child SELECT i, i FROM generate_series(1, 30) i",
        );
        pair.run(&["init"]).expect(0);
        proxy.at("SET phase = 'copied'", Action::HoldReply);
        let running = pair.spawn(copy);
        proxy.wait_until_hit(LIMIT);
        pair.destination.stop_immediate();
        pair.destination.start_again();
        proxy.release();
        running.wait(LIMIT).expect(1);
        pair.run(&["sync"]).expect(0);
        compare::assert_equal(&pair);
        if create_schema {
            pair.destination.stop_immediate();
            pair.destination.start_again();
            compare::assert_equal(&pair);
            compare::assert_same_schema(&pair);
        }
    }
}

/// Keys so long that the log soon is large enough to be worth a rotation.
#[test]
fn logs_that_take_turns_under_writers_lose_nothing() {
    const TURNS: usize = 4;
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE long (k text PRIMARY KEY, n int NOT NULL)");
    pair.on_source(
        "INSERT INTO long SELECT repeat(md5(i::text), 30), 0 FROM generate_series(1, 3000) i",
    );
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    let follow = pair.spawn(&["sync", "--follow", "--interval", "0.01"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (pair, stop) = (&pair, &stop);
            scope.spawn(move || {
                let mut client = pair.source_client();
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let sql = format!(
                        "UPDATE long SET n = n + 1 WHERE n % 2 = {} AND left(k, 1) IN ('{:x}', '{:x}')",
                        number % 2, writer * 8 + number / 2 % 8, writer * 8 + (number / 2 + 1) % 8
                    );
                    client.batch_execute(&sql).unwrap();
                }
            });
        }
        let mut client = pair.source_client();
        let (mut turns, mut last) = (0, false);
        wait_for("the logs to take turns", LIMIT, || {
            let row = client.query_one("SELECT is_called FROM switchover.turn", &[]);
            let now = row.unwrap().get(0);
            turns += usize::from(now != last);
            last = now;
            turns >= TURNS
        });
        stop.store(true, Ordering::Relaxed);
    });
    follow.signal("INT");
    follow.wait(LIMIT).expect(0);
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
    // Two more, and what has been drained is small again, whoever still reads an old snapshot.
    let mut old = pair.source_client();
    old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM long")
        .unwrap();
    for _ in 0..6 {
        pair.on_source("UPDATE long SET n = n + 1; UPDATE long SET n = n + 1");
        pair.run(&["sync"]).expect(0);
    }
    compare::assert_equal(&pair);
    let bytes = pair.on_source(
        "SELECT pg_relation_size('switchover.change_log_1') + pg_relation_size('switchover.change_log_2')",
    );
    assert!(bytes.parse::<u64>().unwrap() < 6 * (6 << 20), "{bytes}");
}

/// The log that a writer has begun to write is left by the others, drained, and about to be truncated when
/// that writer commits.
#[test]
fn an_entry_that_comes_late_into_a_log_that_was_left_is_not_truncated_with_it() {
    let mut pair = Pair::new(15, 18);
    let proxy = Proxy::start(&pair.source);
    pair.source_uri = proxy.uri(DATABASE);
    pair.on_both("CREATE TABLE long (k text PRIMARY KEY, n int NOT NULL); CREATE TABLE late (id int PRIMARY KEY)");
    pair.on_source(
        "INSERT INTO long SELECT repeat(md5(i::text), 30), 0 FROM generate_series(1, 3000) i",
    );
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    let left = |log: u32| {
        let size = format!("SELECT pg_relation_size('switchover.change_log_{log}')");
        pair.on_source(&size)
    };
    let turned = || pair.on_source("SELECT is_called FROM switchover.turn");
    for log in [1, 2] {
        let mut late = pair.source_client();
        late.batch_execute(&format!("BEGIN; INSERT INTO late VALUES ({log})"))
            .unwrap();
        pair.on_source("UPDATE long SET n = n + 1; UPDATE long SET n = n + 1");
        let before = turned();
        pair.run(&["sync"]).expect(0);
        assert_ne!(turned(), before, "the logs did not take turns");
        pair.on_source("UPDATE long SET n = n + 1 WHERE k < '1'");
        let hits = proxy.hits();
        proxy.at(FORGET, Action::HoldBefore);
        let sync = pair.spawn(&["sync"]);
        wait_for("the deletion", LIMIT, || proxy.hits() > hits);
        late.batch_execute("COMMIT").unwrap();
        proxy.release();
        sync.wait(LIMIT).expect(0);
        assert_eq!(entries(&pair), 1);
        pair.run(&["sync"]).expect(0);
        compare::assert_equal(&pair);
        assert_eq!(left(log), "0", "the log that was left is not truncated");
    }
}
