//! `init`: capture on the source, bookkeeping on the destination.

use std::sync::atomic::AtomicUsize;

use super::open::{Both, patience, refuse_large_objects};
use super::prepare;
use crate::capture::{self, Capture, Parties, Phase, State};
use crate::catalog::{self, Catalog, Relation, Selection};
use crate::cli::Options;
use crate::destination::{self, Claim};
use crate::error::{Error, Result};
use crate::follow::Followed;
use crate::ident::ident;
use crate::lock::Patience;
use crate::session::Session;
use crate::stop::Stop;
use crate::switch::mend_fence;

/// Installs everything, or completes what is missing.
///
/// # Errors
/// A table's lock was not obtained in time; an object cannot be created. What was made so far stays,
/// and the same command completes it.
pub fn init(options: &Options, both: &mut Both, stop: &Stop) -> Result<()> {
    let (selection, former) = selection(options, both)?;
    let catalog = Catalog::read(&mut both.source, &selection)?;
    if catalog.relations.is_empty() {
        return Err(Error::usage("there is no table to move on the source")
            .mend("check --source and the -n, -N, -t and -T patterns"));
    }
    refuse_foreign(&catalog)?;
    refuse_large_objects(&mut both.source, &selection)?;
    refuse_powerless(both, &catalog)?;
    for session in [&mut both.source, &mut both.destination] {
        refuse_few_locks(session, catalog.sequences.len() as i64)?;
    }
    // Where the tables are on the destination already, a difference is better known now.
    let theirs = Catalog::read(&mut both.destination, &Selection::default())?;
    if !theirs.relations.is_empty() {
        let present = Catalog {
            relations: catalog
                .relations
                .iter()
                .filter(|relation| theirs.relation(&relation.name).is_some())
                .cloned()
                .collect(),
            types: catalog.types.clone(),
            ..Catalog::default()
        };
        catalog::refuse_differences(&present, &theirs, false)?;
    }
    let destination_name = both.destination.conninfo().location();
    let parties = Parties {
        source_identity: &both.source_database.identity,
        destination_identity: &both.destination_database.identity,
        destination_name: &destination_name,
        selection: &selection,
    };
    // Both sides are looked at before either is changed.
    let identity = &both.source_database.identity;
    let claim = destination::install_and_claim(&mut both.destination, identity)?;
    match former {
        // What it lacks would not be captured again.
        Some(state) => prepare::refuse_unfit(&state, &claim)?,
        None => claim.refuse_in_charge()?,
    }
    let mut observer = both.source.another("observer")?;
    let patience = patience(options);
    capture::install(&mut both.source, &mut observer, patience, stop, &parties)?;
    mend_fence(&mut both.source)?;
    // What can be followed needs no copy.
    let Followed {
        catalog, capture, ..
    } = both.follow(options, &selection, None, stop)?;
    refuse_foreign(&catalog)?;
    let seen = (&catalog, &capture);
    capture_tables(patience, (both, &claim), &mut observer, seen, stop)
}

/// What an earlier `init` selected stands unless this one says otherwise. Returns what that one has left as well.
fn selection(options: &Options, both: &mut Both) -> Result<(Selection, Option<State>)> {
    let patterns = &options.patterns;
    let asked = Selection::parse(
        &patterns.schemas,
        &patterns.exclude_schemas,
        &patterns.tables,
        &patterns.exclude_tables,
    )?;
    let Some(state) = capture::read_state(&mut both.source)? else {
        return Ok((asked, None));
    };
    if state.phase == Phase::Switched {
        return Err(
            Error::failed("the switch is done: the destination is in charge")
                .mend("drop this switchover before another one"),
        );
    }
    both.state()?;
    let selection = match asked.takes_all() {
        true => state.selection.clone(),
        false => asked,
    };
    Ok((selection, Some(state)))
}

/// Refuses roles that could not do it all, before anything is made.
fn refuse_powerless(both: &mut Both, catalog: &Catalog) -> Result<()> {
    let role = role_that_may_create(&mut both.source)?;
    role_that_may_create(&mut both.destination)?;
    match catalog.relations.iter().find(|relation| !relation.owned) {
        None => {
            let partitions = |relation: &Relation| {
                let oids = relation.partitions.iter().map(|partition| partition.oid);
                oids.chain([relation.oid]).collect::<Vec<_>>()
            };
            let oids: Vec<_> = catalog.relations.iter().flat_map(partitions).collect();
            catalog::refuse_policies(&mut both.source, &oids)
        }
        Some(relation) => {
            let owner = ident(&relation.owner);
            Err(Error::failed(format!(
                "table {} on the source belongs to role {owner}, and capture triggers need the owner",
                relation.name
            ))
            .mend(format!(
                "connect as its owner or as a superuser, or GRANT {owner} TO {role} there"
            )))
        }
    }
}

/// Refuses a server that has no room for the locks of a cycle, which reads all sequences in one transaction, and
/// the first sets them all in one. Of tables it locks those that have changed: only `check` can warn of that.
fn refuse_few_locks(session: &mut Session, sequences: i64) -> Result<()> {
    let sql = "SELECT pg_catalog.current_setting('max_locks_per_transaction')::int8,
                      pg_catalog.current_setting('max_connections')::int8
                      + pg_catalog.current_setting('max_prepared_transactions')::int8";
    let row = session.query_one("read the size of the lock table", sql, &[])?;
    let (each, processes): (i64, i64) = (row.get(0), row.get(1));
    let holds = each * processes;
    if sequences <= holds {
        return Ok(());
    }
    let side = session.side();
    Err(Error::failed(format!(
        "the {side}'s lock table holds {holds} locks, and a cycle locks all {sequences} sequences at once"
    ))
    .mend(format!(
        "raise max_locks_per_transaction there from {each} to {}, and restart it",
        // Others lock something, too.
        sequences * 2 / processes + 1
    )))
}

/// Returns the session's role, quoted.
fn role_that_may_create(session: &mut Session) -> Result<String> {
    let sql = "SELECT pg_catalog.quote_ident(current_user),
                      pg_catalog.quote_ident(pg_catalog.current_database()),
                      pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')";
    let row = session.query_one("read our privileges", sql, &[])?;
    let (role, database): (String, String) = (row.get(0), row.get(1));
    if row.get(2) {
        return Ok(role);
    }
    Err(Error::failed(format!(
        "role {role} may not create schema switchover on the {}",
        session.side()
    ))
    .mend(format!(
        "GRANT CREATE ON DATABASE {database} TO {role} there"
    )))
}

fn refuse_foreign(catalog: &Catalog) -> Result<()> {
    let foreign = catalog
        .relations
        .iter()
        .flat_map(|relation| &relation.partitions)
        .find(|partition| partition.foreign);
    match foreign {
        None => Ok(()),
        Some(partition) => Err(Error::failed(format!(
            "partition {} is a foreign table, whose changes cannot be captured",
            partition.name
        ))
        .mend("detach it, or leave its table out with -T")),
    }
}

fn capture_tables(
    patience: Patience,
    (both, claim): (&mut Both, &Claim),
    observer: &mut Session,
    (catalog, capture): (&Catalog, &Capture),
    stop: &Stop,
) -> Result<()> {
    let wanting = capture::wanting(capture, catalog);
    let missing: Vec<&Relation> = wanting
        .iter()
        .filter_map(|oid| catalog.relation_by_oid(*oid))
        .collect();
    for relation in &missing {
        if let Some(captured) = capture.tables.get(&relation.oid) {
            destination::rename_table(&mut both.destination, &captured.name, &relation.name)?;
        }
    }
    if !missing.is_empty() {
        // Until every table is captured, no other command may take the rest for new ones, nor go on without the
        // tables that are forgotten.
        capture::set_phase(&mut both.source, Phase::Idle)?;
        // Changes may have been missed until now, so the tables are to be copied, whatever was there.
        let names = missing.iter().map(|relation| &relation.name);
        let copies = destination::forget_tables(&mut both.destination, names, &claim.run)?;
        capture::note_copies(&mut both.source, copies)?;
    }
    let work = capture::Work {
        patience,
        stop,
        capture,
        done: AtomicUsize::new(0),
    };
    capture::capture_tables(&mut both.source, observer, &missing, &work)?;
    capture::settle(&mut both.source, capture, catalog)?;
    let copied = destination::copied_tables(&mut both.destination)?;
    let to_copy: Vec<_> = catalog
        .relations
        .iter()
        .filter(|relation| {
            !copied
                .iter()
                .any(|table| table.finished && table.name == relation.name)
        })
        .map(|relation| relation.oid)
        .collect();
    capture::forget_changes(&mut both.source, &to_copy)?;
    capture::set_captured(&mut both.source, !wanting.is_empty())?;
    log::info!(
        "changes of {} are captured{}",
        super::counted(catalog.relations.len(), "table"),
        match wanting.len() {
            0 => " (nothing was missing)".to_string(),
            new if new == catalog.relations.len() => String::new(),
            new => format!(" ({new} of them since now)"),
        }
    );
    Ok(())
}
