//! Promise 3: whatever the destination shows during `sync` is one consistent snapshot of the source.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::{Action, Proxy};
use crate::support::{compare, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// Every transaction moves money, notes that in the ledger and in a counter, and replaces a ticket.
const BANK: &str = "
    CREATE TABLE account (id int PRIMARY KEY, balance int NOT NULL);
    CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, amount int NOT NULL);
    CREATE TABLE worker (id int PRIMARY KEY, transfers int NOT NULL);
    CREATE TABLE ticket (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, worker int NOT NULL REFERENCES worker) PARTITION BY HASH (id);
    CREATE TABLE ticket_0 PARTITION OF ticket FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE ticket_1 PARTITION OF ticket FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE reloaded (n int NOT NULL);";

const FUNDS: &str = "INSERT INTO account SELECT i, 100 FROM generate_series(1, 20) i; INSERT INTO worker SELECT i, 0 FROM generate_series(1, 4) i;
    INSERT INTO ticket (worker) SELECT i FROM generate_series(1, 4) i; INSERT INTO reloaded SELECT generate_series(1, 10);";

/// One row: transfers so far, and what must hold whatever their number.
const INVARIANT: &str = "SELECT w.transfers, a.sum = 2000 AND a.count = 20 AND l.count = w.transfers AND t.count = 4 AND r.count = 10
        FROM (SELECT sum(transfers) AS transfers FROM worker) w, (SELECT sum(balance), count(*) FROM account) a,
             (SELECT count(*) FROM ledger) l, (SELECT count(*) FROM ticket) t, (SELECT count(*) FROM reloaded) r";

fn work(pair: &Pair, worker: i32, stop: &AtomicBool) {
    let mut client = pair.source_client();
    let mut number = worker;
    while !stop.load(Ordering::Relaxed) {
        number += 7;
        let (from, to) = (1 + number % 20, 1 + (number * 3 + worker) % 20);
        // The order of the two rows is the same for everybody, so nobody waits in a circle.
        let sql = format!(
            "BEGIN; UPDATE account SET balance = balance - 1 WHERE id = {low}; UPDATE account SET balance = balance + 1 WHERE id = {high};
             INSERT INTO ledger (amount) VALUES ({number}); DELETE FROM ticket WHERE worker = {worker};
             INSERT INTO ticket (worker) VALUES ({worker}); UPDATE worker SET transfers = transfers + 1 WHERE id = {worker}; COMMIT",
            low = from.min(to),
            high = from.max(to),
        );
        client.batch_execute(&sql).unwrap();
        if worker == 1 && number % 700 == 1 {
            let reload = "BEGIN; TRUNCATE reloaded; INSERT INTO reloaded SELECT generate_series(1, 10); COMMIT";
            client.batch_execute(reload).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn every_state_keeps_the_invariant(options: &[&str]) {
    const STATES: usize = 25;
    let pair = Pair::new(15, 18);
    pair.on_both(BANK);
    pair.on_source(FUNDS);
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    let mut sync = vec!["sync", "--follow", "--interval", "0.01"];
    sync.extend(options);
    let mut follow = pair.spawn(&sync);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 1..=4 {
            let (pair, stop) = (&pair, &stop);
            scope.spawn(move || work(pair, worker, stop));
        }
        let mut reader = pair.destination_client();
        let (mut states, mut last) = (0, -1);
        let watched = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for("states of the destination", LIMIT, || {
                let row = reader.query_one(INVARIANT, &[]).unwrap();
                let (transfers, holds): (i64, bool) = (row.get(0), row.get(1));
                assert!(
                    holds,
                    "after {transfers} transfers the destination is no snapshot of the source"
                );
                assert!(
                    transfers >= last,
                    "time went back from {last} to {transfers}"
                );
                states += usize::from(transfers > last);
                last = transfers;
                assert!(follow.is_running(), "{}", follow.stderr());
                states >= STATES
            });
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = watched {
            std::panic::resume_unwind(panic);
        }
    });
    follow.signal("TERM");
    follow.wait(LIMIT).expect(0);
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn readers_of_the_destination_see_whole_transactions_in_small_cycles() {
    every_state_keeps_the_invariant(&[]);
}

#[test]
fn readers_of_the_destination_see_whole_transactions_in_large_cycles() {
    every_state_keeps_the_invariant(&["--max-pending", "1", "-j", "3"]);
}

/// What happens to a table between the moment of the snapshot and the moment that its rows are read. TRUNCATE
/// and rewriting ALTERs leave nothing that an older snapshot could see.
const BETWEEN: &[(&str, i32, &str)] = &[
    (
        "TRUNCATE t; INSERT INTO t SELECT i, 'again' FROM generate_series(1, 20) i",
        0,
        "",
    ),
    ("CLUSTER t USING t_pkey", 0, ""),
    (
        "TRUNCATE p1; INSERT INTO p SELECT i, 'again' FROM generate_series(1, 3) i",
        0,
        "",
    ),
    (
        "ALTER TABLE t ALTER v TYPE varchar(99) USING v || 'x'",
        1,
        "of table \"public\".\"t\" have changed",
    ),
];

/// Followed by the very cycle: what is left of the table arrives, and nothing else.
const DETACH: &str = "ALTER TABLE p DETACH PARTITION p1";

const WAITING: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name ~ '^pg_switchover')";

#[test]
fn a_table_rewritten_between_the_snapshot_and_the_lock_does_not_look_empty() {
    for cycle in ["10000", "1"] {
        let mut pair = Pair::new(15, 18);
        let proxy = Proxy::start(&pair.source);
        pair.source_uri = proxy.uri(DATABASE);
        pair.on_both(
            "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20) i;
             CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
             CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10); CREATE TABLE p2 PARTITION OF p DEFAULT;
             INSERT INTO p SELECT i, 'v' FROM generate_series(1, 20) i;",
        );
        pair.run(&["init"]).expect(0);
        pair.run(&["copy", "--truncate"]).expect(0);
        let detached = (
            DETACH,
            0,
            "of the partitions of table \"public\".\"p\" went",
        );
        for (change, status, complaint) in BETWEEN.iter().chain([&detached]) {
            pair.on_source("UPDATE t SET v = v || 'x' WHERE id % 2 = 0; UPDATE p SET v = v || 'x' WHERE id % 2 = 0");
            let before = pair.on_source("SELECT count(*) FROM t UNION ALL SELECT count(*) FROM p");
            let mut writer = pair.source_client();
            let hits = proxy.hits();
            proxy.at("switchover.read_changes(", Action::HoldBefore);
            let sync = pair.spawn(&["sync", "--max-pending", cycle, "--lock-timeout", "30000"]);
            wait_for("the cycle to begin", LIMIT, || proxy.hits() > hits);
            writer.batch_execute(&format!("BEGIN; {change}")).unwrap();
            proxy.release();
            wait_for("the reader to wait for the table", LIMIT, || {
                pair.on_source(WAITING) == "t"
            });
            writer.batch_execute("COMMIT").unwrap();
            sync.wait(LIMIT).expect(*status).expect_stderr(complaint);
            if *change == DETACH {
                let rows = "SELECT * FROM p ORDER BY id";
                assert_eq!(pair.on_source(rows), pair.on_destination(rows));
            } else if *status == 0 {
                compare::assert_equal(&pair);
                continue;
            }
            // Nothing of it was applied; the same change on the destination lets it go on.
            let after =
                pair.on_destination("SELECT count(*) FROM t UNION ALL SELECT count(*) FROM p");
            assert!(before == after || *change == DETACH, "{change}");
            pair.on_destination(change);
            pair.run(&["init"]).expect(0);
            pair.run(&["copy", "--truncate"]).expect(0);
            compare::assert_equal(&pair);
        }
    }
}

/// A lock that outlived the reading would let the application's TRUNCATE wait for the cycle, and the cycle's
/// other sessions for the TRUNCATE: no server could see that deadlock.
#[test]
fn an_application_truncates_a_table_in_the_middle_of_a_cycle() {
    let mut pair = Pair::new(15, 18);
    let proxy = Proxy::start(&pair.source);
    pair.source_uri = proxy.uri(DATABASE);
    pair.on_both(
        "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text)",
    );
    pair.on_source("INSERT INTO a SELECT generate_series(1, 9); INSERT INTO b SELECT * FROM a");
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    // All as literals; too many entries; too many rows, which shows only after table a has been read.
    for limit in ["10000", "1", "13"] {
        pair.on_source("UPDATE a SET v = 'x'; UPDATE b SET v = 'x'");
        let hits = proxy.hits();
        proxy.at("switchover.read_changes(", Action::HoldReply);
        let sync = pair.spawn(&["sync", "--max-pending", limit]);
        wait_for("the snapshot", LIMIT, || proxy.hits() > hits);
        for table in ["a", "b"] {
            pair.on_source(&format!(
                "SET lock_timeout = '20s'; BEGIN; TRUNCATE {table}; INSERT INTO {table} SELECT generate_series(1, 8); COMMIT"
            ));
        }
        proxy.release();
        sync.wait(LIMIT).expect(0);
        pair.run(&["sync"]).expect(0);
        compare::assert_equal(&pair);
    }
}

/// No attempt to read the first table ends before the second one was truncated again.
#[test]
fn an_application_that_never_ceases_to_truncate_a_table_does_not_stop_a_cycle() {
    let pair = Pair::new(15, 18);
    pair.on_both(
        "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int PRIMARY KEY, v text)",
    );
    pair.on_source("INSERT INTO a SELECT generate_series(1, 10000)");
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = pair.source_client();
            while !stop.load(Ordering::Relaxed) {
                let reload =
                    "BEGIN; TRUNCATE b; INSERT INTO b SELECT generate_series(1, 8); COMMIT";
                client.batch_execute(reload).unwrap();
            }
        });
        let ended = std::panic::catch_unwind(|| {
            for text in ["x", "y"] {
                pair.on_source(&format!("UPDATE a SET v = repeat('{text}', 100)"));
                let sync = ["sync", "--max-pending=100000", "--lock-timeout=20000"];
                pair.run(&sync).expect(0);
            }
        });
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}
