//! Writers that go on through a switchover and testify afterwards.
//!
//! Each writer is a thread with one connection. It writes down what was acknowledged, by which server and
//! when; what was refused; and what it cannot know because the answer was lost. A refusal with SQLSTATE 25006
//! sends it to the destination, as an application would go. Serialization failures and deadlocks are tried
//! again. Everything else that a server says is unexpected, and part of the testimony.

mod testimony;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use testimony::Testimony;

use super::wait_for;

/// Creates the tables that the writers use, in schema `workload`.
pub const SCHEMA: &str = include_str!("workload.sql");

/// The isolation levels, by the words of SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Each statement sees what is committed before it.
    ReadCommitted,
    /// One snapshot for the transaction.
    RepeatableRead,
    /// As if one after the other.
    Serializable,
}

impl Isolation {
    fn sql(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "READ COMMITTED",
            Isolation::RepeatableRead => "REPEATABLE READ",
            Isolation::Serializable => "SERIALIZABLE",
        }
    }
}

/// What a writer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Single inserts into the journal, each its own transaction, without BEGIN.
    Journal,
    /// Transactions of several journal entries, with pauses between them.
    LongJournal(Isolation),
    /// Begins, takes its snapshot with a read, sleeps for a while, and only then writes: what was begun before
    /// the flip writes after it.
    Straddler(Isolation),
    /// Moves money between two accounts and notes the transfer.
    Transfer(Isolation),
    /// Adds one to a row that others want too, without BEGIN.
    Counter,
    /// Deletes, inserts again and updates rows of its own under the same keys.
    Slot,
}

impl Kind {
    /// One of every kind at every isolation level.
    pub fn all() -> Vec<Kind> {
        use Isolation::{ReadCommitted, RepeatableRead, Serializable};
        vec![
            Kind::Journal,
            Kind::LongJournal(ReadCommitted),
            Kind::LongJournal(Serializable),
            Kind::Straddler(ReadCommitted),
            Kind::Straddler(RepeatableRead),
            Kind::Straddler(Serializable),
            Kind::Transfer(ReadCommitted),
            Kind::Transfer(RepeatableRead),
            Kind::Transfer(Serializable),
            Kind::Counter,
            Kind::Slot,
        ]
    }
}

/// Which server a writer talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The old one.
    Source,
    /// The new one.
    Destination,
}

/// What all writers share.
struct Shared {
    source: String,
    destination: String,
    pause: Duration,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
    moved: AtomicUsize,
}

/// Writers at work. Dropping it stops them.
pub struct Workload {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<writer::Record>>,
}

impl Workload {
    /// Starts one writer per kind, each pausing two milliseconds between transactions. [`SCHEMA`] must be
    /// loaded on the source.
    pub fn start(source_uri: &str, destination_uri: &str, kinds: &[Kind]) -> Workload {
        Workload::start_paced(source_uri, destination_uri, kinds, Duration::from_millis(2))
    }

    /// Like [`Workload::start`], with another pause between the transactions of a writer.
    pub fn start_paced(
        source_uri: &str,
        destination_uri: &str,
        kinds: &[Kind],
        pause: Duration,
    ) -> Workload {
        let shared = Arc::new(Shared {
            source: source_uri.to_owned(),
            destination: destination_uri.to_owned(),
            pause,
            stop: AtomicBool::new(false),
            acknowledged: AtomicUsize::new(0),
            moved: AtomicUsize::new(0),
        });
        let writers = kinds
            .iter()
            .enumerate()
            .map(|(number, kind)| writer::start(Arc::clone(&shared), number, *kind))
            .collect();
        Workload { shared, writers }
    }

    /// How many transactions have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// How many writers have been refused by the source and gone to the destination.
    pub fn moved(&self) -> usize {
        self.shared.moved.load(Ordering::Relaxed)
    }

    /// Waits until so many more transactions have been acknowledged.
    ///
    /// # Panics
    /// When that takes more than a minute.
    pub fn wait_for_more(&self, transactions: usize) {
        let target = self.acknowledged() + transactions;
        wait_for("acknowledged transactions", Duration::from_secs(60), || {
            self.acknowledged() >= target || self.writers.iter().any(JoinHandle::is_finished)
        });
    }

    /// Waits until every writer has gone to the destination.
    ///
    /// # Panics
    /// When that takes more than a minute.
    pub fn wait_until_moved(&self) {
        wait_for(
            "the writers to go to the destination",
            Duration::from_secs(60),
            || self.moved() == self.writers.len(),
        );
    }

    /// Lets every writer end its transaction and collects what they know.
    pub fn stop(mut self) -> Testimony {
        self.shared.stop.store(true, Ordering::Relaxed);
        let records = std::mem::take(&mut self.writers)
            .into_iter()
            .map(|writer| writer.join().expect("a writer panicked"))
            .collect();
        Testimony::new(records)
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// One acknowledged transaction.
#[derive(Clone, Debug)]
struct Acknowledged {
    effect: Effect,
    server: Server,
    /// When the statement that committed was sent.
    sent: Instant,
    /// When its answer came.
    answered: Instant,
}

/// What a transaction does to the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    /// Journal entries with these ids.
    Journal(Vec<String>),
    /// A transfer with this id.
    Transfer(String),
    /// One more in this counter.
    Counter(i32),
    /// The slot's content afterwards; `None` when it is gone.
    Slot {
        writer: i32,
        number: i32,
        content: Option<String>,
    },
}
