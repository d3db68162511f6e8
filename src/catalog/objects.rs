//! Every object of a user on either side, by kind and name, with facts that all versions tell alike: what
//! the destination lacks or has otherwise. [`super::compare()`] is about what rows need to arrive; this is
//! about what applications will miss once they are there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Catalog, Oid};
use crate::error::Result;
use crate::ident::{QualifiedName, ident};
use crate::session::Session;

/// Names that a line shows of one kind.
const SHOWN: usize = 4;

/// A fact longer than this is told by its label alone.
const SHORT: usize = 40;

/// Kinds that may stand for one another under another name when all their facts are the same.
const NAMELESS: [&str; 4] = ["index", "primary key", "unique constraint", "foreign key"];

/// An object of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The catalog that it is listed in, as an oid of `pg_class`.
    pub class: Oid,
    /// Its oid there; a column has that of its table.
    pub oid: Oid,
    /// `table`, `partition`, `index`, `foreign key`, …
    pub kind: String,
    /// Quoted, ready for messages; the same on both sides.
    pub name: String,
    /// The relation that it belongs to, or is.
    pub relation: Option<Oid>,
    /// Each `label: value`, in the same order for all of a kind.
    pub facts: Vec<String>,
}

/// An object of the source that the destination lacks or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike {
    /// The object of the source.
    pub object: Object,
    /// `label: one on the source, other on the destination`, or a label alone; none if it is missing.
    pub facts: Vec<String>,
}

impl Unlike {
    /// Returns true if there is no such object.
    pub fn missing(&self) -> bool {
        self.facts.is_empty()
    }
}

/// Reads the objects of a side. Members of extensions are left out.
///
/// # Errors
/// As the server says.
pub fn read(session: &mut Session) -> Result<Vec<Object>> {
    let rows = session.query("list the objects", include_str!("objects.sql"), &[])?;
    Ok(rows
        .iter()
        .map(|row| Object {
            class: row.get(0),
            oid: row.get(1),
            kind: row.get(2),
            name: row.get(3),
            relation: row.get(4),
            facts: row.get(5),
        })
        .collect())
}

/// One side's objects by name.
struct Index<'a> {
    named: HashMap<(&'a str, &'a str), &'a Object>,
    relations: HashMap<Oid, &'a Object>,
    nameless: HashMap<(&'a str, &'a str, &'a [String]), &'a Object>,
}

impl<'a> Index<'a> {
    fn new(objects: &'a [Object]) -> Index<'a> {
        let relations: HashMap<Oid, &Object> = objects
            .iter()
            .filter(|object| object.relation == Some(object.oid) && object.kind != "column")
            .map(|object| (object.oid, object))
            .collect();
        let nameless = objects
            .iter()
            .filter(|object| NAMELESS.contains(&object.kind.as_str()))
            .filter_map(|object| {
                let table = relations.get(&object.relation?)?.name.as_str();
                Some((
                    (object.kind.as_str(), table, object.facts.as_slice()),
                    object,
                ))
            })
            .collect();
        Index {
            named: objects
                .iter()
                .map(|object| ((like(&object.kind), object.name.as_str()), object))
                .collect(),
            relations,
            nameless,
        }
    }

    fn relation_of(&self, object: &Object) -> Option<&'a Object> {
        self.relations.get(&object.relation?).copied()
    }
}

/// A table may be a partition on one side only.
fn like(kind: &str) -> &str {
    if kind == "partition" { "table" } else { kind }
}

/// Lists what the destination lacks: everything, or, with `all` false, what is moved or belongs to it.
/// Objects of a relation that is missing itself are listed too.
pub fn missing(here: &[Object], there: &[Object], source: &Catalog, all: bool) -> Vec<Object> {
    let other = Index::new(there);
    let (index, moved) = (Index::new(here), moved(source));
    here.iter()
        .filter(|object| all || object.relation.is_some_and(|oid| moved.contains(&oid)))
        .filter(|object| object.kind != "column" && find(object, &index, &other).is_none())
        .cloned()
        .collect()
}

/// Lists what the destination lacks or has otherwise, of what is moved, or of everything with `all`. What
/// [`super::compare()`] tells is left out, and partitions of a table that is partitioned in another way.
pub fn unlike(here: &[Object], there: &[Object], source: &Catalog, all: bool) -> Vec<Unlike> {
    let (index, other) = (Index::new(here), Index::new(there));
    let moved = moved(source);
    let otherwise = partitioned_otherwise(source, &index, &other);
    let mut found = Vec::new();
    for object in here {
        let table = index.relation_of(object);
        if !(all || object.relation.is_some_and(|oid| moved.contains(&oid)))
            || table.is_some_and(|table| otherwise.contains(&table.oid))
        {
            continue;
        }
        let is_the_table =
            table.is_some_and(|table| table.oid == object.oid) && object.kind != "column";
        let lost = |table: &Object| !other.named.contains_key(&(like(&table.kind), &table.name));
        if !is_the_table && table.is_some_and(lost) {
            continue;
        }
        match find(object, &index, &other) {
            // Nothing could arrive without these, which is said elsewhere.
            None if ["table", "sequence", "column"].contains(&object.kind.as_str()) => {}
            None if object.kind == "foreign key" && !all && leads_out(object, &index, &moved) => {}
            None => found.push(Unlike {
                object: object.clone(),
                facts: Vec::new(),
            }),
            Some(twin) => found.extend(compare_facts(object, twin)),
        }
    }
    found
}

/// Returns the object's twin: of the same name, or of another one with the same facts.
fn find<'a>(object: &Object, index: &Index<'_>, other: &Index<'a>) -> Option<&'a Object> {
    let kind = object.kind.as_str();
    if let Some(twin) = other.named.get(&(like(kind), object.name.as_str())) {
        return Some(twin);
    }
    if !NAMELESS.contains(&kind) {
        return None;
    }
    let table = index.relation_of(object)?.name.as_str();
    other
        .nameless
        .get(&(kind, table, object.facts.as_slice()))
        .copied()
}

/// Tables that are moved, their partitions, and the sequences.
fn moved(source: &Catalog) -> BTreeSet<Oid> {
    let partitions = source.relations.iter().flat_map(|relation| {
        let partitions = relation.partitions.iter().map(|partition| partition.oid);
        partitions.chain([relation.oid])
    });
    let sequences = source.sequences.iter().map(|sequence| sequence.oid);
    partitions.chain(sequences).collect()
}

fn leads_out(key: &Object, index: &Index<'_>, moved: &BTreeSet<Oid>) -> bool {
    let to = fact(key, "table").unwrap_or_default();
    !index.relations.values().any(|table| {
        moved.contains(&table.oid) && table.name.replace('"', "") == to.replace('"', "")
    })
}

/// Partitions of tables that have none of their partitions on the destination: it is partitioned in
/// another way, or not at all, which is allowed.
fn partitioned_otherwise(source: &Catalog, index: &Index<'_>, other: &Index<'_>) -> BTreeSet<Oid> {
    let mut otherwise = BTreeSet::new();
    for relation in &source.relations {
        let there = |oid: &Oid| {
            index
                .relations
                .get(oid)
                .is_some_and(|one| other.named.contains_key(&("table", one.name.as_str())))
        };
        let oids: Vec<Oid> = relation.partitions.iter().map(|one| one.oid).collect();
        if there(&relation.oid) && !oids.iter().any(there) {
            otherwise.extend(oids);
        }
    }
    otherwise
}

fn fact<'a>(object: &'a Object, label: &str) -> Option<&'a str> {
    object.facts.iter().find_map(|fact| {
        let (name, value) = fact.split_once(": ")?;
        (name == label).then_some(value)
    })
}

fn compare_facts(here: &Object, there: &Object) -> Option<Unlike> {
    if here.kind != there.kind {
        return Some(Unlike {
            object: here.clone(),
            facts: vec![format!("a {} there", there.kind)],
        });
    }
    let mut facts = Vec::new();
    for (one, other) in here.facts.iter().zip(&there.facts) {
        let label = one.split(": ").next().unwrap_or_default();
        if one == other || label == "partitioned by" {
            continue;
        }
        let value = |text: &str| text[label.len()..].trim_start_matches(": ").to_string();
        let (one, other) = (value(one), value(other));
        facts.push(
            match label != "body" && one.len().max(other.len()) <= SHORT {
                true => format!("{label}: {one} on the source, {other} on the destination"),
                false => label.to_string(),
            },
        );
    }
    (!facts.is_empty()).then(|| Unlike {
        object: here.clone(),
        facts,
    })
}

/// Returns one line for all that is missing of a kind, then one for all that is different, each with what
/// can be done about it; `ours` says that `copy --create-schema` made the schema.
pub fn lines<'a>(
    unlike: impl IntoIterator<Item = &'a Unlike>,
    ours: bool,
) -> Vec<(String, &'static str)> {
    let mut groups: BTreeMap<(bool, &str), Vec<String>> = BTreeMap::new();
    for one in unlike {
        let object = &one.object;
        let text = match one.missing() {
            true => object.name.clone(),
            false => format!("{} ({})", object.name, one.facts.join("; ")),
        };
        groups
            .entry((!one.missing(), object.kind.as_str()))
            .or_default()
            .push(text);
    }
    groups
        .into_iter()
        .map(|((different, kind), names)| {
            let how = if different { "different" } else { "missing" };
            let more = match names.len().saturating_sub(SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let shown = names[..names.len().min(SHOWN)].join(", ");
            let line = format!("{how} on the destination: {kind} {shown}{more}");
            (line, mend(!different, ours, kind))
        })
        .collect()
}

/// Foreign keys that the destination does not have yet, or not while rows are written: schema, table, name.
pub type Waiting = BTreeSet<[String; 3]>;

impl Unlike {
    /// Returns true for a foreign key that will be made later.
    pub fn waits(&self, waiting: &Waiting) -> bool {
        self.object.kind == "foreign key"
            && waiting.iter().any(|[schema, table, key]| {
                let table = QualifiedName::new(schema.as_str(), table.as_str());
                self.object.name == format!("{} on {table}", ident(key))
            })
    }
}

fn mend(missing: bool, ours: bool, kind: &str) -> &'static str {
    match (missing, ours) {
        // A table that is there is left alone, and pg_dump has these in it.
        (true, true) if kind == "check constraint" => "create it there",
        (true, true) => "copy --create-schema creates it",
        (true, false) => "create it there, unless it is left out on purpose",
        (false, _) => "make it the same there, unless it is meant to differ",
    }
}
