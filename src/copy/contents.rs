//! The table of contents of an archive with what each entry needs, as `pg_restore --list --verbose` prints
//! it, and which entries make what is missing. An entry names its object by catalog and oid on the source,
//! so that no name has to be compared. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::is_unwanted;
use crate::catalog::Oid;
use crate::catalog::objects::Object;

/// Catalog and oid of an object on the source.
pub type Identity = (Oid, Oid);

/// An entry of an archive.
#[derive(Debug)]
struct Entry<'a> {
    line: &'a str,
    id: u32,
    identity: Identity,
    /// Kind, schema, tag and owner, which are not told apart: each may hold spaces.
    text: &'a str,
    needs: Vec<u32>,
}

/// What is to be made of an archive.
#[derive(Debug, Default)]
pub struct Wish {
    /// What is on the source.
    pub known: BTreeSet<Identity>,
    /// What of it is missing on the destination.
    pub missing: BTreeMap<Identity, Object>,
    /// What is to be made of that. What it needs, and what belongs to a relation of it, comes along.
    pub roots: BTreeSet<Identity>,
    /// Also what belongs to nothing, such as privileges on schema public.
    pub everything: bool,
}

/// What was chosen of an archive.
#[derive(Debug, Default, PartialEq)]
pub struct Choice {
    /// Objects that will be made, by catalog and oid; foreign keys later.
    pub objects: BTreeSet<Identity>,
    /// The list for `pg_restore --use-list`, in the order in which the entries have to be restored.
    pub list: String,
}

/// Chooses the entries that make the wish true.
pub fn choose(listing: &str, wish: &Wish) -> Choice {
    let entries = parse(listing);
    let by_id: BTreeMap<u32, &Entry<'_>> = entries.iter().map(|entry| (entry.id, entry)).collect();
    let objects = objects(&entries, &by_id, wish);
    let mut wanted = BTreeSet::new();
    // An entry may come before what it belongs to; so often that nothing changes any more.
    loop {
        let before = wanted.len();
        for entry in entries.iter().filter(|entry| !is_unwanted(entry.text)) {
            if wants(entry, &by_id, &wanted, &objects, wish) {
                wanted.insert(entry.id);
            }
        }
        if wanted.len() == before {
            break;
        }
    }
    let chosen: Vec<&Entry<'_>> = entries
        .iter()
        .filter(|entry| wanted.contains(&entry.id))
        .collect();
    // What pg_dump has in a table that is left alone has no entry.
    let listed = entries.iter().map(|entry| entry.identity);
    Choice {
        list: ordered(&chosen, &by_id, &wanted),
        objects: listed.filter(|one| objects.contains(one)).collect(),
    }
}

/// Returns the number of a list's first entry.
pub fn first(list: &str) -> String {
    list.split(';').next().unwrap_or_default().to_string()
}

/// An index of a table, alone or as a constraint.
#[derive(Debug, PartialEq)]
pub struct Index<'a> {
    /// The table on the source.
    pub table: Oid,
    /// With a constraint, which wants the table for itself.
    pub constraint: bool,
    /// The entry.
    pub line: &'a str,
}

/// Lists the indexes in an archive with the table of each, in order.
pub fn indexes<'a>(listing: &'a str) -> Vec<Index<'a>> {
    let entries = parse(listing);
    let tables: BTreeMap<u32, Oid> = entries
        .iter()
        .filter(|entry| is_table(entry))
        .map(|entry| (entry.id, entry.identity.1))
        .collect();
    let index = |entry: &Entry<'a>| {
        let constraint = entry.text.starts_with("CONSTRAINT ");
        let alone = entry.text.starts_with("INDEX ") && !entry.text.starts_with("INDEX ATTACH ");
        let table = entry.needs.iter().find_map(|id| tables.get(id))?;
        (constraint || alone).then_some(Index {
            table: *table,
            constraint,
            line: entry.line,
        })
    };
    entries.iter().filter_map(index).collect()
}

/// Widens the roots by what they need and by what belongs to them, as far as it is missing.
fn objects(
    entries: &[Entry<'_>],
    by_id: &BTreeMap<u32, &Entry<'_>>,
    wish: &Wish,
) -> BTreeSet<Identity> {
    let mut objects = wish.roots.clone();
    loop {
        let relations: BTreeSet<Oid> = objects
            .iter()
            .filter_map(|one| wish.missing.get(one))
            .filter(|object| object.relation == Some(object.oid))
            .map(|object| object.oid)
            .collect();
        let parts = wish.missing.iter().filter(|(_, object)| {
            object
                .relation
                .is_some_and(|relation| relations.contains(&relation))
        });
        let needed = entries
            .iter()
            .filter(|entry| objects.contains(&entry.identity) && !is_unwanted(entry.text))
            .flat_map(|entry| &entry.needs)
            .filter_map(|id| by_id.get(id))
            .map(|entry| entry.identity)
            .filter(|identity| wish.missing.contains_key(identity));
        let more: Vec<Identity> = parts
            .map(|(identity, _)| *identity)
            .chain(needed)
            .filter(|identity| !objects.contains(identity))
            .collect();
        if more.is_empty() {
            return objects;
        }
        objects.extend(more);
    }
}

fn wants(
    entry: &Entry<'_>,
    by_id: &BTreeMap<u32, &Entry<'_>>,
    wanted: &BTreeSet<u32>,
    objects: &BTreeSet<Identity>,
    wish: &Wish,
) -> bool {
    if wish.known.contains(&entry.identity) {
        return objects.contains(&entry.identity);
    }
    // What has no identity goes with what it is about: a comment, privileges, an attachment. A default
    // may need a new function, but its table is what it is about.
    let about: Vec<u32> = entry
        .needs
        .iter()
        .filter_map(|id| by_id.get(id))
        .filter(|need| !entry.text.starts_with("DEFAULT ") || is_table(need))
        .map(|need| need.id)
        .collect();
    match about.is_empty() {
        true => wish.everything,
        false => about.iter().any(|id| wanted.contains(id)),
    }
}

/// A partition is attached to a parent that exists when its own indexes are there, so that they are taken
/// for the parent's, whose names they need not have. Then nothing is left to be attached.
fn ordered(
    chosen: &[&Entry<'_>],
    by_id: &BTreeMap<u32, &Entry<'_>>,
    wanted: &BTreeSet<u32>,
) -> String {
    let tables = |entry: &Entry<'_>| -> usize {
        let tables: BTreeSet<u32> = entry
            .needs
            .iter()
            .filter(|id| wanted.contains(id))
            .filter(|id| by_id.get(id).is_some_and(|one| is_table(one)))
            .copied()
            .collect();
        tables.len()
    };
    let mut list = String::new();
    let mut last = String::new();
    for entry in chosen {
        let among_new = tables(entry) > 1;
        if entry.text.starts_with("TABLE ATTACH ") && !among_new {
            last.push_str(entry.line);
            last.push('\n');
        } else if !entry.text.starts_with("INDEX ATTACH ") || among_new {
            list.push_str(entry.line);
            list.push('\n');
        }
    }
    list + &last
}

fn is_table(entry: &Entry<'_>) -> bool {
    entry.text.starts_with("TABLE ") && !entry.text.starts_with("TABLE ATTACH ")
}

fn parse(listing: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for line in listing.lines() {
        if let Some(needs) = line.strip_prefix(";\tdepends on:") {
            if let Some(entry) = entries.last_mut() {
                entry.needs = needs
                    .split_whitespace()
                    .filter_map(|id| id.parse().ok())
                    .collect();
            }
        } else if let Some(entry) = entry(line) {
            entries.push(entry);
        }
    }
    entries
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let (id, behind) = line.split_once("; ")?;
    let mut parts = behind.splitn(3, ' ');
    let (class, oid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Entry {
        line,
        id: id.parse().ok()?,
        identity: (class, oid),
        text: parts.next()?,
        needs: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
; Archive
215; 1259 16386 TABLE public t postgres
216; 1259 16387 TABLE public INDEX \"CONSTRAINT postgres
;\tdepends on: 5
220; 0 0 TABLE ATTACH public part postgres
;\tdepends on: 215 216
3300; 2606 16395 CONSTRAINT public t t_pkey postgres
;\tdepends on: 215 215
3301; 1259 16396 INDEX public t_a role with spaces
;\tdepends on: 12 215
3302; 0 0 INDEX ATTACH public t_a postgres
;\tdepends on: 215 3301
3303; 2606 16397 FK CONSTRAINT public t f postgres
;\tdepends on: 215 216
3304; 2606 16398 CHECK CONSTRAINT public t c postgres
;\tdepends on: 215
3305; 1259 16399 INDEX public of_a_view postgres
;\tdepends on: 300
";

    #[test]
    fn an_index_belongs_to_the_table_that_it_needs() {
        let found: Vec<_> = indexes(LISTING)
            .iter()
            .map(|one| (one.table, one.constraint, &one.line[..4]))
            .collect();
        assert_eq!(found, [(16386, true, "3300"), (16386, false, "3301")]);
    }
}
