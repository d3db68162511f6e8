//! Empties and fills the tables that are not finished.

use std::collections::{BTreeSet, VecDeque};

use crossbeam_channel::unbounded;

use super::chunks::{self, Limits};
use super::crew;
use super::empty::{self, Emptier};
use super::indexes::Indexes;
use super::progress::Progress;
use super::queue::{Job, Queue};
use super::schema::Schema;
use super::table::Table;
use super::worker::{self, Event, Work};
use super::{Parameters, Report};
use crate::catalog::{Catalog, Oid, Relation};
use crate::destination::{self, Unguarded, Way, guard_tables};
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::session::Session;
use crate::stop::Stop;

/// The first version that reads a range of ctids without reading the rest of the table.
const RANGE_SCANS: i32 = 140_000;

/// What the tables are filled from, and how.
pub struct Load<'a> {
    /// The source.
    pub source: &'a Session,
    /// As the caller was asked.
    pub parameters: &'a Parameters<'a>,
    /// What is made of tables that are whole, if the schema comes with them.
    pub schema: Option<&'a Schema<'a>>,
    /// How foreign keys are kept out of the way.
    pub way: Way,
    /// Ends it.
    pub stop: &'a Stop,
}

impl Load<'_> {
    /// Fills the tables; `oids` are theirs on the destination, whose catalog is `there`.
    ///
    /// # Errors
    /// As either server says; rows that are not ours are there.
    pub fn run(&self, destination: &mut Session, there: &Catalog, oids: &[Oid]) -> Result<Report> {
        let Load {
            parameters,
            way,
            stop,
            ..
        } = *self;
        let copied = destination::copied_tables(destination)?;
        let finished: BTreeSet<&QualifiedName> = copied
            .iter()
            .filter(|table| table.finished)
            .map(|table| &table.name)
            .collect();
        let begun: BTreeSet<QualifiedName> =
            copied.iter().map(|table| table.name.clone()).collect();
        let relations: Vec<&Relation> = parameters
            .catalog
            .relations
            .iter()
            .filter(|relation| !finished.contains(&relation.name))
            .collect();
        let look = |destination: &mut Session| {
            let filled = empty::with_rows(destination, &relations)?;
            if !parameters.truncate {
                empty::refuse_foreign_rows(&filled, &begun)?;
            }
            Ok(filled)
        };
        // Twice: whoever has rows there that are not ours goes on writing, and nobody else adds any in between.
        look(destination)?;
        let (run, patience) = (&parameters.claim.run, parameters.patience);
        tell_unguarded(&guard_tables(destination, oids, run, patience, stop)?);
        let filled = look(destination)?;
        let emptier = Emptier::read(destination)?;
        if !filled.is_empty() {
            let mut session = destination.another("copy emptying")?;
            destination::writer(&mut session, &parameters.claim.run)?;
            emptier.empty(&mut session, &filled, &parameters.claim.run)?;
        }
        let skipped = parameters.catalog.relations.len() - relations.len();
        if relations.is_empty() {
            return Ok(Report {
                skipped,
                ..Report::default()
            });
        }
        let names: Vec<&QualifiedName> = relations.iter().map(|one| &one.name).collect();
        let whole = destination::silenced(destination, way, &names)?;
        let limits = Limits {
            jobs: parameters.jobs,
            ranges: self.source.version() >= RANGE_SCANS,
        };
        let tables = tables(&relations, there, &BTreeSet::from_iter(whole), limits)?;
        let report = self.work_off(destination, tables, &emptier)?;
        Ok(Report { skipped, ..report })
    }

    /// Runs the workers until nothing is left to do.
    fn work_off(
        &self,
        destination: &Session,
        tables: Vec<Table<'_>>,
        emptier: &Emptier,
    ) -> Result<Report> {
        let parameters = self.parameters;
        // The largest table first; the chunks of one table follow one another, so that no more tables
        // are under way, and no more snapshots are open, than there are workers.
        let mut order: Vec<&Table<'_>> = tables.iter().collect();
        order.sort_by_key(|table| std::cmp::Reverse(table.relation.bytes));
        let queue: VecDeque<Job> = order
            .iter()
            .flat_map(|table| table.chunks.iter().cloned().map(Job::Chunk))
            .collect();
        let indexes = self.schema.map(|schema| Indexes::new(schema, &tables));
        let most = queue.len() + indexes.as_ref().map_or(0, Indexes::most);
        let jobs = parameters.jobs.clamp(1, most.max(1));
        let (events, heard) = unbounded();
        let work = Work {
            source: self.source.conninfo(),
            destination: destination.conninfo(),
            tables,
            queue: Queue::new(queue, parameters.jobs),
            indexes,
            emptier,
            run: &parameters.claim.run,
            events,
        };
        let mut progress = Progress::begin(parameters.progress, parameters.quiet, &work.tables);
        let tick = |progress: &mut Progress| {
            for event in heard.try_iter() {
                match event {
                    Event::Began(number, at) => {
                        progress.table_began(number, &work.tables[number], at);
                    }
                    Event::Finished(number, at) => {
                        progress.table_finished(number, &work.tables[number], at);
                    }
                }
            }
            progress.tick(&work.tables);
        };
        let result = crew::run(
            jobs,
            self.stop,
            |crew, number| worker::work(&work, crew, number),
            || tick(&mut progress),
        );
        tick(&mut progress);
        progress.end();
        result?;
        let mut report = Report::default();
        for table in &work.tables {
            let state = crew::lock(table.state());
            report.tables += 1;
            report.rows += state.rows;
            report.bytes += state.bytes;
        }
        Ok(report)
    }
}

/// Says which tables are open to everybody.
fn tell_unguarded(unguarded: &[Unguarded]) {
    let Some(first) = unguarded.first() else {
        return;
    };
    let more = match unguarded.len() {
        1 => String::new(),
        number => format!(" and {} more", number - 1),
    };
    log::warn!(
        "others can write into {}{more} on the destination before the switch, because our role may not create triggers there: GRANT TRIGGER ON TABLE {} there, or connect as the owner",
        first.name,
        first.name
    );
}

/// Splits the relations into chunks.
fn tables<'a>(
    relations: &[&'a Relation],
    there: &Catalog,
    whole: &BTreeSet<QualifiedName>,
    limits: Limits,
) -> Result<Vec<Table<'a>>> {
    let mut chunks = vec![Vec::new(); relations.len()];
    for chunk in chunks::split(relations, whole, limits) {
        chunks[chunk.table].push(chunk);
    }
    relations
        .iter()
        .zip(chunks)
        .map(|(relation, chunks)| {
            let name = &relation.name;
            let other = there.relation(name).ok_or_else(|| {
                Error::failed(format!("table {name} is missing on the destination"))
            })?;
            Ok(Table::new(relation, other, chunks))
        })
        .collect()
}
