//! What most verbs begin with: both sessions, the advisory lock, the state, and a look at whether both
//! databases still are what they were.

use std::collections::{BTreeMap, BTreeSet};

use crate::capture::{self, Capture, Phase, State};
use crate::catalog::{self, Catalog, Database, Oid, Selection};
use crate::cli::Options;
use crate::conninfo::Conninfo;
use crate::copy::{self, Sides};
use crate::cycle::{Cycles, Report, Setup};
use crate::destination::{self, Claim, Unguarded};
use crate::error::{Error, Result, Side};
use crate::follow::{self, Followed, Seen};
use crate::guard;
use crate::ident::QualifiedName;
use crate::lock::{self, GivingWay, Patience};
use crate::plan;
use crate::session::{Session, side_by_side};
use crate::stop::Stop;
use crate::switch::mend_fence;

/// Both databases, reachable, writable and not the same.
pub struct Both {
    /// Holds the advisory lock.
    pub source: Session,
    /// The destination's main session.
    pub destination: Session,
    /// The source database.
    pub source_database: Database,
    /// The destination database.
    pub destination_database: Database,
    giving_way: GivingWay,
}

/// Opens one side.
///
/// # Errors
/// It is not named, cannot be reached, or is too old.
pub fn open(options: &Options, side: Side) -> Result<Session> {
    let conninfo = conninfo(options, side)?;
    Session::open(&conninfo, side, options.command.name())
}

/// Opens one side to ask it something: an answer, and a lock that somebody holds, is not waited for any
/// longer than a connection would be.
///
/// # Errors
/// As [`open`].
pub fn open_to_ask(options: &Options, side: Side) -> Result<Session> {
    let conninfo = conninfo(options, side)?.impatient();
    let mut session = Session::open(&conninfo, side, options.command.name())?;
    let limit = conninfo.patience().as_millis();
    session.execute("set up a session", &format!("SET lock_timeout = {limit}"))?;
    Ok(session)
}

fn conninfo(options: &Options, side: Side) -> Result<Conninfo> {
    let option = match side {
        Side::Source => &options.source,
        Side::Destination => &options.destination,
    };
    Conninfo::resolve(side, option.as_deref())
}

impl Both {
    /// Opens both sides and takes the advisory lock.
    ///
    /// # Errors
    /// As [`open`]; a side is a standby; both are the same; another run is at work.
    pub fn open(options: &Options) -> Result<Both> {
        // Both are resolved before either is opened: a missing option is said at once.
        for side in [Side::Source, Side::Destination] {
            conninfo(options, side)?;
        }
        let (source, destination) = side_by_side(
            || open(options, Side::Source),
            || open(options, Side::Destination),
        );
        let (mut source, mut destination) = (source?, destination?);
        refuse_standby(&source)?;
        refuse_standby(&destination)?;
        let source_database = catalog::read_database(&mut source)?;
        let destination_database = catalog::read_database(&mut destination)?;
        catalog::refuse_same_database(&source_database, &destination_database)?;
        guard::take(&mut source)?;
        Ok(Both {
            giving_way: lock::give_way(&source, options.lock_timeout)?,
            source,
            destination,
            source_database,
            destination_database,
        })
    }

    /// Reads the state of a switchover between these two.
    ///
    /// # Errors
    /// `init` has not run, or was for another destination.
    pub fn state(&mut self) -> Result<State> {
        let Some(state) = capture::read_state(&mut self.source)? else {
            return Err(Error::failed(format!(
                "no switchover has been prepared on the source (database \"{}\")",
                self.source_database.name
            ))
            .mend("run pg_switchover init first"));
        };
        if state.destination_identity != self.destination_database.identity {
            return Err(Error::failed(format!(
                "the source is being moved to another destination ({}, identity {})",
                state.destination_name, state.destination_identity
            ))
            .mend("check --dest, or drop that switchover first"));
        }
        Ok(state)
    }

    /// Creates what is new on the source, where `copy --create-schema` made the schema: following then finds
    /// it on both sides. Returns what it has seen of the source, unless that was long ago.
    ///
    /// # Errors
    /// As [`copy::follow`].
    pub fn bring(
        &mut self,
        selection: &Selection,
        claim: &Claim,
        stop: &Stop,
    ) -> Result<Option<Seen>> {
        let sessions = (&mut self.source, &mut self.destination);
        bring(sessions, selection, claim, stop)
    }

    /// Lets nobody else write on the destination any more, where a final cycle has let them and no flip has
    /// followed; returns the tables that somebody has written into. The caller has found that the source is in
    /// charge.
    ///
    /// # Errors
    /// As [`destination::close`].
    pub fn close(
        &mut self,
        options: &Options,
        claim: &Claim,
        stop: &Stop,
    ) -> Result<Vec<QualifiedName>> {
        let (source, destination) = (&mut self.source, &mut self.destination);
        destination::close(source, destination, &claim.run, patience(options), stop)
    }

    /// Follows what has changed on the source since `init`; `seen` is what was found there a moment ago.
    ///
    /// # Errors
    /// As [`follow::follow`].
    pub fn follow(
        &mut self,
        options: &Options,
        selection: &Selection,
        seen: Option<Seen>,
        stop: &Stop,
    ) -> Result<Followed> {
        let setup = follow::Setup {
            selection,
            patience: patience(options),
            stop,
        };
        follow::follow(&mut self.source, &mut self.destination, setup, seen)
    }
}

/// Makes on the destination what has come on the source. What was renamed has not come. Returns what it has seen
/// of the source, unless that was long ago.
fn bring(
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

fn refuse_standby(session: &Session) -> Result<()> {
    if !session.in_recovery() {
        return Ok(());
    }
    Err(
        Error::failed(format!("the {} is a standby in recovery", session.side()))
            .mend("give the conninfo of its primary"),
    )
}

/// Returns the bounds of `--lock-timeout` and `--lock-attempts`.
pub fn patience(options: &Options) -> Patience {
    Patience {
        timeout: options.lock_timeout,
        attempts: options.lock_attempts,
    }
}

/// Both databases ready for cycles.
pub struct Prepared {
    /// The two ends of a cycle.
    pub cycles: Cycles,
    /// A third session, on the source, for looking while the others wait.
    pub observer: Session,
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

/// Refuses phases in which no cycle may run.
///
/// # Errors
/// The copy is not complete; the switch is done.
pub fn refuse_unready(state: &State) -> Result<()> {
    match state.phase {
        Phase::Copied => Ok(()),
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

/// Checks that cycles may run, and opens all they need.
///
/// # Errors
/// The phase is wrong; something has drifted on the source; the destination differs.
pub fn prepare(options: &Options, mut both: Both, state: State, stop: &Stop) -> Result<Prepared> {
    refuse_unready(&state)?;
    let claim = destination::claim(&mut both.destination, &both.source_database.identity)?;
    prepare_claimed(options, both, state, claim, stop)
}

/// As [`prepare`], with the destination claimed already.
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
    claim.refuse_in_charge()?;
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
    let observer = both.source.another("observer")?;
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
        observer,
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

/// Refuses a whole database with large objects: they have no triggers, and would stay behind unsaid.
/// Whoever chooses what to move has chosen to leave them.
///
/// # Errors
/// There are some; says how to go on.
pub fn refuse_large_objects(source: &mut Session, selection: &Selection) -> Result<()> {
    let sql = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata";
    let number: i64 = source.query_one("look for large objects", sql, &[])?.get(0);
    if number == 0 || !selection.takes_all() {
        return Ok(());
    }
    let objects = super::counted(
        usize::try_from(number).unwrap_or(usize::MAX),
        "large object",
    );
    Err(Error::failed(format!(
        "the source has {objects}, which cannot be moved"
    ))
    .mend(
        "turn them into bytea columns (vacuumlo removes those that nothing refers to), or leave them behind by choosing what to move: init --schema='*'",
    ))
}
