//! Writers that go on through a switchover and testify afterwards.
//!
//! Each writer is a thread with one connection. It writes down what was acknowledged, by which server and
//! when; what was refused; and what it cannot know because the answer was lost. It goes to the destination, as an
//! application would, when it learns of it ([`Learns`]). Serialization failures and deadlocks are tried
//! again, and so are lost connections. Everything else that a server says is unexpected, and part of the testimony.
//!
//! Beside them, a [`Watch`] reads the destination, and notes what each of its snapshots shows.

mod script;
mod testimony;
mod watch;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use testimony::Testimony;
pub use watch::{Seen, Watch};

use super::wait_for;

/// Creates the tables that the writers use, in schema `workload`.
pub const SCHEMA: &str = include_str!("workload.sql");

/// The writers' tables go on changing on the destination; and so do their sequences.
pub const WRITTEN: &[&str] = &[
    "workload.account",
    "workload.transfer",
    "workload.journal",
    "workload.journal_entry_seq",
    "workload.counter",
    "workload.slot",
];

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

/// How a writer finds the new database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learns {
    /// A refusal with SQLSTATE 25006 sends it there.
    ByRefusal,
    /// It asks `switchover.use_next_db()` at the beginning of each transaction, and writes where that says.
    ByAsking,
    /// Never: it goes on writing to the source, for ever.
    Never,
}

impl Learns {
    /// All of them.
    pub const ALL: [Learns; 3] = [Learns::ByRefusal, Learns::ByAsking, Learns::Never];
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
        let writers: Vec<_> = kinds
            .iter()
            .map(|kind| (*kind, Learns::ByRefusal))
            .collect();
        Workload::start_learning(source_uri, destination_uri, &writers, pause)
    }

    /// Like [`Workload::start_paced`], with a way to learn for each writer.
    pub fn start_learning(
        source_uri: &str,
        destination_uri: &str,
        writers: &[(Kind, Learns)],
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
        let writers = writers
            .iter()
            .enumerate()
            .map(|(number, (kind, learns))| {
                writer::start(Arc::clone(&shared), number, *kind, *learns)
            })
            .collect();
        Workload { shared, writers }
    }

    /// How many transactions have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// How many writers the source has refused, or has told to go. All but those that never learn are at the
    /// destination then.
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

    /// Waits until every writer has gone to the destination, or has been refused if it never learns.
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
    ///
    /// # Panics
    /// When a writer waits for more than a minute: something holds it up.
    pub fn stop(mut self) -> Testimony {
        self.shared.stop.store(true, Ordering::Relaxed);
        wait_for("the ends of all writers", Duration::from_secs(60), || {
            self.writers.iter().all(JoinHandle::is_finished)
        });
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

/// One whose commit was sent, and the answer lost.
#[derive(Clone, Debug)]
struct Unknown {
    effect: Effect,
    server: Server,
    sent: Instant,
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

impl Effect {
    /// The ids that it puts into a table.
    fn ids(&self, table: &str) -> Vec<&str> {
        match (self, table) {
            (Effect::Journal(ids), "journal") => ids.iter().map(String::as_str).collect(),
            (Effect::Transfer(id), "transfer") => vec![id],
            _ => Vec::new(),
        }
    }
}
