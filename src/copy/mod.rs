//! Loads every table, in parallel, so that a kill costs no more than the tables that were under way.
//!
//! Each table is read in one snapshot, whichever that is: the changes of every row since `init` are in
//! the log, and the first cycle brings the whole to one state. `switchover.copied` on the destination
//! says which tables are begun and which are there, in the transactions that write their rows.

mod analyze;
mod archive;
mod bring;
mod chunks;
mod contents;
mod crew;
mod directory;
mod empty;
mod foreign_keys;
mod postponed;
mod progress;
mod schema;
mod table;
mod tools;
mod views;
mod worker;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;
use std::time::Instant;

use crossbeam_channel::unbounded;

pub use bring::{Sides, follow, refuse_new_sequences};
pub use foreign_keys::{acting, additions, rehearse, slow, take_away};
pub use postponed::{Completed, Kind, Wanted, complete, pending, waiting};
pub use schema::SchemaOptions;
pub use views::refresh;

use crate::catalog::{self, Catalog, Oid, Relation, Selection};
use crate::cli::Progress as When;
use crate::destination::{self, Claim, Unguarded, Way, guard_tables};
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::lock::Patience;
use crate::session::Session;
use crate::stop::Stop;
use chunks::Limits;
use empty::Emptier;
use progress::Progress;
use schema::Schema;
use table::Table;
use worker::{Event, Work};

/// The first version that reads a range of ctids without reading the rest of the table.
const RANGE_SCANS: i32 = 140_000;

/// What is copied, and how.
pub struct Parameters<'a> {
    /// The source's captured relations.
    pub catalog: &'a Catalog,
    /// What the destination's bookkeeping said when this run claimed it.
    pub claim: &'a Claim,
    /// Workers, each with a connection to either side.
    pub jobs: usize,
    /// How long whoever writes there is waited for.
    pub patience: Patience,
    /// Rows on the destination that are not ours are thrown away.
    pub truncate: bool,
    /// Brings the schema too.
    pub create_schema: Option<SchemaOptions>,
    /// When bars are drawn.
    pub progress: When,
    /// No bars unless they are asked for. What the log shows is the log's own choice.
    pub quiet: bool,
}

/// What a copy did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Report {
    /// Tables copied now.
    pub tables: usize,
    /// Tables that an earlier run had copied.
    pub skipped: usize,
    /// Rows copied now.
    pub rows: u64,
    /// Bytes copied now, as they went over the wire.
    pub bytes: u64,
    /// Time for everything, the schema and ANALYZE included.
    pub seconds: f64,
}

/// Copies what is not copied yet, and notes on the destination that all is there. The caller holds the
/// source's advisory lock, and has captured every relation of the catalog. Foreign keys and
/// materialized views of a schema that was created here follow after the first cycle: [`complete`].
///
/// # Errors
/// The destination has rows that are not ours, or lacks tables or columns; as either server says.
/// What is finished by then stays; run again, it goes on.
pub fn copy(
    source: &mut Session,
    destination: &mut Session,
    parameters: &Parameters<'_>,
    stop: &Stop,
) -> Result<Report> {
    let began = Instant::now();
    let way = destination::way(destination)?;
    let report = copy_all(source, destination, parameters, way, stop).map_err(|error| {
        match error.connection_lost && error.mend.is_none() {
            true => error.mend("run the same command again, it goes on where it ended"),
            false => error,
        }
    })?;
    Ok(Report {
        seconds: began.elapsed().as_secs_f64(),
        ..report
    })
}

fn copy_all(
    source: &mut Session,
    destination: &mut Session,
    parameters: &Parameters<'_>,
    way: Way,
    stop: &Stop,
) -> Result<Report> {
    let schema = prepare_schema(source, destination, parameters, way, stop)?;
    let there = Catalog::read(destination, &Selection::default())?;
    catalog::refuse_differences(parameters.catalog, &there, schema.is_none())?;
    let relations = &parameters.catalog.relations;
    let oids: Vec<_> = relations
        .iter()
        .filter_map(|relation| there.relation(&relation.name))
        .map(|relation| relation.oid)
        .collect();
    catalog::refuse_policies(destination, &oids)?;
    if way == Way::Owner {
        let moved: Vec<&QualifiedName> = relations.iter().map(|one| &one.name).collect();
        let mut session = destination.another("copy foreign keys")?;
        destination::writer(&mut session, &parameters.claim.run)?;
        take_away(&mut session, &moved, &parameters.claim.run)?;
        tell_what_is_away(&mut session)?;
    }
    let report = load(source, destination, parameters, (&there, &oids), way, stop)?;
    if let Some(schema) = schema {
        log::info!("creating indexes and constraints");
        schema.finish(destination, parameters.jobs)?;
    }
    if report.tables > 0 || !parameters.claim.copied {
        log::info!("collecting the planner's statistics");
        let relations = &parameters.catalog.relations;
        analyze::analyze(destination, relations, parameters.jobs, stop)?;
        let sql = format!(
            "BEGIN; UPDATE switchover.state SET copied_at = pg_catalog.clock_timestamp(); {} COMMIT;",
            destination::hold(&parameters.claim.run)
        );
        destination.execute("note that the copy is complete", &sql)?;
    }
    Ok(report)
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

/// Says that the destination is without foreign keys, and how that could be avoided.
fn tell_what_is_away(session: &mut Session) -> Result<()> {
    let away = pending(session, Kind::ForeignKeys)?;
    if away > 0 {
        log::info!(
            "{} of the destination {} away until the switch, because the role may not set session_replication_role there",
            if away == 1 {
                "1 foreign key".to_string()
            } else {
                format!("{away} foreign keys")
            },
            if away == 1 { "is" } else { "are" },
        );
    }
    Ok(())
}

/// Creates what is missing of the schema, as far as that was asked for. Returns the rest of a schema whose
/// keys and indexes come behind the rows.
fn prepare_schema<'a>(
    source: &mut Session,
    destination: &mut Session,
    parameters: &'a Parameters<'_>,
    way: Way,
    stop: &'a Stop,
) -> Result<Option<Schema<'a>>> {
    let Parameters { claim, catalog, .. } = parameters;
    let there = Catalog::read(destination, &Selection::default())?;
    let sides = Sides {
        source: catalog,
        destination: &there,
        claim,
        new: None,
    };
    let Some(options) = &parameters.create_schema else {
        schema::refuse_half_a_schema(claim)?;
        match claim.schema_created {
            true => bring::follow(source, destination, &sides, stop)?,
            false => bring::refuse_missing(source, destination, &sides)?,
        }
        return Ok(None);
    };
    let mut relations = catalog.relations.iter();
    let first = !claim.schema_created && !relations.any(|one| there.relation(&one.name).is_some());
    let captured: Vec<u32> = catalog.relations.iter().map(|one| one.oid).collect();
    catalog::refuse_forced(source, destination, &captured)?;
    if !first {
        bring::complete_schema(source, destination, &sides, options, stop)?;
        if !claim.schema_created || claim.schema_finished {
            return Ok(None);
        }
    }
    let schema = Schema::dump(source, destination, &captured, options, &claim.run, stop)?;
    if way == Way::Owner {
        foreign_keys::refuse_slow(destination, schema.postponed())?;
    }
    if first {
        let wish = bring::everything(source, destination, catalog)?;
        schema.create_tables(destination, &wish)?;
    }
    Ok(Some(schema))
}

/// Empties and fills the tables that are not finished.
fn load(
    source: &Session,
    destination: &mut Session,
    parameters: &Parameters<'_>,
    (there, oids): (&Catalog, &[Oid]),
    way: Way,
    stop: &Stop,
) -> Result<Report> {
    let copied = destination::copied_tables(destination)?;
    let finished: BTreeSet<&QualifiedName> = copied
        .iter()
        .filter(|table| table.finished)
        .map(|table| &table.name)
        .collect();
    let begun: BTreeSet<QualifiedName> = copied.iter().map(|table| table.name.clone()).collect();
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
    let mut report = Report {
        skipped: parameters.catalog.relations.len() - relations.len(),
        ..Report::default()
    };
    if relations.is_empty() {
        return Ok(report);
    }
    let names: Vec<&QualifiedName> = relations.iter().map(|one| &one.name).collect();
    let whole = destination::silenced(destination, way, &names)?;
    let limits = Limits {
        jobs: parameters.jobs,
        ranges: source.version() >= RANGE_SCANS,
    };
    let tables = tables(&relations, there, &BTreeSet::from_iter(whole), limits)?;
    work_off(
        source,
        destination,
        parameters,
        tables,
        &emptier,
        stop,
        &mut report,
    )?;
    Ok(report)
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

/// Runs the workers until every chunk is copied.
fn work_off(
    source: &Session,
    destination: &Session,
    parameters: &Parameters<'_>,
    tables: Vec<Table<'_>>,
    emptier: &Emptier,
    stop: &Stop,
    report: &mut Report,
) -> Result<()> {
    // The largest table first; the chunks of one table follow one another, so that no more tables
    // are under way, and no more snapshots are open, than there are workers.
    let mut order: Vec<&Table<'_>> = tables.iter().collect();
    order.sort_by_key(|table| std::cmp::Reverse(table.relation.bytes));
    let queue: VecDeque<_> = order
        .iter()
        .flat_map(|table| table.chunks.iter().cloned())
        .collect();
    let jobs = parameters.jobs.clamp(1, queue.len().max(1));
    let (events, heard) = unbounded();
    let work = Work {
        source: source.conninfo(),
        destination: destination.conninfo(),
        tables,
        queue: Mutex::new(queue),
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
        stop,
        |crew, number| worker::work(&work, crew, number),
        || tick(&mut progress),
    );
    tick(&mut progress);
    progress.end();
    result?;
    for table in &work.tables {
        let state = crew::lock(table.state());
        report.tables += 1;
        report.rows += state.rows;
        report.bytes += state.bytes;
    }
    Ok(())
}
