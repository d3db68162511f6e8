//! What most verbs begin with: both sessions, the advisory lock, the state, and a look at whether both
//! databases still are what they were.

use std::collections::BTreeMap;

use crate::capture::{self, Capture, Phase, State};
use crate::catalog::{self, Catalog, Database, Selection};
use crate::cli::Options;
use crate::conninfo::Conninfo;
use crate::cycle::{Cycles, Setup};
use crate::destination::{self, Claim};
use crate::error::{Error, Result, Side};
use crate::guard;
use crate::lock::Patience;
use crate::plan;
use crate::session::Session;
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
}

/// Opens one side.
///
/// # Errors
/// It is not named, cannot be reached, or is too old.
pub fn open(options: &Options, side: Side) -> Result<Session> {
    let option = match side {
        Side::Source => &options.source,
        Side::Destination => &options.destination,
    };
    let conninfo = Conninfo::resolve(side, option.as_deref())?;
    Session::open(&conninfo, side, options.command.name())
}

impl Both {
    /// Opens both sides and takes the advisory lock.
    ///
    /// # Errors
    /// As [`open`]; a side is a standby; both are the same; another run is at work.
    pub fn open(options: &Options) -> Result<Both> {
        // Both are resolved before either is opened: a missing option is said at once.
        for (side, option) in [
            (Side::Source, &options.source),
            (Side::Destination, &options.destination),
        ] {
            Conninfo::resolve(side, option.as_deref())?;
        }
        let mut source = open(options, Side::Source)?;
        let mut destination = open(options, Side::Destination)?;
        refuse_standby(&source)?;
        refuse_standby(&destination)?;
        let source_database = catalog::read_database(&mut source)?;
        let destination_database = catalog::read_database(&mut destination)?;
        catalog::refuse_same_database(&source_database, &destination_database)?;
        guard::take(&mut source)?;
        Ok(Both {
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
    /// The state row as it was.
    pub state: State,
    /// The captured tables of the source.
    pub source_catalog: Catalog,
    /// The same on the destination.
    pub destination_catalog: Catalog,
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
pub fn prepare(options: &Options, mut both: Both, state: State) -> Result<Prepared> {
    refuse_unready(&state)?;
    let claim = destination::claim(&mut both.destination, &both.source_database.identity)?;
    prepare_claimed(options, both, state, claim)
}

/// As [`prepare`], with the destination claimed already.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_claimed(
    options: &Options,
    mut both: Both,
    state: State,
    claim: Claim,
) -> Result<Prepared> {
    mend_fence(&mut both.source)?;
    let source_catalog = Catalog::read(&mut both.source, &state.selection)?;
    let capture = Capture::read(&mut both.source)?;
    capture.refuse_drift(&source_catalog)?;
    let destination_catalog = Catalog::read(&mut both.destination, &Selection::default())?;
    refuse_differences(&source_catalog, &destination_catalog, true)?;
    let observer = both.source.another("observer")?;
    let sequences: BTreeMap<_, _> = capture.sequences;
    let setup = Setup {
        plans: plan::plan(&source_catalog, &destination_catalog)?,
        sequences,
        jobs: options.jobs,
        max_pending: options.max_pending,
        lock_timeout: options.lock_timeout,
    };
    let cycles = Cycles::open(both.source, both.destination, claim, setup)?;
    Ok(Prepared {
        cycles,
        observer,
        state,
        source_catalog,
        destination_catalog,
    })
}

/// Fails if rows could not arrive.
///
/// # Errors
/// Names the first few differences.
pub fn refuse_differences(source: &Catalog, destination: &Catalog, keys: bool) -> Result<()> {
    const SHOWN: usize = 3;
    let differences = catalog::compare(source, destination, keys);
    let Some(first) = differences.first() else {
        return Ok(());
    };
    let what: Vec<&str> = differences
        .iter()
        .take(SHOWN)
        .map(|difference| difference.what.as_str())
        .collect();
    let more = match differences.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more (see check)"),
    };
    Err(Error::failed(format!("{}{more}", what.join(", "))).mend(first.mend.clone()))
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
