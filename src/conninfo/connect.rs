//! Opens a connection: the hosts in turn, the addresses of each, with and without TLS as the
//! sslmode says, each try within the connect_timeout.
//!
//! The order of tries is libpq's (manual 34.1.1.3): where a host cannot be reached, or is not what
//! `target_session_attrs` asks for, the next is tried; where a server was reached and refused the
//! login, no other host is.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};
use postgres::error::SqlState;
use postgres::{Client, Config, SimpleQueryMessage};

use super::failure::{Failure, Problem, is_handshake_failure};
use super::handshake::Sessions;
use super::settings::{Endpoint, Host, Settings, Target};
use super::stream::Connector;
use super::tls::Mode;

/// Opens a connection, or says why each host failed.
pub(super) fn open(
    settings: &Settings,
    tls: Option<&Sessions>,
    application_name: &str,
) -> Result<(Client, Connector), Vec<Failure>> {
    let passes: &[Target] = match &settings.target {
        Target::PreferStandby => &[Target::Standby, Target::Any],
        target => std::slice::from_ref(target),
    };
    let mut failures = Vec::new();
    for target in passes {
        failures.clear();
        for endpoint in in_order(settings.endpoints.iter().collect(), settings.random_order) {
            let attempt = Attempt {
                settings,
                tls,
                application_name,
                target: *target,
                endpoint,
            };
            match attempt.open_endpoint(&mut failures) {
                Some(opened) => return Ok(opened),
                None if failures.last().is_some_and(Failure::is_final) => return Err(failures),
                None => {}
            }
        }
    }
    Err(failures)
}

/// Shuffles where `load_balance_hosts=random` asks for it.
fn in_order<T>(mut items: Vec<T>, random: bool) -> Vec<T> {
    if random {
        // Every hasher of the standard library is seeded at random: that is all the chance needed.
        let mut keyed: Vec<(u64, T)> = items
            .drain(..)
            .enumerate()
            .map(|(i, item)| (RandomState::new().hash_one(i), item))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        items.extend(keyed.into_iter().map(|(_, item)| item));
    }
    items
}

/// What one endpoint is tried with.
struct Attempt<'a> {
    settings: &'a Settings,
    tls: Option<&'a Sessions>,
    application_name: &'a str,
    target: Target,
    endpoint: &'a Endpoint,
}

impl Attempt<'_> {
    /// Tries every address of an endpoint; adds a failure for each that did not do.
    fn open_endpoint(&self, failures: &mut Vec<Failure>) -> Option<(Client, Connector)> {
        let Host::Tcp { name, address } = &self.endpoint.host else {
            return self.open_address(None, failures);
        };
        let addresses = match address {
            Some(address) => vec![*address],
            None => match self.resolve(name) {
                Ok(addresses) => in_order(addresses, self.settings.random_order),
                Err(problem) => {
                    failures.push(Failure::new(self.endpoint, &[("", problem)], None));
                    return None;
                }
            },
        };
        for address in addresses {
            let opened = self.open_address(Some(address), failures);
            if opened.is_some() || failures.last().is_some_and(Failure::is_final) {
                return opened;
            }
        }
        None
    }

    /// Looks up the addresses of a host.
    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Problem> {
        let (name, port) = (name.to_string(), self.endpoint.port);
        let found = within(self.settings.connect_timeout, move || {
            let addresses = (name.as_str(), port).to_socket_addrs()?;
            // A name may have the same address several times (/etc/hosts).
            let mut distinct: Vec<IpAddr> = Vec::new();
            for address in addresses {
                if !distinct.contains(&address.ip()) {
                    distinct.push(address.ip());
                }
            }
            Ok(distinct)
        });
        found
            .and_then(|found: io::Result<_>| found)
            .map_err(Problem::Lookup)
    }

    /// Tries one address (none for a socket), in the ways that the sslmode allows.
    fn open_address(
        &self,
        address: Option<IpAddr>,
        failures: &mut Vec<Failure>,
    ) -> Option<(Client, Connector)> {
        let mut problems = Vec::new();
        for (label, ssl_mode) in self.ways() {
            match self.open_one_way(address, *ssl_mode) {
                Ok(opened) => return Some(opened),
                Err(problem) => {
                    let is_last = !falls_back(&problem);
                    problems.push((*label, problem));
                    if is_last {
                        break;
                    }
                    log::debug!("{label} the connection failed, trying the other way");
                }
            }
        }
        failures.push(Failure::new(
            self.endpoint,
            &problems,
            self.endpoint.password.as_ref(),
        ));
        None
    }

    /// Returns the ways to try, in turn.
    fn ways(&self) -> &'static [(&'static str, SslMode)] {
        const WITH: &str = "with TLS";
        const WITHOUT: &str = "without TLS";
        match (&self.endpoint.host, self.settings.tls.mode) {
            // No server does TLS on a socket.
            (Host::Socket(_), _) | (_, Mode::Disable) => &[(WITHOUT, SslMode::Disable)],
            (_, Mode::Allow) => &[(WITHOUT, SslMode::Disable), (WITH, SslMode::Require)],
            (_, Mode::Prefer) => &[(WITH, SslMode::Prefer), (WITHOUT, SslMode::Disable)],
            _ => &[(WITH, SslMode::Require)],
        }
    }

    fn open_one_way(
        &self,
        address: Option<IpAddr>,
        mode: SslMode,
    ) -> Result<(Client, Connector), Problem> {
        let config = self.config(address);
        let target = self.target;
        let connector = Connector {
            tls: self.tls.cloned(),
            mode,
            direct: self.settings.tls.direct && mode == SslMode::Require,
            wire: Arc::default(),
        };
        // The library's own limit ends with the TCP handshake; a server that accepts and then
        // says nothing would hold us for ever.
        within(self.settings.connect_timeout, move || {
            let mut client = config.connect(connector.clone())?;
            check_target(&mut client, target).map(|()| (client, connector))
        })
        .unwrap_or_else(|error| Err(Problem::Timeout(error)))
    }

    fn config(&self, address: Option<IpAddr>) -> Config {
        let settings = self.settings;
        let mut config = Config::new();
        config
            .user(&settings.user)
            .dbname(&settings.database)
            .application_name(self.application_name)
            .port(self.endpoint.port)
            .channel_binding(settings.channel_binding)
            .target_session_attrs(TargetSessionAttrs::Any)
            .keepalives(settings.keepalives.is_some())
            .notice_callback(|notice| log::debug!("{}: {}", notice.severity(), notice.message()));
        match &self.endpoint.host {
            // Whatever the sslmode: our stream sees to it.
            Host::Tcp { name, .. } => config
                .host(name)
                .ssl_mode(SslMode::Require)
                .ssl_negotiation(SslNegotiation::Direct),
            Host::Socket(directory) => config.host_path(directory).ssl_mode(SslMode::Disable),
        };
        if let Some(address) = address {
            config.hostaddr(address);
        }
        if let Some(password) = &self.endpoint.password {
            config.password(&password.bytes);
        }
        if let Some(options) = &settings.options {
            config.options(options);
        }
        set_limits(&mut config, settings);
        config
    }
}

fn set_limits(config: &mut Config, settings: &Settings) {
    if let Some(limit) = settings.connect_timeout {
        config.connect_timeout(limit);
    }
    if let Some(limit) = settings.tcp_user_timeout {
        config.tcp_user_timeout(limit);
    }
    if let Some(keepalives) = settings.keepalives {
        config
            .keepalives_idle(keepalives.idle)
            .keepalives_interval(keepalives.interval)
            .keepalives_retries(keepalives.count);
    }
}

/// Returns true where the other way, with or without TLS, may do what this one did not: the
/// handshake failed, or the server's pg_hba.conf refused the login. libpq also tries again after a
/// wrong password; that would only count as a second wrong login.
fn falls_back(problem: &Problem) -> bool {
    match problem {
        Problem::Postgres(error) => {
            is_handshake_failure(error)
                || error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
        }
        _ => false,
    }
}

/// Asks the server whether it is what `target_session_attrs` wants, by libpq's definitions; but a primary will do
/// for read-write whatever default_transaction_read_only says, which our sessions override: that is what
/// `--after-switch=readonly` sets, and the source is still to be reached then.
fn check_target(client: &mut Client, target: Target) -> Result<(), Problem> {
    if matches!(target, Target::Any | Target::PreferStandby) {
        return Ok(());
    }
    let rows = client.simple_query(
        "SELECT pg_catalog.pg_is_in_recovery(), \
         pg_catalog.current_setting('default_transaction_read_only')",
    )?;
    let (mut standby, mut read_only) = (false, false);
    for message in &rows {
        if let SimpleQueryMessage::Row(row) = message {
            standby = row.get(0) == Some("t");
            read_only = standby || row.get(1) == Some("on");
        }
    }
    match target {
        Target::ReadWrite if standby => Err(Problem::Unsuitable("the session is read-only")),
        Target::ReadOnly if !read_only => Err(Problem::Unsuitable("the session is not read-only")),
        Target::Primary if standby => Err(Problem::Unsuitable("the server is in hot standby mode")),
        Target::Standby if !standby => {
            Err(Problem::Unsuitable("the server is not in hot standby mode"))
        }
        _ => Ok(()),
    }
}

/// Does `work`, but waits for it no longer than `limit`. Neither a name lookup nor a login can be
/// interrupted; one that took too long is left to end by itself, and its connection is closed then.
pub(super) fn within<T: Send + 'static>(
    limit: Option<Duration>,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let Some(limit) = limit else {
        return Ok(work());
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("connect".into())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = sender.send(work());
        })?;
    receiver.recv_timeout(limit).map_err(|error| match error {
        mpsc::RecvTimeoutError::Timeout => {
            io::Error::new(io::ErrorKind::TimedOut, "connection timed out")
        }
        mpsc::RecvTimeoutError::Disconnected => io::Error::other("the attempt broke off"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_given_up_at_the_limit() {
        let limit = Some(Duration::from_millis(20));
        let result = within(limit, || std::thread::sleep(Duration::from_secs(5)));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(within(Some(Duration::from_secs(60)), || 7).unwrap(), 7);
        assert_eq!(within(None, || 7).unwrap(), 7);
    }

    #[test]
    fn random_order_keeps_every_host() {
        assert_eq!(in_order(vec![1, 2, 3], false), [1, 2, 3]);
        let mut shuffled = in_order((0..50).collect(), true);
        shuffled.sort_unstable();
        assert_eq!(shuffled, (0..50).collect::<Vec<_>>());
    }
}
