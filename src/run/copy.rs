//! `copy`: every table, then a first cycle, which makes the whole one snapshot of the source, and then
//! what needs that: foreign keys and materialized views of a schema that was created here.

use super::counted;
use super::open::{self, Both};
use super::prepare::{self, Prepared};
use super::sync;
use crate::capture::{self, Phase, State};
use crate::cli::Options;
use crate::copy::{self, Completed, Kind, Parameters, SchemaOptions, Wanted};
use crate::destination::{self, Claim, Way};
use crate::error::{Error, Result};
use crate::follow::Followed;
use crate::session::Session;
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
    let mut prepared = prepare::prepare_claimed(options, both, state, claim, stop)?;
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
        Phase::Capturing => prepare::refuse_other_version(&state)?,
        Phase::Copied | Phase::Idle | Phase::Switched => prepare::refuse_unready(&state)?,
    }
    prepare::refuse_unfit(&state, claim)?;
    destination::refuse_written(&both.close(options, claim, stop)?)?;
    let seen = match claim.schema_finished {
        true => prepare::bring(
            (&mut both.source, &mut both.destination),
            &state.selection,
            claim,
            stop,
        )?,
        false => None,
    };
    let Followed {
        mut catalog,
        capture,
        ..
    } = both.follow(options, &state.selection, seen, stop)?;
    capture.refuse_drift(&catalog)?;
    catalog.read_sizes(&mut both.source)?;
    let create_schema = options.create_schema.then(|| SchemaOptions {
        pg_bindir: options.pg_bindir.clone(),
        no_owner: options.no_owner,
        no_privileges: options.no_privileges,
    });
    let parameters = Parameters {
        catalog: &catalog,
        claim,
        jobs: options.jobs,
        patience: open::patience(options),
        truncate: options.truncate,
        create_schema,
        progress: options.progress,
        quiet: options.quiet,
    };
    let report = copy::copy(&mut both.source, &mut both.destination, &parameters, stop)?;
    tell(&report);
    if state.phase == Phase::Capturing {
        let counts = destination::counts(&mut both.destination)?;
        capture::set_copied(&mut both.source, counts.copies)?;
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

/// Makes what `copy --create-schema` had to leave for later. A cycle has just been applied. Foreign
/// keys that would act on the rows of the next one wait for the switch.
///
/// # Errors
/// Something could not be made; the first few, by name.
pub fn complete(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    let applier = &mut prepared.cycles.applier;
    let run = applier.run_token().to_string();
    let wanted = Wanted {
        kind: match applier.way() {
            Way::Replica => Kind::Everything,
            Way::Owner => Kind::Views,
        },
        add: true,
        jobs: options.jobs,
        lock_timeout: options.lock_timeout,
    };
    let completed = copy::complete(applier.session(), &run, wanted, stop)?;
    match problems(&completed) {
        None => Ok(()),
        Some(problems) => Err(Error::failed(format!(
            "{problems} could not be made on the destination: {}",
            shown(&completed)
        ))
        .mend("mend the reason, then run sync")),
    }
}

/// Checks the rows of the foreign keys that the final cycle has made, beside the applications. The
/// switch is done whatever this comes to, so that it only warns.
pub fn check_foreign_keys(options: &Options, session: &mut Session, run: &str, stop: &Stop) {
    let wanted = Wanted {
        kind: Kind::ForeignKeys,
        add: false,
        jobs: options.jobs,
        lock_timeout: options.lock_timeout,
    };
    match copy::complete(session, run, wanted, stop) {
        Err(error) => log::warn!(
            "the rows of foreign keys are not all checked: {error}; run switch again for the rest"
        ),
        Ok(completed) => match problems(&completed) {
            None if completed.foreign_keys > 0 => log::info!(
                "the rows of {} are checked",
                counted(completed.foreign_keys, "foreign key")
            ),
            None => {}
            Some(_) => log::warn!(
                "{} on the destination {} NOT VALID: {}; mend the rows, then run switch again",
                counted(completed.problems.len(), "foreign key"),
                if completed.problems.len() == 1 {
                    "is"
                } else {
                    "are"
                },
                shown(&completed)
            ),
        },
    }
}

/// Makes the foreign keys that are away, for `drop`.
///
/// # Errors
/// The connection is lost; a signal.
pub fn bring_back(
    options: &Options,
    session: &mut Session,
    claim: &Claim,
    add: bool,
    stop: &Stop,
) -> Result<()> {
    let wanted = Wanted {
        kind: match claim.schema_created && !claim.schema_finished {
            // Half a schema has nothing that its foreign keys could refer to.
            true => Kind::Taken,
            false => Kind::ForeignKeys,
        },
        add,
        jobs: options.jobs,
        lock_timeout: options.lock_timeout,
    };
    let completed = copy::complete(session, &claim.run, wanted, stop)?;
    if !completed.problems.is_empty() {
        log::warn!(
            "{} could not be made, or not be checked, on the destination: {}",
            counted(completed.problems.len(), "foreign key"),
            shown(&completed)
        );
    }
    Ok(())
}

fn problems(completed: &Completed) -> Option<String> {
    let number = completed.problems.len();
    (number > 0).then(|| format!("{} of the schema", counted(number, "object")))
}

fn shown(completed: &Completed) -> String {
    let shown: Vec<&str> = completed
        .problems
        .iter()
        .take(3)
        .map(String::as_str)
        .collect();
    shown.join(", ")
}
