//! Finds the rows that differ: reads keys and hashes of both sides in one order, and merges them.

use std::collections::HashMap;
use std::io::BufRead;

use super::crew::SIDES;
use super::merge::{self, Entry, Found};
use super::pairs::Pair;
use super::scan::{Buckets, Scan, Totals, buckets_of};
use super::sql;
use super::verdict::{Difference, Kind, RowDifference, SHOWN_PER_TABLE};
use crate::catalog::Key;
use crate::error::{Error, Result, Side};
use crate::lock;
use crate::session::{Session, copy_error};

/// Rows of a table that are looked at on each side. They are sorted on the servers, the source among
/// them, and a table that is lost as a whole shall not fill its disk.
const ROWS_LOOKED_AT: u64 = 10_000_000;

/// A table to be looked at, and where.
struct Task {
    table: usize,
    buckets: u64,
    wanted: Vec<u64>,
    complete: bool,
}

/// Finds the rows that differ in tables whose totals differ. What it finds in a table that was rewritten
/// meanwhile means nothing.
///
/// # Errors
/// As the servers say; interrupted.
pub fn find(scan: &Scan<'_>, tables: &[usize], totals: &[Totals]) -> Result<Vec<Difference>> {
    for table in tables {
        log::info!(
            "table {} differs, finding which rows",
            scan.pairs[*table].source.name
        );
    }
    let (small, large): (Vec<_>, Vec<_>) = tables
        .iter()
        .map(|table| (*table, buckets_of(totals[*table].most_rows())))
        .partition(|(_, buckets)| *buckets == 1);
    let mut found = scan.buckets(&large)?;
    let mut tasks: Vec<Task> = small.iter().map(|(table, _)| whole(*table)).collect();
    for (table, buckets) in large {
        tasks.push(choose(
            table,
            buckets,
            &found.remove(&table).unwrap_or_default(),
        ));
    }
    let mut differences = Vec::new();
    scan.crew.run(
        vec![tasks],
        |task: Task| {
            let table = scan.pairs[task.table].source;
            scan.crew.patiently(table, || look(scan, &task))
        },
        |difference| differences.extend(difference),
    )?;
    Ok(differences)
}

fn whole(table: usize) -> Task {
    Task {
        table,
        buckets: 1,
        wanted: vec![0],
        complete: true,
    }
}

/// Chooses the buckets to look at, by number, until they hold as many rows as we look at.
fn choose(table: usize, buckets: u64, differing: &Buckets) -> Task {
    let mut numbers: Vec<u64> = differing.keys().copied().collect();
    numbers.sort_unstable();
    let mut rows = 0;
    let wanted: Vec<u64> = numbers
        .iter()
        .copied()
        .take_while(|number| {
            let before = rows;
            rows += differing.get(number).map_or(0, Totals::most_rows);
            before == 0 || rows <= ROWS_LOOKED_AT
        })
        .collect();
    Task {
        table,
        buckets,
        complete: wanted.len() == numbers.len(),
        wanted,
    }
}

/// `None` if the table was rewritten meanwhile.
fn look(scan: &Scan<'_>, task: &Task) -> Result<Option<Difference>> {
    let pair = &scan.pairs[task.table];
    let Some(mut source) = scan.crew.session_for(Side::Source, pair.source)? else {
        return Ok(None);
    };
    let mut destination = scan.crew.session(Side::Destination)?;
    let difference = look_into(scan, task, &mut source, &mut destination)
        .map_err(|error| lock::after_giving_way(source.pid(), error))?;
    scan.crew.give_back(Side::Source, source);
    scan.crew.give_back(Side::Destination, destination);
    Ok(Some(difference))
}

fn look_into(
    scan: &Scan<'_>,
    task: &Task,
    source: &mut Session,
    destination: &mut Session,
) -> Result<Difference> {
    let pair = &scan.pairs[task.table];
    let mut found = Found::new(SHOWN_PER_TABLE);
    {
        let ours = stream(source, scan, task)?;
        let theirs = stream(destination, scan, task)?;
        if pair.source.key.is_some() {
            merge::keyed(ours, theirs, &mut found)?;
        } else {
            merge::counted(ours, theirs, &mut found)?;
        }
    }
    if found.none() {
        // Not even a hash that deceives does this. Whatever it is, it is no pass.
        return Ok(Difference::Table {
            name: pair.source.name.clone(),
            what: "differs as a whole but in no row: was it altered meanwhile? verify again"
                .to_string(),
        });
    }
    let mut shown = Vec::new();
    if let Some(key) = &pair.source.key {
        let columns = changed_columns(scan, pair, key, &found, [source, destination])?;
        shown = show(key, found.shown, columns);
    }
    Ok(Difference::Rows {
        name: pair.source.name.clone(),
        missing: found.missing,
        extra: found.extra,
        changed: found.changed,
        complete: task.complete,
        shown,
    })
}

/// Starts the COPY of one side and reads its lines: two values, separated by a tab.
fn stream<'a>(
    session: &'a mut Session,
    scan: &Scan<'_>,
    task: &Task,
) -> Result<impl Iterator<Item = Result<Entry>> + 'a> {
    let pair = &scan.pairs[task.table];
    let side = session.side();
    let what = format!("compare rows of table {}", pair.source.name);
    let sql = sql::rows(scan.hash, pair, side, task.buckets, &task.wanted);
    let reader = session.copy_out(&what, &sql)?;
    Ok(reader.lines().map(move |line| {
        let line = line.map_err(|error| copy_error(side, &what, &error))?;
        Entry::parse(&line)
            .ok_or_else(|| Error::failed(format!("could not {what} on the {side}: bad line")))
    }))
}

/// Hashes every column of the changed rows that are shown, and returns which differ, by hex key.
fn changed_columns(
    scan: &Scan<'_>,
    pair: &Pair<'_>,
    key: &Key,
    found: &Found,
    sessions: [&mut Session; 2],
) -> Result<HashMap<String, Vec<String>>> {
    let changed: Vec<&str> = found
        .shown
        .iter()
        .filter(|(_, kind)| matches!(kind, Kind::Columns(_)))
        .map(|(key, _)| key.as_str())
        .collect();
    if changed.is_empty() {
        return Ok(HashMap::new());
    }
    let literals: Vec<String> = changed.iter().map(|hex| merge::decode(hex)).collect();
    let literals: Vec<&str> = literals.iter().map(String::as_str).collect();
    let what = format!("compare columns of table {}", pair.source.name);
    let mut sides: Vec<HashMap<String, Vec<Option<i64>>>> = Vec::new();
    for (side, session) in SIDES.into_iter().zip(sessions) {
        let sql = sql::columns(scan.hash, pair, key, side, &literals);
        let rows = session.query(&what, &sql, &[])?;
        sides.push(rows.iter().map(|row| (row.get(0), row.get(1))).collect());
    }
    let names: Vec<&str> = pair.columns.iter().map(|column| column.name).collect();
    Ok(changed
        .iter()
        .filter_map(|key| {
            let (ours, theirs) = (sides.first()?.get(*key)?, sides.get(1)?.get(*key)?);
            Some(((*key).to_string(), merge::differing(&names, ours, theirs)))
        })
        .collect())
}

fn show(
    key: &Key,
    shown: Vec<(String, Kind)>,
    mut columns: HashMap<String, Vec<String>>,
) -> Vec<RowDifference> {
    shown
        .into_iter()
        .map(|(hex, kind)| RowDifference {
            key: sql::key_condition(key, &merge::decode(&hex)),
            kind: match kind {
                Kind::Columns(_) => Kind::Columns(columns.remove(&hex).unwrap_or_default()),
                other => other,
            },
        })
        .collect()
}
