//! Applications that write while a database moves, and can be asked to hold still.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use postgres::error::SqlState;
use postgres::{Client, Error, NoTls};

use crate::support::pair::Pair;
use crate::support::wait_for;

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
    unexpected: Mutex<Vec<String>>,
}

/// Writers at work. Dropping it stops them.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
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
            unexpected: Mutex::new(Vec::new()),
        });
        let threads = applications
            .into_iter()
            .map(|application| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || work(&shared, application))
            })
            .collect();
        Writers { shared, threads }
    }

    /// Waits until so many more transactions are through.
    pub fn wait_for_more(&self, transactions: usize) {
        let target = self.shared.done.load(Ordering::SeqCst) + transactions;
        wait_for(
            "transactions of the writers",
            Duration::from_secs(60),
            || self.shared.done.load(Ordering::SeqCst) >= target || self.one_has_ended(),
        );
        self.expect_no_surprise();
    }

    /// Lets nobody be in a transaction until [`Writers::go_on`].
    pub fn hold_still(&self) {
        self.shared.pause.store(true, Ordering::SeqCst);
        wait_for("the writers to hold still", Duration::from_secs(60), || {
            self.shared.resting.load(Ordering::SeqCst) == self.threads.len() || self.one_has_ended()
        });
        self.expect_no_surprise();
    }

    /// Ends a pause.
    pub fn go_on(&self) {
        self.shared.pause.store(false, Ordering::SeqCst);
    }

    /// Waits until the source has refused every writer.
    pub fn wait_until_refused(&self) {
        wait_for("the writers to be refused", Duration::from_secs(60), || {
            self.shared.refused.load(Ordering::SeqCst) == self.threads.len()
                || !self.shared.unexpected.lock().unwrap().is_empty()
        });
        self.expect_no_surprise();
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

    fn one_has_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    fn expect_no_surprise(&self) {
        let unexpected = self.shared.unexpected.lock().unwrap();
        assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

fn connect(uri: &str) -> Client {
    let mut client = Client::connect(uri, NoTls).expect("a connection for a writer");
    client
        .batch_execute("SET client_min_messages = error; SET deadlock_timeout = '100ms'; SET lock_timeout = '2s'")
        .expect("settings");
    client
}

fn work(shared: &Shared, mut transaction: Transaction) {
    let mut client = connect(&shared.source);
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
        let Err(error) = transaction(&mut client, turn) else {
            shared.done.fetch_add(1, Ordering::SeqCst);
            shared
                .after
                .fetch_add(usize::from(!on_source), Ordering::SeqCst);
            continue;
        };
        let _ = client.batch_execute("ROLLBACK");
        let state = error.code().map_or("", SqlState::code);
        if state == "25006" && on_source {
            shared.refused.fetch_add(1, Ordering::SeqCst);
            let Some(destination) = &shared.destination else {
                return;
            };
            client = connect(destination);
            on_source = false;
        } else if !state.starts_with("40") && !state.starts_with("55") {
            shared.unexpected.lock().unwrap().push(format!("{error:?}"));
            return;
        }
    }
}
