//! Applications that write while a database moves, and can be asked to hold still. A wait for them that is in
//! vain tells what each of them has met, and what the source does for it.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, Config, Error, NoTls};

use crate::support::cluster::Cluster;
use crate::support::pair::Pair;
use crate::support::wait_for;

use super::diary::Diary;

/// How long something that the writers are to do may take.
const LIMIT: Duration = Duration::from_secs(60);

/// One transaction, from BEGIN to COMMIT; `usize` counts them. What the application expects to fail it
/// handles itself; of what it returns, 25006 sends it away, and deadlocks and the like are tried again.
pub type Transaction = Box<dyn FnMut(&mut Client, usize) -> Result<(), Error> + Send>;

struct Shared {
    source: String,
    /// Where those who are refused go to; else they are done.
    destination: Option<String>,
    pause: AtomicBool,
    stop: AtomicBool,
    resting: AtomicUsize,
    done: AtomicUsize,
    refused: AtomicUsize,
    after: AtomicUsize,
    /// One for each writer.
    diaries: Vec<Mutex<Diary>>,
    unexpected: Mutex<Vec<String>>,
}

/// Writers at work. Dropping it stops them.
pub struct Writers {
    shared: Arc<Shared>,
    server: Arc<Cluster>,
    threads: Vec<JoinHandle<()>>,
    limit: Duration,
}

impl Writers {
    /// Starts one thread per application; `follow`: they go on at the destination.
    pub fn start(pair: &Pair, follow: bool, applications: Vec<Transaction>) -> Writers {
        let shared = Arc::new(Shared {
            source: pair.source_uri.clone(),
            destination: follow.then(|| pair.destination_uri.clone()),
            pause: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            resting: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            after: AtomicUsize::new(0),
            diaries: applications.iter().map(|_| Mutex::default()).collect(),
            unexpected: Mutex::new(Vec::new()),
        });
        let threads = applications
            .into_iter()
            .enumerate()
            .map(|(number, application)| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || work(&shared, number, application))
            })
            .collect();
        Writers {
            shared,
            server: Arc::clone(&pair.source),
            threads,
            limit: LIMIT,
        }
    }

    /// Waits less long in vain, for the tests of these writers themselves.
    pub fn with_limit(mut self, limit: Duration) -> Writers {
        self.limit = limit;
        self
    }

    /// Waits until so many more transactions are through.
    pub fn wait_for_more(&self, transactions: usize) {
        let target = self.shared.done.load(Ordering::SeqCst) + transactions;
        self.wait("transactions of the writers", true, || {
            self.shared.done.load(Ordering::SeqCst) >= target
        });
    }

    /// Lets nobody be in a transaction until [`Writers::go_on`].
    pub fn hold_still(&self) {
        self.shared.pause.store(true, Ordering::SeqCst);
        self.wait("the writers to hold still", true, || {
            self.shared.resting.load(Ordering::SeqCst) == self.threads.len()
        });
    }

    /// Ends a pause.
    pub fn go_on(&self) {
        self.shared.pause.store(false, Ordering::SeqCst);
    }

    /// Waits until the source has refused every writer.
    pub fn wait_until_refused(&self) {
        self.wait("the writers to be refused", false, || {
            self.shared.refused.load(Ordering::SeqCst) == self.threads.len()
        });
    }

    /// Waits until `done` says so; `all_at_work`: not even one that was refused may have ended before.
    ///
    /// # Panics
    /// When that takes too long, or a writer has panicked, or got an error that nobody should get.
    fn wait(&self, what: &str, all_at_work: bool, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            let ended = self.threads.iter().filter(|t| t.is_finished()).count();
            // A thread that ends has said why before.
            self.expect_no_surprise();
            let may_end = match all_at_work || self.shared.destination.is_some() {
                true => 0,
                false => self.shared.refused.load(Ordering::SeqCst),
            };
            assert!(
                ended <= may_end || done(),
                "waited for {what}, and a writer has ended\n{}",
                self.report()
            );
            assert!(
                start.elapsed() < self.limit,
                "waited {:?} in vain for {what}\n{}",
                self.limit,
                self.report()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self.expect_no_surprise();
    }

    /// What each writer has met, and what the source says of their sessions.
    fn report(&self) -> String {
        let mut report = String::new();
        for (number, diary) in self.shared.diaries.iter().enumerate() {
            let diary = diary.lock().unwrap();
            let _ = writeln!(report, "writer {number}: {diary}");
        }
        report.push_str(&sessions(&self.shared.source));
        report.push_str(&self.server.log_tail());
        report
    }

    /// How many transactions went through on the destination.
    #[allow(dead_code)]
    pub fn done_after(&self) -> usize {
        self.shared.after.load(Ordering::SeqCst)
    }

    /// Ends all of them.
    ///
    /// # Panics
    /// When one got an error that nobody should get.
    pub fn stop(mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for thread in std::mem::take(&mut self.threads) {
            thread.join().expect("a writer panicked");
        }
        self.expect_no_surprise();
    }

    fn expect_no_surprise(&self) {
        let unexpected = self.shared.unexpected.lock().unwrap().join("\n");
        assert!(unexpected.is_empty(), "{unexpected}\n{}", self.report());
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

/// Everybody's: what keeps a writer waiting may be anybody.
fn sessions(uri: &str) -> String {
    let sql = "SELECT concat_ws(' ', a.pid, a.application_name || ':', a.backend_type, a.state, a.wait_event_type, a.wait_event,
                   'behind ' || nullif(pg_blocking_pids(a.pid)::text, '{}'), 'in a transaction since ' || a.xact_start,
                   left(a.query, 200))
          FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() ORDER BY a.pid";
    let mut config: Config = uri.parse().unwrap();
    config
        .connect_timeout(Duration::from_secs(10))
        .options("-c statement_timeout=10s");
    let asked = config
        .connect(NoTls)
        .and_then(|mut client| client.query(sql, &[]));
    let lines = match asked {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) => vec![format!("no answer: {error:?}")],
    };
    format!("--- sessions of the source\n{}\n", lines.join("\n"))
}

fn connect(uri: &str, number: usize) -> Client {
    let mut client = Client::connect(uri, NoTls).expect("a connection for a writer");
    client
        .batch_execute(&format!(
            "SET client_min_messages = error; SET deadlock_timeout = '100ms'; SET lock_timeout = '2s';
             SET application_name = 'writer {number}'"
        ))
        .expect("settings");
    client
}

fn work(shared: &Shared, number: usize, mut transaction: Transaction) {
    let note = |entry: fn(&mut Diary)| entry(&mut shared.diaries[number].lock().unwrap());
    let mut client = connect(&shared.source, number);
    let mut on_source = true;
    let mut turn = 0;
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.pause.load(Ordering::SeqCst) {
            shared.resting.fetch_add(1, Ordering::SeqCst);
            while shared.pause.load(Ordering::SeqCst) && !shared.stop.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
            shared.resting.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        turn += 1;
        // Time for the others.
        std::thread::sleep(Duration::from_millis(2));
        note(Diary::begin);
        let Err(error) = transaction(&mut client, turn) else {
            note(Diary::succeed);
            shared.done.fetch_add(1, Ordering::SeqCst);
            shared
                .after
                .fetch_add(usize::from(!on_source), Ordering::SeqCst);
            continue;
        };
        let state = error.code().map_or("", SqlState::code);
        shared.diaries[number].lock().unwrap().fail(state, &error);
        let _ = client.batch_execute("ROLLBACK");
        note(Diary::rolled_back);
        if state == "25006" && on_source {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            let Some(destination) = &shared.destination else {
                return;
            };
            client = connect(destination, number);
            on_source = false;
            note(Diary::moved);
        } else if !state.starts_with("40") && !state.starts_with("55") {
            let side = if on_source { "source" } else { "destination" };
            let mut unexpected = shared.unexpected.lock().unwrap();
            unexpected.push(format!("writer {number} on the {side}: {error:?}"));
            return;
        }
    }
}

#[test]
fn a_wait_in_vain_tells_what_each_writer_has_met() {
    let pair = Pair::new(15, 18);
    let easy: Transaction = Box::new(|client, _| client.batch_execute("SELECT"));
    let stuck: Transaction = Box::new(|client, turn| match turn {
        1 => client.batch_execute("DO $$ BEGIN RAISE 'once more' USING ERRCODE = '40001'; END $$"),
        _ => client.batch_execute("SELECT pg_sleep(600)"),
    });
    let limit = Duration::from_millis(100);
    let writers = Writers::start(&pair, false, vec![easy, stuck]).with_limit(limit);
    let mut client = pair.source_client();
    wait_for("a writer that is stuck", LIMIT, || {
        let sql = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        !client.query(sql, &[]).unwrap().is_empty()
    });
    expect_panic(
        || writers.wait_until_refused(),
        &[
            "in vain for the writers to be refused",
            "writer 1: in a transaction on the source for",
            "0 done; 40001 1 times, last: ERROR: once more",
            "writer 1: client backend active Timeout PgSleep",
            "--- log of PostgreSQL 15",
        ],
    );
    expect_panic(
        || writers.hold_still(),
        &["in vain for the writers to hold"],
    );

    let mistaken: Transaction = Box::new(|client, _| client.batch_execute("SELECT 1 / 0"));
    let writers = Writers::start(&pair, true, vec![mistaken]);
    for wait in [
        Writers::wait_until_refused,
        Writers::hold_still,
        |writers: &Writers| writers.wait_for_more(1),
    ] {
        expect_panic(
            || wait(&writers),
            &["writer 0 on the source", "division by zero"],
        );
    }

    let refused: Transaction =
        Box::new(|client, _| client.batch_execute("SET TRANSACTION READ ONLY; CREATE TABLE t ()"));
    let writers = Writers::start(&pair, false, vec![refused]);
    writers.wait_until_refused();
    expect_panic(
        || writers.wait_for_more(1),
        &["a writer has ended", "25006 1 times"],
    );
}

fn expect_panic(wait: impl Fn(), expected: &[&str]) {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(wait));
    let text = *panic.unwrap_err().downcast::<String>().unwrap();
    for expected in expected {
        assert!(text.contains(expected), "{text}");
    }
}
