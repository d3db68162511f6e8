//! `verify`: what a cycle committed on the destination against the very snapshot that the cycle read on
//! the source, so writers go on and no difference is one of time.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::prepare::Prepared;
use super::{copy, counted, objects};
use crate::capture;
use crate::cli::Options;
use crate::destination;
use crate::error::{Class, Error, Result};
use crate::ident::QualifiedName;
use crate::report;
use crate::stop::Stop;
use crate::verify::{self, Difference, Kind, RowDifference, Snapshot, Verdict, Work};

/// How often a table that is truncated or rewritten while it is compared is compared again.
const ROUNDS: usize = 10;

/// Compares, prints the differences, and notes a comparison that found none.
///
/// # Errors
/// Class found with differences; or as either server says.
pub fn verify(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    prepared.cycle(options, stop)?;
    copy::complete(options, prepared, stop)?;
    let mut observer = prepared.cycles.reader.session().another("observer")?;
    objects::warn(prepared, &mut observer)?;
    drop(observer);
    let (cycle, verdict) = compare_all(options, prepared, None, stop)?;
    let rows = usize::try_from(verdict.rows).unwrap_or(usize::MAX);
    let differences = usize::try_from(verdict.count()).unwrap_or(usize::MAX);
    destination::note_verification(
        prepared.cycles.applier.session(),
        cycle,
        [verdict.tables, verdict.rows, verdict.count()],
    )?;
    capture::set_verified(prepared.cycles.reader.session(), verdict.same())?;
    show(options, cycle, &verdict)?;
    if verdict.same() {
        log::info!(
            "verified at cycle {cycle}: {} in {} are the same on both sides",
            counted(rows, "row"),
            counted(verdict.tables as usize, "table")
        );
        return Ok(());
    }
    Err(found(differences))
}

/// Compares what others can write into on the destination, for `switch`: the last verify may be days old. What they
/// write after this is not seen.
///
/// # Errors
/// As [`verify`].
pub fn verify_unguarded(options: &Options, prepared: &mut Prepared, stop: &Stop) -> Result<()> {
    let tables: BTreeSet<QualifiedName> = prepared
        .unguarded
        .iter()
        .map(|table| table.root.clone())
        .collect();
    if tables.is_empty() || options.unverified {
        return Ok(());
    }
    log::info!(
        "comparing {} that others can write into on the destination",
        counted(tables.len(), "table")
    );
    let tables = Vec::from_iter(tables);
    let (cycle, verdict) = compare_all(options, prepared, Some(&tables), stop)?;
    if verdict.same() {
        return Ok(());
    }
    capture::set_verified(prepared.cycles.reader.session(), false)?;
    show(options, cycle, &verdict)?;
    Err(found(
        usize::try_from(verdict.count()).unwrap_or(usize::MAX),
    ))
}

fn show(options: &Options, cycle: i64, verdict: &Verdict) -> Result<()> {
    if options.json {
        return report::print(&json(cycle, verdict));
    }
    let lines = verdict
        .differences
        .iter()
        .map(|difference| format!("{difference}\n"));
    report::print(&lines.collect::<String>())
}

fn found(differences: usize) -> Error {
    Error::new(
        Class::Found,
        format!("{} found", counted(differences, "difference")),
    )
    .mend(
        "update these rows to themselves on the source, delete the surplus ones on the destination (in session_replication_role = replica, or with trigger pg_switchover_guard disabled), then sync and verify again",
    )
}

/// Compares everything, or `only` these tables, with one cycle, and tables that were truncated or rewritten meanwhile with a later
/// one. Returns the last cycle.
fn compare_all(
    options: &Options,
    prepared: &mut Prepared,
    only: Option<&[QualifiedName]>,
    stop: &Stop,
) -> Result<(i64, Verdict)> {
    let (source, destination) = prepared.cycles.sessions();
    prepared.source_catalog.read_sizes(source)?;
    prepared.destination_catalog.read_sizes(destination)?;
    let mut round = |only: Option<&[QualifiedName]>| -> Result<(i64, Verdict)> {
        let cycle = prepared.cycles.run_open(stop)?.cycle;
        let result = compare(options, prepared, only, stop);
        // The cycle stands, whatever the comparison came to.
        prepared.cycles.reader.forget(cycle)?;
        Ok((cycle, result?))
    };
    let (mut cycle, mut verdict) = round(only)?;
    for _ in 1..ROUNDS {
        if verdict.rewritten.is_empty() {
            break;
        }
        log::info!(
            "{} truncated, rewritten or renamed on the source meanwhile, comparing again",
            counted(verdict.rewritten.len(), "table")
        );
        let (later, further) = round(Some(&verdict.rewritten))?;
        cycle = later;
        verdict.add(further);
    }
    match verdict.rewritten.first() {
        None => Ok((cycle, verdict)),
        Some(table) => Err(Error::failed(format!(
            "table {table} was truncated, rewritten or renamed on the source each of the {ROUNDS} times that it was compared"
        ))
        .mend("run verify again")),
    }
}

/// Opens the destination's twin of the source's snapshot, and compares. Only the applier writes there,
/// and it is idle, so a snapshot that is taken now is what the cycle has committed.
fn compare(
    options: &Options,
    prepared: &mut Prepared,
    only: Option<&[QualifiedName]>,
    stop: &Stop,
) -> Result<Verdict> {
    let Prepared {
        cycles,
        source_catalog,
        destination_catalog,
        ..
    } = prepared;
    let source_id = cycles.reader.export()?;
    let sequences = cycles.applier.sequences().clone();
    let mut holder = cycles.applier.session().another("verify")?;
    holder.execute(
        "take a snapshot",
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    )?;
    let destination_id: String = holder
        .query_one(
            "export a snapshot",
            "SELECT pg_catalog.pg_export_snapshot()",
            &[],
        )?
        .get(0);
    verify::compare(
        &Snapshot {
            session: cycles.reader.session(),
            id: &source_id,
            catalog: source_catalog,
        },
        &Snapshot {
            session: &holder,
            id: &destination_id,
            catalog: destination_catalog,
        },
        &Work {
            sequences: &sequences,
            jobs: options.jobs,
            progress: options.progress,
            only,
        },
        stop,
    )
}

fn json(cycle: i64, verdict: &Verdict) -> String {
    let document = json!({
        "cycle": cycle,
        "same": verdict.same(),
        "tables": verdict.tables,
        "rows": verdict.rows,
        "differences": verdict.differences.iter().map(difference).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn difference(difference: &Difference) -> Value {
    let name = difference.name();
    let mut value = json!({ "schema": name.schema, "name": name.name });
    let facts = match difference {
        Difference::Table { what, .. } => json!({ "kind": "table", "what": what }),
        Difference::Rows {
            missing,
            extra,
            changed,
            complete,
            shown,
            ..
        } => json!({
            "kind": "rows",
            "missing": missing,
            "extra": extra,
            "changed": changed,
            "complete": complete,
            "rows": shown.iter().map(row).collect::<Vec<_>>(),
        }),
        Difference::Sequence {
            source,
            destination,
            ..
        } => json!({
            "kind": "sequence",
            "source": source.last_value,
            "destination": destination.map(|value| value.last_value),
        }),
    };
    if let (Some(all), Value::Object(facts)) = (value.as_object_mut(), facts) {
        all.extend(facts);
    }
    value
}

fn row(row: &RowDifference) -> Value {
    let (kind, columns): (&str, &[String]) = match &row.kind {
        Kind::Missing => ("missing", &[]),
        Kind::Extra => ("extra", &[]),
        Kind::Columns(columns) => ("changed", columns),
    };
    json!({ "key": row.key, "kind": kind, "columns": columns })
}
