//! What the verbs that run cycles go on with: the schema followed, both sides compared, the destination guarded.

use std::collections::{BTreeMap, BTreeSet};

use super::open::{Both, patience};
use crate::VERSION;
use crate::capture::{Capture, Phase, State};
use crate::catalog::{self, Catalog, Oid, Selection};
use crate::cli::Options;
use crate::copy::{self, Sides};
use crate::cycle::{Cycles, Report, Setup};
use crate::destination::{self, Claim, Unguarded};
use crate::error::{Error, Result};
use crate::follow::{self, Followed, Seen};
use crate::lock::GivingWay;
use crate::plan;
use crate::session::{Session, side_by_side};
use crate::stop::Stop;
use crate::switch::mend_fence;

/// Both databases ready for cycles.
pub struct Prepared {
    /// The two ends of a cycle.
    pub cycles: Cycles,
    /// What the destination's bookkeeping says.
    pub claim: Claim,
    /// The state row as it was.
    pub state: State,
    /// The captured tables of the source.
    pub source_catalog: Catalog,
    /// The same on the destination.
    pub destination_catalog: Catalog,
    /// Tables of the destination that others can write into before the switch.
    pub unguarded: Vec<Unguarded>,
    _giving_way: GivingWay,
}

/// Refuses states in which no cycle may run.
///
/// # Errors
/// The copy is not complete; the switch is done; another version has run `init`.
pub fn refuse_unready(state: &State) -> Result<()> {
    match state.phase {
        Phase::Copied => refuse_other_version(state),
        Phase::Idle => {
            Err(Error::failed("init has not finished").mend("run pg_switchover init again"))
        }
        Phase::Capturing => {
            Err(Error::failed("not every table has been copied")
                .mend("run pg_switchover copy first"))
        }
        Phase::Switched => Err(Error::failed(format!(
            "the switch is done: the destination is in charge since {}",
            state.switched_at.as_deref().unwrap_or("some time ago")
        ))
        .mend("nothing is left to do but pg_switchover drop")),
    }
}

/// Refuses what another version has installed: what we call there may be missing, or mean something else.
///
/// # Errors
/// That is so.
pub fn refuse_other_version(state: &State) -> Result<()> {
    let installed_by = match state.installed_by.as_deref() {
        Some(VERSION) => return Ok(()),
        Some(other) => other,
        None => "another version of pg_switchover",
    };
    Err(Error::failed(format!(
        "init was run by {installed_by}, and this is {VERSION}"
    ))
    .mend("run init again with this one: it replaces what that one has installed"))
}

/// Checks that cycles may run, and opens all they need.
///
/// # Errors
/// The phase is wrong; something has drifted on the source; the destination differs.
pub fn prepare(options: &Options, mut both: Both, state: State, stop: &Stop) -> Result<Prepared> {
    refuse_unready(&state)?;
    let claim = destination::claim(&mut both.destination, &both.source_database.identity)?;
    refuse_unfit(&state, &claim)?;
    prepare_claimed(options, both, state, claim, stop)
}

/// Refuses a destination that is in charge, or is not as this switchover has left it.
///
/// # Errors
/// It is.
pub fn refuse_unfit(state: &State, claim: &Claim) -> Result<()> {
    claim.refuse_in_charge()?;
    claim.refuse_set_back(state.counts)
}

/// As [`prepare`], with the destination claimed already, and [`refuse_unfit`] asked.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_claimed(
    options: &Options,
    mut both: Both,
    state: State,
    mut claim: Claim,
    stop: &Stop,
) -> Result<Prepared> {
    mend_fence(&mut both.source)?;
    destination::refuse_written(&both.close(options, &claim, stop)?)?;
    destination::look_at_schema(&mut both.destination, &mut claim)?;
    let (source, destination) = (&mut both.source, &mut both.destination);
    let (seen, there) = side_by_side(
        || Seen::read(source, &state.selection),
        || Catalog::read(destination, &Selection::default()),
    );
    let (seen, there) = (seen?, there?);
    let seen = match claim.schema_created {
        true => bring_seen((source, destination), seen, &claim, stop)?,
        false => Some(seen),
    };
    let brought = seen.is_none();
    let Followed {
        catalog: source_catalog,
        capture,
        anything,
    } = both.follow(options, &state.selection, seen, stop)?;
    let destination_catalog = match brought || anything {
        true => Catalog::read(&mut both.destination, &Selection::default())?,
        false => there,
    };
    if let Err(drift) = capture.refuse_drift(&source_catalog) {
        if capture.lacks_only_sequences(&source_catalog) {
            let sides = Sides {
                source: &source_catalog,
                destination: &destination_catalog,
                claim: &claim,
                new: Some(new(&source_catalog, &capture)),
            };
            copy::refuse_new_sequences(&mut both.source, &sides)?;
        }
        return Err(drift);
    }
    catalog::refuse_differences(&source_catalog, &destination_catalog, true)?;
    let unguarded = follow::guard(
        &mut both.destination,
        (&source_catalog, &destination_catalog),
        &claim.run,
        patience(options),
        stop,
    )?;
    let sequences: BTreeMap<_, _> = capture.sequences;
    let setup = Setup {
        plans: plan::plan(&source_catalog, &destination_catalog)?,
        sequences,
        jobs: options.jobs,
        max_pending: options.max_pending,
        patience: patience(options),
    };
    let cycles = Cycles::open(both.source, both.destination, claim.clone(), setup)?;
    Ok(Prepared {
        cycles,
        claim,
        state,
        source_catalog,
        destination_catalog,
        unguarded,
        _giving_way: both.giving_way,
    })
}

impl Prepared {
    /// Runs a cycle. One that finds that the schema has changed follows that, if it can, and goes on.
    ///
    /// # Errors
    /// As the cycle fails; what has drifted and cannot be followed.
    pub fn cycle(&mut self, options: &Options, stop: &Stop) -> Result<Report> {
        const ATTEMPTS: u32 = 5;
        for _ in 1..ATTEMPTS {
            match self.cycles.run(stop) {
                Err(error) if follow::is_drift(&error) && !stop.asked() => {
                    log::debug!("{error}; looking what has changed");
                    let (followed, drift) = self.look_again(options, stop)?;
                    if !followed {
                        drift?;
                        break;
                    }
                }
                other => return other.map_err(|error| self.explain(error)),
            }
        }
        self.cycles.run(stop).map_err(|error| self.explain(error))
    }

    /// Looks what has changed on the source since the last look, and follows it. Returns true if anything
    /// was followed, and what has drifted and cannot be.
    ///
    /// # Errors
    /// As [`follow::look_again`].
    pub fn look_again(&mut self, options: &Options, stop: &Stop) -> Result<(bool, Result<()>)> {
        let (source, destination) = self.cycles.sessions();
        // What could not be brought keeps nothing else from being followed.
        let sessions = (source, destination);
        let brought = bring(sessions, &self.state.selection, &self.claim, stop);
        let (seen, brought) = match brought {
            Ok(seen) => (seen, Ok(())),
            Err(error) => (None, Err(error)),
        };
        let setup = follow::Setup {
            selection: &self.state.selection,
            patience: patience(options),
            stop,
        };
        let look = follow::look_again(&mut self.cycles, setup, seen, &self.source_catalog.types)?;
        let followed = look.catalogs.is_some();
        if let Some((source, destination)) = look.catalogs {
            self.source_catalog = source;
            self.destination_catalog = destination;
            self.unguarded = follow::guard(
                self.cycles.applier.session(),
                (&self.source_catalog, &self.destination_catalog),
                &self.claim.run,
                patience(options),
                stop,
            )?;
        }
        Ok((followed, look.drift.and(brought)))
    }

    fn explain(&mut self, error: Error) -> Error {
        let (source, destination) = self.cycles.sessions();
        follow::name_missing(error, source, destination)
    }
}

/// Makes on the destination what has come on the source, where `copy --create-schema` made the schema: following then
/// finds it on both sides. What was renamed has not come. Returns what it has seen of the source, unless that was long
/// ago.
///
/// # Errors
/// As [`copy::follow`].
pub(super) fn bring(
    (source, destination): (&mut Session, &mut Session),
    selection: &Selection,
    claim: &Claim,
    stop: &Stop,
) -> Result<Option<Seen>> {
    if !claim.schema_created {
        return Ok(None);
    }
    let seen = Seen::read(source, selection)?;
    bring_seen((source, destination), seen, claim, stop)
}

/// As [`bring`], of a schema that was made here, with what was seen of the source a moment ago.
fn bring_seen(
    (source, destination): (&mut Session, &mut Session),
    seen: Seen,
    claim: &Claim,
    stop: &Stop,
) -> Result<Option<Seen>> {
    let new = new(&seen.catalog, &seen.capture);
    if new.is_empty() {
        return Ok(Some(seen));
    }
    let sides = Sides {
        source: &seen.catalog,
        destination: &Catalog::read(destination, &Selection::default())?,
        claim,
        new: Some(new),
    };
    copy::follow(source, destination, &sides, stop)?;
    Ok(None)
}

/// Returns the partitions and sequences that have come since they were noted.
fn new(catalog: &Catalog, capture: &Capture) -> BTreeSet<Oid> {
    let members = capture.tables.values().flat_map(|table| &table.changed);
    let partitions = members.filter(|member| member.then.is_none());
    let sequences = catalog.sequences.iter().map(|sequence| sequence.oid);
    sequences
        .filter(|oid| !capture.sequences.contains_key(oid))
        .chain(partitions.map(|member| member.oid))
        .collect()
}
