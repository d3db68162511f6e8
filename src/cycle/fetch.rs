//! The fetchers: the rows of a large cycle, read table by table in parallel, each fetcher through its
//! own connection on the reader's exported snapshot.
//!
//! What travels to the applier is bounded in bytes: blocks of [`BLOCK`] in channels of [`DEPTH`].

use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::ROOM;
use super::read::ChangedTable;
use crate::error::{Error, Result, Side};
use crate::lock;
use crate::plan::{Plans, TablePlan};
use crate::session::{Canceller, Session, copy_error};

/// Bytes of COPY data in one message: large enough that a message costs nothing beside its contents.
const BLOCK: usize = 256 << 10;
/// Blocks that may wait for the applier, per table under way.
const DEPTH: usize = 4;

/// A part of a table's stream, in this order: keys, their end, rows, their end.
pub enum Piece {
    /// COPY data of changed keys (text format).
    Keys(Vec<u8>),
    /// No more keys.
    EndOfKeys,
    /// COPY data of rows.
    Rows(Vec<u8>),
    /// No more rows.
    EndOfRows,
    /// The table could not be read.
    Failed(Error),
}

/// A table under way to the applier.
pub struct Stream {
    /// Which table.
    pub table: ChangedTable,
    /// Its pieces; a channel that ends before [`Piece::EndOfRows`] means that the fetcher stopped.
    pub pieces: Receiver<Piece>,
}

/// Connections for fetchers, and a rayon pool with one thread for each.
pub struct Fetchers {
    pool: rayon::ThreadPool,
    sessions: Vec<Mutex<Session>>,
    lock_timeout: Duration,
}

impl Fetchers {
    /// Opens `jobs` connections beside `like`.
    ///
    /// # Errors
    /// One of them cannot be opened; threads cannot be started.
    pub fn open(like: &Session, jobs: usize, lock_timeout: Duration) -> Result<Fetchers> {
        let session = |number| like.another(&format!("fetch {number}")).map(Mutex::new);
        let sessions = (1..=jobs).map(session).collect::<Result<Vec<_>>>()?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(jobs)
            .thread_name(|number| format!("fetch {}", number + 1))
            .build()
            .map_err(|error| Error::failed(format!("could not start threads: {error}")))?;
        Ok(Fetchers {
            pool,
            sessions,
            lock_timeout,
        })
    }

    /// Returns handles that end what the fetchers run.
    pub fn cancellers(&self) -> Vec<Canceller> {
        let canceller = |session: &Mutex<Session>| Some(session.lock().ok()?.canceller());
        self.sessions.iter().filter_map(canceller).collect()
    }

    /// Reads the tables and sends each as a [`Stream`]; returns when all are sent, or it is `over`: the
    /// applier has failed, and takes what comes only to drop it. Streams reach the applier in the order they
    /// were begun and it takes them one by one, so the oldest always moves and a full channel cannot stop
    /// them all.
    pub fn fetch(
        &self,
        plans: &Plans,
        tables: &[ChangedTable],
        snapshot: &str,
        (streams, over): (&Sender<Stream>, &AtomicBool),
    ) {
        self.pool.scope(|scope| {
            for table in tables {
                let streams = streams.clone();
                scope.spawn(move |_| {
                    let (pieces, receiver) = bounded(DEPTH);
                    let stream = Stream {
                        table: *table,
                        pieces: receiver,
                    };
                    if over.load(Ordering::Relaxed) || streams.send(stream).is_err() {
                        return;
                    }
                    // A send that fails means that the applier has stopped, and says why itself.
                    if let Err(error) = self.fetch_one(plans, table, snapshot, &pieces) {
                        let _ = pieces.send(Piece::Failed(error));
                    }
                });
            }
        });
    }

    fn fetch_one(
        &self,
        plans: &Plans,
        table: &ChangedTable,
        snapshot: &str,
        pieces: &Sender<Piece>,
    ) -> Result<()> {
        let number = rayon::current_thread_index().unwrap_or(0);
        let (Some(plan), Some(session)) = (plans.get(&table.oid), self.sessions.get(number)) else {
            return Err(Error::failed(format!("no plan for table {}", table.oid)));
        };
        let Ok(mut session) = session.lock() else {
            return Err(Error::failed("a fetcher has failed"));
        };
        // Locked for its own time only: see read_changes().
        let joined = session.execute(
            &format!("lock table {}", plan.name),
            &format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {};
                 SET LOCAL lock_timeout = {}; {ROOM} {} SELECT switchover.lock_unchanged({});",
                crate::ident::literal(snapshot),
                self.lock_timeout.as_millis().max(1) * 10,
                plan.keys_settings,
                table.oid
            ),
        );
        let result = joined.and_then(|()| send_table(&mut session, plan, table.whole, pieces));
        let ended = match session.is_closed() {
            true => Ok(()),
            false => session.execute("end the transaction", "ROLLBACK"),
        };
        // What the applier has of this table by now cannot be taken back by itself. A session that was ended may
        // be known to be so only when the transaction cannot be ended: the first error says more.
        result
            .and(ended)
            .map_err(|error| lock::after_giving_way(session.pid(), error))
    }
}

fn send_table(
    session: &mut Session,
    plan: &TablePlan,
    whole: bool,
    pieces: &Sender<Piece>,
) -> Result<()> {
    let what = format!("read table {}", plan.name);
    if !whole {
        let mut keys = 0;
        let piece = |block: Vec<u8>| {
            // COPY's text form has one end of line per row; those within values are escaped.
            keys += block.iter().filter(|byte| **byte == b'\n').count();
            Piece::Keys(block)
        };
        if !send_copy(session, &what, &plan.keys_out, pieces, piece)? {
            return Ok(());
        }
        if !plan.join_settings.is_empty() {
            session.execute(&what, &plan.join_settings.replace("$1", &keys.to_string()))?;
        }
    }
    if pieces.send(Piece::EndOfKeys).is_err() {
        return Ok(());
    }
    let rows = if whole { &plan.all_out } else { &plan.rows_out };
    if send_copy(session, &what, rows, pieces, Piece::Rows)? {
        let _ = pieces.send(Piece::EndOfRows);
    }
    Ok(())
}

/// Sends the output of a COPY in blocks; returns false if nobody takes them any more.
fn send_copy(
    session: &mut Session,
    what: &str,
    sql: &str,
    pieces: &Sender<Piece>,
    mut piece: impl FnMut(Vec<u8>) -> Piece,
) -> Result<bool> {
    let mut reader = session.copy_out(what, sql)?;
    loop {
        let mut block = Vec::with_capacity(BLOCK);
        let read = reader
            .by_ref()
            .take(BLOCK as u64)
            .read_to_end(&mut block)
            .map_err(|error| copy_error(Side::Source, what, &error))?;
        if read > 0 && pieces.send(piece(block)).is_err() {
            return Ok(false);
        }
        // The driver's reader must not be asked again once it has come to its end.
        if read < BLOCK {
            return Ok(true);
        }
    }
}
