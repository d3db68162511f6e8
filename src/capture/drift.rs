//! What has changed on the source since `init`, so that a table would no longer be carried over
//! exactly. Looked for before every run of cycles and before every switch.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Oid, Relation};
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::session::Session;

/// A table as `init` noted it.
#[derive(Debug, Clone)]
pub struct Captured {
    /// The relation's oid.
    pub oid: Oid,
    /// Its name then.
    pub name: QualifiedName,
    /// Its columns, and partitions, are still the same.
    pub same_shape: bool,
    /// The columns whose values are logged.
    pub key: Vec<String>,
}

impl Captured {
    /// Returns true if what is logged of the table is what identifies its rows now. Values of one key
    /// that are taken for values of another one would change other rows.
    pub fn has_key_of(&self, relation: &Relation) -> bool {
        relation
            .key_columns()
            .eq(self.key.iter().map(String::as_str))
    }
}

/// A trigger that is missing (`enabled` is `None`) or not ENABLE ALWAYS.
#[derive(Debug, Clone)]
pub struct BrokenTrigger {
    /// The captured table or root.
    pub oid: Oid,
    /// The table or partition that the trigger belongs on, quoted.
    pub member: String,
    /// The trigger.
    pub trigger: String,
    /// `pg_trigger.tgenabled`.
    pub enabled: Option<String>,
}

/// What `init` captured, and what has become of it.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    /// By oid.
    pub tables: BTreeMap<Oid, Captured>,
    /// By name of the table.
    pub broken_triggers: Vec<BrokenTrigger>,
    /// Sequences by oid, with the name then.
    pub sequences: BTreeMap<Oid, QualifiedName>,
}

impl Capture {
    /// Reads it.
    ///
    /// # Errors
    /// As the server says.
    pub fn read(session: &mut Session) -> Result<Capture> {
        let sql = "SELECT table_id, schema_name, table_name,
                          shape IS NOT DISTINCT FROM switchover.shape(table_id), key_columns
                     FROM switchover.captured";
        let tables = session.query("list the captured tables", sql, &[])?;
        let triggers = session.query(
            "look at the capture triggers",
            include_str!("triggers.sql"),
            &[],
        )?;
        let sql =
            "SELECT sequence_id, schema_name, sequence_name FROM switchover.captured_sequence";
        let sequences = session.query("list the captured sequences", sql, &[])?;
        Ok(Capture {
            tables: tables
                .iter()
                .map(|row| {
                    let name = QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2));
                    (
                        row.get(0),
                        Captured {
                            oid: row.get(0),
                            name,
                            same_shape: row.get(3),
                            key: row.get(4),
                        },
                    )
                })
                .collect(),
            broken_triggers: triggers
                .iter()
                .map(|row| BrokenTrigger {
                    oid: row.get(0),
                    member: row.get(2),
                    trigger: row.get(3),
                    enabled: row.get(4),
                })
                .collect(),
            sequences: sequences
                .iter()
                .map(|row| {
                    let name = QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2));
                    (row.get(0), name)
                })
                .collect(),
        })
    }

    /// Returns the oids of tables whose triggers or functions have to be made again.
    pub fn broken(&self) -> BTreeSet<Oid> {
        let reshaped = self
            .tables
            .values()
            .filter(|table| !table.same_shape)
            .map(|table| table.oid);
        self.broken_triggers
            .iter()
            .map(|trigger| trigger.oid)
            .chain(reshaped)
            .collect()
    }

    /// Says what has drifted, one sentence each; `catalog` is the source as it is now.
    pub fn drift(&self, catalog: &Catalog) -> Vec<String> {
        let mut drift = Vec::new();
        for table in self.tables.values() {
            match catalog.relation_by_oid(table.oid) {
                None => drift.push(format!("table {} was dropped or moved away", table.name)),
                Some(now) if now.name != table.name => {
                    drift.push(format!("table {} is now called {}", table.name, now.name));
                }
                Some(now) if !table.same_shape => {
                    let what = match now.partitioned {
                        true => "columns or partitions",
                        false => "columns",
                    };
                    drift.push(format!("the {what} of table {} have changed", table.name));
                }
                Some(now) if !table.has_key_of(now) => {
                    drift.push(format!("the key of table {} has changed", table.name));
                }
                Some(_) => {}
            }
        }
        for relation in &catalog.relations {
            if !self.tables.contains_key(&relation.oid) {
                drift.push(format!("table {} is new", relation.name));
            }
        }
        for trigger in &self.broken_triggers {
            let how = match trigger.enabled.as_deref() {
                None => "missing",
                Some("D") => "disabled",
                Some(_) => "no longer ENABLE ALWAYS",
            };
            drift.push(format!(
                "trigger {} on {} is {how}",
                trigger.trigger, trigger.member
            ));
        }
        for (oid, name) in &self.sequences {
            match catalog
                .sequences
                .iter()
                .find(|sequence| sequence.oid == *oid)
            {
                None => drift.push(format!("sequence {name} was dropped or moved away")),
                Some(now) if &now.name != name => {
                    drift.push(format!("sequence {name} is now called {}", now.name));
                }
                Some(_) => {}
            }
        }
        for sequence in &catalog.sequences {
            if !self.sequences.contains_key(&sequence.oid) {
                drift.push(format!("sequence {} is new", sequence.name));
            }
        }
        drift
    }

    /// Fails if anything has drifted.
    ///
    /// # Errors
    /// One line that names the first few objects, and the mend.
    pub fn refuse_drift(&self, catalog: &Catalog) -> Result<()> {
        const SHOWN: usize = 5;
        let drift = self.drift(catalog);
        if drift.is_empty() {
            return Ok(());
        }
        let more = match drift.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => format!(" and {more} more"),
            _ => String::new(),
        };
        let shown = drift
            .iter()
            .take(SHOWN)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        let only_triggers = drift.len() == self.broken_triggers.len();
        let mend = "run init and copy again; only the tables concerned are copied anew";
        let error = Error::failed(format!("the source has changed since init: {shown}{more}"));
        Err(match only_triggers {
            true => error.mend(mend),
            false => error.mend(format!(
                "make the same change on the destination, then {mend}"
            )),
        })
    }
}
