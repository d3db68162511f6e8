//! A cycle: read which rows have changed, fetch them as they are now, apply them, confirm, forget.
//!
//! Small cycles, and the final one, are three messages: the reader's brings the rows as literals, the
//! applier's writes and commits them, the reader's last one forgets the log entries (or flips the
//! pointer). Large cycles go through fetchers and COPY; see `fetch`.

mod apply;
mod fetch;
mod read;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

pub use apply::{Applied, Applier, Confirmation};
pub use fetch::Fetchers;
pub use read::{Changes, Extent, Limits, Reader, read_in_window};

use crate::catalog::Oid;
use crate::destination::Claim;
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::lock::{self, Patience};
use crate::plan::Plans;
use crate::session::{Canceller, Session, side_by_side};
use crate::stop::Stop;

/// Bytes of literals that one message may bring in an ordinary cycle.
const MESSAGE_BYTES: u64 = 16 << 20;

/// What sorting and hashing the keys of a large cycle may take of a server's memory, where its own setting is
/// less; the keys of some 500,000 rows stay out of temporary files by that.
const ROOM: &str = "SELECT pg_catalog.set_config('work_mem', '32MB', false)
     WHERE pg_catalog.pg_size_bytes(pg_catalog.current_setting('work_mem')) < 33554432;";

/// Streams that may wait for the applier beyond one per fetcher: what a fetcher has read of a small table must
/// not keep it from beginning the next.
const AHEAD: usize = 8;

/// Attempts at a cycle that a rewritten table or a deadlock has spoilt: an application may truncate a
/// table many times a second.
const ATTEMPTS: u32 = 10;

/// So many of them read the tables as they come; the next ones lock all that has changed first, which nobody can
/// truncate then, for as long as it takes to read it. They bring as many rows as a message has bytes for: what has to
/// be fetched table by table cannot be locked before its snapshot.
const UNLOCKED: u32 = 2;

/// At one whose reading gave way to somebody who waits for a table.
const GIVE_WAY: u32 = 30;

/// The unit of the growing pause between them.
const PAUSE: Duration = Duration::from_millis(10);

/// What a cycle did and how long it took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report {
    /// Its number; that of the cycle before if there was nothing to do.
    pub cycle: i64,
    /// Changed tables.
    pub tables: u64,
    /// Log entries read.
    pub entries: u64,
    /// Bytes of the change logs.
    pub log_bytes: u64,
    /// What was written.
    pub applied: Applied,
    /// Reading (and locking, in the final cycle).
    pub read: Duration,
    /// Applying and committing on the destination.
    pub apply: Duration,
    /// All of it.
    pub total: Duration,
}

/// Both ends of a cycle, kept open from one to the next.
pub struct Cycles {
    /// The source's end.
    pub reader: Reader,
    /// The destination's end.
    pub applier: Applier,
    fetchers: Option<Fetchers>,
    plans: Plans,
    jobs: usize,
    max_pending: u64,
    patience: Patience,
}

/// What [`Cycles::open`] needs to know.
pub struct Setup {
    /// The statements per table.
    pub plans: Plans,
    /// The captured sequences by oid.
    pub sequences: BTreeMap<Oid, QualifiedName>,
    /// Fetchers of a large cycle.
    pub jobs: usize,
    /// Rows that one message may bring.
    pub max_pending: u64,
    /// Its time-out is the unit of the time that a table locked by somebody else is waited for.
    pub patience: Patience,
}

impl Cycles {
    /// Takes over the two main sessions; `source` holds the advisory lock.
    ///
    /// # Errors
    /// A further connection cannot be opened; the destination's role may not do its work.
    pub fn open(
        source: Session,
        destination: Session,
        claim: Claim,
        setup: Setup,
    ) -> Result<Cycles> {
        let names: Vec<QualifiedName> = setup.sequences.values().cloned().collect();
        let moved: Vec<&QualifiedName> = setup.plans.values().map(|plan| &plan.name).collect();
        let lock_timeout = setup.patience.timeout;
        let (reader, applier) = side_by_side(
            || Reader::new(source, setup.sequences, lock_timeout),
            || Applier::new(destination, claim, &moved, &names, lock_timeout),
        );
        Ok(Cycles {
            reader: reader?,
            applier: applier?,
            fetchers: None,
            plans: setup.plans,
            jobs: setup.jobs,
            max_pending: setup.max_pending,
            patience: setup.patience,
        })
    }

    /// Returns the statements per table.
    pub fn plans(&self) -> &Plans {
        &self.plans
    }

    /// Returns both main sessions, the source's first, outside of a cycle.
    pub fn sessions(&mut self) -> (&mut Session, &mut Session) {
        (self.reader.session(), self.applier.session())
    }

    /// Goes on with other statements for these tables, and these sequences: the schema has changed.
    pub fn replan(&mut self, plans: Plans, sequences: BTreeMap<Oid, QualifiedName>) {
        self.plans.extend(plans);
        self.reader.carry_sequences(sequences);
    }

    /// Has both servers look up and plan beforehand what the window will ask of these very sessions: the first
    /// time takes some milliseconds per table.
    ///
    /// # Errors
    /// As either server says.
    pub fn warm_up(&mut self) -> Result<()> {
        let written = self.reader.warm_up()?;
        self.applier.warm_up(&self.plans, &written)
    }

    /// Returns the rows that one message may bring.
    pub fn max_pending(&self) -> u64 {
        self.max_pending
    }

    /// Runs one cycle.
    ///
    /// # Errors
    /// As either server says. Nothing is forgotten then; run it again.
    pub fn run(&mut self, stop: &Stop) -> Result<Report> {
        let report = match self.nothing_to_do()? {
            Some(report) => report,
            None => {
                let report = self.run_open(stop)?;
                self.reader.forget(self.applier.last_cycle())?;
                report
            }
        };
        self.reader.rotate(report.log_bytes)?;
        Ok(report)
    }

    /// Looks first, in one round trip, and has a report if there is nothing to carry over. An entrance that a final
    /// cycle has opened has to be shut in any case.
    fn nothing_to_do(&mut self) -> Result<Option<Report>> {
        if self.applier.opened() {
            return Ok(None);
        }
        let started = Instant::now();
        let Some((log_bytes, sequences)) = self.reader.look()? else {
            return Ok(None);
        };
        if sequences.is_some_and(|sequences| !self.applier.has_sequences(&sequences)) {
            return Ok(None);
        }
        Ok(Some(Report {
            cycle: self.applier.last_cycle(),
            log_bytes,
            read: started.elapsed(),
            total: started.elapsed(),
            ..Report::default()
        }))
    }

    /// Runs one cycle up to the destination's commit, and leaves the source's transaction, with the
    /// very snapshot that the destination stands at now, open: for `verify`. [`Reader::forget`] ends it.
    ///
    /// # Errors
    /// As [`Cycles::run`].
    pub fn run_open(&mut self, stop: &Stop) -> Result<Report> {
        self.shut(stop)?;
        let mut attempt = 1;
        let mut rows = self.max_pending;
        loop {
            let result = self.attempt(rows, attempt > UNLOCKED);
            match result {
                Err(error)
                    if attempt < attempts(&error)
                        && lock::may_try_again(&error)
                        && !stop.asked() =>
                {
                    log::debug!("cycle is tried again: {error}");
                    stop.sleep(PAUSE * attempt.min(ATTEMPTS));
                    attempt += 1;
                }
                // One message for all tables was refused. COPY, table by table, may have the room that
                // the message had not; and what it refuses too, it says of which table.
                Err(error) if rows > 0 && refused(&error) && !stop.asked() => {
                    log::debug!("cycle is tried again by COPY: {error}");
                    rows = 0;
                }
                other => return other,
            }
        }
    }

    /// Shuts the entrance if a final cycle was sent: no flip has followed, or nobody would call this.
    ///
    /// # Errors
    /// Somebody has written on the destination meanwhile; as either server says.
    pub fn shut(&mut self, stop: &Stop) -> Result<()> {
        if !self.applier.opened() {
            return Ok(());
        }
        let source = self.reader.session();
        let moved: Vec<&QualifiedName> = self.plans.values().map(|plan| &plan.name).collect();
        self.applier.close(source, &moved, self.patience, stop)
    }

    /// Tries once; more than so many `rows` go by COPY, unless they can be `locked` first.
    fn attempt(&mut self, rows: u64, locked: bool) -> Result<Report> {
        let started = Instant::now();
        let limits = Limits {
            rows,
            bytes: MESSAGE_BYTES,
        };
        let changes = match locked && rows > 0 {
            true => self.reader.begin_locked(limits)?,
            false => self.reader.begin("", limits, "")?,
        };
        let read = started.elapsed();
        let result = self.apply(&changes, read);
        if result.is_err() {
            self.reader.roll_back();
        }
        let applied = result?;
        Ok(Report {
            cycle: self.applier.last_cycle(),
            tables: changes.tables.len() as u64,
            entries: changes.entries(),
            log_bytes: changes.log_bytes,
            applied,
            read,
            apply: started.elapsed() - read,
            total: started.elapsed(),
        })
    }

    fn apply(&mut self, changes: &Changes, read: Duration) -> Result<Applied> {
        if self.applier.up_to_date(changes) {
            return Ok(Applied::default());
        }
        let cycle = self.applier.last_cycle() + 1;
        let confirmation = Confirmation {
            cycle,
            is_final: false,
            read_ms: read.as_secs_f64() * 1000.0,
        };
        match &changes.extent {
            Extent::Complete => {
                let (message, applied) =
                    self.applier
                        .message(&self.plans, changes, confirmation, "")?;
                self.reader.make_durable(changes, None)?;
                self.applier.send(&message, changes, confirmation)?;
                Ok(applied)
            }
            Extent::Exported(snapshot) => self.apply_large(changes, snapshot, confirmation),
            Extent::TooMuch => Err(Error::failed("more has changed than one message may bring")),
        }
    }

    /// Fetchers and applier run side by side; the end of either ends the other: a fetcher's through its
    /// stream, the applier's through abandoned streams and cancelled statements. The reader deletes its
    /// log entries meanwhile, and commits that when all is over.
    fn apply_large(
        &mut self,
        changes: &Changes,
        snapshot: &str,
        confirmation: Confirmation,
    ) -> Result<Applied> {
        if self.fetchers.is_none() {
            self.fetchers = Some(Fetchers::open(
                self.reader.session(),
                self.jobs,
                self.patience.timeout,
            )?);
        }
        let Some(fetchers) = &self.fetchers else {
            return Err(Error::failed("no fetchers"));
        };
        let cancellers = fetchers.cancellers();
        let (streams, receiver) = bounded(self.jobs + AHEAD);
        let over = AtomicBool::new(false);
        let (plans, applier, reader) = (&self.plans, &mut self.applier, &mut self.reader);
        let result = std::thread::scope(|scope| {
            let deleting = scope.spawn(move || reader.delete_ahead(changes).map(|()| reader));
            let over = &over;
            let applying = scope.spawn(move || {
                let durable = || match deleting.join() {
                    Ok(reader) => reader?.make_durable(changes, None),
                    Err(_) => Err(Error::failed("the reader has failed")),
                };
                let result =
                    applier.apply_streams(plans, changes, || confirmation, &receiver, durable);
                if result.is_err() {
                    over.store(true, Ordering::Relaxed);
                    Canceller::cancel_all(&cancellers);
                    // A channel keeps what is in it, and a stream that waits in it, its fetcher.
                    receiver.iter().for_each(drop);
                }
                result
            });
            fetchers.fetch(plans, &changes.tables, snapshot, (&streams, over));
            drop(streams);
            applying
                .join()
                .unwrap_or_else(|_| Err(Error::failed("the applier has failed")))
        });
        if result.is_err() {
            // What was cancelled may have been anything; fresh connections know nothing of it.
            self.fetchers = None;
        }
        result
    }
}

fn attempts(error: &Error) -> u32 {
    match lock::gave_way(error) {
        true => GIVE_WAY,
        false => ATTEMPTS,
    }
}

/// Returns true if it was the values, or their size, that a server refused: SQLSTATE classes 22 (data), 23
/// (constraints), 54 (limits), and no memory (53200, or an internal error from a request of 1 GB).
fn refused(error: &Error) -> bool {
    let Some(state) = error.sqlstate.as_ref().map(postgres::error::SqlState::code) else {
        return false;
    };
    !error.connection_lost
        && (["22", "23", "54"]
            .iter()
            .any(|class| state.starts_with(class))
            || matches!(state, "53200" | "XX000"))
}
