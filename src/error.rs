//! The one error type: what failed, on which side, PostgreSQL's own message and SQLSTATE, and the
//! mend, in one line. Only this module turns a `postgres::Error` into text: its `Display` says just
//! `db error` for a server error, and its chain may carry a conninfo that must not be printed.

use std::error::Error as _;
use std::fmt;

use postgres::error::SqlState;

/// The result of everything that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What an error means for the caller; the exit statuses of the manual page, never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Failed; whichever side was in charge still is; run it again.
    Failed,
    /// The command line is wrong.
    Usage,
    /// `check` or `verify` found something, or `switch` did where it had to look.
    Found,
    /// The stop-the-world lock was not obtained in time; the source is still in charge.
    LockNotObtained,
    /// Another pg_switchover is at work on this source.
    AnotherAtWork,
    /// The outcome of the flip is unknown until `status` can reach the source.
    OutcomeUnknown,
}

impl Class {
    /// Returns the exit status of the process.
    pub fn exit_status(self) -> u8 {
        match self {
            Class::Failed => 1,
            Class::Usage => 2,
            Class::Found => 3,
            Class::LockNotObtained => 4,
            Class::AnotherAtWork => 5,
            Class::OutcomeUnknown => 6,
        }
    }
}

/// Which of the two databases something happened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The old server.
    Source,
    /// The new server.
    Destination,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Destination => "destination",
        })
    }
}

/// Why we have given a connection up; travels to whoever waits on it inside an `io::Error`.
#[derive(Debug, Clone)]
pub struct GivenUp {
    /// What was waited for, how long, and what is known.
    pub message: String,
    /// What the operator can do.
    pub mend: String,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for GivenUp {}

/// A failure, ready to be shown to an operator.
#[derive(Debug, Clone)]
pub struct Error {
    /// Decides the exit status.
    pub class: Class,
    /// What failed, on which side, which relation; PostgreSQL's own words behind a colon.
    pub message: String,
    /// The SQLSTATE, when a server said one.
    pub sqlstate: Option<SqlState>,
    /// True if the connection is gone, so that the fate of a running statement is unknown.
    pub connection_lost: bool,
    /// What the operator can do about it.
    pub mend: Option<String>,
}

impl Error {
    /// Makes an error of a class from a message without a full stop.
    pub fn new(class: Class, message: impl Into<String>) -> Error {
        Error {
            class,
            message: message.into(),
            sqlstate: None,
            connection_lost: false,
            mend: None,
        }
    }

    /// Makes an error of class [`Class::Failed`].
    pub fn failed(message: impl Into<String>) -> Error {
        Error::new(Class::Failed, message)
    }

    /// Makes an error of class [`Class::Usage`].
    pub fn usage(message: impl Into<String>) -> Error {
        Error::new(Class::Usage, message)
    }

    /// Makes an error that only carries its exit status: it has been printed already.
    pub fn printed(class: Class) -> Error {
        Error::new(class, "")
    }

    /// Wraps what a server or the network said while doing `what` (an infinitive: "read table x").
    pub fn from_postgres(side: Side, what: &str, error: &postgres::Error) -> Error {
        let said = Error::said(error);
        Error {
            class: Class::Failed,
            connection_lost: error.is_closed() || is_connection_failure(error),
            sqlstate: error.code().cloned(),
            mend: match (error.code(), given_up(error)) {
                (Some(state), _) => usual_mend(side, state.code(), &said).map(str::to_string),
                (None, given_up) => given_up.map(|verdict| verdict.mend.clone()),
            },
            message: format!("could not {what} on the {side}: {said}"),
        }
    }

    /// Returns true if a value, a row or a message was larger than the 1 GB that PostgreSQL allows each
    /// (`MaxAllocSize` in memutils.h; stringinfo.c says it in two ways).
    pub fn too_large(&self) -> bool {
        let state = self.sqlstate.as_ref().map(SqlState::code);
        state.is_some_and(|state| is_too_large(state, &self.message))
    }

    /// Returns what a server or the network said, in one line, with the SQLSTATE if there is one.
    pub fn said(error: &postgres::Error) -> String {
        let mut said = match error.as_db_error() {
            Some(db) => {
                let mut said = db.message().to_string();
                // DETAIL of a constraint violation names row values; those stay out of logs.
                let shows_values = db.code().code().starts_with("23");
                if let (Some(detail), false) = (db.detail(), shows_values) {
                    said.push_str(&format!(" ({detail})"));
                }
                said
            }
            None => error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string),
        };
        said = one_line(&said);
        if let Some(code) = error.code() {
            said.push_str(&format!(" (SQLSTATE {})", code.code()));
        }
        said
    }

    /// Adds what the operator can do.
    pub fn mend(mut self, mend: impl Into<String>) -> Error {
        self.mend = Some(mend.into());
        self
    }

    /// Returns true if a server answered with this SQLSTATE.
    pub fn is(&self, state: &SqlState) -> bool {
        self.sqlstate.as_ref() == Some(state)
    }
}

/// Returns the verdict, if it was we who ended the connection.
fn given_up(error: &postgres::Error) -> Option<&GivenUp> {
    let inner = error
        .source()?
        .downcast_ref::<std::io::Error>()?
        .get_ref()?;
    inner.downcast_ref()
}

/// Returns true where the connection itself failed, or the server ended the session: what the
/// statement did is then not known (SQLSTATE class 08 and 57P01 to 57P03).
fn is_connection_failure(error: &postgres::Error) -> bool {
    match error.code() {
        Some(code) => {
            let code = code.code();
            code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03")
        }
        None => error
            .source()
            .is_some_and(|source| source.is::<std::io::Error>()),
    }
}

/// Returns what helps with a SQLSTATE wherever it comes from; callers that know more say more.
fn usual_mend(side: Side, state: &str, said: &str) -> Option<&'static str> {
    if is_too_large(state, said) {
        return Some(
            "a row is larger than the 1 GB that PostgreSQL can send: make it smaller, or leave its table out (--exclude-table) and move that by other means",
        );
    }
    match (state, side) {
        ("42501", _) => Some("grant that to the role, or connect as one that may"),
        ("22P05", Side::Destination) => {
            Some("create the destination database with ENCODING 'UTF8' TEMPLATE template0")
        }
        ("53100", _) => Some("make room there, then run it again"),
        // Nearly always of the lock table: little else in shared memory grows.
        ("53200", _) if said.contains("out of shared memory") => {
            Some("raise max_locks_per_transaction there, and restart it")
        }
        ("23502" | "23505" | "23514" | "23P01", Side::Destination) => {
            Some("the destination must not be stricter than the source: drop that constraint there")
        }
        _ => None,
    }
}

fn is_too_large(state: &str, said: &str) -> bool {
    const WORDS: &[&str] = &[
        "invalid memory alloc request size",
        "Cannot enlarge string buffer",
        "string buffer exceeds maximum",
    ];
    matches!(state, "XX000" | "54000" | "53200") && WORDS.iter().any(|words| said.contains(words))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.mend {
            Some(mend) => write!(f, "; {mend}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_mend_are_one_line() {
        let error = Error::failed("could not read \"x\"").mend("grant SELECT on it");
        assert_eq!(
            error.to_string(),
            "could not read \"x\"; grant SELECT on it"
        );
    }

    #[test]
    fn exit_statuses_are_those_of_the_manual_page() {
        let classes = [
            Class::Failed,
            Class::Usage,
            Class::Found,
            Class::LockNotObtained,
            Class::AnotherAtWork,
            Class::OutcomeUnknown,
        ];
        assert_eq!(classes.map(Class::exit_status), [1, 2, 3, 4, 5, 6]);
    }
}
