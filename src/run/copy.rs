//! `copy`: every table, then a first cycle, which makes the whole one snapshot of the source, and then
//! what needs that: foreign keys and materialized views of a schema that was created here.

use super::counted;
use super::open::{self, Both, Prepared};
use super::sync;
use crate::capture::{self, Phase, State};
use crate::cli::Options;
use crate::copy::{self, Parameters, SchemaOptions};
use crate::destination::{self, Claim};
use crate::error::{Error, Result};
use crate::follow::Followed;
use crate::stop::Stop;

/// Copies what is not copied yet.
///
/// # Errors
/// As [`copy::copy`]; run again, it goes on with the tables that are not finished.
pub fn command(options: &Options, mut both: Both, stop: &Stop) -> Result<()> {
    let state = both.state()?;
    let claim = destination::claim(&mut both.destination, &both.source_database.identity)?;
    let state = copy(options, &mut both, state, &claim, stop)?;
    // The claim is older than what the copy has noted on the destination, but its run still holds.
    let mut prepared = open::prepare_claimed(options, both, state, claim, stop)?;
    catch_up(options, &mut prepared, stop)
}

/// Copies the tables, and notes the phase.
///
/// # Errors
/// As [`copy::copy`]; the switch is done; something has drifted since `init`.
pub fn copy(
    options: &Options,
    both: &mut Both,
    state: State,
    claim: &Claim,
    stop: &Stop,
) -> Result<State> {
    match state.phase {
        Phase::Capturing | Phase::Copied => {}
        Phase::Idle | Phase::Switched => open::refuse_unready(&state)?,
    }
    if claim.schema_finished {
        both.bring(&state.selection, claim, stop)?;
    }
    let Followed {
        catalog, capture, ..
    } = both.follow(options, &state.selection, stop)?;
    capture.refuse_drift(&catalog)?;
    let create_schema = options.create_schema.then(|| SchemaOptions {
        pg_bindir: options.pg_bindir.clone(),
        no_owner: options.no_owner,
        no_privileges: options.no_privileges,
    });
    let parameters = Parameters {
        catalog: &catalog,
        claim,
        jobs: options.jobs,
        truncate: options.truncate,
        create_schema,
        progress: options.progress,
        quiet: options.quiet,
    };
    let report = copy::copy(&mut both.source, &mut both.destination, &parameters, stop)?;
    tell(&report);
    if state.phase == Phase::Capturing {
        capture::set_phase(&mut both.source, Phase::Copied)?;
        return both.state();
    }
    Ok(state)
}

fn tell(report: &copy::Report) {
    if report.tables == 0 {
        log::info!(
            "all {} are copied already",
            counted(report.skipped, "table")
        );
        return;
    }
    log::info!(
        "copied {}: {}, {:.1} MB in {:.1} s{}",
        counted(report.tables, "table"),
        counted(usize::try_from(report.rows).unwrap_or(usize::MAX), "row"),
        report.bytes as f64 / 1e6,
        report.seconds,
        match report.skipped {
            0 => String::new(),
            skipped => format!(" ({} copied before)", counted(skipped, "table")),
        }
    );
}

/// Runs a cycle and makes what had to wait for one.
///
/// # Errors
/// As a cycle fails, or as [`complete`].
pub fn catch_up(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    sync::tell(&prepared.cycle(options, stop)?);
    complete(options, prepared, stop)
}

/// Makes what `copy --create-schema` had to leave for later. A cycle has just been applied.
///
/// # Errors
/// Something could not be made; the first few, by name.
pub fn complete(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    let applier = &mut prepared.cycles.applier;
    let run = applier.run_token().to_string();
    if copy::pending(applier.session())? == 0 {
        return Ok(());
    }
    let completed = copy::complete(applier.session(), &run, options.jobs, stop)?;
    if completed.problems.is_empty() {
        return Ok(());
    }
    let shown: Vec<&str> = completed
        .problems
        .iter()
        .take(3)
        .map(String::as_str)
        .collect();
    Err(Error::failed(format!(
        "{} of the schema could not be made on the destination: {}",
        counted(completed.problems.len(), "object"),
        shown.join(", ")
    ))
    .mend("mend the reason, then run sync"))
}
