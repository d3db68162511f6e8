//! Makes on the destination what has come on the source since the schema was made there: tables for
//! `copy --create-schema`, partitions and sequences for whoever needs them.
//!
//! All of it, indexes included, is made in one transaction, so that a kill leaves nothing half made. What
//! exists is not touched. Foreign keys and materialized views are noted and follow behind the next cycle.

use std::collections::BTreeSet;

use super::contents::{self, Choice, Identity, Wish};
use super::noted::waiting;
use super::postponed::Postponed;
use super::schema::{Schema, SchemaOptions};
use crate::catalog::objects::{self, Object};
use crate::catalog::{Catalog, Oid, Relation, Sequence, compare};
use crate::destination::Claim;
use crate::error::{Error, Result};
use crate::ident::{QualifiedName, ident};
use crate::session::{Session, side_by_side};
use crate::stop::Stop;

/// Names that a message shows.
const SHOWN: usize = 5;

/// Both sides as they are now.
pub struct Sides<'a> {
    /// The source's captured relations.
    pub source: &'a Catalog,
    /// All of the destination.
    pub destination: &'a Catalog,
    /// What the destination's bookkeeping said when this run claimed it.
    pub claim: &'a Claim,
    /// The partitions and sequences that have come since they were last looked at, if only these count:
    /// others that are missing were renamed on one side, or dropped on the other.
    pub new: Option<BTreeSet<Oid>>,
}

impl Sides<'_> {
    fn captured(&self) -> Vec<Oid> {
        self.source.relations.iter().map(|one| one.oid).collect()
    }

    /// Lists the partitions that the destination lacks, where its table is partitioned as the source's.
    fn all_partitions(&self) -> Vec<Oid> {
        let relations = self.source.relations.iter();
        relations
            .flat_map(|one| self.partitions(one))
            .filter(|oid| self.is_new(*oid))
            .collect()
    }

    fn is_new(&self, oid: Oid) -> bool {
        self.new.as_ref().is_none_or(|new| new.contains(&oid))
    }

    /// Lists the sequences that the destination lacks, but for those of tables that it lacks.
    fn followed_sequences(&self) -> Vec<Oid> {
        let there = |oid: Oid| {
            let owner = self.source.relations.iter().find(|relation| {
                relation.oid == oid || relation.partitions.iter().any(|one| one.oid == oid)
            });
            owner.is_none_or(|relation| self.destination.relation(&relation.name).is_some())
        };
        self.sequences()
            .filter(|sequence| sequence.owner.is_none_or(there))
            .map(|sequence| sequence.oid)
            .filter(|oid| self.is_new(*oid))
            .collect()
    }

    fn sequences(&self) -> impl Iterator<Item = &Sequence> {
        let there = &self.destination.sequences;
        let sequences = self.source.sequences.iter();
        sequences.filter(move |one| !there.iter().any(|other| other.name == one.name))
    }

    /// A table that has none of the source's partitions is partitioned in another way there.
    fn partitions(&self, relation: &Relation) -> Vec<Oid> {
        let Some(other) = self.destination.relation(&relation.name) else {
            return Vec::new();
        };
        let (there, missing): (Vec<_>, Vec<_>) = relation
            .partitions
            .iter()
            .partition(|one| other.partitions.iter().any(|part| part.name == one.name));
        let alike = !there.is_empty() || other.partitioned && other.partitions.is_empty();
        match alike {
            true => missing.iter().map(|partition| partition.oid).collect(),
            false => Vec::new(),
        }
    }

    /// A sequence that was renamed on the source only is missing on the destination under the new name, and
    /// too many under the old one, which defaults there go on to use.
    fn refuse_renamed_sequences(&self, source: &mut Session) -> Result<()> {
        let table = |catalog: &Catalog, sequence: &Sequence| {
            let owner = sequence.owner?;
            let relation = catalog.relation_by_oid(owner)?;
            Some(relation.name.clone())
        };
        for missing in self.sequences() {
            let owner = table(self.source, missing);
            let alike = self.destination.sequences.iter().filter(|other| {
                table(self.destination, other) == owner && other.name.schema == missing.name.schema
            });
            let mut old = None;
            for other in alike {
                let gone = "SELECT pg_catalog.to_regclass($1) IS NULL";
                let name = other.name.to_string();
                if source
                    .query_one("look for a sequence", gone, &[&name])?
                    .get(0)
                {
                    old = Some(other);
                }
            }
            if let Some(old) = old {
                let new = &missing.name;
                return Err(Error::failed(format!(
                    "sequence {new} is missing on the destination, which has {}: it may have been renamed",
                    old.name
                ))
                .mend(format!(
                    "ALTER SEQUENCE {} RENAME TO {} there; or drop it there, or create the new one",
                    old.name,
                    ident(&new.name)
                )));
            }
        }
        Ok(())
    }

    /// Refuses tables that are there and differ: what is made beside them would not fit.
    fn refuse_differences(&self) -> Result<()> {
        let present = Catalog {
            relations: self
                .source
                .relations
                .iter()
                .filter(|one| self.destination.relation(&one.name).is_some())
                .cloned()
                .collect(),
            ..Catalog::default()
        };
        match compare(&present, self.destination, false).first() {
            Some(first) => Err(Error::failed(first.what.as_str()).mend(first.mend.as_str())),
            None => Ok(()),
        }
    }
}

/// Creates the partitions and sequences that have come on the source since, where the schema on the
/// destination was made by `copy --create-schema`.
///
/// # Errors
/// As pg_dump or the server says.
pub fn follow(
    source: &mut Session,
    destination: &mut Session,
    sides: &Sides<'_>,
    stop: &Stop,
) -> Result<()> {
    if !sides.claim.schema_created {
        return Ok(());
    }
    let mut wanted = sides.followed_sequences();
    wanted.extend(sides.all_partitions());
    if wanted.is_empty() {
        return Ok(());
    }
    sides.refuse_renamed_sequences(source)?;
    sides.refuse_differences()?;
    let options = SchemaOptions::noted(destination)?;
    let mut wish = wish(source, destination, sides.source)?;
    wish.roots = roots(&wish, |object| {
        object.relation == Some(object.oid) && wanted.contains(&object.oid)
    });
    bring(source, destination, sides, &options, &wish, stop)
}

/// Says how new sequences are made in a schema of the user's. A partition may be left out there.
///
/// # Errors
/// The statements that make what is missing.
pub fn refuse_new_sequences(source: &mut Session, sides: &Sides<'_>) -> Result<()> {
    by_hand(source, &sides.followed_sequences())
}

/// Refuses to copy into a schema of the user's that lacks partitions, so that rows would have no place, or
/// sequences.
///
/// # Errors
/// The statements that make what is missing.
pub fn refuse_missing(
    source: &mut Session,
    destination: &mut Session,
    sides: &Sides<'_>,
) -> Result<()> {
    let sql = "SELECT n.nspname::text, c.relname::text
                 FROM pg_catalog.pg_partitioned_table p
                 JOIN pg_catalog.pg_class c ON c.oid = p.partrelid
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE p.partdefid <> 0";
    let rows = destination.query("list the default partitions", sql, &[])?;
    let takes_all: BTreeSet<QualifiedName> = rows
        .iter()
        .map(|row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)))
        .collect();
    let relations = sides.source.relations.iter();
    let mut missing: Vec<Oid> = relations
        .filter(|relation| !takes_all.contains(&relation.name))
        .flat_map(|relation| sides.partitions(relation))
        .collect();
    missing.extend(sides.followed_sequences());
    by_hand(source, &missing)
}

/// Creates what is missing on a destination that has some of the schema: everything if it was made by
/// `copy --create-schema`, else the tables that are to be moved and what these need.
///
/// # Errors
/// A table that is there differs; as pg_dump or the server says. Nothing has been made then.
pub fn complete_schema(
    source: &mut Session,
    destination: &mut Session,
    sides: &Sides<'_>,
    options: &SchemaOptions,
    stop: &Stop,
) -> Result<()> {
    let claim = sides.claim;
    let mut wish = wish(source, destination, sides.source)?;
    let tables: BTreeSet<Oid> = sides
        .source
        .relations
        .iter()
        .filter(|one| sides.destination.relation(&one.name).is_none())
        .flat_map(|one| one.partitions.iter().map(|part| part.oid).chain([one.oid]))
        .chain(sides.all_partitions())
        .chain(sides.sequences().map(|sequence| sequence.oid))
        .collect();
    let keys = addable_keys(source, destination, sides)?;
    wish.roots = roots(&wish, |object| match object.kind.as_str() {
        _ if !claim.schema_created => {
            object.relation == Some(object.oid) && tables.contains(&object.oid)
        }
        "partition" => tables.contains(&object.oid),
        "foreign key" => keys.contains(&object.oid),
        "default acl" => !options.no_privileges,
        // While the keys of the first tables are yet to be made, pg_restore makes them.
        _ => claim.schema_finished || object.relation.is_none_or(|oid| oid == object.oid),
    });
    if wish.roots.is_empty() {
        return Ok(());
    }
    sides.refuse_renamed_sequences(source)?;
    sides.refuse_differences()?;
    bring(source, destination, sides, options, &wish, stop)
}

/// Returns the wish for a destination that has none of the tables: everything that is not there.
///
/// # Errors
/// As either server says.
pub fn everything(
    source: &mut Session,
    destination: &mut Session,
    catalog: &Catalog,
) -> Result<Wish> {
    let mut wish = wish(source, destination, catalog)?;
    wish.roots = wish.missing.keys().copied().collect();
    wish.everything = true;
    Ok(wish)
}

fn wish(source: &mut Session, destination: &mut Session, catalog: &Catalog) -> Result<Wish> {
    let (here, there) = side_by_side(|| objects::read(source), || objects::read(destination));
    let (here, there) = (here?, there?);
    let missing = objects::missing(&here, &there, catalog, true);
    let identity = |object: &Object| (object.class, object.oid);
    Ok(Wish {
        known: here
            .iter()
            .filter(|one| one.kind != "column")
            // It is everywhere, and its entry sets its owner only; privileges on it go with that.
            .filter(|one| !(one.kind == "schema" && one.name == "\"public\""))
            .map(identity)
            .collect(),
        missing: missing
            .into_iter()
            .map(|one| (identity(&one), one))
            .collect(),
        ..Wish::default()
    })
}

fn roots(wish: &Wish, wanted: impl Fn(&Object) -> bool) -> BTreeSet<Identity> {
    let roots = wish.missing.iter().filter(|(_, object)| wanted(object));
    roots.map(|(identity, _)| *identity).collect()
}

/// Lists the foreign keys of the source that may be made: both tables are moved, and they are not waiting.
fn addable_keys(
    source: &mut Session,
    destination: &mut Session,
    sides: &Sides<'_>,
) -> Result<BTreeSet<Oid>> {
    let waiting = waiting(destination)?;
    let postponed = Postponed::list(source, &sides.captured())?;
    Ok(postponed
        .into_iter()
        .filter(|one| one.captured)
        .filter_map(|one| Some((one.oid, [one.schema, one.table, one.constraint?])))
        .filter(|(_, name)| !waiting.contains(name))
        .map(|(oid, _)| oid)
        .collect())
}

fn bring(
    source: &mut Session,
    destination: &mut Session,
    sides: &Sides<'_>,
    options: &SchemaOptions,
    wish: &Wish,
    stop: &Stop,
) -> Result<()> {
    let (captured, run) = (sides.captured(), &sides.claim.run);
    let limits = (run.as_str(), stop);
    let (schema, ()) = Schema::dump(source, destination, &captured, options, limits, |_, _| {
        Ok(())
    })?;
    let choice = contents::choose(schema.listing(), wish);
    if choice.objects.is_empty() {
        return Ok(());
    }
    log::info!("creating on the destination: {}", named(&choice, wish));
    let notes: String = schema
        .postponed
        .iter()
        .filter(|one| one.captured)
        .filter(|one| choice.objects.iter().any(|(_, oid)| *oid == one.oid))
        .map(Postponed::note_behind)
        .collect();
    schema.execute(destination, &choice.list, "bring", &notes)
}

/// Lists what is made: what belongs to a table comes with it.
fn named(choice: &Choice, wish: &Wish) -> String {
    let objects = choice
        .objects
        .iter()
        .filter_map(|one| wish.missing.get(one));
    let (own, parts): (Vec<&Object>, Vec<&Object>) =
        objects.partition(|object| object.relation.is_none_or(|oid| oid == object.oid));
    let relations: BTreeSet<Oid> = own.iter().filter_map(|object| object.relation).collect();
    let strangers = parts
        .into_iter()
        .filter(|part| part.relation.is_some_and(|oid| !relations.contains(&oid)));
    let names: Vec<String> = own
        .into_iter()
        .chain(strangers)
        .map(|object| format!("{} {}", object.kind, object.name))
        .collect();
    shorten(&names, ", ")
}

/// Says what is missing in a schema that the user made, and how it is made there.
fn by_hand(source: &mut Session, oids: &[Oid]) -> Result<()> {
    if oids.is_empty() {
        return Ok(());
    }
    let sql = include_str!("by_hand.sql");
    let rows = source.query("describe what is new", sql, &[&oids])?;
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let statements: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    Err(Error::failed(format!(
        "{} {verb} missing on the destination, whose schema was not made by copy --create-schema",
        shorten(&names, ", ")
    ))
    .mend(format!("there: {}", shorten(&statements, "; "))))
}

fn shorten(texts: &[String], between: &str) -> String {
    let shown = texts[..texts.len().min(SHOWN)].join(between);
    match texts.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}{between}and {more} more"),
    }
}
