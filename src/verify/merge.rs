//! Merges what both sides have in one order. Pure: no server here.

use std::cmp::Ordering;

use super::verdict::Kind;
use crate::error::Result;

/// A line of one side: the key in hex and the row's hash; without a key, the hash and how many rows
/// have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    first: String,
    second: i64,
}

impl Entry {
    /// Reads a line of COPY; `None` if it is not one of ours.
    pub fn parse(line: &str) -> Option<Entry> {
        let (first, second) = line.split_once('\t')?;
        Some(Entry {
            first: first.to_string(),
            second: second.parse().ok()?,
        })
    }
}

/// The rows found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// On the source only.
    pub missing: u64,
    /// On the destination only.
    pub extra: u64,
    /// On both, and different.
    pub changed: u64,
    /// The first of them: key in hex, and how it differs (the columns are not known yet).
    pub shown: Vec<(String, Kind)>,
    limit: usize,
}

impl Found {
    /// Makes an empty list that shows so many at most.
    pub fn new(limit: usize) -> Found {
        Found {
            limit,
            ..Found::default()
        }
    }

    /// Returns true if no row differs.
    pub fn none(&self) -> bool {
        self.missing + self.extra + self.changed == 0
    }

    fn note(&mut self, key: String, kind: Kind) {
        match kind {
            Kind::Missing => self.missing += 1,
            Kind::Extra => self.extra += 1,
            Kind::Columns(_) => self.changed += 1,
        }
        if self.shown.len() < self.limit {
            self.shown.push((key, kind));
        }
    }
}

/// Merges keys with the hashes of their rows, both sides by key.
///
/// # Errors
/// The first of either side.
pub fn keyed(
    source: impl Iterator<Item = Result<Entry>>,
    destination: impl Iterator<Item = Result<Entry>>,
    found: &mut Found,
) -> Result<()> {
    merge(
        source,
        destination,
        |a, b| a.first.cmp(&b.first),
        |pair| match pair {
            (Some(a), Some(b)) if a.second == b.second => {}
            (Some(a), Some(_)) => found.note(a.first, Kind::Columns(Vec::new())),
            (Some(a), None) => found.note(a.first, Kind::Missing),
            (None, Some(b)) => found.note(b.first, Kind::Extra),
            (None, None) => {}
        },
    )
}

/// Merges hashes with the number of rows that have each, both sides by hash.
///
/// # Errors
/// The first of either side.
pub fn counted(
    source: impl Iterator<Item = Result<Entry>>,
    destination: impl Iterator<Item = Result<Entry>>,
    found: &mut Found,
) -> Result<()> {
    let by_number = |a: &Entry, b: &Entry| number(a).cmp(&number(b));
    let count = |entry: Option<Entry>| entry.map_or(0, |entry| entry.second.max(0) as u64);
    merge(source, destination, by_number, |(a, b)| {
        let (a, b) = (count(a), count(b));
        found.missing += a.saturating_sub(b);
        found.extra += b.saturating_sub(a);
    })
}

fn number(entry: &Entry) -> i64 {
    entry.first.parse().unwrap_or(0)
}

/// Hands out what both sides have for one place in the order, or one side alone.
fn merge(
    mut source: impl Iterator<Item = Result<Entry>>,
    mut destination: impl Iterator<Item = Result<Entry>>,
    compare: impl Fn(&Entry, &Entry) -> Ordering,
    mut each: impl FnMut((Option<Entry>, Option<Entry>)),
) -> Result<()> {
    let mut a = source.next().transpose()?;
    let mut b = destination.next().transpose()?;
    loop {
        let order = match (&a, &b) {
            (Some(a), Some(b)) => compare(a, b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        let ours = if order.is_le() { a.take() } else { None };
        let theirs = if order.is_ge() { b.take() } else { None };
        if ours.is_some() {
            a = source.next().transpose()?;
        }
        if theirs.is_some() {
            b = destination.next().transpose()?;
        }
        each((ours, theirs));
    }
}

/// Returns the names of the columns whose hashes differ.
pub fn differing(
    names: &[&str],
    source: &[Option<i64>],
    destination: &[Option<i64>],
) -> Vec<String> {
    names
        .iter()
        .zip(source.iter().zip(destination))
        .filter(|(_, (a, b))| a != b)
        .map(|(name, _)| (*name).to_string())
        .collect()
}

/// Reads the hex of a text in UTF-8.
pub fn decode(hex: &str) -> String {
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => digit(*high) << 4 | digit(*low),
            _ => 0,
        })
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(character: u8) -> u8 {
    char::from(character).to_digit(16).unwrap_or(0) as u8
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn side(lines: &[&str]) -> impl Iterator<Item = Result<Entry>> {
        lines
            .iter()
            .map(|line| Ok(Entry::parse(line).unwrap()))
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn keys_are_missing_extra_or_changed() {
        let mut found = Found::new(2);
        let source = side(&["01\t5", "02\t5", "04\t5", "05\t5"]);
        let destination = side(&["01\t5", "02\t6", "03\t5", "05\t5", "05\t5"]);
        keyed(source, destination, &mut found).unwrap();
        assert_eq!((found.missing, found.extra, found.changed), (1, 2, 1));
        assert_eq!(
            found.shown,
            vec![
                ("02".to_string(), Kind::Columns(Vec::new())),
                ("03".to_string(), Kind::Extra)
            ]
        );
    }

    #[test]
    fn duplicates_are_counted() {
        let mut found = Found::new(2);
        let source = side(&["-7\t3", "1\t1", "10\t2"]);
        let destination = side(&["-7\t1", "2\t1", "10\t3"]);
        counted(source, destination, &mut found).unwrap();
        assert_eq!((found.missing, found.extra, found.changed), (3, 2, 0));
    }

    #[test]
    fn hex_is_read_as_utf_8() {
        assert_eq!(decode("27c3a427"), "'ä'");
        assert_eq!(
            differing(&["a", "b"], &[Some(1), Some(2)], &[Some(1), None]),
            ["b"]
        );
    }
}
