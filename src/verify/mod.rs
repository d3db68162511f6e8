//! Compares both databases row by row, exactly, while writes go on: what a cycle has committed on the
//! destination against the very snapshot of the source that the cycle read. The caller keeps both
//! snapshots exported while [`compare`] runs; every session of ours joins one of them.
//!
//! 1. Every table is scanned once on each side, in pieces that add up: a count and the sum of a
//!    64-bit hash of every row. Equal sums mean equal rows. The seed of the hash is drawn for each
//!    run, so that no data can be made to collide, and two different tables pass as equal once in
//!    2^64 (1.8e19) runs.
//! 2. Tables that differ are scanned again, grouped into buckets by a hash of the key.
//! 3. Of the buckets that differ, keys and hashes of both sides are read in the order of the key and
//!    merged, which finds the rows; for the first of these, a hash per column finds the columns.
//!
//! Memory is bounded: a table has at most [`scan::MAX_BUCKETS`] buckets, and step 3 streams.

mod crew;
mod leaves;
mod merge;
mod pairs;
mod progress;
mod rows;
mod scan;
mod sequences;
mod sql;
mod verdict;

pub use verdict::{Difference, Kind, RowDifference, Verdict};

use crate::catalog::Catalog;
use crate::cli::Progress;
use crate::error::{Error, Result};
use crate::sequences::Values;
use crate::session::Session;
use crate::stop::Stop;
use crew::Crew;
use progress::Meter;
use scan::{Scan, Totals};
use sql::Hash;

/// One side of the comparison.
pub struct Snapshot<'a> {
    /// Where to open further sessions; it is not used for anything else.
    pub session: &'a Session,
    /// What `pg_export_snapshot()` returned. Its transaction must stay open during the comparison.
    pub id: &'a str,
    /// The relations of that side. Of the source: those that are captured.
    pub catalog: &'a Catalog,
}

/// Compares every relation of the source's catalog, and the sequences as the cycle has read them,
/// with `jobs` sessions on each side.
///
/// # Errors
/// As the servers say; interrupted. Differences are no error: the verdict has them.
pub fn compare(
    source: &Snapshot<'_>,
    destination: &Snapshot<'_>,
    sequences: &Values,
    jobs: usize,
    progress: Progress,
    stop: &Stop,
) -> Result<Verdict> {
    let crew = Crew::new(source, destination, jobs, stop)?;
    let hash = choose_hash(&crew)?;
    let (pairs, mut differences) = pairs::pair(source.catalog, destination.catalog);
    let scan = Scan {
        crew: &crew,
        pairs: &pairs,
        leaves: leaves::read(&crew, &pairs)?,
        hash,
    };
    let expected = pairs.iter().map(|pair| pair.source.rows).sum();
    let totals = scan.totals(Meter::begin(progress, expected))?;
    let differing: Vec<usize> = (0..pairs.len())
        .filter(|table| totals[*table].differ())
        .collect();
    differences.extend(rows::find(&scan, &differing, &totals)?);
    differences.extend(sequences::compare(&crew, sequences, destination.catalog)?);
    differences.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(Verdict {
        tables: pairs.len() as u64,
        rows: totals.iter().map(Totals::source_rows).sum(),
        differences,
    })
}

/// Draws the seed, and asks both servers whether PostgreSQL's hash of the same bytes is the same:
/// it reads words, so servers of different byte order disagree. SHA-256 is slower and always agrees.
fn choose_hash(crew: &Crew<'_>) -> Result<Hash> {
    let mut answers = Vec::new();
    let mut seed = 0;
    for side in crew::SIDES {
        let mut session = crew.session(side)?;
        let row = session.query_one("try the hash", sql::PROBE, &[])?;
        answers.push(row.get::<_, i64>(0));
        // That of the destination counts; either would do.
        seed = row.get(1);
        crew.give_back(side, session);
    }
    match answers.as_slice() {
        [a, b] if a == b => Ok(Hash::Native { seed }),
        [_, _] => Ok(Hash::Sha256 { seed }),
        _ => Err(Error::failed("a side did not answer")),
    }
}
