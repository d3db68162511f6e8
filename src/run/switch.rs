//! `switch`: the final sync under the stop-the-world lock, and the flip.

use super::open::{Both, patience};
use super::prepare::{self, Prepared};
use super::sync::ms;
use super::{copy, counted, objects, open, verify};
use crate::capture::{Phase, State};
use crate::cli::Options;
use crate::destination;
use crate::error::{Class, Error, Result};
use crate::session::Session;
use crate::stop::Stop;
use crate::switch::{self, Setup, Window, after};

/// Says that it is done where it is, else switches.
///
/// # Errors
/// No verify has passed since the copy; what [`switch::switch`] says.
pub fn command(options: &Options, mut both: Both, stop: &Stop) -> Result<()> {
    let state = both.state()?;
    if state.phase == Phase::Switched {
        log::info!(
            "the switch was done at {}: the destination is in charge",
            state.switched_at.as_deref().unwrap_or("an unknown time")
        );
        after::act(&both.source, options.after_switch, stop);
        if destination::installed(&mut both.destination)? {
            let identity = &both.source_database.identity;
            let claim = destination::claim(&mut both.destination, identity)?;
            // Nobody is to be let in there: what it lacks is on the source alone.
            claim.refuse_set_back(state.counts).map_err(|error| {
                error.mend("bring over by hand what applications have written there since; drop --force lets the source take writes again, which has all until then")
            })?;
            note_flip(&mut both.destination, &claim.run);
            copy::check_foreign_keys(options, &mut both.destination, &claim.run, stop);
        }
        return Ok(());
    }
    after::refuse_unable(&mut both.source, options.after_switch)?;
    refuse_unverified(options, &state)?;
    let mut prepared = prepare::prepare(options, both, state, stop)?;
    switch(options, &mut prepared, stop)
}

fn refuse_unverified(options: &Options, state: &State) -> Result<()> {
    if options.unverified || state.phase != Phase::Copied || state.verified_at.is_some() {
        return Ok(());
    }
    Err(Error::failed("no verify has passed since the copy")
        .mend("run pg_switchover verify first, or switch --unverified"))
}

/// Switches, and says how long the window was. A run that stood still for so long that another one
/// could take its place and switch finds its work done.
///
/// # Errors
/// As [`switch::switch`].
pub fn switch(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    // For looking while the others wait.
    let mut observer = prepared.cycles.reader.session().another("observer")?;
    let result = close_and_switch(options, prepared, &mut observer, stop);
    let flipped = |observer: &Session| switch::flipped(&mut observer.another("settle")?);
    match result {
        Err(error)
            if error.class != Class::OutcomeUnknown && flipped(&observer).unwrap_or(false) =>
        {
            log::warn!("{error}");
            log::info!(
                "the destination is in charge: another run has switched to {}",
                prepared.state.destination_name
            );
            after::act(&observer, options.after_switch, stop);
            Ok(())
        }
        other => other,
    }
}

fn close_and_switch(
    options: &Options,
    prepared: &mut Prepared,
    observer: &mut Session,
    stop: &Stop,
) -> Result<()> {
    let selection = &prepared.state.selection;
    open::refuse_large_objects(prepared.cycles.reader.session(), selection)?;
    objects::warn(prepared, observer)?;
    // What can only be made behind a cycle must be there before applications come.
    prepared.cycle(options, stop)?;
    copy::complete(options, prepared, stop)?;
    verify::verify_unguarded(options, prepared, stop)?;
    prepared.cycles.applier.rehearse()?;
    objects::refresh_views(prepared, observer, stop)?;
    let setup = Setup {
        patience: patience(options),
        interval: options.interval,
        terminate_blockers: options.terminate_blockers,
    };
    let Prepared {
        cycles,
        state,
        source_catalog,
        ..
    } = prepared;
    let known = (&state.selection, source_catalog.types.clone());
    let switched = switch::switch(cycles, observer, setup, known, stop);
    if let Err(error) = &switched
        && error.connection_lost
    {
        switch::wait_for_the_source(observer, setup.patience, stop);
    }
    let window = switched?;
    match window {
        Some(window) => tell(&window),
        None => log::info!("the flip has committed, though its answer was lost"),
    }
    log::info!(
        "the destination is in charge: {}",
        prepared.state.destination_name
    );
    // First of all, for until then each transaction that comes to the destination has to leave a note.
    let applier = &mut prepared.cycles.applier;
    let run = applier.run_token().to_string();
    note_flip(applier.session(), &run);
    after::act(observer, options.after_switch, stop);
    if window.is_some() {
        let last = prepared.cycles.applier.last_cycle();
        prepared.cycles.reader.clear_log(last);
    }
    let applier = &mut prepared.cycles.applier;
    copy::check_foreign_keys(options, applier.session(), &run, stop);
    Ok(())
}

/// The switch is done whatever this comes to, so that it only warns: writers are let in as it is.
fn note_flip(destination: &mut Session, run: &str) {
    if let Err(error) = destination::note_flip(destination, run) {
        log::warn!("{error}; run switch again for that");
    }
}

fn tell(window: &Window) {
    log::info!(
        "window {}: lock {}, read {}, apply {}, flip {} ({} carried over in it)",
        ms(window.total),
        ms(window.lock),
        ms(window.read),
        ms(window.apply),
        ms(window.flip),
        counted(window.applied.rows as usize, "row"),
    );
}
