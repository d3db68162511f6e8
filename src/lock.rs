//! Locks that live writers hold too: waited for a bounded time, tried again after a pause in which the
//! writers pass, and whoever stands in the way is named.

mod courtesy;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

pub use courtesy::{GIVE_WAY, GivingWay, after_giving_way, gave_way, give_way, times};
use postgres::error::SqlState;

use crate::error::{Class, Error, Result, Side};
use crate::ident::literal;
use crate::session::Session;
use crate::stop::Stop;

const BLOCKERS: &str = include_str!("lock/blockers.sql");

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The first version that grants SET on a parameter.
const PARAMETER_PRIVILEGES: i32 = 150_000;

/// How long, and how often, a lock is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The longest that any writer may be held up: a writer that queues behind our request waits as
    /// long as we do, and then for what we do with the lock.
    pub timeout: Duration,
    /// Attempts before giving up.
    pub attempts: u32,
}

impl Patience {
    /// Returns how long to wait for the lock, so that waiting and a short statement under it stay
    /// within the time-out together.
    pub fn waiting_ms(self) -> u128 {
        (self.timeout - self.reserve()).as_millis().max(1)
    }

    /// What is left for the statements under the lock, and for its end.
    fn reserve(self) -> Duration {
        (self.timeout / 2).min(Duration::from_millis(100))
    }
}

/// A session, or a prepared transaction, that holds a lock we want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    /// The backend; 0 for a prepared transaction.
    pub pid: i32,
    /// The role.
    pub user: String,
    /// The application, or the prepared transaction's name.
    pub application: String,
    /// `active`, `idle in transaction`, `prepared`, …
    pub state: String,
    /// Seconds since its transaction began.
    pub age_seconds: i64,
    /// The start of its current or last statement.
    pub query: String,
}

impl Blocker {
    /// Reads a row of six columns in the order of the fields.
    pub fn from_row(row: &postgres::Row) -> Blocker {
        Blocker {
            pid: row.get(0),
            user: row.get(1),
            application: row.get(2),
            state: row.get(3),
            age_seconds: row.get(4),
            query: row.get(5),
        }
    }
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pid == 0 {
            return write!(
                f,
                "prepared transaction '{}' (user {}, {} s)",
                self.application, self.user, self.age_seconds
            );
        }
        write!(
            f,
            "pid {} (user {}, {}, {} s: {})",
            self.pid, self.user, self.state, self.age_seconds, self.query
        )
    }
}

/// Names blockers in one line.
pub fn describe(blockers: &[Blocker]) -> String {
    match blockers {
        [] => "somebody who was gone before we could see".to_string(),
        some => some
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Asks who keeps this backend waiting.
fn blockers(observer: &mut Session, pid: i32) -> Result<Vec<Blocker>> {
    let rows = observer.query("see who holds the lock", BLOCKERS, &[&pid])?;
    Ok(rows.iter().map(Blocker::from_row).collect())
}

/// A thread beside a wait for a lock. Dropped, it ends by itself, and only the end of its scope waits for it.
pub struct Observation<'scope> {
    waiting: mpsc::Sender<()>,
    over: Arc<AtomicBool>,
    watcher: ScopedJoinHandle<'scope, Vec<Blocker>>,
}

impl Observation<'_> {
    /// The wait is over. The thread goes on: its end would take a processor from what comes now.
    pub fn over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Returns whom it has seen; the wait is over.
    pub fn blockers(self) -> Vec<Blocker> {
        drop(self.waiting);
        self.watcher.join().unwrap_or_default()
    }
}

/// Observes how this backend waits for locks; if it is not there at half of the time-out, a look through
/// `observer` tells who is in its way, and ends them if asked to. The observer's round trips run beside the
/// wait, never in it.
pub fn observe<'scope>(
    scope: &'scope Scope<'scope, '_>,
    pid: i32,
    observer: &'scope mut Session,
    timeout: Duration,
    terminate: bool,
) -> Observation<'scope> {
    let (waiting, ends) = mpsc::channel::<()>();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let watcher = scope.spawn(move || {
        let ended = ends.recv_timeout(timeout / 2) != Err(mpsc::RecvTimeoutError::Timeout);
        if ended || is_over.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let seen = blockers(observer, pid).unwrap_or_else(|error| {
            log::debug!("{error}");
            Vec::new()
        });
        // Nobody is ended who was in the way a moment ago.
        let waits = ends.try_recv() == Err(mpsc::TryRecvError::Empty);
        if terminate && waits && !is_over.load(Ordering::Relaxed) {
            end(observer, &seen);
        }
        seen
    });
    Observation {
        waiting,
        over,
        watcher,
    }
}

/// Ends the sessions of blockers; prepared transactions have none.
pub fn end(observer: &mut Session, blockers: &[Blocker]) {
    for blocker in blockers.iter().filter(|blocker| blocker.pid != 0) {
        log::warn!("ending {blocker}");
        let sql = "SELECT pg_catalog.pg_terminate_backend($1)";
        if let Err(error) = observer.query("end a session", sql, &[&blocker.pid]) {
            let barred = error.is(&SqlState::INSUFFICIENT_PRIVILEGE);
            let mend = "GRANT pg_signal_backend TO our role, or end it as a superuser";
            log::warn!("{}", if barred { error.mend(mend) } else { error });
        }
    }
}

/// Returns true if an attempt failed because others were in the way, so that another one may succeed.
pub fn may_try_again(error: &Error) -> bool {
    [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::T_R_SERIALIZATION_FAILURE,
    ]
    .iter()
    .any(|state| error.is(state))
}

/// The locks that a transaction begins with.
#[derive(Debug, Clone)]
pub struct Locks {
    /// Quoted names of relations, in the order in which they are locked.
    pub relations: Vec<String>,
    /// For example `SHARE ROW EXCLUSIVE`.
    pub mode: &'static str,
    /// The partitions, at every level, of those that are partitioned as well.
    pub partitions: bool,
}

/// Runs one transaction that needs a lock of writers, as often as patience allows: `locks` first, then
/// `sql`. Waiting for all the locks and what is done with them is one statement to the server, so that one
/// time-out bounds what writers feel, however many locks pile up meanwhile.
///
/// # Errors
/// Class [`Class::LockNotObtained`] with the blockers' names when the attempts are used up.
pub fn transaction(
    session: &mut Session,
    observer: &mut Session,
    patience: Patience,
    stop: &Stop,
    what: &str,
    (locks, sql): (Option<&Locks>, &str),
) -> Result<()> {
    let message = message(session.version(), patience, locks, sql);
    let mut pause = Duration::from_millis(100);
    let mut attempt = 1;
    let mut seen = Vec::new();
    loop {
        stop.check()?;
        let (result, now) = std::thread::scope(|scope| {
            let observation = observe(scope, session.pid(), observer, patience.timeout, false);
            let result = session.transaction(what, &message);
            (result, observation.blockers())
        });
        // On a busy machine the look may come too late; whoever was seen before is the likeliest.
        if !now.is_empty() {
            seen = now;
        }
        let error = match result {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !may_try_again(&error) {
            return Err(error);
        }
        if attempt >= patience.attempts {
            return Err(gave_up(what, session.side(), patience, &seen));
        }
        log::info!(
            "could not {what} yet: held up by {}; trying again",
            describe(&seen)
        );
        attempt += 1;
        stop.sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// As [`transaction`], once. Returns false if others are in the way; who they are is for whoever tries again.
///
/// # Errors
/// As the server says.
pub fn transaction_at_once(
    session: &mut Session,
    patience: Patience,
    what: &str,
    (locks, sql): (Option<&Locks>, &str),
) -> Result<bool> {
    let message = message(session.version(), patience, locks, sql);
    match session.transaction(what, &message) {
        Ok(()) => Ok(true),
        Err(error) if may_try_again(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The first lock is waited for while nothing is held. While we wait for a further one, whoever has it may
/// come to wait for us; the server ends the one who has waited for `deadlock_timeout` first. That shall be us:
/// so all further waits together take half of that at most, and where the role may, ours is lower than others'.
/// Autovacuum, too, gives way only to those who have waited for `deadlock_timeout`.
///
/// Event triggers of the application run in our session, and may read its views, which sessions may not in
/// which we read tables.
fn message(version: i32, patience: Patience, locks: Option<&Locks>, sql: &str) -> String {
    let may_set = match version >= PARAMETER_PRIVILEGES {
        true => "pg_catalog.has_parameter_privilege('deadlock_timeout', 'SET')",
        false => "pg_catalog.current_setting('is_superuser') = 'on'",
    };
    let none = Locks {
        relations: Vec::new(),
        mode: "ACCESS SHARE",
        partitions: false,
    };
    let locks = locks.unwrap_or(&none);
    let waiting = patience.waiting_ms();
    let all = (patience.timeout - patience.reserve() / 4).as_millis();
    let steps = include_str!("lock/steps.sql")
        .replace("{names}", &literal_array(&locks.relations))
        .replace("{partitions}", &locks.partitions.to_string())
        .replace("{mode}", locks.mode)
        .replace("{deadlock_timeout}", &(waiting / 4).max(1).to_string())
        .replace("{may_set}", may_set)
        .replace("{sql}", &literal(sql));
    format!(
        "BEGIN; SET LOCAL lock_timeout = {waiting}; SET LOCAL statement_timeout = {};
         SELECT pg_catalog.set_config('restrict_nonsystem_relation_kind', '', true)
          WHERE pg_catalog.current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL;
         DO {};
         COMMIT;",
        all.max(1),
        literal(&steps)
    )
}

/// Drops schema `switchover` with all that is in it; nobody who still reads it is waited for with some of it
/// locked.
///
/// # Errors
/// As [`transaction`].
pub fn drop_schema(
    session: &mut Session,
    observer: &mut Session,
    patience: Patience,
    stop: &Stop,
) -> Result<()> {
    let sql = "SELECT c.oid::pg_catalog.regclass::text FROM pg_catalog.pg_class c
                WHERE c.relnamespace = pg_catalog.to_regnamespace('switchover') AND c.relkind IN ('r', 'v')
                ORDER BY c.relname";
    let rows = session.query("list what is in schema switchover", sql, &[])?;
    let locks = Locks {
        relations: rows.iter().map(|row| row.get(0)).collect(),
        mode: "ACCESS EXCLUSIVE",
        partitions: false,
    };
    let sql = "SET LOCAL client_min_messages = warning; DROP SCHEMA IF EXISTS switchover CASCADE;";
    let what = "drop schema switchover";
    let work = (Some(&locks), sql);
    transaction(session, observer, patience, stop, what, work)
}

fn literal_array(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
    format!("ARRAY[{}]::pg_catalog.text[]", texts.join(", "))
}

/// Makes the error for a lock that was not obtained.
pub fn gave_up(what: &str, side: Side, patience: Patience, seen: &[Blocker]) -> Error {
    Error::new(
        Class::LockNotObtained,
        format!(
            "could not {what} on the {side}: no lock within {} ms in {} attempts, held by {}",
            patience.timeout.as_millis(),
            patience.attempts,
            describe(seen)
        ),
    )
    .mend(if seen.iter().any(|blocker| blocker.pid == 0) {
        "a prepared transaction: COMMIT PREPARED or ROLLBACK PREPARED ends it, and nothing else does"
    } else {
        "end these transactions, or raise --lock-timeout or --lock-attempts"
    })
}
