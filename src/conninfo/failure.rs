//! Says why a connection could not be opened: one line for all hosts, and the mend where there is
//! an obvious one.

use std::error::Error as _;
use std::io;

use postgres::error::SqlState;

use super::settings::{Endpoint, Host, Password};
use super::tls::Complaint;
use crate::error::{Error, Side};

/// What went wrong with one try.
pub(super) enum Problem {
    /// The library or the server said it.
    Postgres(postgres::Error),
    /// The name of the host has no address.
    Lookup(io::Error),
    /// No answer in time.
    Timeout(io::Error),
    /// The server is not what `target_session_attrs` asks for.
    Unsuitable(&'static str),
}

impl From<postgres::Error> for Problem {
    fn from(error: postgres::Error) -> Problem {
        Problem::Postgres(error)
    }
}

/// Why one address of one host failed.
pub(super) struct Failure {
    place: String,
    reason: String,
    mend: Option<String>,
    sqlstate: Option<SqlState>,
    /// True if a server answered.
    answered: bool,
}

impl Failure {
    /// Folds what went wrong with one address; `problems` has the label of each way that was tried.
    pub fn new(
        endpoint: &Endpoint,
        problems: &[(&str, Problem)],
        password: Option<&Password>,
    ) -> Failure {
        let mut reasons: Vec<(&str, String)> = Vec::new();
        for (label, problem) in problems {
            let reason = reason(problem);
            if reasons.iter().all(|(_, known)| *known != reason) {
                reasons.push((label, reason));
            }
        }
        let reason = match reasons.as_slice() {
            [(_, reason)] => reason.clone(),
            several => join(
                several
                    .iter()
                    .map(|(label, reason)| format!("{label}: {reason}")),
            ),
        };
        let last = problems.last().map(|(_, problem)| problem);
        let sqlstate = match last {
            Some(Problem::Postgres(error)) => error.code().cloned(),
            _ => None,
        };
        Failure {
            place: place(endpoint),
            reason,
            mend: last.and_then(|problem| mend(problem, endpoint, password)),
            answered: sqlstate.is_some() || matches!(last, Some(Problem::Unsuitable(_))),
            sqlstate,
        }
    }

    /// Returns true if no other host is to be tried: a server was reached and refused the login.
    /// One that is just starting, or going down, is as good as one that cannot be reached.
    pub fn is_final(&self) -> bool {
        self.sqlstate
            .as_ref()
            .is_some_and(|state| *state != SqlState::CANNOT_CONNECT_NOW)
    }
}

/// Makes the one error for all hosts. `target` is what `Conninfo::describe` says.
pub(super) fn error(side: Side, target: &str, failures: &[Failure]) -> Error {
    let mut said: Vec<(&str, &str)> = Vec::new();
    for failure in failures {
        let pair = (failure.place.as_str(), failure.reason.as_str());
        if !said.contains(&pair) {
            said.push(pair);
        }
    }
    let reason = match said.as_slice() {
        [] => "no host to connect to".to_string(),
        [(_, reason)] => (*reason).to_string(),
        several => join(
            several
                .iter()
                .map(|(place, reason)| format!("{place}: {reason}")),
        ),
    };
    let last = failures.last();
    Error {
        sqlstate: last.and_then(|failure| failure.sqlstate.clone()),
        connection_lost: failures.iter().all(|failure| !failure.answered),
        mend: last.and_then(|failure| failure.mend.clone()),
        ..Error::failed(format!(
            "could not connect to the {side} at {target}: {reason}"
        ))
    }
}

/// Makes the error for TLS that cannot even be set up here.
pub(super) fn tls_error(side: Side, target: &str, complaint: Complaint) -> Error {
    let error = Error::failed(format!(
        "could not connect to the {side} at {target}: {}",
        complaint.message
    ));
    match complaint.mend {
        Some(mend) => error.mend(mend),
        None => error,
    }
}

/// Names an endpoint: `db.example:5432`, `[::1]:5432`, `/tmp:5432`.
pub(super) fn place(endpoint: &Endpoint) -> String {
    let port = endpoint.port;
    match &endpoint.host {
        Host::Tcp { name, .. } if name.contains(':') => format!("[{name}]:{port}"),
        Host::Tcp { name, .. } => format!("{name}:{port}"),
        Host::Socket(directory) => format!("{}:{port}", directory.display()),
    }
}

/// Returns true if it was the TLS handshake that failed.
pub(super) fn is_handshake_failure(error: &postgres::Error) -> bool {
    handshake_error(error).is_some()
}

fn handshake_error(error: &postgres::Error) -> Option<&openssl::ssl::Error> {
    error.source()?.source()?.downcast_ref()
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

fn reason(problem: &Problem) -> String {
    match problem {
        Problem::Postgres(error) => match (handshake_error(error), io_kind(error)) {
            (Some(handshake), _) => handshake_reason(error, handshake),
            (None, Some(io::ErrorKind::UnexpectedEof)) => {
                "the server closed the connection unexpectedly".to_string()
            }
            _ => Error::said(error),
        },
        Problem::Lookup(error) if error.kind() == io::ErrorKind::TimedOut => {
            "the lookup of the host name timed out".to_string()
        }
        Problem::Lookup(error) => {
            // getaddrinfo's own words stand behind the standard library's.
            let said = error.to_string();
            let said = said
                .strip_prefix("failed to lookup address information: ")
                .unwrap_or(&said);
            format!("could not look up the host name: {said}")
        }
        Problem::Timeout(error) => error.to_string(),
        Problem::Unsuitable(reason) => (*reason).to_string(),
    }
}

/// Takes OpenSSL's reason, and for a certificate what is wrong with it, without the names of its
/// functions and source files.
fn handshake_reason(error: &postgres::Error, handshake: &openssl::ssl::Error) -> String {
    let said = Error::said(error);
    let reason = handshake
        .ssl_error()
        .and_then(|stack| stack.errors().first())
        .and_then(|error| error.reason());
    match reason {
        Some(reason @ "certificate verify failed") => match said.rsplit_once(": ") {
            Some((_, what)) => format!("{reason}: {what}"),
            None => reason.to_string(),
        },
        Some(reason) => format!("the TLS handshake failed: {reason}"),
        None => "the server ended the TLS handshake".to_string(),
    }
}

fn io_kind(error: &postgres::Error) -> Option<io::ErrorKind> {
    error
        .source()?
        .downcast_ref::<io::Error>()
        .map(io::Error::kind)
}

fn mend(problem: &Problem, endpoint: &Endpoint, password: Option<&Password>) -> Option<String> {
    let is_socket = matches!(endpoint.host, Host::Socket(_));
    let mend = match problem {
        Problem::Lookup(_) => "check the host name".to_string(),
        Problem::Timeout(_) => silent_host(),
        Problem::Unsuitable(_) => "name another host, or change target_session_attrs".to_string(),
        Problem::Postgres(error) => {
            if let Some(code) = error.code() {
                return server_mend(code, &Error::said(error), password);
            }
            return match io_kind(error) {
                Some(kind) => {
                    network_mend(kind, is_socket).or_else(|| client_mend(&reason(problem)))
                }
                None => client_mend(&reason(problem)),
            };
        }
    };
    Some(mend)
}

fn silent_host() -> String {
    "check host, port and firewall, or raise connect_timeout".to_string()
}

/// The mend for what a server answered.
fn server_mend(code: &SqlState, said: &str, password: Option<&Password>) -> Option<String> {
    let mend = match code.code() {
        "28P01" => match password.and_then(|password| password.file.as_ref()) {
            Some(file) => format!("the password is from the file \"{}\"", file.display()),
            None => "check user and password".to_string(),
        },
        "28000" if said.contains("certificate") => {
            "give a client certificate with sslcert and sslkey".to_string()
        }
        "28000" if said.contains("no encryption") => {
            "use sslmode=require if the server wants TLS, or add an entry to its pg_hba.conf"
                .to_string()
        }
        "28000" if said.contains("pg_hba.conf") => {
            "add an entry to the server's pg_hba.conf and reload it".to_string()
        }
        "28000" => "check the user".to_string(),
        "3D000" => "check the database's name, or create it".to_string(),
        "53300" if said.contains("for role") || said.contains("for database") => {
            "end other sessions, or raise its CONNECTION LIMIT there".to_string()
        }
        "53300" => "end other sessions, or raise max_connections there".to_string(),
        "55000" => {
            "connect to another database, or ALTER DATABASE … ALLOW_CONNECTIONS true".to_string()
        }
        "57P03" => "wait until the server accepts connections".to_string(),
        "42501" => "grant CONNECT on the database to the user".to_string(),
        _ => return None,
    };
    Some(mend)
}

/// The mend for what the operating system answered.
fn network_mend(kind: io::ErrorKind, is_socket: bool) -> Option<String> {
    let mend = match kind {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound if is_socket => {
            "is the server running here, with this socket directory and port?".to_string()
        }
        io::ErrorKind::ConnectionRefused => {
            "is the server running, and listening there (listen_addresses, port)?".to_string()
        }
        io::ErrorKind::PermissionDenied if is_socket => {
            "the socket's permissions do not admit this user".to_string()
        }
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => silent_host(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::Other => "is it a PostgreSQL server that listens there?".to_string(),
        _ => return None,
    };
    Some(mend)
}

/// The mend for what the client library itself found.
fn client_mend(reason: &str) -> Option<String> {
    let mend = if reason.contains("bytes remaining on stream") {
        // An answer that is no message, and then the end.
        "is it a PostgreSQL server that listens there?"
    } else if reason.contains("password missing") {
        "put the password into ~/.pgpass or PGPASSWORD"
    } else if reason.contains("does not support TLS") {
        "turn on ssl there, or use sslmode=prefer"
    } else if reason.contains("Hostname mismatch") || reason.contains("hostname mismatch") {
        "connect by a name that the certificate holds, or use sslmode=verify-ca"
    } else if reason.contains("certificate verify failed") {
        "name the certificate of the server's authority with sslrootcert"
    } else if reason.contains("channel binding") {
        "use channel_binding=prefer, or TLS and a SCRAM password there"
    } else {
        return None;
    };
    Some(mend.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> Endpoint {
        let host = Host::Tcp {
            name: name.into(),
            address: None,
        };
        Endpoint {
            host,
            port: 5432,
            password: None,
        }
    }

    fn lookup(name: &str, said: &str) -> Failure {
        let problem = Problem::Lookup(io::Error::other(said.to_string()));
        Failure::new(&endpoint(name), &[("", problem)], None)
    }

    #[test]
    fn one_host_is_named_once() {
        let error = error(
            Side::Source,
            "ann@db:5432/app",
            &[lookup("db", "no such name")],
        );
        assert_eq!(
            error.to_string(),
            "could not connect to the source at ann@db:5432/app: could not look up the host name: \
             no such name; check the host name"
        );
        assert!(error.connection_lost);
    }

    #[test]
    fn several_hosts_are_folded_into_one_line() {
        let failures = [lookup("a", "x"), lookup("b", "y"), lookup("b", "y")];
        let said = error(Side::Destination, "ann@a:5432,b:5432/app", &failures).message;
        assert!(said.ends_with(
            "a:5432: could not look up the host name: x, b:5432: could not look up the host name: y"
        ));
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets() {
        assert_eq!(place(&endpoint("::1")), "[::1]:5432");
    }
}
