//! A connection with the settings that every step relies on, and errors that say what failed where.
//!
//! `what` in these calls is an infinitive that completes "could not {what} on the source: …".

use postgres::types::ToSql;
use postgres::{Client, CopyInWriter, CopyOutReader, Row};
use postgres::{SimpleQueryMessage, SimpleQueryRow};

pub use crate::conninfo::Canceller;
use crate::conninfo::Conninfo;
use crate::error::{Error, Result, Side};

const SETTINGS: &str = include_str!("session.sql");

/// One connection to one of the two databases. Its transaction, if any, ends with it.
pub struct Session {
    client: Client,
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
        let client = conninfo.connect(side, &format!("pg_switchover: {purpose}"))?;
        let mut session = Session {
            client,
            conninfo: conninfo.clone(),
            side,
            pid: 0,
            version: 0,
            version_text: String::new(),
            in_recovery: false,
        };
        let rows = session.simple("set up a session", SETTINGS)?;
        let facts = rows.last().ok_or_else(|| {
            Error::failed(format!("the {side} did not answer the set-up of a session"))
        })?;
        session.pid = text(facts, 0).parse().unwrap_or(0);
        session.version = text(facts, 1).parse().unwrap_or(0);
        session.version_text = text(facts, 2).to_string();
        session.in_recovery = text(facts, 3) == "t";
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

    /// Runs statements in one message; what they return is thrown away.
    ///
    /// # Errors
    /// The first statement that fails ends the message.
    pub fn execute(&mut self, what: &str, sql: &str) -> Result<()> {
        self.client
            .batch_execute(sql)
            .map_err(|error| self.error(what, &error))
    }

    /// Runs one statement with parameters and returns its rows (two round trips).
    ///
    /// # Errors
    /// As the server says.
    pub fn query(
        &mut self,
        what: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.client
            .query(sql, params)
            .map_err(|error| self.error(what, &error))
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
        self.client
            .query_one(sql, params)
            .map_err(|error| self.error(what, &error))
    }

    /// Runs statements in one message, one round trip, and returns all their rows as text.
    ///
    /// # Errors
    /// The first statement that fails ends the message.
    pub fn simple(&mut self, what: &str, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let messages = self
            .client
            .simple_query(sql)
            .map_err(|error| self.error(what, &error))?;
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
    pub fn copy_out(&mut self, what: &str, sql: &str) -> Result<CopyOutReader<'_>> {
        let side = self.side;
        self.client
            .copy_out(sql)
            .map_err(|error| Error::from_postgres(side, what, &error))
    }

    /// Starts `COPY … FROM STDIN`.
    ///
    /// # Errors
    /// As the server says.
    pub fn copy_in(&mut self, what: &str, sql: &str) -> Result<CopyInWriter<'_>> {
        let side = self.side;
        self.client
            .copy_in(sql)
            .map_err(|error| Error::from_postgres(side, what, &error))
    }

    /// Returns a handle that other threads can use to end what this session runs.
    ///
    /// # Errors
    /// A certificate cannot be read any more.
    pub fn canceller(&self) -> Result<Canceller> {
        self.conninfo.canceller(self.side, &self.client)
    }

    /// Returns true once the connection is known to be gone.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    fn error(&self, what: &str, error: &postgres::Error) -> Error {
        Error::from_postgres(self.side, what, error)
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
