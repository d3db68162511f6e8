//! `run`: the whole way in one go.

use super::open::{self, Both};
use super::{check, copy, init, prepare, switch, sync, verify};
use crate::capture::{self, Phase};
use crate::cli::Options;
use crate::destination;
use crate::error::{Result, Side};
use crate::stop::Stop;
use crate::switch::after;

/// check, init, copy, sync, verify and switch. Run again after a failure, it goes on where it ended.
///
/// # Errors
/// As the step that failed.
pub fn run(options: &Options, stop: &Stop) -> Result<()> {
    let phase =
        capture::read_state(&mut open::open(options, Side::Source)?)?.map(|state| state.phase);
    match phase {
        Some(Phase::Switched) => return switch::command(options, Both::open(options)?, stop),
        // What was not in the way of the copy will not be in the way of what follows it.
        Some(Phase::Copied) => {}
        _ => check::check(options)?,
    }
    let mut both = Both::open(options)?;
    after::refuse_unable(&mut both.source, options.after_switch)?;
    init::init(options, &mut both, stop)?;
    let state = both.state()?;
    let claim = destination::claim(&mut both.destination, &both.source_database.identity)?;
    let state = copy::copy(options, &mut both, state, &claim, stop)?;
    let mut prepared = prepare::prepare_claimed(options, both, state, claim, stop)?;
    copy::catch_up(options, &mut prepared, stop)?;
    sync::tell(&prepared.cycle(options, stop)?);
    if !options.unverified {
        verify::verify(options, &mut prepared, stop)?;
    }
    switch::switch(options, &mut prepared, stop)
}
