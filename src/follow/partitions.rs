//! Partitions that come and go, and contents that were rewritten. Why no row is lost: see
//! `capture::follow`.

use std::io::{Read, Write};

use super::Sides;
use crate::capture::{Captured, Member, follow};
use crate::catalog::{Oid, Partition, Relation};
use crate::destination;
use crate::error::{Error, Result, Side};
use crate::ident::QualifiedName;
use crate::session::{Session, copy_error, text};

/// Bytes of log entries that travel at once.
const BLOCK: usize = 256 << 10;

/// Statements that an error shows.
const SHOWN: usize = 3;

impl Sides<'_> {
    /// Brings the log and the notes about a table in line with what holds its rows now. Returns false if
    /// that cannot be done here.
    pub(super) fn members(&mut self, relation: &Relation, table: &Captured) -> Result<bool> {
        let mut come = Vec::new();
        for member in follow::moved(table).filter(|member| member.now.is_some()) {
            match partition_of(relation, member.oid) {
                // Neither a foreign table nor one that the root's trigger was not cloned to can be captured.
                Some(partition) if !partition.foreign && has_link(member) => {
                    come.push((member, partition));
                }
                _ => return Ok(false),
            }
        }
        // Until the copy has brought the table, the copy is what brings it.
        let copied = self.copied.contains_key(&relation.oid);
        for (member, partition) in &come {
            self.adopt(relation, member, partition)?;
            if copied && partition.leaf {
                follow::log_keys(self.source, self.setup.stop, relation, &partition.name)?;
            }
        }
        if copied {
            self.log_what_went(relation, table)?;
        }
        for (member, _) in &come {
            self.hand_over(member.oid, table)?;
        }
        follow::note_members(self.source, table)?;
        for (_, partition) in &come {
            log::info!(
                "partition {} of table {} is new, and followed",
                partition.name,
                relation.name
            );
        }
        let gone = follow::moved(table)
            .filter(|member| member.now.is_none())
            .count();
        if gone > 0 {
            log::info!("{gone} of the partitions of table {} went", relation.name);
        }
        if table.moved() {
            tell_missing(&missing(self.source, self.destination, Some(relation.oid))?);
        }
        Ok(true)
    }

    fn adopt(&mut self, root: &Relation, member: &Member, partition: &Partition) -> Result<()> {
        let before = self.capture.tables.contains_key(&member.oid);
        follow::adopt(
            self.source,
            self.setup.patience,
            self.setup.stop,
            root,
            (partition.oid, &partition.name),
            before,
        )
    }

    /// A partition that was captured as a table of its own before.
    fn hand_over(&mut self, oid: Oid, root: &Captured) -> Result<()> {
        let Some(table) = self.capture.tables.get(&oid) else {
            return Ok(());
        };
        follow::hand_over(self.source, table, root)?;
        destination::drop_table_note(self.destination, &table.name)?;
        log::info!("table {} is now a partition of {}", table.name, root.name);
        Ok(())
    }

    /// Logs what the destination has within the bounds of the partitions that came or went; the whole table
    /// where that cannot be told, or its contents were rewritten.
    fn log_what_went(&mut self, relation: &Relation, table: &Captured) -> Result<()> {
        if table.rewritten() {
            log::info!(
                "table {} was rewritten by ALTER TABLE: all of it is brought again",
                relation.name
            );
            return follow::log_whole(self.source, relation.oid);
        }
        for member in follow::moved(table) {
            let mut bounds = Vec::new();
            if member.then.is_some() {
                bounds.push(member.bound.clone().filter(|bound| follow::portable(bound)));
            }
            if member.now.is_some() {
                bounds.push(follow::bound(self.source, member.oid)?);
            }
            for bound in bounds {
                let logged = match bound {
                    None => false,
                    Some(bound) => self.log_within(relation, &bound)?,
                };
                if !logged {
                    return follow::log_whole(self.source, relation.oid);
                }
            }
        }
        Ok(())
    }

    /// Logs the keys of the rows that the destination has within a bound. Returns false where it cannot
    /// tell them.
    fn log_within(&mut self, relation: &Relation, bound: &str) -> Result<bool> {
        let Some(there) = self.there.relation(&relation.name) else {
            return Ok(false);
        };
        let Some(query) = follow::entries_within(relation, there, bound) else {
            return Ok(false);
        };
        // The bound may call what the destination does not have.
        let any = format!("SELECT EXISTS ({query})");
        match self.destination.simple("look into a partition", &any) {
            Ok(rows) if rows.first().is_some_and(|row| text(row, 0) == "t") => {}
            Ok(_) => return Ok(true),
            Err(error) if error.connection_lost => return Err(error),
            Err(error) => {
                log::debug!("{error}");
                return Ok(false);
            }
        }
        let log = follow::active_log(self.source)?;
        let what = format!("log rows of table {}", relation.name);
        let mut reader = self
            .destination
            .copy_out(&what, &format!("COPY ({query}) TO STDOUT"))?;
        let mut writer = self
            .source
            .copy_in(&what, &format!("COPY {log} (table_id, row_id) FROM STDIN"))?;
        loop {
            let mut block = Vec::with_capacity(BLOCK);
            let read = reader
                .by_ref()
                .take(BLOCK as u64)
                .read_to_end(&mut block)
                .map_err(|error| copy_error(Side::Destination, &what, &error))?;
            writer
                .write_all(&block)
                .map_err(|error| copy_error(Side::Source, &what, &error))?;
            // The driver's reader must not be asked again once it has come to its end.
            if read < BLOCK {
                break;
            }
        }
        writer
            .finish()
            .map_err(|error| Error::from_postgres(Side::Source, &what, &error))?;
        Ok(true)
    }
}

fn partition_of(root: &Relation, oid: Oid) -> Option<&Partition> {
    root.partitions
        .iter()
        .find(|partition| partition.oid == oid)
}

fn has_link(member: &Member) -> bool {
    member.now.is_some_and(|now| now.link != 0)
}

/// A partition that the destination does not have by this name.
struct Missing {
    name: QualifiedName,
    root: QualifiedName,
    /// Makes it.
    statement: String,
}

/// Lists the partitions of a root, or of all, that the destination does not have by their names, though it
/// has the table partitioned too.
fn missing(
    source: &mut Session,
    destination: &mut Session,
    root: Option<Oid>,
) -> Result<Vec<Missing>> {
    let sql = include_str!("partitions.sql");
    let rows = source.query("list the partitions", sql, &[&root])?;
    let sql = "SELECT c.relkind::text, c.relispartition FROM pg_catalog.pg_class c
                WHERE c.oid = pg_catalog.to_regclass($1)";
    let mut missing = Vec::new();
    for row in &rows {
        let name = |at| QualifiedName::new(row.get::<_, String>(at), row.get::<_, String>(at + 1));
        let (partition, root) = (name(0), name(2));
        let mut look = |name: &QualifiedName| -> Result<Option<(String, bool)>> {
            let rows = destination.query("look for a partition", sql, &[&name.to_string()])?;
            Ok(rows.first().map(|row| (row.get(0), row.get(1))))
        };
        // It may be partitioned otherwise there on purpose, or not at all.
        if look(&root)?.is_none_or(|(kind, _)| kind != "p") {
            continue;
        }
        let (parent, bound, key) = (name(4), row.get::<_, String>(6), row.get::<_, String>(7));
        let statement = match look(&partition)? {
            Some((_, true)) => continue,
            Some((_, false)) => {
                format!("ALTER TABLE {parent} ATTACH PARTITION {partition} {bound}")
            }
            None => format!("CREATE TABLE {partition} PARTITION OF {parent} {bound}{key}"),
        };
        missing.push(Missing {
            name: partition,
            root,
            statement,
        });
    }
    Ok(missing)
}

/// After the switch, rows for these would have no place: whoever works there should know.
fn tell_missing(missing: &[Missing]) {
    for one in missing {
        log::warn!(
            "partition {} of table {} is missing on the destination: {} there",
            one.name,
            one.root,
            one.statement
        );
    }
}

/// Says which partitions the destination lacks, if that is why rows could not be written (SQLSTATE 23514).
pub fn name_missing(error: Error, source: &mut Session, destination: &mut Session) -> Error {
    let violated = error.is(&postgres::error::SqlState::CHECK_VIOLATION);
    if !violated || source.is_closed() || destination.is_closed() {
        return error;
    }
    let missing = match missing(source, destination, None) {
        Ok(missing) if !missing.is_empty() => missing,
        Ok(_) => return error,
        Err(other) => {
            log::debug!("{other}");
            return error;
        }
    };
    let shown: Vec<&str> = missing
        .iter()
        .take(SHOWN)
        .map(|one| one.statement.as_str())
        .collect();
    let more = match missing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    let names: Vec<String> = missing
        .iter()
        .take(SHOWN)
        .map(|one| one.name.to_string())
        .collect();
    Error {
        message: format!(
            "{}; partitions that the destination lacks: {}",
            error.message,
            names.join(", ")
        ),
        ..error
    }
    .mend(format!("create there: {}{more}", shown.join("; ")))
}
