//! Loads every table, in parallel, so that a kill costs no more than the tables that were under way.
//!
//! Each table is read in one snapshot, whichever that is: the changes of every row since `init` are in
//! the log, and the first cycle brings the whole to one state. `switchover.copied` on the destination
//! says which tables are begun and which are there, in the transactions that write their rows.

mod analyze;
mod archive;
mod block;
mod bring;
mod chunks;
mod contents;
mod crew;
mod directory;
mod empty;
mod foreign_keys;
mod indexes;
mod last_section;
mod load;
mod noted;
mod postponed;
mod progress;
mod queue;
mod schema;
mod table;
mod tally;
mod tools;
mod views;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use bring::{Sides, follow, refuse_new_sequences};
pub use foreign_keys::{acting, additions, rehearse, slow, take_away};
pub use noted::{pending, waiting};
pub use postponed::{Completed, Kind, Wanted, complete};
pub use schema::SchemaOptions;
pub use views::refresh;

use crate::catalog::{self, Catalog, Relation, Selection};
use crate::cli::Progress as When;
use crate::destination::{self, Claim, Way};
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::lock::Patience;
use crate::session::{Session, side_by_side};
use crate::stop::Stop;
use contents::Wish;
use load::Load;
use schema::Schema;

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
    let load = Load {
        source,
        parameters,
        schema: schema.as_ref(),
        way,
        stop,
    };
    let report = load.run(destination, &there, &oids)?;
    if let Some(schema) = schema {
        log::info!("creating indexes and constraints");
        schema.finish(destination, relations, parameters.jobs)?;
    }
    if report.tables > 0 || !parameters.claim.copied {
        log::info!("collecting the planner's statistics");
        let relations = &parameters.catalog.relations;
        analyze::analyze(destination, relations, parameters.jobs, stop)?;
        let sql = format!(
            "BEGIN; UPDATE switchover.state SET copied_at = pg_catalog.clock_timestamp(), copies = copies + 1; {} COMMIT;",
            destination::hold(&parameters.claim.run)
        );
        destination.execute("note that the copy is complete", &sql)?;
    }
    Ok(report)
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
    let wish = |source: &mut Session, destination: &mut Session| match first {
        true => bring::everything(source, destination, catalog).map(Some),
        false => Ok(None),
    };
    let limits = (claim.run.as_str(), stop);
    let (schema, wish) = Schema::dump(source, destination, &captured, options, limits, wish)?;
    if way == Way::Owner {
        foreign_keys::refuse_slow(destination, schema.postponed())?;
    }
    if let Some(wish) = wish {
        create_tables(destination, &schema, &wish, &catalog.relations)?;
    }
    Ok(Some(schema))
}

/// Creates what comes before the data. The destination is at work, so what the workers will want is read beside it.
fn create_tables(
    destination: &Session,
    schema: &Schema<'_>,
    wish: &Wish,
    relations: &[Relation],
) -> Result<()> {
    let version = destination.version();
    let creating = AtomicBool::new(true);
    let (created, ()) = side_by_side(
        || {
            let created = schema.create_tables(destination, wish);
            creating.store(false, Ordering::Relaxed);
            created
        },
        || {
            let lists = indexes::of_large(schema.listing(), relations);
            schema.read_ahead(&lists, version, || creating.load(Ordering::Relaxed));
        },
    );
    created
}
