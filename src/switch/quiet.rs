//! A moment without old writing transactions, waited for before the lock is asked for: a lock that
//! would have to wait for one holds every other writer up meanwhile, this wait holds up nobody.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::lock::{self, Blocker};
use crate::session::Session;
use crate::stop::Stop;

/// Transactions younger than this (ms) will have ended soon enough.
const OLD_MS: f64 = 50.0;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until no transaction that has written is old, at most `longest`. Returns those that
/// have been open for longer than that; with `terminate`, they are ended. Sessions of other roles show their age only to superusers and
/// members of pg_read_all_stats; those that do not are left for the lock to meet.
///
/// # Errors
/// As the server says.
pub fn wait(
    observer: &mut Session,
    longest: Duration,
    terminate: bool,
    stop: &Stop,
) -> Result<Vec<Blocker>> {
    let started = Instant::now();
    let mut ended = false;
    while !older_than(observer, OLD_MS)?.is_empty() && started.elapsed() < longest && !stop.asked()
    {
        if terminate && !ended && started.elapsed() >= longest / 2 {
            let old = older_than(observer, longest.as_secs_f64() * 1000.0)?;
            lock::end(observer, &old);
            ended = true;
        }
        stop.sleep(PAUSE);
    }
    // Where transactions of some length come and go all the time there is no such moment; the lock is
    // worth a try unless one has been open for longer than the lock would be waited for.
    older_than(observer, longest.as_secs_f64() * 1000.0)
}

fn older_than(observer: &mut Session, ms: f64) -> Result<Vec<Blocker>> {
    let rows = observer.query(
        "look for old writers",
        include_str!("old_writers.sql"),
        &[&ms],
    )?;
    Ok(rows.iter().map(Blocker::from_row).collect())
}
