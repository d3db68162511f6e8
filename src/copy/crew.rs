//! Threads that work side by side on one job: the first error, or a signal, ends all of them
//! promptly, because a thread inside a statement hears nothing but a cancel request.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};
use postgres::error::SqlState;

use crate::conninfo::Conninfo;
use crate::error::{Error, Result, Side};
use crate::session::{Canceller, Session};
use crate::stop::Stop;

/// How often the supervisor looks around.
const TICK: Duration = Duration::from_millis(100);

/// A cancel request that came between two statements did nothing, so it is sent again.
const CANCEL_AGAIN: Duration = Duration::from_millis(300);

/// What the threads of a job share.
pub struct Crew<'a> {
    stop: &'a Stop,
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
    cancellers: Mutex<Vec<Canceller>>,
}

impl Crew<'_> {
    /// Opens a session that is cancelled when the job ends early.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open(&self, conninfo: &Conninfo, side: Side, purpose: &str) -> Result<Session> {
        let session = Session::open(conninfo, side, purpose).map_err(fewer_jobs)?;
        lock(&self.cancellers).push(session.canceller());
        Ok(session)
    }

    /// Returns true once the job has failed or was interrupted: take no more work.
    pub fn over(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.stop.asked()
    }

    /// Fails once the job is over, for loops in the middle of a piece of work.
    ///
    /// # Errors
    /// The job is over; which error caused that is known elsewhere.
    pub fn check(&self) -> Result<()> {
        self.stop.check()?;
        if self.over() {
            return Err(Error::failed("another worker failed"));
        }
        Ok(())
    }

    /// Ends the job with an error. Only the first one counts: the others follow from it. Called while
    /// the sessions are still open, because closing one waits for what it still runs.
    pub fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
    }

    fn cancel(&self) {
        Canceller::cancel_all(lock(&self.cancellers).iter());
    }
}

/// Names the option that asks for so many connections.
fn fewer_jobs(error: Error) -> Error {
    if error.is(&SqlState::TOO_MANY_CONNECTIONS) {
        return error.mend("use fewer --jobs, or allow more connections there");
    }
    error
}

/// Runs `work` in `jobs` threads, and `tick` now and then in this one, until all threads have ended.
///
/// # Errors
/// The first error of a thread, or the interruption by a signal.
pub fn run(
    jobs: usize,
    stop: &Stop,
    work: impl Fn(&Crew<'_>, usize) -> Result<()> + Sync,
    mut tick: impl FnMut(),
) -> Result<()> {
    let crew = Crew {
        stop,
        failed: AtomicBool::new(false),
        failure: Mutex::new(None),
        cancellers: Mutex::new(Vec::new()),
    };
    std::thread::scope(|scope| {
        let (sender, ended) = bounded::<()>(0);
        for number in 1..=jobs {
            let (crew, work, sender) = (&crew, &work, sender.clone());
            let thread = std::thread::Builder::new().name(format!("copy-{number}"));
            let spawned = thread.spawn_scoped(scope, move || {
                let _ended_when_dropped = sender;
                if let Err(error) = work(crew, number) {
                    crew.fail(error);
                }
            });
            if let Err(error) = spawned {
                crew.fail(Error::failed(format!("could not start a thread: {error}")));
            }
        }
        drop(sender);
        let mut cancelled: Option<Instant> = None;
        while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if !crew.over() {
                tick();
            } else if cancelled.is_none_or(|at| at.elapsed() >= CANCEL_AGAIN) {
                crew.cancel();
                cancelled = Some(Instant::now());
            }
        }
    });
    stop.check()?;
    match lock(&crew.failure).take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Locks a mutex; a thread that panicked left nothing half-done that the others could trip over.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_ends_the_job_and_is_the_one_reported() {
        let stop = Stop::default();
        let result = run(
            3,
            &stop,
            |crew, number| {
                if number == 2 {
                    return Err(Error::failed("disk full"));
                }
                while !crew.over() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                crew.check()
            },
            || {},
        );
        assert_eq!(result.expect_err("failed").message, "disk full");
    }

    #[test]
    fn a_job_without_errors_runs_to_its_end() {
        let done = Mutex::new(0);
        let work = |_: &Crew<'_>, number| {
            *lock(&done) += number;
            Ok(())
        };
        run(4, &Stop::default(), work, || {}).expect("no error");
        assert_eq!(*lock(&done), 10);
    }
}
