//! Connection strings and the connections they open, as libpq reads and opens them.
//!
//! A connection string is completed once, by [`Conninfo::resolve`]: from the service file, the PG*
//! variables, the password file and libpq's defaults, in this order. After that nothing outside
//! can change what a [`Conninfo`] connects to. It has no way to show a password: `Debug` and
//! `Display` give what [`Conninfo::describe`] gives.

mod command;
mod connect;
mod environment;
mod failure;
mod handshake;
mod keyword;
mod merge;
mod parse;
mod passfile;
mod service;
mod settings;
mod stream;
mod tls;
mod uri;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use postgres::{CancelToken, Client, SimpleQueryMessage, SimpleQueryRow};

use self::environment::{Process, Surroundings};
use self::handshake::Sessions;
use self::keyword::Parameters;
use self::settings::{Host, Settings};
use self::stream::Connector;
use self::tls::Mode;
use crate::error::{Error, Result, Side};
use crate::wire::Wire;

/// How long a server may be silent where the conninfo has no `tcp_user_timeout`: longer than a switch
/// over of a network, or the failover of a balancer, takes; short beside an operator's patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where and how to connect, complete.
#[derive(Clone)]
pub struct Conninfo {
    parameters: Parameters,
    settings: Settings,
    /// Made at the first connection, which checks the certificate files, and then shared.
    tls: Arc<OnceLock<Option<Sessions>>>,
    impatient: bool,
}

impl Conninfo {
    /// Completes the connection string of one side: the option's, else the one of
    /// `PG_SWITCHOVER_SOURCE` or `PG_SWITCHOVER_DEST`. Every error is one of usage.
    pub fn resolve(side: Side, option: Option<&str>) -> Result<Conninfo> {
        Conninfo::resolve_in(&Process, side, option)
    }

    fn resolve_in(around: &dyn Surroundings, side: Side, option: Option<&str>) -> Result<Conninfo> {
        let (flag, variable) = match side {
            Side::Source => ("--source", "PG_SWITCHOVER_SOURCE"),
            Side::Destination => ("--dest", "PG_SWITCHOVER_DEST"),
        };
        let from_variable = || {
            around
                .variable(variable)
                .filter(|text| !text.trim().is_empty())
        };
        let mut parameters = match option {
            // An empty word is a shell variable that is not set, not a wish for the defaults.
            Some(text) if text.trim().is_empty() => {
                return Err(Error::usage(format!(
                    "{flag}: the connection string is empty"
                )));
            }
            Some(text) => parse::parse(text, flag)?,
            None => match from_variable() {
                Some(text) => parse::parse(&text, variable)?,
                None => {
                    return Err(Error::usage(format!("the {side} is not given"))
                        .mend(format!("use {flag} CONNINFO or set {variable}")));
                }
            },
        };
        service::fill_from_service(&mut parameters, around)?;
        environment::fill_from_variables(&mut parameters, around);
        let settings = Settings::read(&parameters, around)?;
        Ok(Conninfo {
            parameters,
            settings,
            tls: Arc::default(),
            impatient: false,
        })
    }

    /// Returns true if a connection string holds a password, or the one of a key.
    pub fn holds_password(text: &str) -> bool {
        let secret = |parameters: &Parameters| {
            ["password", "sslpassword"]
                .iter()
                .any(|name| parameters.get(name).is_some())
        };
        parse::parse(text, "").as_ref().is_ok_and(secret)
    }

    /// Opens a connection. `application_name` takes the place of any the user gave. Notices of the
    /// server go to the debug log. Waits at most connect_timeout (10 s if not given) per address.
    pub fn connect(&self, side: Side, application_name: &str) -> Result<Connection> {
        let (client, connector) = connect::open(&self.settings, self.tls(side)?, application_name)
            .map_err(|failures| failure::error(side, &self.describe(), &failures))?;
        Ok(Connection {
            client,
            connector,
            limit: self.settings.connect_timeout,
        })
    }

    /// Asks through a connection of its own, within `limit` from its opening to its end.
    ///
    /// # Errors
    /// As [`Conninfo::connect`]; as the server says; no answer within `limit`.
    pub fn ask(&self, side: Side, sql: &str, limit: Duration) -> Result<Vec<SimpleQueryRow>> {
        let (conninfo, sql) = (self.clone(), sql.to_string());
        let asked = connect::within(Some(limit), move || {
            let mut connection = conninfo.connect(side, "pg_switchover: watch")?;
            let answer = connection.client.simple_query(&sql);
            answer.map_err(|error| Error::from_postgres(side, "look at our sessions", &error))
        });
        let messages = asked.map_err(|_| {
            Error::failed(format!(
                "the {side} does not answer a new connection within {:.1} s",
                limit.as_secs_f64()
            ))
        })??;
        let row = |message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        };
        Ok(messages.into_iter().filter_map(row).collect())
    }

    /// Returns how long a server may show no sign of life before a connection is given up.
    pub fn patience(&self) -> Duration {
        let patience = self.settings.tcp_user_timeout.unwrap_or(PATIENCE);
        match self.settings.connect_timeout {
            Some(limit) if self.impatient => patience.min(limit),
            _ => patience,
        }
    }

    /// Returns the same with no more patience for an answer than for a connection.
    pub fn impatient(mut self) -> Conninfo {
        self.impatient = true;
        self
    }

    /// Returns how long opening a connection may take; `None` for as long as the kernel waits.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.settings.connect_timeout
    }

    /// Returns the name of the database.
    pub fn database(&self) -> &str {
        &self.settings.database
    }

    /// Returns the user to log in as.
    pub fn user(&self) -> &str {
        &self.settings.user
    }

    /// Says where the database is, without the user: `db.example:5432/app`.
    pub fn location(&self) -> String {
        let described = self.describe();
        match described.strip_prefix(&format!("{}@", self.user())) {
            Some(location) => location.to_string(),
            None => described,
        }
    }

    /// Says where it connects to, in one line without a password: `postgres@db.example:5432/app`,
    /// with all hosts if there are several.
    pub fn describe(&self) -> String {
        let places: Vec<String> = self.settings.endpoints.iter().map(failure::place).collect();
        let described = format!("{}@{}/{}", self.user(), places.join(","), self.database());
        described
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect()
    }

    /// Returns what begins TLS sessions, where any may be asked for.
    fn tls(&self, side: Side) -> Result<Option<&Sessions>> {
        if let Some(sessions) = self.tls.get() {
            return Ok(sessions.as_ref());
        }
        let over_tcp = |host: &Host| matches!(host, Host::Tcp { .. });
        let used = self.settings.tls.mode != Mode::Disable
            && self
                .settings
                .endpoints
                .iter()
                .any(|endpoint| over_tcp(&endpoint.host));
        let sessions = match used {
            true => Some(
                Sessions::new(&self.settings.tls)
                    .map_err(|complaint| failure::tls_error(side, &self.describe(), complaint))?,
            ),
            false => None,
        };
        Ok(self.tls.get_or_init(|| sessions).as_ref())
    }
}

impl fmt::Display for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conninfo({})", self.describe())
    }
}

/// An open connection.
pub struct Connection {
    /// The driver's end.
    pub client: Client,
    connector: Connector,
    limit: Option<Duration>,
}

impl Connection {
    /// Returns what knows whether the connection is waited for.
    pub fn wire(&self) -> &Arc<Wire> {
        &self.connector.wire
    }

    /// Makes what cancels the statement that the connection is running.
    pub fn canceller(&self, side: Side) -> Canceller {
        Canceller {
            side,
            token: self.client.cancel_token(),
            connector: Connector {
                // Its stream is another one.
                wire: Arc::default(),
                ..self.connector.clone()
            },
            limit: self.limit,
        }
    }
}

/// Cancels what a connection is running, from any thread.
#[derive(Clone)]
pub struct Canceller {
    side: Side,
    token: CancelToken,
    connector: Connector,
    limit: Option<Duration>,
}

impl Canceller {
    /// Asks the server to cancel the running statement; best effort, as the server does not say
    /// whether there was one.
    pub fn cancel(&self) {
        let (token, connector) = (self.token.clone(), self.connector.clone());
        let what = "cancel a statement";
        match connect::within(self.limit, move || token.cancel_query(connector)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::debug!("{}", Error::from_postgres(self.side, what, &error)),
            Err(error) => log::debug!("could not {what} on the {}: {error}", self.side),
        }
    }

    /// Cancels all at the same time: each may take as long as a connection to a silent server.
    pub fn cancel_all<'a>(cancellers: impl IntoIterator<Item = &'a Canceller>) {
        std::thread::scope(|scope| {
            for canceller in cancellers {
                scope.spawn(|| canceller.cancel());
            }
        });
    }
}

#[cfg(test)]
mod tests;
