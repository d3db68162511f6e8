//! The workers: sessions that have joined the snapshots, a pool of threads of their own, and a prompt
//! end for all when one fails or a signal comes.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use postgres::error::SqlState;
use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

use super::{Snapshot, sql};
use crate::catalog::{Oid, Relation};
use crate::conninfo::Conninfo;
use crate::error::{Error, Result, Side};
use crate::lock;
use crate::session::{Canceller, Session};
use crate::stop::Stop;

/// Both sides, in the order of indexes.
pub const SIDES: [Side; 2] = [Side::Source, Side::Destination];

/// How often the caller's thread looks at the flag that a signal sets.
const LOOK: Duration = Duration::from_millis(100);

/// How long a cancel request may take before it is sent again: one that arrives between two
/// statements cancels nothing.
const CANCEL_AGAIN: Duration = Duration::from_secs(1);

struct Origin {
    conninfo: Conninfo,
    snapshot: String,
    version: i32,
    idle: Mutex<Vec<Session>>,
}

/// Sessions and threads for both sides.
pub struct Crew<'a> {
    /// Sessions per side.
    pub jobs: usize,
    stop: &'a Stop,
    origins: [Origin; 2],
    pool: ThreadPool,
    cancellers: Mutex<HashMap<(usize, i32), Canceller>>,
    halted: AtomicBool,
    rewritten: Mutex<BTreeSet<Oid>>,
}

impl<'a> Crew<'a> {
    /// Makes the threads; sessions are opened when they are needed.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn new(
        source: &Snapshot<'_>,
        destination: &Snapshot<'_>,
        jobs: usize,
        stop: &'a Stop,
    ) -> Result<Crew<'a>> {
        let jobs = jobs.max(1);
        let pool = ThreadPoolBuilder::new()
            .num_threads(2 * jobs)
            .thread_name(|number| format!("verify-{number}"))
            .build()
            .map_err(|error| Error::failed(format!("could not start threads: {error}")))?;
        Ok(Crew {
            jobs,
            stop,
            origins: [origin(source), origin(destination)],
            pool,
            cancellers: Mutex::default(),
            halted: AtomicBool::new(false),
            rewritten: Mutex::default(),
        })
    }

    fn origin(&self, side: Side) -> &Origin {
        &self.origins[index(side)]
    }

    /// Returns the `server_version_num` of a side.
    pub fn version(&self, side: Side) -> i32 {
        self.origin(side).version
    }

    /// Takes an idle session that has joined the snapshot, or opens one.
    ///
    /// # Errors
    /// The server refuses another session; the snapshot is gone.
    pub fn session(&self, side: Side) -> Result<Session> {
        let origin = self.origin(side);
        if let Some(session) = locked(&origin.idle).pop() {
            return Ok(session);
        }
        let mut session = Session::open(&origin.conninfo, side, "verify")?;
        session.execute("join the snapshot", &sql::join(&origin.snapshot))?;
        locked(&self.cancellers).insert((index(side), session.pid()), session.canceller());
        Ok(session)
    }

    /// Takes a session for reading a table. On the source the table is locked, and proved to be still
    /// the one that the snapshot saw: after a TRUNCATE or a rewrite it would look empty. `None` if it is
    /// not, which is noted ([`Crew::rewritten`]): this snapshot has nothing to say about that table.
    ///
    /// # Errors
    /// Somebody holds the table for too long; as [`Crew::session`].
    pub fn session_for(&self, side: Side, table: &Relation) -> Result<Option<Session>> {
        let mut session = self.session(side)?;
        if side == Side::Source {
            let what = format!("compare table {}", table.name);
            let sql = format!("SELECT switchover.lock_unchanged({})", table.oid);
            match session.execute(&what, &sql) {
                Err(error) if error.is(&SqlState::T_R_SERIALIZATION_FAILURE) => {
                    log::debug!("{error}");
                    locked(&self.rewritten).insert(table.oid);
                    return Ok(None);
                }
                other => other?,
            }
        }
        Ok(Some(session))
    }

    /// Returns the tables, by their oids on the source, that were truncated or rewritten meanwhile.
    pub fn rewritten(&self) -> BTreeSet<Oid> {
        locked(&self.rewritten).clone()
    }

    /// Returns a session whose work has succeeded; one that failed is dropped instead. It gives its
    /// locks on tables back, which a TRUNCATE or ALTER of the application would otherwise wait for
    /// until the comparison ends, and every writer behind it.
    pub fn give_back(&self, side: Side, mut session: Session) {
        let origin = self.origin(side);
        let again = format!("ROLLBACK; {}", sql::join(&origin.snapshot));
        match session.execute("join the snapshot again", &again) {
            Ok(()) => locked(&origin.idle).push(session),
            Err(error) => log::debug!("{error}"),
        }
    }

    /// Does a piece of work with sessions of its own; again, if one of them had to give way to somebody who
    /// waits for the table. The snapshot stays.
    ///
    /// # Errors
    /// As `work`; it had to give way too often.
    pub fn patiently<R>(&self, table: &Relation, work: impl Fn() -> Result<R>) -> Result<R> {
        for _ in 1..lock::GIVE_WAY {
            match work() {
                Err(error)
                    if lock::gave_way(&error)
                        && !self.halted.load(Ordering::Relaxed)
                        && !self.stop.asked() =>
                {
                    log::info!(
                        "reading table {} gave way, and goes on: {error}",
                        table.name
                    );
                }
                other => return other,
            }
        }
        work()
    }

    /// Works off lists of tasks, `jobs` threads on each list at the same time, and hands every result
    /// to `done` on the caller's thread. At most two lists.
    ///
    /// # Errors
    /// The first error of `work`, after which nothing more is begun and all that runs is cancelled;
    /// interrupted.
    pub fn run<T: Send, R: Send>(
        &self,
        lists: Vec<Vec<T>>,
        work: impl Fn(T) -> Result<R> + Sync,
        mut done: impl FnMut(R),
    ) -> Result<()> {
        let (results, finished) = crossbeam_channel::bounded(2 * self.jobs);
        self.pool.in_place_scope(|scope| {
            for list in lists {
                self.spawn_workers(scope, list, &work, &results);
            }
            drop(results);
            self.collect(&finished, &mut done)
        })
    }

    fn spawn_workers<'scope, T: Send + 'scope, R: Send + 'scope>(
        &'scope self,
        scope: &Scope<'scope>,
        list: Vec<T>,
        work: &'scope (impl Fn(T) -> Result<R> + Sync),
        results: &Sender<Result<R>>,
    ) {
        let (add, tasks) = crossbeam_channel::bounded(list.len());
        for task in list {
            // There is room for all, and the receiver is ours.
            let _ = add.send(task);
        }
        for _ in 0..self.jobs {
            let (tasks, results) = (tasks.clone(), results.clone());
            scope.spawn(move |_| {
                for task in tasks {
                    if self.halted.load(Ordering::Relaxed) || results.send(work(task)).is_err() {
                        break;
                    }
                }
            });
        }
    }

    fn collect<R>(&self, finished: &Receiver<Result<R>>, done: &mut impl FnMut(R)) -> Result<()> {
        let mut outcome = Ok(());
        let mut cancelled: Option<Instant> = None;
        loop {
            match finished.recv_timeout(LOOK) {
                Ok(Ok(result)) => done(result),
                // Errors after the first are those of statements that we cancelled.
                Ok(Err(error)) => outcome = outcome.and(Err(error)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return outcome,
            }
            outcome = outcome.and_then(|()| self.stop.check());
            if outcome.is_err() && cancelled.is_none_or(|at| at.elapsed() >= CANCEL_AGAIN) {
                self.halt();
                cancelled = Some(Instant::now());
            }
        }
    }

    fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
        Canceller::cancel_all(locked(&self.cancellers).values());
    }
}

fn origin(snapshot: &Snapshot<'_>) -> Origin {
    Origin {
        conninfo: snapshot.session.conninfo().clone(),
        snapshot: snapshot.id.to_string(),
        version: snapshot.session.version(),
        idle: Mutex::default(),
    }
}

fn index(side: Side) -> usize {
    match side {
        Side::Source => 0,
        Side::Destination => 1,
    }
}

/// A thread that panicked while it held the lock left nothing half done: all are single calls.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
