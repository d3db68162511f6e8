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
mod keyword;
mod parse;
mod passfile;
mod service;
mod settings;
mod tls;
mod uri;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use postgres::{CancelToken, Client};
use postgres_openssl::MakeTlsConnector;

use self::environment::{Process, Surroundings};
use self::keyword::Parameters;
use self::settings::{Host, Settings};
use self::tls::Mode;
use crate::error::{Error, Result, Side};

/// Where and how to connect, complete.
#[derive(Clone)]
pub struct Conninfo {
    parameters: Parameters,
    settings: Settings,
    /// Made at the first connection, and then shared: it reads certificate files.
    connector: Arc<OnceLock<MakeTlsConnector>>,
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
            connector: Arc::default(),
        })
    }

    /// Opens a connection. `application_name` takes the place of any the user gave. Notices of the
    /// server go to the debug log. Waits at most connect_timeout (10 s if not given) per address.
    pub fn connect(&self, side: Side, application_name: &str) -> Result<Client> {
        let connector = self.connector(side)?;
        connect::open(&self.settings, connector, application_name)
            .map_err(|failures| failure::error(side, &self.describe(), &failures))
    }

    /// Makes what cancels the statement that `client`, opened by [`Conninfo::connect`], is running.
    pub fn canceller(&self, side: Side, client: &Client) -> Result<Canceller> {
        Ok(Canceller {
            side,
            token: client.cancel_token(),
            connector: self.connector(side)?.clone(),
            limit: self.settings.connect_timeout,
        })
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

    fn connector(&self, side: Side) -> Result<&MakeTlsConnector> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector);
        }
        let over_tcp = |host: &Host| matches!(host, Host::Tcp { .. });
        let used = self.settings.tls.mode != Mode::Disable
            && self
                .settings
                .endpoints
                .iter()
                .any(|endpoint| over_tcp(&endpoint.host));
        let connector = if used {
            self.settings.tls.connector()
        } else {
            tls::unused_connector()
        };
        let connector =
            connector.map_err(|complaint| failure::tls_error(side, &self.describe(), complaint))?;
        Ok(self.connector.get_or_init(|| connector))
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

/// Cancels what a connection is running, from any thread.
#[derive(Clone)]
pub struct Canceller {
    side: Side,
    token: CancelToken,
    connector: MakeTlsConnector,
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
}

#[cfg(test)]
mod tests;
