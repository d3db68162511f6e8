//! `status`: how far a switchover is, from whatever of the two servers answers. It takes no lock, so it
//! works beside every other command.

mod show;

use crate::capture::{self, Counts};
use crate::destination;
use crate::error::Result;
use crate::guard;
use crate::ident::QualifiedName;
use crate::session::Session;

pub use show::{json, text};

/// What both sides say. Unknown is `None`, never 0.
#[derive(Debug, Default)]
pub struct Status {
    /// What the source says; `Err` holds why it does not.
    pub source: Option<std::result::Result<Source, String>>,
    /// What the destination says.
    pub destination: Option<std::result::Result<Destination, String>>,
}

/// The source's share.
#[derive(Debug, Default)]
pub struct Source {
    /// `none` before init, else the state row's.
    pub phase: String,
    /// The pointer; `None` before init.
    pub use_next_db: Option<bool>,
    /// Where the destination is.
    pub destination_name: Option<String>,
    /// ISO 8601, UTC.
    pub switched_at: Option<String>,
    /// ISO 8601, UTC.
    pub verified_at: Option<String>,
    /// Captured tables.
    pub captured: Option<i64>,
    /// Log entries that wait for the next cycle.
    pub pending: Option<i64>,
    /// Seconds since the transaction with the oldest of them began.
    pub oldest_pending: Option<f64>,
    /// Pending entries by table.
    pub tables: Vec<PendingTable>,
    /// The pg_switchover that is at work.
    pub at_work: Option<String>,
    /// Open transactions that a switch would have to wait for.
    pub writers: Vec<Writer>,
    /// What the destination had counted when the source last went on from there.
    pub noted: Counts,
}

/// A captured table.
#[derive(Debug)]
pub struct PendingTable {
    /// Schema and name.
    pub name: QualifiedName,
    /// Entries in the change log.
    pub entries: i64,
    /// The whole table counts as changed.
    pub whole: bool,
}

/// An open transaction that has written to a captured table.
#[derive(Debug)]
pub struct Writer {
    /// Its backend.
    pub pid: i32,
    /// Its role.
    pub user: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// Seconds since it began.
    pub seconds: f64,
}

/// The destination's share.
#[derive(Debug, Default)]
pub struct Destination {
    /// True if the bookkeeping exists.
    pub prepared: bool,
    /// Others may write there. `None` where it is not guarded: an older build has made the bookkeeping.
    pub takes_writes: Option<bool>,
    /// Tables that copy has begun.
    pub copied: Vec<CopiedTable>,
    /// Youngest first.
    pub cycles: Vec<Cycle>,
    /// Foreign keys that are away until the switch, or were made by it and whose rows are not checked.
    pub foreign_keys: i64,
    /// When the flip was seen committed, ISO 8601, UTC.
    pub switched_at: Option<String>,
    /// What has been committed there.
    pub counts: Counts,
}

/// A table on the destination.
#[derive(Debug)]
pub struct CopiedTable {
    /// Schema and name.
    pub name: QualifiedName,
    /// All of it is there.
    pub finished: bool,
    /// Rows that were copied.
    pub rows: Option<i64>,
    /// Bytes on the wire.
    pub bytes: Option<i64>,
}

/// A confirmed cycle.
#[derive(Debug)]
pub struct Cycle {
    /// Its number.
    pub number: i64,
    /// Read under the stop-the-world lock.
    pub is_final: bool,
    /// Changed tables.
    pub tables: i64,
    /// Changed keys.
    pub keys: i64,
    /// Rows written.
    pub rows: i64,
    /// Milliseconds of reading.
    pub read_ms: f64,
    /// Milliseconds of applying, the commit left out.
    pub apply_ms: f64,
    /// ISO 8601, UTC.
    pub applied_at: String,
}

/// Asks both sides; one that cannot be asked is noted as such.
pub fn read(source: Result<Session>, destination: Result<Session>) -> Status {
    // In this order: what the destination remembers of a flip, the source has committed before. The other way round
    // a flip between the two looks like one that the source has lost.
    let mut destination = destination;
    let mut there = match &mut destination {
        Ok(session) => read_destination(session),
        Err(error) => Err(error.clone()),
    };
    let source = source.and_then(|mut session| read_source(&mut session));
    // What the source has noted, the destination has committed before, but perhaps after it was asked.
    if let (Ok(here), Ok(known), Ok(session)) = (&source, &mut there, &mut destination)
        && known.prepared
        && known.counts.lost(here.noted).is_some()
        && let Ok(now) = destination::counts(session)
    {
        known.counts = now;
    }
    Status {
        source: Some(source.map_err(|error| error.to_string())),
        destination: Some(there.map_err(|error| error.to_string())),
    }
}

fn read_source(session: &mut Session) -> Result<Source> {
    let Some(state) = capture::read_state(session)? else {
        return Ok(Source {
            phase: "none".to_string(),
            ..Source::default()
        });
    };
    let row = session.query_one("read the state", include_str!("source.sql"), &[])?;
    let pending = session.query("count the changes", include_str!("pending.sql"), &[])?;
    let writers = session.query("look for writers", include_str!("writers.sql"), &[])?;
    Ok(Source {
        phase: row.get(0),
        use_next_db: Some(row.get(1)),
        destination_name: Some(row.get(2)),
        switched_at: row.get(3),
        verified_at: row.get(4),
        captured: Some(row.get(5)),
        pending: Some(row.get(6)),
        oldest_pending: row.get(7),
        noted: state.counts,
        tables: pending
            .iter()
            .map(|row| PendingTable {
                name: QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
                entries: row.get(2),
                whole: row.get(3),
            })
            .collect(),
        at_work: guard::holder(session)?,
        writers: writers
            .iter()
            .map(|row| Writer {
                pid: row.get(0),
                user: row.get(1),
                state: row.get(2),
                seconds: row.get(3),
            })
            .collect(),
    })
}

fn read_destination(session: &mut Session) -> Result<Destination> {
    if !destination::installed(session)? {
        return Ok(Destination::default());
    }
    let copied = session.query("list the copied tables", include_str!("copied.sql"), &[])?;
    let cycles = session.query("list the last cycles", include_str!("cycles.sql"), &[])?;
    let row = session.query_one("read the state", include_str!("destination.sql"), &[])?;
    Ok(Destination {
        prepared: true,
        takes_writes: destination::takes_writes(session)?,
        foreign_keys: row.get(0),
        switched_at: row.get(1),
        counts: destination::counts(session)?,
        copied: copied
            .iter()
            .map(|row| CopiedTable {
                name: QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1)),
                finished: row.get(2),
                rows: row.get(3),
                bytes: row.get(4),
            })
            .collect(),
        cycles: cycles
            .iter()
            .map(|row| Cycle {
                number: row.get(0),
                is_final: row.get(1),
                tables: row.get(2),
                keys: row.get(3),
                rows: row.get(4),
                read_ms: row.get(5),
                apply_ms: row.get(6),
                applied_at: row.get(7),
            })
            .collect(),
    })
}

impl Status {
    fn source(&self) -> Option<&Source> {
        self.source.as_ref()?.as_ref().ok()
    }

    fn destination(&self) -> Option<&Destination> {
        self.destination.as_ref()?.as_ref().ok()
    }

    /// Says what the destination has lost of what it had committed, if anything.
    pub fn lost(&self) -> Option<String> {
        let there = self.destination().filter(|there| there.prepared)?;
        there.counts.lost(self.source()?.noted)
    }

    /// Returns which database is in charge; only the source's pointer can say. `both` where it has lost the
    /// flip, which the destination remembers.
    pub fn in_charge(&self) -> Option<&'static str> {
        let remembered = self
            .destination()
            .is_some_and(|there| there.switched_at.is_some());
        match (self.source()?.use_next_db, remembered) {
            (Some(true), _) => Some("destination"),
            (Some(false), true) => Some("both"),
            (Some(false) | None, _) => Some("source"),
        }
    }
}
