//! A table on its way: its statements, and the one snapshot that all of its chunks are read in.
//!
//! The snapshot is held by a session of its own while several chunks need it. That session keeps no
//! lock: a lock held for the whole table would make a TRUNCATE or ALTER of the application wait for
//! as long, and every writer behind it. Each chunk locks what it reads for its own time only, and then
//! looks whether the table's file is still the one that the snapshot was taken of. TRUNCATE, CLUSTER,
//! VACUUM FULL and most ALTERs write a new file, in which the snapshot sees nothing, or rows at other
//! places; the whole table is copied anew then.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chunks::{Chunk, unsigned};
use super::crew::Crew;
use crate::catalog::Relation;
use crate::destination::LOCK_TIMEOUT;
use crate::error::{Error, Result, Side};
use crate::ident::{ident_list, literal};
use crate::session::{Session, text};

/// How often a table is begun anew because it was rewritten on the source meanwhile.
const ATTEMPTS: u32 = 5;

/// A table that is being copied, shared by the workers.
pub struct Table<'a> {
    /// The source's relation.
    pub relation: &'a Relation,
    /// What it is copied in.
    pub chunks: Vec<Chunk>,
    /// COPY uses its binary form.
    pub binary: bool,
    /// Weight of the chunks together.
    pub weight: u64,
    columns: String,
    state: Mutex<State>,
    progress: Progress,
}

/// What progress shows; counters that any thread may read at any time.
#[derive(Default)]
struct Progress {
    weight: AtomicU64,
    rows: AtomicU64,
    bytes: AtomicU64,
}

/// What the workers agree on under the table's mutex.
pub struct State {
    /// Chunks that nobody has finished yet.
    pub left: usize,
    /// The table was rewritten on the source, so what is there is worth nothing.
    pub rewritten: bool,
    attempt: u32,
    opened: Option<Opened>,
    /// Rows and bytes of the committed chunks.
    pub rows: u64,
    /// Bytes of the committed chunks on the wire.
    pub bytes: u64,
}

/// The snapshot of a table in several chunks.
struct Opened {
    snapshot: Snapshot,
    files: BTreeMap<String, String>,
    /// Keeps the snapshot importable for as long as its transaction lasts.
    _holder: Session,
}

/// A snapshot's two names.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What SET TRANSACTION SNAPSHOT takes.
    pub exported: String,
    /// `pg_current_snapshot()`, for the record.
    pub visible: String,
}

/// How a chunk is read.
pub enum Reading {
    /// In the snapshot of the chunk's own transaction, which has begun.
    Begun(Snapshot),
    /// The table was rewritten since its snapshot was taken.
    Rewritten,
}

impl<'a> Table<'a> {
    /// Prepares a table; `destination` is the same table there.
    pub fn new(relation: &'a Relation, destination: &Relation, chunks: Vec<Chunk>) -> Table<'a> {
        let columns: Vec<&str> = relation
            .written_columns()
            .map(|column| column.name.as_str())
            .collect();
        Table {
            relation,
            binary: relation.binary_into(destination),
            weight: chunks.iter().map(|chunk| chunk.weight).sum(),
            columns: ident_list(columns.iter().copied()),
            state: Mutex::new(State::new(chunks.len(), 1)),
            progress: Progress::default(),
            chunks,
        }
    }

    /// Returns what the workers agree on.
    pub fn state(&self) -> &Mutex<State> {
        &self.state
    }

    /// Returns the statement that reads a chunk on the source.
    pub fn copy_out(&self, chunk: &Chunk) -> String {
        let columns = &self.columns;
        let condition = chunk.condition();
        let target = chunk.target();
        // COPY of a plain table skips the executor; it leaves children out by itself, as ONLY does.
        let source = match (chunk.only && condition.is_empty(), columns.is_empty()) {
            (true, true) => chunk.from.to_string(),
            (true, false) => format!("{} ({columns})", chunk.from),
            (false, _) => format!("(SELECT {columns} FROM {target}{condition})"),
        };
        format!("COPY {source} TO STDOUT (FORMAT {})", self.format())
    }

    /// Returns the statement that writes rows on the destination.
    pub fn copy_in(&self) -> String {
        let columns = match self.columns.as_str() {
            "" => String::new(),
            columns => format!(" ({columns})"),
        };
        format!(
            "COPY {}{columns} FROM STDIN (FORMAT {})",
            self.relation.name,
            self.format()
        )
    }

    fn format(&self) -> &'static str {
        if self.binary { "binary" } else { "text" }
    }

    /// Begins the source's transaction for a chunk.
    ///
    /// # Errors
    /// As the server says; somebody keeps the table locked.
    pub fn begin_reading(
        &self,
        chunk: &Chunk,
        source: &mut Session,
        state: &State,
    ) -> Result<Reading> {
        let what = format!("lock table {} for reading", chunk.from);
        let target = chunk.target();
        let Some(opened) = &state.opened else {
            // Lock first, snapshot then: nothing can rewrite the table in between.
            let sql = format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
                 LOCK TABLE {target} IN ACCESS SHARE MODE;
                 SELECT pg_catalog.pg_current_snapshot()::text;"
            );
            let rows = source.simple(&what, &sql)?;
            let visible = rows.first().map(|row| text(row, 0)).unwrap_or_default();
            return Ok(Reading::Begun(Snapshot {
                exported: String::new(),
                visible: visible.to_string(),
            }));
        };
        let name = chunk.from.to_string();
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SET TRANSACTION SNAPSHOT {};
             LOCK TABLE {target} IN ACCESS SHARE MODE;
             {};",
            literal(&opened.snapshot.exported),
            file_of(&name)
        );
        let rows = source.simple(&what, &sql)?;
        let file = rows.last().map(|row| text(row, 1)).unwrap_or_default();
        if opened.files.get(&name).map(String::as_str) != Some(file) {
            source.execute("end a transaction", "ROLLBACK")?;
            return Ok(Reading::Rewritten);
        }
        Ok(Reading::Begun(opened.snapshot.clone()))
    }

    /// Adds to what progress shows; wraps, so that a guess can be taken back.
    pub fn advance(&self, weight: u64, rows: u64, bytes: u64) {
        self.progress.weight.fetch_add(weight, Ordering::Relaxed);
        self.progress.rows.fetch_add(rows, Ordering::Relaxed);
        self.progress.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns weight, rows and bytes that are done.
    pub fn done(&self) -> (u64, u64, u64) {
        (
            self.progress.weight.load(Ordering::Relaxed),
            // What is guessed may be behind by a message or two.
            unsigned(self.progress.rows.load(Ordering::Relaxed).cast_signed()),
            self.progress.bytes.load(Ordering::Relaxed),
        )
    }

    /// Makes the table as it was before its first chunk, after all chunks have been given up.
    ///
    /// # Errors
    /// It has been rewritten too often.
    pub fn restart(&self, state: &mut State) -> Result<()> {
        let name = &self.relation.name;
        if state.attempt >= ATTEMPTS {
            return Err(Error::failed(format!(
                "table {name} was rewritten or truncated on the source {ATTEMPTS} times while it was copied"
            ))
            .mend("find out what does that, and run copy again when it rests"));
        }
        log::info!("table {name} was rewritten on the source meanwhile and is copied anew");
        *state = State::new(self.chunks.len(), state.attempt + 1);
        for counter in [
            &self.progress.weight,
            &self.progress.rows,
            &self.progress.bytes,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl State {
    fn new(chunks: usize, attempt: u32) -> State {
        State {
            left: chunks,
            rewritten: false,
            attempt,
            opened: None,
            rows: 0,
            bytes: 0,
        }
    }

    /// Returns true once the table's snapshot is taken.
    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Lets go of the snapshot.
    pub fn close(&mut self) {
        self.opened = None;
    }

    /// Takes the snapshot that all chunks are read in.
    ///
    /// # Errors
    /// A further connection cannot be opened; somebody keeps the table locked.
    pub fn open(&mut self, table: &Table<'_>, crew: &Crew<'_>, source: &Session) -> Result<()> {
        let relation = table.relation;
        let mut holder = crew.open(source.conninfo(), Side::Source, "copy snapshot")?;
        let mut leaves: Vec<String> = relation
            .partitions
            .iter()
            .filter(|partition| partition.leaf && !partition.foreign)
            .map(|partition| partition.name.to_string())
            .collect();
        if !relation.partitioned {
            leaves.push(relation.name.to_string());
        }
        let files: Vec<String> = leaves.iter().map(|leaf| file_of(leaf)).collect();
        // The locks make sure that these files are those that the snapshot is about; going back to
        // the savepoint lets go of the locks, while the snapshot stays that of the transaction.
        let sql = format!(
            "{LOCK_TIMEOUT}
             BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
             SAVEPOINT locked;
             LOCK TABLE ONLY {} IN ACCESS SHARE MODE;
             {};
             ROLLBACK TO SAVEPOINT locked;
             RELEASE SAVEPOINT locked;
             SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_current_snapshot()::text;",
            leaves.join(", ONLY "),
            files.join(" UNION ALL ")
        );
        let what = format!("take a snapshot of table {}", relation.name);
        let mut rows = holder.simple(&what, &sql)?;
        let Some(last) = rows.pop() else {
            return Err(Error::failed(format!(
                "the source gave no snapshot of table {}",
                relation.name
            )));
        };
        self.opened = Some(Opened {
            snapshot: Snapshot {
                exported: text(&last, 0).to_string(),
                visible: text(&last, 1).to_string(),
            },
            files: rows
                .iter()
                .map(|row| (text(row, 0).to_string(), text(row, 1).to_string()))
                .collect(),
            _holder: holder,
        });
        Ok(())
    }
}

/// Returns a query for a relation's quoted name and the number of its file, as both are now whatever
/// the transaction's snapshot.
fn file_of(name: &str) -> String {
    let name = literal(name);
    format!(
        "SELECT {name}::text, pg_catalog.pg_relation_filenode({name}::pg_catalog.regclass)::text"
    )
}
