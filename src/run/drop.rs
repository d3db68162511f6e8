//! `drop`: removes everything that `init` installed, on both sides.

use super::copy;
use super::open::{Both, patience};
use crate::capture::{self, Phase};
use crate::cli::Options;
use crate::destination;
use crate::error::Result;
use crate::stop::Stop;
use crate::switch::after;

/// Removes the capture from the source and the bookkeeping from the destination. After the switch the
/// source keeps what refuses writers, unless `--force`.
///
/// # Errors
/// A table's lock was not obtained in time; run it again to remove what is left.
pub fn drop(options: &Options, both: &mut Both, stop: &Stop) -> Result<()> {
    let state = capture::read_state(&mut both.source)?;
    let switched = state
        .as_ref()
        .is_some_and(|state| state.phase == Phase::Switched);
    if state.is_some() {
        // Not another switchover's bookkeeping.
        both.state()?;
    }
    destination::refuse_foreign(&mut both.destination, &both.source_database.identity)?;
    if switched && !options.force {
        remove_there(options, both, false, stop)?;
        log::info!(
            "the destination is clean; the source keeps refusing writes (drop --force ends that)"
        );
        return Ok(());
    }
    if switched {
        after::undo(&mut both.source)?;
    }
    if state.is_some() && !switched {
        // A sync that comes between two tables must not believe that all are captured.
        capture::set_phase(&mut both.source, Phase::Idle)?;
    }
    let mut observer = both.source.another("observer")?;
    capture::remove(&mut both.source, &mut observer, patience(options), stop)?;
    remove_there(options, both, !switched, stop)?;
    log::info!("nothing of pg_switchover is left on either side");
    Ok(())
}

/// Foreign keys that are away come back first; on a destination that is in charge they are there, and
/// what is left is to check their rows.
fn remove_there(options: &Options, both: &mut Both, add: bool, stop: &Stop) -> Result<()> {
    let identity = &both.source_database.identity;
    if destination::installed(&mut both.destination)? {
        let claim = destination::claim(&mut both.destination, identity)?;
        copy::bring_back(options, &mut both.destination, &claim, add, stop)?;
    }
    destination::remove(&mut both.destination, identity, patience(options), stop)
}
