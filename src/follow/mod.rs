//! Goes along with a schema that changes during a switchover, as far as that can be done by itself:
//! partitions that come and go, sequences, what was renamed or dropped alike on both sides, contents that
//! ALTER TABLE has rewritten. The rest is drift, and refused by name.

mod names;
mod partitions;

use std::collections::{BTreeMap, BTreeSet};

pub use partitions::name_missing;

use crate::capture::{self, Capture, Captured};
use crate::catalog::{self, Catalog, Oid, Relation, Selection, UserTypes};
use crate::cycle::Cycles;
use crate::destination::{self, CopiedTable, Unguarded};
use crate::error::{Error, Result};
use crate::lock::Patience;
use crate::plan;
use crate::session::Session;
use crate::stop::Stop;

/// Looks at what has changed while we looked: so often.
const ROUNDS: usize = 5;

/// What following needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// What is carried over.
    pub selection: &'a Selection,
    /// How long, and how often, a partition's writers are waited for.
    pub patience: Patience,
    /// Looked at between two steps.
    pub stop: &'a Stop,
}

/// The source as it is after following.
pub struct Followed {
    /// Its relations.
    pub catalog: Catalog,
    /// What is captured, and what has still drifted.
    pub capture: Capture,
    /// Something was followed.
    pub anything: bool,
}

/// Both sides of one round.
struct Sides<'a> {
    source: &'a mut Session,
    destination: &'a mut Session,
    setup: Setup<'a>,
    catalog: Catalog,
    capture: Capture,
    /// The destination's relations.
    there: Catalog,
    /// Tables whose copy is complete, by their oid on the source.
    copied: BTreeMap<Oid, CopiedTable>,
}

/// What a look at the source has found.
pub struct Seen {
    /// The selected relations.
    pub catalog: Catalog,
    /// What is captured, read after them.
    pub capture: Capture,
}

impl Seen {
    /// Looks at the source.
    ///
    /// # Errors
    /// As the server says.
    pub fn read(source: &mut Session, selection: &Selection) -> Result<Seen> {
        Ok(Seen {
            catalog: Catalog::read(source, selection)?,
            capture: Capture::read(source)?,
        })
    }
}

/// Follows what can be followed. The caller holds the source's advisory lock and has claimed the
/// destination, and no cycle is open. What it has `seen` of the source a moment ago is not looked at again.
///
/// # Errors
/// As either server says; a partition's lock was not obtained.
pub fn follow(
    source: &mut Session,
    destination: &mut Session,
    setup: Setup<'_>,
    mut seen: Option<Seen>,
) -> Result<Followed> {
    let mut anything = false;
    let mut round = 1;
    loop {
        setup.stop.check()?;
        let Seen { catalog, capture } = match seen.take() {
            Some(seen) => seen,
            None => Seen::read(source, setup.selection)?,
        };
        if round > ROUNDS || !may_follow(&catalog, &capture) {
            return Ok(Followed {
                catalog,
                capture,
                anything,
            });
        }
        let there = Catalog::read(destination, &Selection::default())?;
        let copied = destination::copied_tables(destination)?
            .into_iter()
            .filter(|table| table.finished)
            .filter_map(|table| Some((table.source_oid?, table)))
            .collect();
        let mut sides = Sides {
            source: &mut *source,
            destination: &mut *destination,
            setup,
            catalog,
            capture,
            there,
            copied,
        };
        let done = match sides.round() {
            // Something that the look has found is gone by now: look again.
            Err(error) if round < ROUNDS && is_gone(&error) => true,
            other => other?,
        };
        if !done {
            let Sides {
                catalog, capture, ..
            } = sides;
            return Ok(Followed {
                catalog,
                capture,
                anything,
            });
        }
        anything = true;
        round += 1;
    }
}

/// Returns true if a look at the destination may be worth it.
fn may_follow(catalog: &Catalog, capture: &Capture) -> bool {
    let table = |table: &Captured| {
        !table.same_columns()
            || !table.changed.is_empty()
            || catalog
                .relation_by_oid(table.oid)
                .is_none_or(|now| now.name != table.name || stale(now, table))
    };
    let sequences: BTreeMap<_, _> = catalog
        .sequences
        .iter()
        .map(|sequence| (sequence.oid, sequence.name.clone()))
        .collect();
    sequences != capture.sequences || capture.tables.values().any(table)
}

/// Returns true if a table's functions would be made otherwise today: a type was renamed, for one.
fn stale(relation: &Relation, table: &Captured) -> bool {
    capture::functions_hash(relation) != table.functions
}

/// Returns true for what a statement says whose object has gone: undefined schema, table, object, column.
fn is_gone(error: &Error) -> bool {
    let state = error.sqlstate.as_ref().map(postgres::error::SqlState::code);
    matches!(state, Some("3F000" | "42P01" | "42704" | "42703"))
}

/// Returns true if a cycle has failed because the schema is no longer what it was made for: what
/// `switchover.refuse_drifted()` says, and what a statement says whose object has gone.
pub fn is_drift(error: &Error) -> bool {
    let state = error.sqlstate.as_ref().map(postgres::error::SqlState::code);
    matches!(state, Some("55000" | "42883")) || is_gone(error)
}

impl Sides<'_> {
    /// Follows what this look has found; returns true if another look is due.
    fn round(&mut self) -> Result<bool> {
        let mut done = self.names()?;
        done |= self.dropped_tables()?;
        done |= self.sequences()?;
        let changed: Vec<Captured> = self
            .capture
            .tables
            .values()
            .filter(|table| !table.changed.is_empty() && table.same_columns())
            .cloned()
            .collect();
        for table in changed {
            let Some(relation) = self.catalog.relation_by_oid(table.oid).cloned() else {
                continue;
            };
            if relation.name != table.name || !table.has_key_of(&relation) {
                continue;
            }
            done |= self.members(&relation, &table)?;
        }
        Ok(done)
    }

    /// Notes sequences that the destination has by their present names, and forgets those that neither
    /// side has.
    fn sequences(&mut self) -> Result<bool> {
        let there: BTreeSet<_> = self.there.sequences.iter().map(|one| &one.name).collect();
        let known = &self.capture.sequences;
        let present: Vec<_> = self
            .catalog
            .sequences
            .iter()
            .filter(|now| known.get(&now.oid) != Some(&now.name) && there.contains(&now.name))
            .map(|now| (now.oid, &now.name))
            .collect();
        let gone: Vec<Oid> = known
            .iter()
            .filter(|(oid, name)| {
                !self.catalog.sequences.iter().any(|now| now.oid == **oid) && !there.contains(name)
            })
            .map(|(oid, _)| *oid)
            .collect();
        if present.is_empty() && gone.is_empty() {
            return Ok(false);
        }
        for (oid, name) in &present {
            match known.get(oid) {
                None => log::info!("sequence {name} is new, and carried over from now on"),
                Some(before) => log::info!("sequence {before} is now called {name} on both sides"),
            }
        }
        for oid in &gone {
            log::info!("sequence {} was dropped on both sides", known[oid]);
        }
        capture::follow::note_sequences(self.source, &present, &gone)?;
        Ok(true)
    }

    /// Forgets tables that were dropped on both sides.
    fn dropped_tables(&mut self) -> Result<bool> {
        let mut done = false;
        for table in self.capture.tables.values() {
            let kept = self.copied.get(&table.oid).and_then(|copied| copied.oid);
            let there = self
                .there
                .relations
                .iter()
                .any(|other| other.name == table.name || Some(other.oid) == kept);
            if table.columns_now.is_some() || there {
                continue;
            }
            capture::follow::forget_table(self.source, table.oid)?;
            destination::drop_table_note(self.destination, &table.name)?;
            log::info!("table {} was dropped on both sides", table.name);
            done = true;
        }
        Ok(done)
    }
}

/// What a look between two cycles has found.
pub struct Look {
    /// The captured relations on both sides, if anything was followed.
    pub catalogs: Option<(Catalog, Catalog)>,
    /// What has drifted and cannot be followed.
    pub drift: Result<()>,
}

/// Looks again between two cycles: follows what can be followed, and lets the cycles go on by what has been
/// found. `known` are the source's types as the destination was compared with them.
///
/// # Errors
/// As [`follow`]; the destination differs.
pub fn look_again(
    cycles: &mut Cycles,
    setup: Setup<'_>,
    seen: Option<Seen>,
    known: &UserTypes,
) -> Result<Look> {
    let (source, destination) = cycles.sessions();
    let Followed {
        mut catalog,
        capture,
        anything,
    } = follow(source, destination, setup, seen)?;
    let drift = capture.refuse_drift(&catalog);
    if !anything {
        return Ok(Look {
            catalogs: None,
            drift: drift.and_then(|()| refuse_changed_types(&catalog.types, known)),
        });
    }
    // What is new is in no log, and what has drifted is refused by the cycle that meets it; neither may be
    // on the destination as it is here.
    let carried = |relation: &Relation| {
        capture.tables.get(&relation.oid).is_some_and(|table| {
            table.same_columns() && table.name == relation.name && table.has_key_of(relation)
        })
    };
    catalog.relations.retain(carried);
    let listed = |sequence: &catalog::Sequence| capture.sequences.contains_key(&sequence.oid);
    catalog.sequences.retain(listed);
    let there = Catalog::read(destination, &Selection::default())?;
    catalog::refuse_differences(&catalog, &there, true)?;
    let plans = plan::plan(&catalog, &there)?;
    cycles.replan(plans, capture.sequences);
    Ok(Look {
        catalogs: Some((catalog, there)),
        drift,
    })
}

/// Guards the moved tables of the destination, new partitions among them; see [`destination::guard_tables`].
///
/// # Errors
/// As that.
pub fn guard(
    session: &mut Session,
    (source, there): (&Catalog, &Catalog),
    run: &str,
    patience: Patience,
    stop: &Stop,
) -> Result<Vec<Unguarded>> {
    let relations = source.relations.iter();
    let moved: Vec<Oid> = relations
        .filter_map(|relation| there.relation(&relation.name))
        .map(|relation| relation.oid)
        .collect();
    destination::guard_tables(session, &moved, run, patience, stop)
}

/// Fails if a type has changed: a value of an enum that is renamed changes rows without a trace.
fn refuse_changed_types(now: &UserTypes, known: &UserTypes) -> Result<()> {
    let mut now = now.iter();
    match now.find(|(name, one)| known.get(name) != Some(one)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::failed(format!(
            "type {name} has changed on the source a moment ago"
        ))
        .mend("run it again, and it says how the destination differs")),
    }
}
