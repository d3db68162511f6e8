//! Which pieces a table is copied in. Pure: the catalog's figures go in, chunks come out.
//!
//! A piece is a leaf of a partitioned table, or a range of pages of a large table. All pieces of one
//! table are read in one snapshot (see `snapshot`); the last range is open-ended, so that a table
//! that has grown since the catalog was read is still read whole.

use std::collections::BTreeSet;

use crate::catalog::Relation;
use crate::ident::QualifiedName;

/// A table below this is one chunk: opening a snapshot for it would cost more than it saves.
pub const SMALL: u64 = 64 << 20;

/// No chunk of a table that is split is smaller than this on purpose: each is a transaction on either side.
const LEAST: u64 = 16 << 20;

/// No chunk reads much more than this, because its ACCESS SHARE lock makes a TRUNCATE or an ALTER
/// of the table wait, and because that much has to be done again after a failure.
const LARGEST: u64 = 256 << 20;

/// Chunks per worker of the largest table, so that none is left alone with a long one at the end.
const CHUNKS_PER_JOB: u64 = 3;

/// What decides how tables are split.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Workers.
    pub jobs: usize,
    /// The source scans a ctid range without reading the rest of the table (PostgreSQL 14).
    pub ranges: bool,
}

/// A part of a table that one COPY moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Position of the table in the list that was split.
    pub table: usize,
    /// What is read: the table itself, or one of its leaves.
    pub from: QualifiedName,
    /// Without what inherits from it; false only for a whole partitioned table.
    pub only: bool,
    /// The pages; `None` means all.
    pub pages: Option<Pages>,
    /// Bytes on the source's disk, an estimate; what progress is counted in.
    pub weight: u64,
}

/// A range of pages, the first one included and the last one not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// The first page.
    pub first: u64,
    /// The first page that is not in it; `None` up to the end, wherever that is by then.
    pub end: Option<u64>,
}

impl Chunk {
    /// Returns the relation that is read as FROM and LOCK TABLE want it.
    pub fn target(&self) -> String {
        let only = if self.only { "ONLY " } else { "" };
        format!("{only}{}", self.from)
    }

    /// Returns the WHERE clause of the range, or nothing.
    pub fn condition(&self) -> String {
        let tid = |page: u64| format!("'({page},0)'::pg_catalog.tid");
        match self.pages {
            None => String::new(),
            Some(Pages { first, end: None }) => format!(" WHERE ctid >= {}", tid(first)),
            Some(Pages {
                first,
                end: Some(end),
            }) => format!(" WHERE ctid >= {} AND ctid < {}", tid(first), tid(end)),
        }
    }
}

/// Splits tables into chunks: the largest table first, the chunks of one table side by side. Those in
/// `whole` are not split.
pub fn split(tables: &[&Relation], whole: &BTreeSet<QualifiedName>, limits: Limits) -> Vec<Chunk> {
    let mut order: Vec<usize> = (0..tables.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(tables[at].bytes));
    order
        .into_iter()
        .flat_map(|at| match whole.contains(&tables[at].name) {
            true => vec![whole_table(at, tables[at])],
            false => split_table(at, tables[at], limits),
        })
        .collect()
}

fn whole_table(table: usize, relation: &Relation) -> Chunk {
    Chunk {
        table,
        from: relation.name.clone(),
        only: !relation.partitioned,
        pages: None,
        weight: unsigned(relation.bytes),
    }
}

fn split_table(table: usize, relation: &Relation, limits: Limits) -> Vec<Chunk> {
    let total = unsigned(relation.bytes);
    let piece = (total / (limits.jobs.max(1) as u64 * CHUNKS_PER_JOB)).clamp(LEAST, LARGEST);
    if !relation.partitioned {
        let leaf = Leaf {
            table,
            name: &relation.name,
            bytes: total,
            pages: unsigned(relation.pages),
        };
        return leaf.split(piece, limits);
    }
    let leaves: Vec<Leaf> = relation
        .partitions
        .iter()
        .filter(|partition| partition.leaf && !partition.foreign)
        .map(|partition| Leaf {
            table,
            name: &partition.name,
            bytes: unsigned(partition.bytes),
            pages: unsigned(partition.pages),
        })
        .collect();
    // Rows of foreign partitions live on a third server and stay there, so the root is not read then.
    let foreign = relation.partitions.iter().any(|part| part.foreign);
    if total <= SMALL && !foreign {
        return vec![whole_table(table, relation)];
    }
    let mut chunks: Vec<Chunk> = leaves
        .iter()
        .flat_map(|leaf| leaf.split(piece, limits))
        .collect();
    chunks.sort_by_key(|chunk| std::cmp::Reverse(chunk.weight));
    chunks
}

/// A table that holds rows itself.
struct Leaf<'a> {
    table: usize,
    name: &'a QualifiedName,
    bytes: u64,
    pages: u64,
}

impl Leaf<'_> {
    fn split(&self, piece: u64, limits: Limits) -> Vec<Chunk> {
        let chunk = |pages, weight| Chunk {
            table: self.table,
            from: self.name.clone(),
            only: true,
            pages,
            weight,
        };
        let count = self.bytes.div_ceil(piece).min(self.pages);
        if !limits.ranges || self.bytes <= SMALL || count < 2 {
            return vec![chunk(None, self.bytes)];
        }
        let each = self.pages.div_ceil(count);
        let count = self.pages.div_ceil(each);
        (0..count)
            .map(|number| {
                let pages = Pages {
                    first: number * each,
                    end: (number + 1 < count).then_some((number + 1) * each),
                };
                chunk(Some(pages), self.bytes / count)
            })
            .collect()
    }
}

/// Returns a number of things, 0 for what is negative.
pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Partition;

    const MB: i64 = 1 << 20;
    const PAGES_PER_MB: i64 = 128;
    const FOUR: Limits = Limits {
        jobs: 4,
        ranges: true,
    };

    fn none() -> BTreeSet<QualifiedName> {
        BTreeSet::new()
    }

    fn table(name: &str, megabytes: i64) -> Relation {
        Relation {
            oid: 1,
            name: QualifiedName::new("s", name),
            partitioned: false,
            unlogged: false,
            owner: String::new(),
            owned: true,
            columns: Vec::new(),
            key: None,
            partitions: Vec::new(),
            bytes: megabytes * MB,
            pages: megabytes * PAGES_PER_MB,
            rows: 0.0,
        }
    }

    fn partition(name: &str, megabytes: i64) -> Partition {
        Partition {
            oid: 2,
            name: QualifiedName::new("s", name),
            leaf: true,
            foreign: false,
            pages: megabytes * PAGES_PER_MB,
            bytes: megabytes * MB,
        }
    }

    #[test]
    fn small_tables_are_one_chunk_and_the_largest_comes_first() {
        let (small, large, empty) = (table("small", 1), table("large", 60), table("empty", 0));
        let chunks = split(&[&small, &large, &empty], &none(), FOUR);
        let order: Vec<usize> = chunks.iter().map(|chunk| chunk.table).collect();
        assert_eq!(order, [1, 0, 2]);
        assert!(chunks.iter().all(|chunk| chunk.pages.is_none()));
    }

    #[test]
    fn a_table_that_locks_others_out_is_one_chunk() {
        let mut large = table("large", 10_000);
        let whole = BTreeSet::from([large.name.clone()]);
        let chunks = split(&[&large], &whole, FOUR);
        assert_eq!((chunks.len(), chunks[0].only), (1, true));
        large.partitioned = true;
        large.partitions = vec![partition("leaf", 10_000)];
        let chunks = split(&[&large], &whole, FOUR);
        assert_eq!((chunks.len(), chunks[0].only), (1, false));
    }

    #[test]
    fn ranges_cover_every_page_once_and_the_last_one_is_open() {
        for megabytes in [65, 100, 777, 3000, 100_000] {
            for jobs in [1, 2, 7, 64] {
                let relation = table("t", megabytes);
                let chunks = split(&[&relation], &none(), Limits { jobs, ranges: true });
                let mut next = 0;
                for (number, chunk) in chunks.iter().enumerate() {
                    let pages = chunk.pages.expect("a range");
                    assert_eq!(pages.first, next);
                    match pages.end {
                        Some(end) => {
                            assert!(end > pages.first && end < unsigned(relation.pages));
                            next = end;
                        }
                        None => assert_eq!(number, chunks.len() - 1),
                    }
                }
                assert!(
                    chunks
                        .last()
                        .expect("chunks")
                        .pages
                        .expect("range")
                        .end
                        .is_none()
                );
            }
        }
    }

    #[test]
    fn one_large_table_keeps_every_worker_busy() {
        for (megabytes, chunks) in [(1024, 12), (65, 4)] {
            let relation = table("t", megabytes);
            assert!(split(&[&relation], &none(), FOUR).len() >= chunks);
        }
    }

    #[test]
    fn a_few_pages_with_much_toast_are_not_split_beyond_pages() {
        let mut relation = table("t", 10_000);
        relation.pages = 3;
        let chunks = split(&[&relation], &none(), FOUR);
        assert_eq!(chunks.len(), 3);
        relation.pages = 1;
        assert_eq!(split(&[&relation], &none(), FOUR).len(), 1);
    }

    #[test]
    fn servers_without_range_scans_get_whole_tables() {
        let relation = table("t", 10_000);
        let chunks = split(
            &[&relation],
            &none(),
            Limits {
                jobs: 4,
                ranges: false,
            },
        );
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].condition(), "");
    }

    #[test]
    fn a_large_partitioned_table_is_read_leaf_by_leaf_and_a_small_one_at_once() {
        let mut root = table("root", 0);
        root.partitioned = true;
        root.partitions = vec![partition("a", 10), partition("b", 90)];
        root.bytes = 100 * MB;
        let chunks = split(&[&root], &none(), FOUR);
        assert!(chunks.iter().all(|chunk| chunk.only));
        assert_eq!(chunks[0].from.name, "b");
        assert_eq!(chunks.last().expect("chunks").from.name, "a");

        root.partitions = vec![partition("a", 1), partition("b", 1)];
        root.bytes = 2 * MB;
        let chunks = split(&[&root], &none(), FOUR);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].target(), "\"s\".\"root\"");

        root.partitions[1].foreign = true;
        let chunks = split(&[&root], &none(), FOUR);
        assert_eq!(chunks.len(), 1);
        assert_eq!(chunks[0].target(), "ONLY \"s\".\"a\"");
    }

    #[test]
    fn a_partitioned_table_without_partitions_is_still_a_chunk() {
        let mut root = table("root", 0);
        root.partitioned = true;
        assert_eq!(split(&[&root], &none(), FOUR).len(), 1);
    }

    #[test]
    fn conditions_are_half_open_ranges_of_ctids() {
        let chunk = |end| Chunk {
            table: 0,
            from: QualifiedName::new("s", "t"),
            only: true,
            pages: Some(Pages { first: 5, end }),
            weight: 0,
        };
        assert_eq!(
            chunk(Some(9)).condition(),
            " WHERE ctid >= '(5,0)'::pg_catalog.tid AND ctid < '(9,0)'::pg_catalog.tid"
        );
        assert_eq!(
            chunk(None).condition(),
            " WHERE ctid >= '(5,0)'::pg_catalog.tid"
        );
    }
}
