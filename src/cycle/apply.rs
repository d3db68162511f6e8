//! The applier: the only writer of the destination in a cycle. One transaction per cycle, which also
//! confirms it, so that the destination always stands at exactly one snapshot of the source.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::ROOM;
use super::fetch::{Piece, Stream};
use super::read::{ChangedTable, Changes};
use crate::catalog::Oid;
use crate::copy;
use crate::destination::{self, Claim, Way};
use crate::error::{Error, Result, Side};
use crate::ident::{QualifiedName, literal};
use crate::lock::Patience;
use crate::plan::{Plans, TablePlan};
use crate::sequences::{self, Values};
use crate::session::{Session, copy_error};
use crate::stop::Stop;

/// Literals in one statement: enough that statements cost nothing beside them.
const ROWS_PER_STATEMENT: usize = 1000;

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
    /// The connection is lost. What else is wrong with a table is for the cycle to say.
    pub fn warm_up(&mut self, plans: &Plans, tables: &[Oid]) -> Result<()> {
        const PER_MESSAGE: usize = 50;
        self.session.execute("warm up", destination::BEFORE_OPEN)?;
        for chunk in tables.chunks(PER_MESSAGE) {
            let sql: String = chunk
                .iter()
                .filter_map(|oid| plans.get(oid))
                .map(|plan| plan.explain.as_str())
                .collect();
            match self.session.execute("warm up", &sql) {
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
        self.claim.cycle
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

    /// Returns the one message that applies a complete set of changes and commits, with what it does.
    /// `settings` go behind BEGIN.
    pub fn message(
        &self,
        plans: &Plans,
        changes: &Changes,
        confirmation: Confirmation,
        settings: &str,
    ) -> Result<(String, Applied)> {
        let bytes: usize = changes
            .rows
            .iter()
            .map(|row| {
                row.key.as_ref().map_or(0, String::len)
                    + row.contents.as_ref().map_or(0, String::len)
                    + 8
            })
            .sum();
        let mut sql = String::with_capacity(bytes + 4096);
        let mut applied = Applied::default();
        sql.push_str("BEGIN;\n");
        sql.push_str(settings);
        sql.push_str(&destination::hold(&self.claim.run));
        // Deletes from the referring tables to the referenced ones, inserts the other way round.
        let tables = by_table(plans, changes)?;
        sql.push_str(&destination::silence(
            tables.iter().map(|table| &table.plan.name),
        ));
        for TableChanges {
            plan, whole, keys, ..
        } in tables.iter().rev()
        {
            if *whole {
                sql.push_str(&plan.delete_all);
                sql.push_str(";\n");
            }
            for keys in keys.chunks(ROWS_PER_STATEMENT) {
                sql.push_str(&plan.delete(keys));
            }
            applied.keys += keys.len() as u64;
        }
        for TableChanges { plan, rows, .. } in &tables {
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                sql.push_str(&plan.insert(rows));
            }
            applied.rows += rows.len() as u64;
        }
        self.push_end(&mut sql, changes, confirmation, applied);
        Ok((sql, applied))
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

    /// Applies the streams of a large cycle and commits; `before_commit` runs last before that.
    ///
    /// # Errors
    /// A fetcher failed; a table cannot be written. The transaction is rolled back.
    pub fn apply_streams(
        &mut self,
        plans: &Plans,
        changes: &Changes,
        confirmation: impl FnOnce() -> Confirmation,
        streams: &Receiver<Stream>,
        before_commit: impl FnOnce() -> Result<()>,
    ) -> Result<Applied> {
        let mut work = || -> Result<Applied> {
            let written = changes.tables.iter().map(|table| plan_of(plans, table.oid));
            let written = written.collect::<Result<Vec<_>>>()?;
            let begin = format!(
                "BEGIN; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; {}",
                destination::silence(written.iter().map(|plan| &plan.name))
            );
            self.session.execute("begin a transaction", &begin)?;
            let mut applied = Applied::default();
            let mut seen = BTreeSet::new();
            for stream in streams {
                let plan = plan_of(plans, stream.table.oid)?;
                let one = apply_stream(&mut self.session, plan, &stream)?;
                applied.keys += one.keys;
                applied.rows += one.rows;
                seen.insert(stream.table.oid);
            }
            // A stage that stopped early closes its channel; what is missing must not be confirmed.
            if let Some(table) = changes
                .tables
                .iter()
                .find(|table| !seen.contains(&table.oid))
            {
                let name = &plan_of(plans, table.oid)?.name;
                return Err(Error::failed(format!("table {name} was not fetched")));
            }
            Ok(applied)
        };
        let result = work().and_then(|applied| {
            before_commit()?;
            let mut sql = destination::hold(&self.claim.run);
            self.push_end(&mut sql, changes, confirmation(), applied);
            self.session.execute("commit the changes", &sql)?;
            Ok(applied)
        });
        let cycle = self.claim.cycle + 1;
        let applied = *result.as_ref().unwrap_or(&Applied::default());
        self.settle(result.map(|_| ()), changes, cycle)?;
        Ok(applied)
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
        if confirmation.is_final {
            sql.push_str(destination::OPEN);
        }
        let Confirmation {
            cycle,
            is_final,
            read_ms,
        } = confirmation;
        sql.push_str(&format!(
            "UPDATE switchover.state SET cycle = {cycle};
             INSERT INTO switchover.confirmation
                    (cycle, final, snapshot, tables, keys, rows, read_ms, started_at)
             VALUES ({cycle}, {is_final}, {}, {}, {}, {}, {read_ms:.3}, pg_catalog.now());
             DELETE FROM switchover.confirmation WHERE cycle <= {cycle} - 1000;
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
                self.claim.cycle = cycle;
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

/// What one message has to do to one table.
struct TableChanges<'a> {
    plan: &'a TablePlan,
    whole: bool,
    keys: Vec<&'a str>,
    rows: Vec<&'a str>,
}

/// Sorts the changes by table, in the order of the foreign keys.
fn by_table<'a>(plans: &'a Plans, changes: &'a Changes) -> Result<Vec<TableChanges<'a>>> {
    let mut tables = Vec::with_capacity(changes.tables.len());
    let mut left = changes.rows.as_slice();
    for table in &changes.tables {
        let count = left.iter().take_while(|row| row.oid == table.oid).count();
        let (own, rest) = left.split_at(count);
        left = rest;
        tables.push(TableChanges {
            plan: plan_of(plans, table.oid)?,
            whole: table.whole,
            keys: own.iter().filter_map(|row| row.key.as_deref()).collect(),
            rows: own
                .iter()
                .filter_map(|row| row.contents.as_deref())
                .collect(),
        });
    }
    if !left.is_empty() {
        return Err(Error::failed(
            "the source sent rows of a table that it did not list as changed",
        ));
    }
    tables.sort_by_key(|table| table.plan.rank);
    Ok(tables)
}

fn plan_of(plans: &Plans, oid: Oid) -> Result<&TablePlan> {
    plans.get(&oid).ok_or_else(|| {
        Error::failed(format!(
            "the change log names a table with oid {oid} that is not captured"
        ))
        .mend("run init again")
    })
}

fn apply_stream(session: &mut Session, plan: &TablePlan, stream: &Stream) -> Result<Applied> {
    let ChangedTable { whole, .. } = stream.table;
    let what = format!("write table {}", plan.name);
    let mut applied = Applied::default();
    if whole {
        let end = stream.pieces.recv().map_err(|_| stopped(plan))?;
        match end {
            Piece::EndOfKeys => session.execute(&what, &plan.delete_all)?,
            Piece::Failed(error) => return Err(error),
            _ => return Err(stopped(plan)),
        }
    } else {
        session.execute(&what, &plan.stage)?;
        applied.keys = copy_pieces(session, &what, &plan.keys_in, plan, stream)?;
        session.execute(&what, &plan.delete_staged)?;
    }
    applied.rows = copy_pieces(session, &what, &plan.rows_in, plan, stream)?;
    Ok(applied)
}

/// Writes pieces until the end of their kind; returns the rows that COPY counted.
fn copy_pieces(
    session: &mut Session,
    what: &str,
    sql: &str,
    plan: &TablePlan,
    stream: &Stream,
) -> Result<u64> {
    let mut writer = session.copy_in(what, sql)?;
    loop {
        match stream.pieces.recv().map_err(|_| stopped(plan))? {
            Piece::Keys(block) | Piece::Rows(block) => writer
                .write_all(&block)
                .map_err(|error| copy_error(Side::Destination, what, &error))?,
            Piece::EndOfKeys | Piece::EndOfRows => break,
            Piece::Failed(error) => return Err(error),
        }
    }
    writer
        .finish()
        .map_err(|error| Error::from_postgres(Side::Destination, what, &error))
}

fn stopped(plan: &TablePlan) -> Error {
    Error::failed(format!("reading table {} stopped", plan.name))
}
