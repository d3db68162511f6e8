//! `switch`: cycles until the two databases are close, then the window; as often as patience allows.

pub mod after;
mod decide;
mod quiet;
mod settle;
mod window;

use std::time::Duration;

use decide::{Decision, decide};
pub use settle::{Outcome, flipped, mend_fence, settle, wait_for_the_source};
use window::Attempt;
pub use window::Window;

use crate::catalog::{Selection, UserTypes};
use crate::cycle::{Cycles, Report};
use crate::error::{Class, Error, Result, Side};
use crate::follow;
use crate::ident::literal;
use crate::lock::{self, Patience};
use crate::session::{Session, text};
use crate::stop::Stop;

/// How often an attempt looks whether the schema has come to rest.
const LOOKS: usize = 5;

/// How `switch` goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// How long and how often the lock is asked for.
    pub patience: Patience,
    /// Pause before another attempt, in which writers pass.
    pub interval: Duration,
    /// End the sessions that hold the lock.
    pub terminate_blockers: bool,
}

/// Flips the pointer. `known` are the source's types as they were when the destination was compared with
/// it. `Ok(None)` if the flip was found to have happened although its answer was lost.
///
/// # Errors
/// Class lock-not-obtained when patience is used up, outcome-unknown if the source cannot be asked
/// whether the flip has committed, else failed. In all but the second the source is in charge.
pub fn switch(
    cycles: &mut Cycles,
    observer: &mut Session,
    setup: Setup,
    (selection, mut known): (&Selection, UserTypes),
    stop: &Stop,
) -> Result<Option<Window>> {
    let Patience { timeout, attempts } = setup.patience;
    let mut last = String::new();
    let mut blockers = Vec::new();
    cycles.warm_up()?;
    cycles.reader.leave_sequences();
    for attempt in 1..=attempts {
        stop.check()?;
        let old = quiet::wait(observer, timeout, setup.terminate_blockers, stop)?;
        if !old.is_empty() {
            last = "old transactions that have written are still open".to_string();
            log::info!(
                "attempt {attempt} of {attempts}: {last}: {}",
                lock::describe(&old)
            );
            blockers = old;
            stop.sleep(setup.interval);
            continue;
        }
        let look = follow::Setup {
            selection,
            patience: setup.patience,
            stop,
        };
        let Some(seen) = look_until_calm(cycles, look, &mut known)? else {
            last = "the schema on the source is being changed over and over".to_string();
            log::info!("attempt {attempt} of {attempts}: {last}");
            stop.sleep(setup.interval);
            continue;
        };
        let report = match close_in(cycles, stop) {
            Err(error) if follow::is_drift(&error) => {
                last = error.to_string();
                log::info!("attempt {attempt} of {attempts}: {last}");
                continue;
            }
            Err(error) => {
                let (source, destination) = cycles.sessions();
                return Err(follow::name_missing(error, source, destination));
            }
            Ok(report) => report,
        };
        if let Decision::Wait(why) = decide(&report, cycles.max_pending(), timeout) {
            log::info!("not close enough yet: {why}");
            last = why;
            // The next cycle only has what was written during this one: no pause.
            continue;
        }
        stop.check()?;
        let terminate = setup.terminate_blockers;
        let attempted = match window::attempt(cycles, observer, timeout, terminate, &seen) {
            Err(error) if follow::is_drift(&error) => {
                Attempt::NotYet(error.to_string(), Vec::new())
            }
            Err(error) => {
                // Else the next command does.
                if let Err(error) = cycles.shut(stop) {
                    log::debug!("{error}");
                }
                return Err(error);
            }
            Ok(attempted) => attempted,
        };
        match attempted {
            Attempt::Flipped(window) => return Ok(Some(window)),
            Attempt::Unknown(error) => {
                log::warn!("{error}; looking whether the flip has committed");
                return match settle(observer, cycles.reader.pid(), &error, setup.patience)? {
                    Outcome::Flipped => Ok(None),
                    Outcome::NotFlipped => Err(error),
                };
            }
            Attempt::NotYet(why, seen) => {
                let held = match seen.as_slice() {
                    [] => String::new(),
                    some => format!(", held by {}", lock::describe(some)),
                };
                log::info!("attempt {attempt} of {attempts}: {why}{held}");
                last = why;
                blockers = seen;
                // At once: nobody knows when, or whether, there is another cycle.
                cycles.shut(stop)?;
            }
        }
        stop.sleep(setup.interval);
    }
    stop.check()?;
    if blockers.is_empty() {
        let message = format!("could not switch in {attempts} attempts: {last}");
        return Err(Error::new(Class::LockNotObtained, message)
            .mend("try again when less is written, or raise --lock-timeout or --max-pending"));
    }
    Err(lock::gave_up(
        "stop the writers",
        Side::Source,
        setup.patience,
        &blockers,
    ))
}

/// Runs cycles for as long as each has clearly less to carry over than the one before: what the last
/// one leaves is what the window has to carry, and it comes right before it.
fn close_in(cycles: &mut Cycles, stop: &Stop) -> Result<Report> {
    /// So few changes are not worth another cycle.
    const FEW: u64 = 50;
    let mut report = cycles.run(stop)?;
    while report.entries > FEW && !stop.asked() {
        let next = cycles.run(stop)?;
        let shrinking = next.entries < report.entries * 3 / 4;
        report = next;
        if !shrinking {
            break;
        }
    }
    Ok(report)
}

/// Looks once more at the schema: a trigger that somebody has disabled since the last look would lose
/// changes without a trace. Returns the call that makes the window fail if anything has changed since; `None` if
/// something new has come as often as it looked.
///
/// # Errors
/// Something has drifted, and cannot be followed.
fn look_until_calm(
    cycles: &mut Cycles,
    setup: follow::Setup<'_>,
    known: &mut UserTypes,
) -> Result<Option<String>> {
    for _ in 0..LOOKS {
        setup.stop.check()?;
        let sql = "SELECT seen, present, triggers FROM switchover.look()";
        let rows = cycles.reader.session().simple("take a snapshot", sql)?;
        let Some(before) = rows.first() else {
            return Err(Error::failed("the source did not answer a snapshot"));
        };
        let look = follow::look_again(cycles, setup, None, known)?;
        look.drift?;
        if let Some((source, there)) = look.catalogs {
            let run = cycles.applier.run_token().to_string();
            let session = cycles.applier.session();
            // `verify` has compared what cannot be guarded; a partition that came since is among its root's.
            follow::guard(session, (&source, &there), &run, setup.patience, setup.stop)?;
            // What we have done ourselves is younger than the snapshot: once more.
            *known = source.types;
            continue;
        }
        let refuse_newer = format!(
            "switchover.refuse_newer({}, {}, {}, {})",
            literal(text(before, 0)),
            setup.selection.takes_all(),
            text(before, 1),
            text(before, 2)
        );
        // What it may find already is found again under the lock, and costs that attempt: attempts are bounded.
        let timeout = setup.patience.timeout;
        let first = window::rehearse(cycles, timeout, &refuse_newer);
        return match first {
            Err(error) if !follow::is_drift(&error) && !lock::may_try_again(&error) => Err(error),
            _ => Ok(Some(refuse_newer)),
        };
    }
    Ok(None)
}
