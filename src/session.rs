//! A connection with the settings that every step relies on, and errors that say what failed where.
//!
//! `what` in these calls is an infinitive that completes "could not {what} on the source: …".

use std::io::{self, BufRead, Read, Write};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use postgres::types::ToSql;
use postgres::{Client, CopyInWriter, CopyOutReader, Row};
use postgres::{SimpleQueryMessage, SimpleQueryRow};

pub use crate::conninfo::Canceller;
use crate::conninfo::{Connection, Conninfo};
use crate::error::{Error, Result, Side};
use crate::watch::{self, Registered};
use crate::wire::Wire;

const SETTINGS: &str = include_str!("session.sql");

/// On the source we read tables, by name. A table that its owner replaces by a view or foreign table in between
/// would run what that owner likes with our rights (pg_dump's CVE-2024-7348, which brought the setting). Not on
/// the destination, where constraints may call functions that read views.
const TABLES_ONLY: &str =
    "SELECT pg_catalog.set_config('restrict_nonsystem_relation_kind', 'view, foreign-table', false)
    WHERE pg_catalog.current_setting('restrict_nonsystem_relation_kind', true) IS NOT NULL;\n";

/// See [`Session::commit_later`].
pub const COMMIT_LATER: &str = "SET synchronous_commit = off;";

/// Does both at a time, so that both servers, or two sessions, work; the second in another thread.
pub fn side_by_side<A, B: Send>(
    one: impl FnOnce() -> A,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    std::thread::scope(|scope| {
        let there = scope.spawn(other);
        let here = one();
        let there = there.join();
        (here, there.unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// One connection to one of the two databases. Its transaction, if any, ends with it.
pub struct Session {
    // Closed before the watch over it ends.
    connection: Connection,
    watched: Registered,
    conninfo: Conninfo,
    side: Side,
    pid: i32,
    version: i32,
    version_text: String,
    in_recovery: bool,
}

impl Session {
    /// Opens a connection that `pg_stat_activity` shows as `pg_switchover: {purpose}`.
    ///
    /// # Errors
    /// The server cannot be reached or refuses us; it is older than 13.
    pub fn open(conninfo: &Conninfo, side: Side, purpose: &str) -> Result<Session> {
        let connection = conninfo.connect(side, &format!("pg_switchover: {purpose}"))?;
        let mut session = Session {
            watched: watch::over(conninfo, side, connection.wire())?,
            connection,
            conninfo: conninfo.clone(),
            side,
            pid: 0,
            version: 0,
            version_text: String::new(),
            in_recovery: false,
        };
        let settings = match side {
            Side::Source => format!("{TABLES_ONLY}{SETTINGS}"),
            Side::Destination => SETTINGS.to_string(),
        };
        let rows = session.simple("set up a session", &settings)?;
        let facts = rows.last().ok_or_else(|| {
            Error::failed(format!("the {side} did not answer the set-up of a session"))
        })?;
        session.pid = text(facts, 0).parse().unwrap_or(0);
        session.version = text(facts, 1).parse().unwrap_or(0);
        session.version_text = text(facts, 2).to_string();
        session.in_recovery = text(facts, 3) == "t";
        session.watched.know(session.pid, text(facts, 4));
        if session.version < 130_000 {
            return Err(Error::failed(format!(
                "the {side} is PostgreSQL {}, and 13 is the oldest that is supported",
                session.version_text
            ))
            .mend("upgrade it to a supported version first"));
        }
        Ok(session)
    }

    /// Opens another connection to the same database.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn another(&self, purpose: &str) -> Result<Session> {
        Session::open(&self.conninfo, self.side, purpose)
    }

    /// Returns which of the two databases this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Returns the conninfo this session was opened with.
    pub fn conninfo(&self) -> &Conninfo {
        &self.conninfo
    }

    /// Returns the process id of the server's backend.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns `server_version_num`, for example 150018.
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Returns the server's own words for its version.
    pub fn version_text(&self) -> &str {
        &self.version_text
    }

    /// Returns true if the server was a standby when the session was opened.
    pub fn in_recovery(&self) -> bool {
        self.in_recovery
    }

    /// Bounds how long a commit of this session may wait for a synchronous standby of the server;
    /// `None` for the usual time.
    pub fn bound_standby(&self, limit: Option<Duration>) {
        self.connection.wire().bound_standby(limit);
    }

    /// Runs statements in one message; what they return is thrown away.
    ///
    /// # Errors
    /// The first statement that fails ends the message.
    pub fn execute(&mut self, what: &str, sql: &str) -> Result<()> {
        self.call(what, |client| client.batch_execute(sql))
    }

    /// Lets the commits that follow in this session be on disk a little later: for many small ones that are all
    /// repeated if they are lost, and whose end a commit of another session makes sure of, which flushes what came
    /// before it as well.
    ///
    /// # Errors
    /// As the server says.
    pub fn commit_later(&mut self) -> Result<()> {
        self.execute("set up commits", COMMIT_LATER)
    }

    /// Runs a whole transaction in one message, and ends it if it fails.
    ///
    /// # Errors
    /// The first statement that fails ends the message, and is what is told.
    pub fn transaction(&mut self, what: &str, sql: &str) -> Result<()> {
        self.transaction_rows(what, sql).map(drop)
    }

    /// As [`Session::transaction`], and returns all the rows of its statements as text.
    ///
    /// # Errors
    /// As [`Session::transaction`].
    pub fn transaction_rows(&mut self, what: &str, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let result = self.simple(what, sql);
        // Where the connection is gone, so is the transaction.
        if result.is_err()
            && !self.is_closed()
            && let Err(error) = self.execute("roll back", "ROLLBACK")
        {
            log::debug!("{error}");
        }
        result
    }

    /// Runs one statement with parameters and returns its rows: two round trips, or one without parameters, whose
    /// types the server need not be asked for.
    ///
    /// # Errors
    /// As the server says.
    pub fn query(
        &mut self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.call(what, |client| match params {
            [] => client.query_typed(sql, &[]),
            _ => client.query(sql, params),
        })
    }

    /// Runs one statement with parameters that must return one row.
    ///
    /// # Errors
    /// As the server says; no row or several.
    pub fn query_one(
        &mut self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row> {
        self.call(what, |client| match params {
            [] => client.query_typed_one(sql, &[]),
            _ => client.query_one(sql, params),
        })
    }

    /// Runs statements in one message, one round trip, and returns all their rows as text.
    ///
    /// # Errors
    /// The first statement that fails ends the message.
    pub fn simple(&mut self, what: &str, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let messages = self.call(what, |client| client.simple_query(sql))?;
        Ok(messages
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect())
    }

    /// Starts `COPY … TO STDOUT`.
    ///
    /// # Errors
    /// As the server says.
    pub fn copy_out(&mut self, what: &str, sql: &str) -> Result<CopyOut<'_>> {
        let wire = Arc::clone(self.connection.wire());
        wire.begin(what);
        let reader = self.connection.client.copy_out(sql);
        wire.leave();
        let reader = reader.map_err(|error| Error::from_postgres(self.side, what, &error))?;
        Ok(CopyOut { reader, wire })
    }

    /// Starts `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// As the server says.
    pub fn copy_in(&mut self, what: &str, sql: &str) -> Result<CopyIn<'_>> {
        let wire = Arc::clone(self.connection.wire());
        wire.begin(what);
        let writer = self.connection.client.copy_in(sql);
        wire.leave();
        let writer = writer.map_err(|error| Error::from_postgres(self.side, what, &error))?;
        Ok(CopyIn { writer, wire })
    }

    /// Returns a handle that other threads can use to end what this session runs.
    pub fn canceller(&self) -> Canceller {
        self.connection.canceller(self.side)
    }

    /// Returns true once the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.connection.client.is_closed()
    }

    /// Makes a call that waits for the server, and is watched over while it does.
    fn call<T>(
        &mut self,
        what: &str,
        call: impl FnOnce(&mut Client) -> std::result::Result<T, postgres::Error>,
    ) -> Result<T> {
        self.connection.wire().begin(what);
        let result = call(&mut self.connection.client);
        self.connection.wire().leave();
        result.map_err(|error| Error::from_postgres(self.side, what, &error))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.wire().close();
    }
}

/// Reads the output of a COPY. Only while it is asked for more is the server waited for.
pub struct CopyOut<'a> {
    reader: CopyOutReader<'a>,
    wire: Arc<Wire>,
}

impl CopyOut<'_> {
    /// Returns a counter that goes up by one for each row which has not become a piece of its own, and down for each
    /// piece too many of a row: with the number of pieces read it tells about how many rows there were.
    pub fn swallowed(&self) -> i64 {
        self.wire.swallowed()
    }
}

impl Read for CopyOut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wire.enter();
        let read = self.reader.read(buffer);
        self.wire.leave();
        read
    }
}

impl BufRead for CopyOut<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.wire.enter();
        let filled = self.reader.fill_buf();
        self.wire.leave();
        filled
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }
}

/// Writes the input of a COPY.
pub struct CopyIn<'a> {
    writer: CopyInWriter<'a>,
    wire: Arc<Wire>,
}

impl CopyIn<'_> {
    /// Ends the COPY and returns how many rows it has written. Without it the COPY is broken off.
    ///
    /// # Errors
    /// As the server says.
    pub fn finish(self) -> std::result::Result<u64, postgres::Error> {
        self.wire.enter();
        let finished = self.writer.finish();
        self.wire.leave();
        finished
    }
}

impl Write for CopyIn<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.wire.enter();
        let written = self.writer.write(buffer);
        self.wire.leave();
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.enter();
        let flushed = self.writer.flush();
        self.wire.leave();
        flushed
    }
}

/// Turns what a COPY stream said into our error: the server's own error is inside the `io::Error`.
pub fn copy_error(side: Side, what: &str, error: &std::io::Error) -> Error {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<postgres::Error>())
    {
        Some(inner) => Error::from_postgres(side, what, inner),
        None => Error::failed(format!("could not {what} on the {side}: {error}")),
    }
}

/// Returns a column of a row that came as text; an SQL NULL reads as the empty string.
pub fn text(row: &SimpleQueryRow, column: usize) -> &str {
    row.try_get(column).ok().flatten().unwrap_or("")
}
