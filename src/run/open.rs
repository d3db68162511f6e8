//! What most verbs begin with: both sessions, the advisory lock, the state, and a look at whether both
//! databases still are what they were.

use crate::capture::{self, State};
use crate::catalog::{self, Database, Selection};
use crate::cli::Options;
use crate::conninfo::Conninfo;
use crate::destination::{self, Claim};
use crate::error::{Error, Result, Side};
use crate::follow::{self, Followed, Seen};
use crate::guard;
use crate::ident::QualifiedName;
use crate::lock::{self, GivingWay, Patience};
use crate::session::{Session, side_by_side};
use crate::stop::Stop;

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
    pub(super) giving_way: GivingWay,
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
