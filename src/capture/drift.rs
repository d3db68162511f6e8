//! What has changed on the source since `init`, so that a table would no longer be carried over
//! exactly. Looked for before every run of cycles and before every switch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::catalog::{Catalog, Oid, Relation};
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::session::Session;

/// A column as `switchover.shape()` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its number, which stays when it is renamed.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// Type, type modifier, and how it is generated.
    kind: (i64, i64, String),
}

/// What a member was, or is, like: see `switchover.members()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberState {
    /// The row trigger that it has from its root.
    pub link: Oid,
    /// Its file.
    pub file: Oid,
    /// A hash of the versions of its columns.
    pub attributes: i64,
}

/// What holds rows of a captured table, and is not as it was noted.
#[derive(Debug, Clone)]
pub struct Member {
    /// The partition, or the table itself.
    pub oid: Oid,
    /// As it was noted; `None` if it is new.
    pub then: Option<MemberState>,
    /// As it is; `None` if it is gone.
    pub now: Option<MemberState>,
    /// The partition's constraint when it was noted.
    pub bound: Option<String>,
}

impl Member {
    /// Returns true if it came or went, or both.
    pub fn moved(&self) -> bool {
        self.then.map(|state| state.link) != self.now.map(|state| state.link)
    }

    /// Returns true if ALTER TABLE may have rewritten its contents, which no trigger sees.
    pub fn rewritten(&self) -> bool {
        match (self.then, self.now) {
            (Some(then), Some(now)) => then.file != now.file && then.attributes != now.attributes,
            _ => false,
        }
    }
}

/// A table as `init` noted it.
#[derive(Debug, Clone)]
pub struct Captured {
    /// The relation's oid.
    pub oid: Oid,
    /// Its name then.
    pub name: QualifiedName,
    /// Its columns then.
    pub columns: Vec<Attribute>,
    /// Its columns now; `None` if it was dropped.
    pub columns_now: Option<Vec<Attribute>>,
    /// The text that these were read from.
    pub shape_now: Option<String>,
    /// The columns whose values are logged, by their names then.
    pub key: Vec<String>,
    /// The hash of its functions.
    pub functions: String,
    /// What holds its rows, where that has changed.
    pub changed: Vec<Member>,
}

impl Captured {
    /// Returns true if its columns are the same.
    pub fn same_columns(&self) -> bool {
        self.columns_now.as_ref() == Some(&self.columns)
    }

    /// Returns true if the same columns are left, whatever they are called now, and none is new.
    pub fn renamed_columns_only(&self) -> bool {
        let known = |now: &Attribute| {
            self.columns
                .iter()
                .any(|then| then.number == now.number && then.kind == now.kind)
        };
        self.columns_now
            .as_ref()
            .is_some_and(|columns| columns.iter().all(known))
    }

    /// Returns true if partitions came or went.
    pub fn moved(&self) -> bool {
        self.changed.iter().any(Member::moved)
    }

    /// Returns true if ALTER TABLE may have rewritten its contents.
    pub fn rewritten(&self) -> bool {
        self.changed.iter().any(Member::rewritten)
    }

    /// Returns true if what is logged of the table is what identifies its rows now. Values of one key
    /// that are taken for values of another one would change other rows.
    pub fn has_key_of(&self, relation: &Relation) -> bool {
        let then = self.key.iter().map(|name| number_of(&self.columns, name));
        let now = self.columns_now.as_deref().unwrap_or_default();
        then.eq(relation.key_columns().map(|name| number_of(now, name)))
    }

    /// Returns true if a column of the key may have been logged from another one that has its name now.
    pub fn key_name_taken(&self) -> bool {
        let now = self.columns_now.as_deref().unwrap_or_default();
        self.key.iter().any(|name| {
            let number = number_of(now, name);
            number.is_some() && number != number_of(&self.columns, name)
        })
    }
}

fn number_of(columns: &[Attribute], name: &str) -> Option<i64> {
    let column = columns.iter().find(|column| column.name == name);
    column.map(|column| column.number)
}

/// Reads what `switchover.shape()` returns.
fn attributes(shape: &str) -> Vec<Attribute> {
    let Ok(Value::Array(columns)) = serde_json::from_str(shape) else {
        return Vec::new();
    };
    let number = |value: &Value| value.as_i64().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    columns
        .iter()
        .map(|column| Attribute {
            number: number(&column[0]),
            name: text(&column[1]),
            kind: (number(&column[2]), number(&column[3]), text(&column[4])),
        })
        .collect()
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
        let sql = include_str!("captured.sql");
        let tables = session.query("list the captured tables", sql, &[])?;
        let mut changed = read_members(session)?;
        let triggers = session.query(
            "look at the capture triggers",
            include_str!("triggers.sql"),
            &[],
        )?;
        let sql =
            "SELECT sequence_id, schema_name, sequence_name FROM switchover.captured_sequence";
        let sequences = session.query("list the captured sequences", sql, &[])?;
        let name = |row: &postgres::Row| {
            QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2))
        };
        let mut table = |row: &postgres::Row| Captured {
            oid: row.get(0),
            name: name(row),
            columns: attributes(row.get(3)),
            columns_now: row.get::<_, Option<&str>>(4).map(attributes),
            shape_now: row.get(4),
            key: row.get(5),
            functions: row.get(6),
            changed: changed.remove(&row.get::<_, Oid>(0)).unwrap_or_default(),
        };
        Ok(Capture {
            tables: tables.iter().map(|row| (row.get(0), table(row))).collect(),
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
                .map(|row| (row.get(0), name(row)))
                .collect(),
        })
    }

    /// Returns the oids of tables whose triggers or functions have to be made again.
    pub fn broken(&self) -> BTreeSet<Oid> {
        let reshaped = self
            .tables
            .values()
            .filter(|table| !table.same_columns() || table.moved() || table.rewritten())
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
                Some(_) if !table.same_columns() => {
                    drift.push(format!("the columns of table {} have changed", table.name));
                }
                Some(now) if !table.has_key_of(now) => {
                    drift.push(format!("the key of table {} has changed", table.name));
                }
                Some(_) if table.moved() => {
                    drift.push(format!(
                        "the partitions of table {} have changed",
                        table.name
                    ));
                }
                Some(_) if table.rewritten() => {
                    drift.push(format!("table {} was rewritten", table.name));
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

    /// Returns true if sequences that are new are all that has drifted.
    pub fn lacks_only_sequences(&self, catalog: &Catalog) -> bool {
        let sequences = catalog.sequences.iter();
        let new = sequences.filter(|one| !self.sequences.contains_key(&one.oid));
        self.drift(catalog).len() == new.count()
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

/// Reads what holds rows and is not as it was noted, by captured table.
fn read_members(session: &mut Session) -> Result<BTreeMap<Oid, Vec<Member>>> {
    let sql = include_str!("members.sql");
    let rows = session.query("look at the partitions and files", sql, &[])?;
    let state = |row: &postgres::Row, link: usize, file: usize| {
        row.get::<_, Option<Oid>>(link).map(|link| MemberState {
            link,
            file: row.get(file),
            attributes: row.get(file + 1),
        })
    };
    let mut members: BTreeMap<Oid, Vec<Member>> = BTreeMap::new();
    for row in &rows {
        members.entry(row.get(0)).or_default().push(Member {
            oid: row.get(1),
            then: state(row, 2, 3),
            now: state(row, 6, 7),
            bound: row.get(5),
        });
    }
    Ok(members)
}
