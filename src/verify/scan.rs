//! Adds up the rows of tables in pieces, on both sides at the same time.

use std::collections::HashMap;

use super::crew::{Crew, SIDES};
use super::leaves::{Leaf, Leaves};
use super::pairs::Pair;
use super::progress::Meter;
use super::sql::{self, Hash, Pages};
use crate::catalog::Relation;
use crate::error::{Result, Side};
use crate::lock;
use crate::session::text;

/// Buckets of a table at most; a bucket is about 40 bytes of memory.
pub const MAX_BUCKETS: u64 = 4096;

/// Rows of a bucket, by the planner's estimate: so many are read to find one that differs.
const ROWS_PER_BUCKET: u64 = 1000;

/// Pages of a piece: 32 MB at least, for each costs a round trip and a plan; 1 GB at most, so that
/// the progress moves.
const PIECE_PAGES: (i64, i64) = (4096, 131_072);

/// The oldest version that finds the pages of a range without reading the others.
const TID_RANGE_SCAN: i32 = 140_000;

/// Tables whose buckets are held at the same time.
const TABLES_AT_ONCE: usize = 64;

/// Rows and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many rows.
    pub rows: u64,
    /// The sum of their 64-bit hashes, which 2^64 rows do not overflow.
    pub hashes: i128,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.rows += other.rows;
        self.hashes = self.hashes.wrapping_add(other.hashes);
    }
}

/// The sums of a table or of a bucket: source, destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals([Sum; 2]);

impl Totals {
    /// Returns true if the rows of both sides differ.
    pub fn differ(&self) -> bool {
        self.0[0] != self.0[1]
    }

    /// Returns the rows on the source.
    pub fn source_rows(&self) -> u64 {
        self.0[0].rows
    }

    /// Returns the rows of the side that has more.
    pub fn most_rows(&self) -> u64 {
        self.0[0].rows.max(self.0[1].rows)
    }
}

/// The buckets of a table, by number; empty ones may be absent.
pub type Buckets = HashMap<u64, Totals>;

/// What all scans share.
pub struct Scan<'a> {
    /// The workers.
    pub crew: &'a Crew<'a>,
    /// The tables.
    pub pairs: &'a [Pair<'a>],
    /// The partitions of those that are partitioned.
    pub leaves: Leaves,
    /// How rows are hashed.
    pub hash: Hash,
}

struct Piece {
    table: usize,
    side: usize,
    pages: Pages,
    buckets: u64,
}

struct Added {
    table: usize,
    side: usize,
    buckets: Vec<(u64, Sum)>,
}

impl Scan<'_> {
    /// Adds up every table whole; the result has an entry for every pair, which means nothing if the
    /// table was rewritten meanwhile.
    ///
    /// # Errors
    /// As the servers say; interrupted.
    pub fn totals(&self, mut meter: Meter) -> Result<Vec<Totals>> {
        let mut totals = vec![Totals::default(); self.pairs.len()];
        let done = self.run((0..self.pairs.len()).map(|table| (table, 1)), |added| {
            for (_, sum) in added.buckets {
                totals[added.table].0[added.side].add(sum);
                meter.add(added.side, sum.rows);
            }
        });
        meter.end();
        done.map(|()| totals)
    }

    /// Adds up the buckets of tables, each into as many as [`buckets_of`] says for its rows, and
    /// hands out those of each table.
    ///
    /// # Errors
    /// As the servers say; interrupted.
    pub fn buckets(&self, tables: &[(usize, u64)]) -> Result<HashMap<usize, Buckets>> {
        let mut found: HashMap<usize, Buckets> = HashMap::new();
        for some in tables.chunks(TABLES_AT_ONCE) {
            let mut all: HashMap<usize, Buckets> = HashMap::new();
            self.run(some.iter().copied(), |added| {
                let buckets = all.entry(added.table).or_default();
                for (bucket, sum) in added.buckets {
                    buckets.entry(bucket).or_default().0[added.side].add(sum);
                }
            })?;
            for (table, mut buckets) in all {
                buckets.retain(|_, totals| totals.differ());
                found.insert(table, buckets);
            }
        }
        Ok(found)
    }

    fn run(
        &self,
        tables: impl Iterator<Item = (usize, u64)> + Clone,
        done: impl FnMut(Added),
    ) -> Result<()> {
        let lists = (0..SIDES.len())
            .map(|side| {
                tables
                    .clone()
                    .flat_map(|(table, buckets)| self.pieces(table, side, buckets))
                    .collect()
            })
            .collect();
        let work = |piece: Piece| {
            let table = self.pairs[piece.table].source;
            self.crew.patiently(table, || self.add_up(&piece))
        };
        self.crew.run(lists, work, done)
    }

    fn pieces(&self, table: usize, side: usize, buckets: u64) -> Vec<Piece> {
        let relation = sql::relation(&self.pairs[table], SIDES[side]);
        let split = self.crew.version(SIDES[side]) >= TID_RANGE_SCAN;
        let leaves = self.leaves[side].get(&relation.oid);
        ranges(
            relation,
            leaves.map_or(&[], Vec::as_slice),
            split.then_some(self.crew.jobs),
        )
        .into_iter()
        .map(|pages| Piece {
            table,
            side,
            pages,
            buckets,
        })
        .collect()
    }

    fn add_up(&self, piece: &Piece) -> Result<Added> {
        let side: Side = SIDES[piece.side];
        let pair = &self.pairs[piece.table];
        let Some(mut session) = self.crew.session_for(side, pair.source)? else {
            return Ok(Added {
                table: piece.table,
                side: piece.side,
                buckets: Vec::new(),
            });
        };
        let rows = session.simple(
            &format!("compare table {}", pair.source.name),
            &sql::scan(self.hash, pair, &piece.pages, piece.buckets),
        );
        let rows = rows.map_err(|error| match error.too_large() {
            true => error.mend(
                "a row is too large to be compared (1 GB, of some types as text): look at it by hand, and switch --unverified",
            ),
            false => lock::after_giving_way(session.pid(), error),
        })?;
        self.crew.give_back(side, session);
        let buckets = rows
            .iter()
            .map(|row| {
                let sum = Sum {
                    rows: text(row, 1).parse().unwrap_or(0),
                    // NULL if there is no row.
                    hashes: text(row, 2).parse().unwrap_or(0),
                };
                (text(row, 0).parse().unwrap_or(0), sum)
            })
            .collect();
        Ok(Added {
            table: piece.table,
            side: piece.side,
            buckets,
        })
    }
}

/// Returns how many buckets a table of so many rows gets: a power of two.
pub fn buckets_of(rows: u64) -> u64 {
    (rows / ROWS_PER_BUCKET)
        .next_power_of_two()
        .clamp(1, MAX_BUCKETS)
}

/// Returns the ranges of pages that make up a relation, its partitions each by itself; split for so
/// many jobs, or not at all.
fn ranges(relation: &Relation, leaves: &[Leaf], jobs: Option<usize>) -> Vec<Pages> {
    if !relation.partitioned {
        return split(Pages::all(&relation.name), relation.pages, jobs);
    }
    leaves
        .iter()
        .flat_map(|leaf| {
            let jobs = jobs.filter(|_| !leaf.foreign);
            split(Pages::all(&leaf.name), leaf.pages, jobs)
        })
        .collect()
}

fn split(all: Pages, pages: i64, jobs: Option<usize>) -> Vec<Pages> {
    let Some(jobs) = jobs else {
        return vec![all];
    };
    // Four per job, so that the slowest does not keep the others waiting for long.
    let pieces = 4 * jobs as i64;
    let length = (pages / pieces).clamp(PIECE_PAGES.0, PIECE_PAGES.1);
    let count = (pages / length).max(1);
    (0..count)
        .map(|number| Pages {
            from: all.from.clone(),
            first: number * length,
            // The relation may have grown since its pages were counted.
            end: (number + 1 < count).then_some((number + 1) * length),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ident::QualifiedName;

    fn whole() -> Pages {
        Pages::all(&QualifiedName::new("s", "t"))
    }

    #[test]
    fn pieces_cover_every_page_once_and_the_last_has_no_end() {
        for (pages, jobs) in [(0, 2), (5000, 2), (100_000, 2), (10_000_000, 8)] {
            let pieces = split(whole(), pages, Some(jobs));
            let mut next = 0;
            for (number, piece) in pieces.iter().enumerate() {
                assert_eq!(piece.first, next);
                match piece.end {
                    Some(end) => next = end,
                    None => assert_eq!(number, pieces.len() - 1),
                }
            }
            assert!(pieces.last().is_some_and(|piece| piece.end.is_none()));
        }
        assert_eq!(split(whole(), 100_000, Some(2)).len(), 8);
        assert_eq!(split(whole(), 100_000, None), vec![whole()]);
    }

    #[test]
    fn buckets_are_a_power_of_two_and_bounded() {
        assert_eq!(buckets_of(0), 1);
        assert_eq!(buckets_of(1500), 1);
        assert_eq!(buckets_of(3000), 4);
        assert_eq!(buckets_of(10_000_000_000), MAX_BUCKETS);
    }
}
