//! The applier: the only writer of the destination in a cycle. One transaction per cycle, which also
//! confirms it, so that the destination always stands at exactly one snapshot of the source.

mod message;
mod streams;

use std::time::Duration;

use super::ROOM;
use super::read::Changes;
use crate::catalog::Oid;
use crate::copy;
use crate::destination::{self, Claim, Way};
use crate::error::{Error, Result};
use crate::ident::{QualifiedName, literal};
use crate::lock::Patience;
use crate::plan::{Plans, TablePlan};
use crate::sequences::{self, Values};
use crate::session::Session;
use crate::stop::Stop;

/// Confirmations that are kept.
const CONFIRMATIONS: u32 = 1000;

/// What a cycle did on the destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Changed keys; of large cycles the rows that were deleted by key.
    pub keys: u64,
    /// Rows that were written.
    pub rows: u64,
}

/// What a confirmation says beside the counts.
#[derive(Debug, Clone, Copy)]
pub struct Confirmation {
    /// The cycle's number.
    pub cycle: i64,
    /// It was read under the stop-the-world lock.
    pub is_final: bool,
    /// Milliseconds that reading took.
    pub read_ms: f64,
}

/// The destination's session and what it knows.
pub struct Applier {
    session: Session,
    claim: Claim,
    known_sequences: Values,
    way: Way,
    foreign_keys: Vec<String>,
    /// A final cycle was sent, so that others may be writing here.
    opened: bool,
}

impl Applier {
    /// Takes over a session. Foreign keys that would act on the rows of `moved` tables are taken away.
    ///
    /// # Errors
    /// One of these foreign keys cannot be; a sequence is missing.
    pub fn new(
        mut session: Session,
        claim: Claim,
        moved: &[&QualifiedName],
        names: &[QualifiedName],
        lock_timeout: Duration,
    ) -> Result<Applier> {
        let way = destination::writer(&mut session, &claim.run)?;
        if way == Way::Owner {
            copy::take_away(&mut session, moved, &claim.run)?;
            // What cannot be made again in time is better known at once.
            copy::additions(&mut session)?;
        }
        // Keys are few beside the tables they are looked up in; without hash and merge joins a table
        // whose statistics are old is not scanned for them. Large cycles allow both again.
        // A lock that somebody else holds here is waited for a bounded time.
        session.execute(
            "set up the applier",
            &format!(
                "SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan;
                 {ROOM} SET lock_timeout = {};",
                lock_timeout.as_millis().max(1) * 10
            ),
        )?;
        let known_sequences = sequences::read(&mut session, names)?;
        Ok(Applier {
            session,
            claim,
            known_sequences,
            way,
            foreign_keys: Vec::new(),
            opened: false,
        })
    }

    /// Returns how triggers and foreign keys are kept from acting.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Lists what the final cycle has to do beside writing rows, some of which may have come since, and
    /// tries it.
    ///
    /// # Errors
    /// A foreign key cannot be made.
    pub fn rehearse(&mut self) -> Result<()> {
        // Sequences have no triggers, so anybody may have drawn from them or set them since the last look. Those
        // that cannot be read now are all set.
        let names: Vec<QualifiedName> = self.known_sequences.keys().cloned().collect();
        self.known_sequences = sequences::read(&mut self.session, &names).unwrap_or_default();
        if self.way == Way::Owner {
            self.foreign_keys = copy::additions(&mut self.session)?;
        }
        copy::rehearse(&mut self.session, &self.foreign_keys)
    }

    /// Returns true if a final cycle was sent, whatever has become of it.
    pub fn opened(&self) -> bool {
        self.opened
    }

    /// Lets nobody else write here any more, for a final cycle that no flip has followed; see
    /// [`destination::close`]. `moved` as in [`Applier::new`].
    ///
    /// # Errors
    /// Somebody has written; as [`destination::close`].
    pub fn close(
        &mut self,
        source: &mut Session,
        moved: &[&QualifiedName],
        patience: Patience,
        stop: &Stop,
    ) -> Result<()> {
        let run = &self.claim.run;
        let written = destination::close(source, &mut self.session, run, patience, stop)?;
        self.opened = false;
        if self.way == Way::Owner {
            // The final cycle has made them, and they would act on what the next one writes.
            copy::take_away(&mut self.session, moved, run)?;
            self.foreign_keys = copy::additions(&mut self.session)?;
        }
        // Others may have drawn from them.
        self.known_sequences.clear();
        destination::refuse_written(&written)
    }

    /// Has the server look up these tables, and what else the final cycle needs, which it does once per session.
    ///
    /// # Errors
    /// The connection is lost. What else is wrong is for the cycle to say.
    pub fn warm_up(&mut self, plans: &Plans, tables: &[Oid]) -> Result<()> {
        const PER_MESSAGE: usize = 50;
        let tables = tables.chunks(PER_MESSAGE).map(|chunk| {
            let plans = chunk.iter().filter_map(|oid| plans.get(oid));
            plans.map(|plan| plan.explain.as_str()).collect()
        });
        for sql in std::iter::once(destination::before_open(&self.claim.run)).chain(tables) {
            match self.session.transaction("warm up", &sql) {
                Err(error) if error.connection_lost => return Err(error),
                Err(error) => log::debug!("{error}"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Returns the session, outside of a cycle.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Returns the token that lets this run write.
    pub fn run_token(&self) -> &str {
        &self.claim.run
    }

    /// Returns the number of the last confirmed cycle.
    pub fn last_cycle(&self) -> i64 {
        self.claim.counts.cycle
    }

    /// Returns the sequences as the last cycle has set them.
    pub fn sequences(&self) -> &Values {
        &self.known_sequences
    }

    /// Returns true if there is nothing to write.
    pub fn up_to_date(&self, changes: &Changes) -> bool {
        changes.tables.is_empty() && self.has_sequences(&changes.sequences)
    }

    /// Returns true if the destination's sequences are so already.
    pub fn has_sequences(&self, wanted: &Values) -> bool {
        sequences::changed(wanted, &self.known_sequences).is_empty()
    }

    fn sequences_to_set(&self, changes: &Changes) -> Values {
        sequences::changed(&changes.sequences, &self.known_sequences)
    }

    /// Sends a message made by [`Applier::message`] with the same confirmation. On success the destination has durably committed.
    ///
    /// # Errors
    /// As the server says; the transaction is rolled back, or, if the connection was lost, its outcome
    /// does not matter: the source has forgotten nothing, and applying again changes nothing.
    pub fn send(
        &mut self,
        message: &str,
        changes: &Changes,
        confirmation: Confirmation,
    ) -> Result<()> {
        // Before: it may commit and its answer be lost.
        self.opened |= confirmation.is_final;
        let result = self.session.execute("apply the changes", message);
        self.settle(result, changes, confirmation.cycle)
    }

    fn push_end(
        &self,
        sql: &mut String,
        changes: &Changes,
        confirmation: Confirmation,
        applied: Applied,
    ) {
        sql.push_str(&sequences::set(&self.sequences_to_set(changes)));
        sql.push_str(destination::restore());
        if confirmation.is_final && !self.foreign_keys.is_empty() {
            // Made without a look at any row.
            sql.push_str(&self.foreign_keys.join("\n"));
        }
        let Confirmation {
            cycle,
            is_final,
            read_ms,
        } = confirmation;
        let open = match is_final {
            true => format!("{}, ", destination::OPEN),
            false => String::new(),
        };
        sql.push_str(&format!(
            "SELECT {open}switchover.confirm({cycle}, {is_final}, {}, {}, {}, {}, {read_ms:.3}, kept => {CONFIRMATIONS});
             COMMIT;",
            literal(&changes.snapshot),
            changes.tables.len(),
            applied.keys,
            applied.rows,
        ));
    }

    fn settle(&mut self, result: Result<()>, changes: &Changes, cycle: i64) -> Result<()> {
        match result {
            Ok(()) => {
                self.claim.counts.cycle = cycle;
                // Those that this cycle has not read are as they were.
                self.known_sequences.extend(changes.sequences.clone());
                Ok(())
            }
            Err(error) => {
                // setval is not rolled back, so what the sequences hold is unknown now.
                self.known_sequences.clear();
                if !self.session.is_closed() {
                    self.session.execute("roll back", "ROLLBACK")?;
                }
                Err(error)
            }
        }
    }
}

fn plan_of(plans: &Plans, oid: Oid) -> Result<&TablePlan> {
    plans.get(&oid).ok_or_else(|| {
        Error::failed(format!(
            "the change log names a table with oid {oid} that is not captured"
        ))
        .mend("run init again")
    })
}
