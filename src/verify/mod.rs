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
use crate::ident::QualifiedName;
use crate::sequences::Values;
use crate::session::Session;
use crate::stop::Stop;
use crew::Crew;
use progress::Meter;
use scan::Scan;
use sql::Hash;

/// What is compared, and how.
pub struct Work<'a> {
    /// The sequences as the cycle has read them.
    pub sequences: &'a Values,
    /// Sessions on each side.
    pub jobs: usize,
    /// How it is shown.
    pub progress: Progress,
    /// What an earlier comparison could not say: only these tables, and no sequences.
    pub only: Option<&'a [QualifiedName]>,
}

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
/// with `jobs` sessions on each side; or only the relations that an earlier comparison left out.
///
/// # Errors
/// As the servers say; interrupted. Differences are no error: the verdict has them.
pub fn compare(
    source: &Snapshot<'_>,
    destination: &Snapshot<'_>,
    work: &Work<'_>,
    stop: &Stop,
) -> Result<Verdict> {
    let crew = Crew::new(source, destination, work.jobs, stop)?;
    let hash = choose_hash(&crew)?;
    let (mut pairs, mut differences) = pairs::pair(source.catalog, destination.catalog);
    if let Some(only) = work.only {
        pairs.retain(|pair| only.contains(&pair.source.name));
        differences.clear();
    }
    let scan = Scan {
        crew: &crew,
        pairs: &pairs,
        leaves: leaves::read(&crew, &pairs)?,
        hash,
    };
    let expected = pairs.iter().map(|pair| pair.source.rows).sum();
    let totals = scan.totals(Meter::begin(work.progress, expected))?;
    let rewritten = crew.rewritten();
    let there: Vec<usize> = (0..pairs.len())
        .filter(|table| !rewritten.contains(&pairs[*table].source.oid))
        .collect();
    let differing: Vec<usize> = there
        .iter()
        .copied()
        .filter(|table| totals[*table].differ())
        .collect();
    let mut found = rows::find(&scan, &differing, &totals)?;
    // More may have been rewritten by now.
    let rewritten: Vec<QualifiedName> = pairs
        .iter()
        .filter(|pair| crew.rewritten().contains(&pair.source.oid))
        .map(|pair| pair.source.name.clone())
        .collect();
    found.retain(|difference| !rewritten.contains(difference.name()));
    differences.extend(found);
    if work.only.is_none() {
        differences.extend(sequences::compare(
            &crew,
            work.sequences,
            destination.catalog,
        )?);
    }
    differences.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(Verdict {
        tables: (pairs.len() - rewritten.len()) as u64,
        rows: there.iter().map(|table| totals[*table].source_rows()).sum(),
        differences,
        rewritten,
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
