//! Every command under everything that goes on in a database anyway: how long plain writers stall, and for how
//! much of that we are to blame. `cargo nextest run disturbances --no-capture | grep '^|'` prints the table.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use postgres::Client;

use super::{Dump, blocker, impatient};
use crate::support::cluster::{Builder, Cluster};
use crate::support::pair::{DATABASE, Pair};
use crate::support::stage::LIMIT;
use crate::support::stall::Meter;
use crate::support::{compare, wait_for};

/// Table `b` is large enough for a slow vacuum, `much` for cycles that go through COPY.
const TABLES: &str = "CREATE TABLE a (id int PRIMARY KEY, n int);
    CREATE TABLE b (id int PRIMARY KEY, n int, filler text) WITH (autovacuum_enabled = off);
    CREATE TABLE much (id int PRIMARY KEY, n int, payload text)";
const ROWS: &str = "INSERT INTO a SELECT i, i FROM generate_series(1, 50) i;
    INSERT INTO b SELECT i, i, repeat('x', 1500) FROM generate_series(1, 2000) i;
    INSERT INTO much SELECT i, i, repeat('x', 300) FROM generate_series(1, 5000) i";

/// What a disturbance is: it ends when what it returns is dropped.
type Disturb = fn(&Pair) -> Box<dyn Any>;

/// Exit statuses of init and drop, and of switch: those that want a lock may give up.
struct Allowed {
    init: &'static [i32],
    drop: &'static [i32],
    switch: &'static [i32],
}

const DONE: &[i32] = &[0];
const GIVES_UP: &[i32] = &[4];
const EITHER: &[i32] = &[0, 4];

struct Round {
    pair: Pair,
    meter: Meter,
    name: &'static str,
    disturb: Disturb,
}

impl Round {
    /// Runs a command while it is disturbed, and once more undisturbed if it gave up.
    fn run(&self, label: &str, command: &[&str], allowed: &[i32]) {
        let quick = ["-v", "--lock-timeout=500", "--lock-attempts=2"];
        let takes_attempts = !matches!(command[0], "copy" | "verify");
        let arguments = [command, &quick[..if takes_attempts { 3 } else { 2 }]].concat();
        let disturbance = (self.disturb)(&self.pair);
        self.meter.lap();
        let outcome = self.pair.run(&arguments);
        let stall = self.meter.lap();
        drop(disturbance);
        let code = outcome.code().unwrap_or(-1);
        eprintln!(
            "| {} | {label} | exit {code} | {} ms | {} ms {} |",
            self.name,
            stall.writer.as_millis(),
            stall.held.as_millis(),
            stall.holder
        );
        assert!(allowed.contains(&code), "{label}: {}", outcome.report());
        // Ten times what is promised: the disturbance lasts for as long as the command.
        assert!(stall.held < Duration::from_secs(5), "{label}: {stall}");
        if code != 0 {
            self.pair.run(command).expect(0);
        }
    }
}

fn all_commands(source: Builder, name: &'static str, allowed: &Allowed, disturb: Disturb) {
    let pair = Pair::from_builders(source, Cluster::builder(18));
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    let round = Round {
        meter: Meter::start(&pair.source.uri(DATABASE), &["a", "b", "much"]),
        pair,
        name,
        disturb,
    };
    round.run("init", &["init"], allowed.init);
    round.run("drop", &["drop"], allowed.drop);
    round.pair.run(&["init", "-q"]).expect(0);
    round.run("copy", &["copy"], DONE);
    round.run("sync", &["sync"], DONE);
    round
        .pair
        .on_source("UPDATE much SET n = n + 1 WHERE id > 2");
    round.run("sync (large)", &["sync", "--max-pending=10"], DONE);
    round.run("verify", &["verify"], DONE);
    let switch = ["switch", "--interval=0.05"];
    round.run("switch", &switch, allowed.switch);
    drop(round.meter);
    compare::assert_equal(&round.pair);
}

fn source() -> Builder {
    Cluster::builder(15)
}

#[test]
fn nothing_but_plain_writers() {
    let allowed = Allowed {
        init: DONE,
        drop: DONE,
        switch: DONE,
    };
    all_commands(source(), "nothing else", &allowed, |_| Box::new(()));
}

#[test]
fn an_idle_transaction_that_has_written() {
    let allowed = Allowed {
        init: GIVES_UP,
        drop: GIVES_UP,
        switch: GIVES_UP,
    };
    all_commands(source(), "idle-in-transaction writer", &allowed, |pair| {
        Box::new(blocker(pair, "UPDATE b SET n = 0 WHERE id = 3"))
    });
}

#[test]
fn a_long_reader() {
    let allowed = Allowed {
        init: DONE,
        drop: GIVES_UP,
        switch: DONE,
    };
    all_commands(source(), "long reader", &allowed, |pair| {
        let captured = "SELECT to_regclass('switchover.change_log') IS NOT NULL";
        let log = match pair.on_source(captured).as_str() {
            "t" => "; SELECT count(*) FROM switchover.change_log",
            _ => "",
        };
        let read = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM a, b, much WHERE a.id = b.id AND b.id = much.id";
        Box::new(blocker(pair, &format!("{read}{log}")))
    });
}

#[test]
fn a_dump_of_the_source() {
    let allowed = Allowed {
        init: DONE,
        drop: GIVES_UP,
        switch: DONE,
    };
    all_commands(source(), "pg_dump of the source", &allowed, |pair| {
        Box::new(Dump::start(pair))
    });
}

/// An index that waits for an old snapshot.
struct Index {
    old: Client,
    builder: Option<JoinHandle<()>>,
    pair_uri: String,
}

impl Drop for Index {
    fn drop(&mut self) {
        let _ = self.old.batch_execute("COMMIT");
        let _ = self.builder.take().map(JoinHandle::join);
        let mut client = Client::connect(&self.pair_uri, postgres::NoTls).unwrap();
        client.batch_execute("DROP INDEX later").unwrap();
    }
}

#[test]
fn an_index_that_is_built_concurrently() {
    let allowed = Allowed {
        init: GIVES_UP,
        drop: GIVES_UP,
        switch: DONE,
    };
    all_commands(source(), "CREATE INDEX CONCURRENTLY", &allowed, |pair| {
        let old = blocker(
            pair,
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class",
        );
        let mut builder = pair.source_client();
        let builder = std::thread::spawn(move || {
            let _ = builder.batch_execute("CREATE INDEX CONCURRENTLY later ON b (n)");
        });
        let waits =
            "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'virtualxid' AND NOT granted";
        wait_for("the index to wait", LIMIT, || pair.on_source(waits) == "t");
        Box::new(Index {
            old,
            builder: Some(builder),
            pair_uri: pair.source.uri(DATABASE),
        })
    });
}

/// Somebody who alters a table over and over.
struct Altering {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Altering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn a_table_that_is_altered_over_and_over() {
    let allowed = Allowed {
        init: EITHER,
        drop: EITHER,
        switch: EITHER,
    };
    all_commands(source(), "ALTER TABLE, each second", &allowed, |pair| {
        let mut client = pair.source_client();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let _ = client.batch_execute("ALTER TABLE much ALTER n SET DEFAULT 0");
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Box::new(Altering {
            stop,
            thread: Some(thread),
        })
    });
}

/// Makes autovacuum work on table `b`, slowly, until it is done or gives way.
fn vacuum_slowly(pair: &Pair, says: &str) {
    pair.on_source(
        "ALTER TABLE b SET (autovacuum_enabled = on, autovacuum_vacuum_threshold = 1,
             autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,
             autovacuum_vacuum_cost_limit = 1)",
    );
    let works = format!(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND query LIKE '%public.b{says}'"
    );
    wait_for("autovacuum", LIMIT, || pair.on_source(&works) == "t");
}

/// It gives way to whoever has waited for `deadlock_timeout`, and a superuser's is shorter.
#[test]
fn autovacuum() {
    let allowed = Allowed {
        init: DONE,
        drop: DONE,
        switch: DONE,
    };
    let source = source().setting("autovacuum_naptime", "1s");
    all_commands(source, "autovacuum", &allowed, |pair| {
        pair.on_source("UPDATE b SET n = n + 1 WHERE id > 10");
        vacuum_slowly(pair, "");
        Box::new(())
    });
}

/// It gives way to nobody, and stands in for autovacuum against wraparound, of which one is hard to have for each
/// command.
struct Vacuum {
    canceller: postgres::CancelToken,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Vacuum {
    fn drop(&mut self) {
        let _ = self.canceller.cancel_query(postgres::NoTls);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn a_vacuum_that_gives_way_to_nobody() {
    let allowed = Allowed {
        init: GIVES_UP,
        drop: GIVES_UP,
        switch: DONE,
    };
    all_commands(source(), "VACUUM (FREEZE)", &allowed, |pair| {
        let mut client = pair.source_client();
        let canceller = client.cancel_token();
        let thread = std::thread::spawn(move || {
            let slowly = "SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1";
            client.batch_execute(slowly).unwrap();
            let _ = client.batch_execute("VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) b");
        });
        let works = "SELECT count(*) > 0 FROM pg_stat_progress_vacuum WHERE relid = 'b'::regclass";
        wait_for("the vacuum", LIMIT, || pair.on_source(works) == "t");
        Box::new(Vacuum {
            canceller,
            thread: Some(thread),
        })
    });
}

/// The real one, for the command that it is in the way of.
#[test]
fn autovacuum_against_wraparound() {
    let source = source()
        .setting("autovacuum_naptime", "1s")
        .setting("autovacuum_freeze_max_age", "100000");
    let pair = Pair::from_builders(source, Cluster::builder(18));
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair.on_source(
        "SET synchronous_commit = off;
         DO $$ BEGIN FOR i IN 1..110000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$",
    );
    vacuum_slowly(&pair, " (to prevent wraparound)");
    let meter = Meter::start(&pair.source.uri(DATABASE), &["a", "b", "much"]);
    meter.lap();
    let outcome = impatient(&pair, &["init"]);
    let stall = meter.lap();
    eprintln!(
        "| autovacuum against wraparound | init | exit {} | {} ms | {} ms {} |",
        outcome.code().unwrap_or(-1),
        stall.writer.as_millis(),
        stall.held.as_millis(),
        stall.holder
    );
    outcome
        .expect(4)
        .expect_stderr("public.b (to prevent wraparound)");
    assert!(stall.held < Duration::from_secs(5), "{stall}");
}
