//! The workers: each takes chunks from the queue, one COPY out of the source into one COPY on the
//! destination, a transaction for each chunk on either side; and makes indexes of tables that are whole.

use std::io::{BufRead, Write};
use std::time::Instant;

use crossbeam_channel::Sender;

use super::block::{BLOCK, fill};
use super::chunks::Chunk;
use super::crew::{Crew, lock};
use super::empty::Emptier;
use super::indexes::{Indexes, Make, helpers_by_default};
use super::queue::{Job, Queue};
use super::table::{Reading, Snapshot, State, Table};
use super::tally::Tally;
use crate::capture;
use crate::conninfo::Conninfo;
use crate::destination::{self, LOCK_TIMEOUT, writer};
use crate::error::{Error, Result, Side};
use crate::lock as courtesy;
use crate::session::{Session, copy_error};

/// What all workers work on.
pub struct Work<'a> {
    /// The source's address.
    pub source: &'a Conninfo,
    /// The destination's address.
    pub destination: &'a Conninfo,
    /// The tables that chunks point to.
    pub tables: Vec<Table<'a>>,
    /// What nobody has taken yet.
    pub queue: Queue,
    /// What is made of tables that are whole, if the schema comes with them.
    pub indexes: Option<Indexes<'a>>,
    /// Empties a table that has to be begun anew.
    pub emptier: &'a Emptier,
    /// The token that `hold` asks for.
    pub run: &'a str,
    /// Tells progress what has begun and ended.
    pub events: Sender<Event>,
}

/// What progress is told; the number is the table's position.
pub enum Event {
    /// The first chunk has begun.
    Began(usize, Instant),
    /// The table is confirmed as copied.
    Finished(usize, Instant),
}

/// Works until nothing is left.
///
/// # Errors
/// The first thing that fails; the other workers then end too.
pub fn work(work: &Work<'_>, crew: &Crew<'_>, number: usize) -> Result<()> {
    let purpose = format!("copy worker {number}");
    let mut ends = Ends {
        source: crew.open(work.source, Side::Source, &purpose)?,
        destination: crew.open(work.destination, Side::Destination, &purpose)?,
        helpers: None,
        purpose,
    };
    let result = ends.work(work, crew);
    if let Err(error) = result {
        // Said while both sessions are open: closing one that still sends rows would wait for them,
        // and the cancel requests that end this come from the supervisor.
        crew.fail(error);
    }
    Ok(())
}

/// A worker's two sessions.
struct Ends {
    source: Session,
    destination: Session,
    /// Processes that the destination adds to one that makes an index, if nobody has chosen how many.
    helpers: Option<usize>,
    purpose: String,
}

impl Ends {
    fn work(&mut self, work: &Work<'_>, crew: &Crew<'_>) -> Result<()> {
        self.source.execute("set a lock time-out", LOCK_TIMEOUT)?;
        writer(&mut self.destination, work.run)?;
        // Rows and the note of their table are one commit, or come in this order: what a crash of the destination
        // takes back is copied again. The note that the copy is complete, without which nothing is forgotten,
        // waits for the disk.
        self.destination.commit_later()?;
        if work.indexes.is_some() {
            self.helpers = helpers_by_default(&mut self.destination)?;
        }
        while let Some(job) = work.queue.take(|| crew.over()) {
            let followed_by = match &job {
                Job::Chunk(chunk) => self.chunk(work, crew, chunk)?,
                Job::Make(make) => self.make(work, crew, make)?,
            };
            work.queue.done(followed_by);
        }
        Ok(())
    }

    /// Makes indexes or constraints of a table that is whole; returns the work that was waiting for them.
    fn make(&mut self, work: &Work<'_>, crew: &Crew<'_>, make: &Make) -> Result<Vec<Job>> {
        let Some(indexes) = &work.indexes else {
            return Ok(Vec::new());
        };
        // Those that copy, or make other indexes, need the processors: sorting in several processes and merging
        // costs more in all than sorting in one.
        let helpers = self.helpers.map(|most| most.min(work.queue.idle()));
        match indexes.make(make, helpers, &mut self.destination, work.run) {
            Err(error) if error.connection_lost || crew.over() => return Err(error),
            // It is tried again at the end, and told if it fails there as well.
            Err(error) => log::debug!("{error}"),
            Ok(()) => {}
        }
        Ok(make.behind())
    }

    /// Copies a chunk; returns the work that follows from it.
    fn chunk(&mut self, work: &Work<'_>, crew: &Crew<'_>, chunk: &Chunk) -> Result<Vec<Job>> {
        let table = &work.tables[chunk.table];
        let mut attempt = 1;
        let copied = loop {
            match self.read(work, crew, chunk)? {
                Read::All(snapshot, copied) => {
                    self.commit(work, chunk, &snapshot, copied)?;
                    break Some((snapshot, copied));
                }
                Read::Rewritten => break None,
                Read::GaveWay(error) if attempt >= courtesy::GIVE_WAY || crew.over() => {
                    return Err(error);
                }
                Read::GaveWay(error) => {
                    log::info!(
                        "reading table {} gave way, and begins again: {error}",
                        chunk.from
                    );
                    attempt += 1;
                    self.roll_back(work, crew)?;
                }
            }
        };
        let mut state = lock(table.state());
        state.left -= 1;
        match &copied {
            Some((_, (rows, bytes))) => {
                state.rows += rows;
                state.bytes += bytes;
            }
            None => state.rewritten = true,
        }
        if state.left > 0 {
            return Ok(Vec::new());
        }
        if state.rewritten {
            return self.restart(work, chunk.table, &mut state);
        }
        if let Some((snapshot, _)) = copied.filter(|_| table.chunks.len() > 1) {
            self.finish(work, table, &snapshot, &state)?;
            state.close();
        }
        let _ = work
            .events
            .send(Event::Finished(chunk.table, Instant::now()));
        let indexes = work.indexes.as_ref();
        Ok(indexes.map_or_else(Vec::new, |indexes| indexes.of(chunk.table)))
    }

    /// Moves the rows of a chunk, and ends the source's transaction. The destination's is open.
    fn read(&mut self, work: &Work<'_>, crew: &Crew<'_>, chunk: &Chunk) -> Result<Read> {
        let table = &work.tables[chunk.table];
        let snapshot = match self.begin(work, crew, chunk) {
            Ok(Reading::Begun(snapshot)) => snapshot,
            Ok(Reading::Rewritten) => return Ok(Read::Rewritten),
            Err(error) => return gave_way(self.source.pid(), error),
        };
        let mut tally = Tally::default();
        let piped = match self.pipe(table, crew, chunk, &mut tally)? {
            Piped::All(rows) => {
                tally.settle(table, chunk, rows);
                (rows, tally.bytes)
            }
            Piped::Stopped(error) => {
                tally.take_back(table);
                return gave_way(self.source.pid(), error);
            }
        };
        // Rows that a crash of the source can still take back, their log entries with them, must not
        // be confirmed; where writers use synchronous_commit = off, the snapshot may have shown some.
        let end = format!("COMMIT; {};", capture::FLUSH);
        match self.source.execute("end a transaction", &end) {
            Ok(()) => Ok(Read::All(snapshot, piped)),
            Err(error) => gave_way(self.source.pid(), error),
        }
    }

    /// Ends both transactions of an attempt that gave way.
    fn roll_back(&mut self, work: &Work<'_>, crew: &Crew<'_>) -> Result<()> {
        self.destination.execute("end a transaction", "ROLLBACK")?;
        // A session that was ended may be known to be so only by now.
        if !self.source.is_closed() && self.source.execute("end a transaction", "ROLLBACK").is_ok()
        {
            return Ok(());
        }
        self.source = crew.open(work.source, Side::Source, &self.purpose)?;
        self.source.execute("set a lock time-out", LOCK_TIMEOUT)
    }

    /// Begins both transactions; the first chunk of a table opens the table.
    fn begin(&mut self, work: &Work<'_>, crew: &Crew<'_>, chunk: &Chunk) -> Result<Reading> {
        let table = &work.tables[chunk.table];
        let mut state = lock(table.state());
        if state.rewritten {
            return Ok(Reading::Rewritten);
        }
        let begin_table = destination::begin_table(&table.relation.name);
        let silence = destination::silence([&table.relation.name]);
        let what = format!("begin table {}", table.relation.name);
        if table.chunks.len() == 1 {
            let _ = work.events.send(Event::Began(chunk.table, Instant::now()));
            let sql = format!("BEGIN; {begin_table} {silence}");
            self.destination.execute(&what, &sql)?;
        } else {
            if !state.is_open() {
                let _ = work.events.send(Event::Began(chunk.table, Instant::now()));
                // Committed before any of its rows are, or a row could be there that nobody owns.
                let sql = format!(
                    "BEGIN; {begin_table} {} COMMIT;",
                    destination::hold(work.run)
                );
                self.destination.execute(&what, &sql)?;
                state.open(table, crew, &self.source)?;
            }
            let sql = format!("BEGIN; {silence}");
            self.destination.execute(&what, &sql)?;
        }
        let reading = table.begin_reading(chunk, &mut self.source, &state)?;
        if matches!(reading, Reading::Rewritten) {
            self.destination.execute("end a transaction", "ROLLBACK")?;
        }
        Ok(reading)
    }

    /// Moves the rows of a chunk.
    fn pipe(
        &mut self,
        table: &Table<'_>,
        crew: &Crew<'_>,
        chunk: &Chunk,
        tally: &mut Tally,
    ) -> Result<Piped> {
        let read = format!("read table {}", chunk.from);
        let write = format!("write table {}", table.relation.name);
        let mut reader = match self.source.copy_out(&read, &table.copy_out(chunk)) {
            Ok(reader) => reader,
            Err(error) => return Ok(Piped::Stopped(error)),
        };
        let mut writer = self.destination.copy_in(&write, &table.copy_in())?;
        let failed_read = |error| copy_error(Side::Source, &read, &error);
        let failed_write = |error| copy_error(Side::Destination, &write, &error);
        let mut block = Vec::with_capacity(2 * BLOCK);
        let mut swallowed = reader.swallowed();
        loop {
            crew.check()?;
            let end = match fill(&mut reader, &mut block, &mut tally.rows) {
                Ok(end) => end,
                Err(error) => return Ok(Piped::Stopped(failed_read(error))),
            };
            let before = std::mem::replace(&mut swallowed, reader.swallowed());
            tally.rows = tally.rows.wrapping_add_signed(swallowed - before);
            writer.write_all(&block).map_err(failed_write)?;
            tally.add(table, chunk, block.len() as u64);
            block.clear();
            if end {
                break;
            }
            // A row larger than the block is not worth a copy of its own.
            let row = match reader.fill_buf() {
                Ok(row) => row,
                Err(error) => return Ok(Piped::Stopped(failed_read(error))),
            };
            let length = row.len();
            if length == 0 {
                // It must not be asked again once it has come to its end.
                break;
            }
            if length >= BLOCK {
                // In parts, for the driver makes a message, a copy, of what it is given.
                for part in row.chunks(BLOCK) {
                    writer.write_all(part).map_err(failed_write)?;
                }
                tally.rows += 1;
                tally.add(table, chunk, length as u64);
                reader.consume(length);
            }
        }
        let rows = writer
            .finish()
            .map_err(|error| Error::from_postgres(Side::Destination, &write, &error))?;
        Ok(Piped::All(rows))
    }

    /// Ends the destination's transaction; a table in one chunk is confirmed by the very commit that brings it.
    fn commit(
        &mut self,
        work: &Work<'_>,
        chunk: &Chunk,
        snapshot: &Snapshot,
        (rows, bytes): (u64, u64),
    ) -> Result<()> {
        let table = &work.tables[chunk.table];
        let name = &table.relation.name;
        let finish = match table.chunks.len() {
            1 => {
                destination::finish_table(name, table.relation.oid, &snapshot.visible, rows, bytes)
            }
            _ => String::new(),
        };
        let sql = format!(
            "{} {finish} {} COMMIT;",
            destination::restore(),
            destination::hold(work.run)
        );
        self.destination
            .execute(&format!("commit rows of table {name}"), &sql)
    }

    /// Confirms a table whose chunks are all committed.
    fn finish(
        &mut self,
        work: &Work<'_>,
        table: &Table<'_>,
        snapshot: &Snapshot,
        state: &State,
    ) -> Result<()> {
        let name = &table.relation.name;
        let sql = format!(
            "BEGIN; {} {} COMMIT;",
            destination::finish_table(
                name,
                table.relation.oid,
                &snapshot.visible,
                state.rows,
                state.bytes
            ),
            destination::hold(work.run)
        );
        self.destination
            .execute(&format!("confirm table {name}"), &sql)
    }

    /// Empties a table and returns its chunks; nobody else works on it now.
    fn restart(&mut self, work: &Work<'_>, number: usize, state: &mut State) -> Result<Vec<Job>> {
        let table = &work.tables[number];
        table.restart(state)?;
        work.emptier
            .empty(&mut self.destination, &[table.relation], work.run)?;
        Ok(table.chunks.iter().cloned().map(Job::Chunk).collect())
    }
}

/// What reading a chunk came to.
enum Read {
    /// Its snapshot, rows and bytes.
    All(Snapshot, (u64, u64)),
    /// The table was rewritten since its snapshot was taken.
    Rewritten,
    /// Somebody waits for the table: begin again later. Nothing of the chunk is committed.
    GaveWay(Error),
}

fn gave_way(source: i32, error: Error) -> Result<Read> {
    let error = courtesy::after_giving_way(source, error);
    match courtesy::gave_way(&error) {
        true => Ok(Read::GaveWay(error)),
        false => Err(error),
    }
}

/// How a stream of rows has ended.
enum Piped {
    /// All of them, as the destination has counted them.
    All(u64),
    /// The source has stopped sending.
    Stopped(Error),
}
