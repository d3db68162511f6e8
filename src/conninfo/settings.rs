//! Turns the words of the parameters into typed settings; every wrong value is found here, before
//! anything is opened.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::config::ChannelBinding;

use super::environment::{Surroundings, default_host, home, is_default_socket_directory, os_user};
use super::keyword::Parameters;
use super::passfile::Passfile;
use super::tls::TlsSettings;
use crate::error::{Error, Result};

/// A connection attempt is given up after this time: long enough for a server behind a slow link,
/// short enough that a wrong host name is noticed. libpq would wait for the kernel, two minutes.
const CONNECT_TIMEOUT: u64 = 10;
/// A dead peer is noticed after 60 + 3 × 10 seconds: before the two minutes after which many
/// routers and cloud balancers forget a silent connection, where the kernel would take two hours.
const KEEPALIVES_IDLE: u64 = 60;
const KEEPALIVES_INTERVAL: u64 = 10;
const KEEPALIVES_COUNT: u32 = 3;
const DEFAULT_PORT: u16 = 5432;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// TCP: the name for TLS and messages, and the address where `hostaddr` gives it.
    Tcp {
        name: String,
        address: Option<IpAddr>,
    },
    /// The directory of a Unix socket.
    Socket(PathBuf),
}

/// A password and the file it was found in, for messages. Has no `Debug`.
#[derive(Clone)]
pub(super) struct Password {
    /// As sent to the server.
    pub bytes: Vec<u8>,
    /// The password file, or None where it was given.
    pub file: Option<PathBuf>,
}

/// One of the hosts to try.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub host: Host,
    pub port: u16,
    pub password: Option<Password>,
}

/// TCP keepalives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keepalives {
    pub idle: Duration,
    pub interval: Duration,
    pub count: u32,
}

/// What a session must be like (`target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

/// Everything that opening a connection needs. Has no `Debug`: it holds passwords.
#[derive(Clone)]
pub(super) struct Settings {
    pub user: String,
    pub database: String,
    pub endpoints: Vec<Endpoint>,
    pub options: Option<String>,
    /// None: wait as long as the kernel does.
    pub connect_timeout: Option<Duration>,
    pub keepalives: Option<Keepalives>,
    pub tcp_user_timeout: Option<Duration>,
    pub target: Target,
    pub random_order: bool,
    pub channel_binding: ChannelBinding,
    pub tls: TlsSettings,
}

impl Settings {
    /// Reads the settings out of parameters to which the PG* variables are already added.
    pub fn read(parameters: &Parameters, around: &dyn Surroundings) -> Result<Settings> {
        refuse_what_cannot_be_kept(parameters)?;
        let user = parameters
            .get("user")
            .map(String::from)
            .or_else(|| os_user(around));
        let user = user.ok_or_else(|| {
            Error::usage("the operating system's user has no name")
                .mend("give user= in the conninfo, or PGUSER")
        })?;
        let database = parameters.get("dbname").unwrap_or(&user).to_string();
        let mut endpoints = endpoints(parameters, around)?;
        find_passwords(&mut endpoints, parameters, around, &database, &user);
        Ok(Settings {
            endpoints,
            options: parameters.get("options").map(String::from),
            connect_timeout: seconds(parameters, "connect_timeout", CONNECT_TIMEOUT)?,
            keepalives: keepalives(parameters)?,
            // No default: Linux would also end a healthy COPY whose receiver waits for a lock or
            // a checkpoint for that long (tcp(7), zero window).
            tcp_user_timeout: number(parameters, "tcp_user_timeout")?
                .filter(|milliseconds| *milliseconds > 0)
                .map(|milliseconds| Duration::from_millis(milliseconds.unsigned_abs())),
            target: choice(parameters, "target_session_attrs", TARGETS)?.unwrap_or(Target::Any),
            random_order: choice(
                parameters,
                "load_balance_hosts",
                &[("disable", false), ("random", true)],
            )?
            .unwrap_or(false),
            channel_binding: choice(parameters, "channel_binding", CHANNEL_BINDINGS)?
                .unwrap_or(ChannelBinding::Prefer),
            tls: TlsSettings::read(parameters, home(around).as_deref())?,
            user,
            database,
        })
    }
}

const TARGETS: &[(&str, Target)] = &[
    ("any", Target::Any),
    ("read-write", Target::ReadWrite),
    ("read-only", Target::ReadOnly),
    ("primary", Target::Primary),
    ("standby", Target::Standby),
    ("prefer-standby", Target::PreferStandby),
];

const CHANNEL_BINDINGS: &[(&str, ChannelBinding)] = &[
    ("disable", ChannelBinding::Disable),
    ("prefer", ChannelBinding::Prefer),
    ("require", ChannelBinding::Require),
];

/// Refuses what asks for a guarantee that this client does not give: to leave it aside in silence
/// would be worse than not to start.
fn refuse_what_cannot_be_kept(parameters: &Parameters) -> Result<()> {
    for (name, accepted) in [
        ("replication", &["false", "off", "no", "0"][..]),
        ("gssencmode", &["disable", "prefer"]),
        ("min_protocol_version", &["3.0"]),
        ("require_auth", &[]),
        ("scram_client_key", &[]),
        ("scram_server_key", &[]),
    ] {
        let Some(value) = parameters.value(name) else {
            continue;
        };
        if accepted.contains(&value.text.as_str()) {
            continue;
        }
        // The SCRAM keys are as good as the password.
        let shown = if name.starts_with("scram") {
            String::new()
        } else {
            format!("={}", value.text)
        };
        return Err(
            Error::usage(format!("{}: {name}{shown} is not supported", value.origin))
                .mend("leave it out"),
        );
    }
    Ok(())
}

/// Reads one of the words of a table.
pub(super) fn choice<T: Copy>(
    parameters: &Parameters,
    name: &str,
    words: &[(&str, T)],
) -> Result<Option<T>> {
    let Some(value) = parameters.value(name) else {
        return Ok(None);
    };
    if let Some((_, found)) = words.iter().find(|(word, _)| *word == value.text) {
        return Ok(Some(*found));
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    Err(Error::usage(format!(
        "{}: invalid {name} \"{}\"",
        value.origin, value.text
    ))
    .mend(format!("it is one of {}", known.join(", "))))
}

/// Reads an integer.
fn number(parameters: &Parameters, name: &str) -> Result<Option<i64>> {
    let Some(value) = parameters.value(name) else {
        return Ok(None);
    };
    match value.text.trim().parse::<i32>() {
        Ok(number) => Ok(Some(number.into())),
        Err(_) => Err(Error::usage(format!(
            "{}: invalid integer \"{}\" for {name}",
            value.origin, value.text
        ))),
    }
}

/// Reads seconds; zero and less mean no limit, as in libpq.
fn seconds(parameters: &Parameters, name: &str, default: u64) -> Result<Option<Duration>> {
    let seconds = number(parameters, name)?.map(|seconds| u64::try_from(seconds).unwrap_or(0));
    let seconds = seconds.unwrap_or(default);
    Ok(Some(Duration::from_secs(seconds)).filter(|limit| !limit.is_zero()))
}

fn keepalives(parameters: &Parameters) -> Result<Option<Keepalives>> {
    // Zero means the kernel's default in libpq; ours is the better default then, too.
    let or_ours = |limit: Option<Duration>, ours| limit.unwrap_or(Duration::from_secs(ours));
    let idle = or_ours(
        seconds(parameters, "keepalives_idle", KEEPALIVES_IDLE)?,
        KEEPALIVES_IDLE,
    );
    let interval = seconds(parameters, "keepalives_interval", KEEPALIVES_INTERVAL)?;
    let count = number(parameters, "keepalives_count")?.and_then(|count| u32::try_from(count).ok());
    if number(parameters, "keepalives")? == Some(0) {
        return Ok(None);
    }
    Ok(Some(Keepalives {
        idle,
        interval: or_ours(interval, KEEPALIVES_INTERVAL),
        count: count.filter(|count| *count > 0).unwrap_or(KEEPALIVES_COUNT),
    }))
}

/// Pairs hosts, addresses and ports as libpq does: addresses one per host, ports one per host or
/// one for all.
fn endpoints(parameters: &Parameters, around: &dyn Surroundings) -> Result<Vec<Endpoint>> {
    let list = |name| {
        parameters
            .get(name)
            .map(|text| text.split(',').map(str::trim).collect())
    };
    let hosts: Option<Vec<&str>> = list("host");
    let addresses: Option<Vec<&str>> = list("hostaddr");
    let ports = list("port").unwrap_or_default();
    let count = addresses.as_ref().or(hosts.as_ref()).map_or(1, Vec::len);
    if hosts.as_ref().is_some_and(|hosts| hosts.len() != count) {
        return Err(mismatch(parameters, "hostaddr", "hosts"));
    }
    if ports.len() > 1 && ports.len() != count {
        return Err(mismatch(parameters, "port", "hosts"));
    }
    let at = |list: &Option<Vec<&str>>, i: usize| match list {
        Some(list) => list[i].to_string(),
        None => String::new(),
    };
    (0..count)
        .map(|i| {
            let port = port(
                parameters,
                ports.get(i).or(ports.first()).copied().unwrap_or_default(),
            )?;
            let host = host(parameters, &at(&hosts, i), &at(&addresses, i), port, around)?;
            Ok(Endpoint {
                host,
                port,
                password: None,
            })
        })
        .collect()
}

fn origin<'a>(parameters: &'a Parameters, name: &str) -> &'a str {
    parameters
        .value(name)
        .map_or("conninfo", |value| value.origin.as_str())
}

fn mismatch(parameters: &Parameters, name: &str, others: &str) -> Error {
    Error::usage(format!(
        "{}: the number of values of {name} is not the number of {others}",
        origin(parameters, name)
    ))
}

fn port(parameters: &Parameters, text: &str) -> Result<u16> {
    if text.is_empty() {
        return Ok(DEFAULT_PORT);
    }
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Error::usage(format!(
            "{}: invalid port \"{text}\"",
            origin(parameters, "port")
        ))
        .mend("a port is a number from 1 to 65535")),
    }
}

fn host(
    parameters: &Parameters,
    host: &str,
    address: &str,
    port: u16,
    around: &dyn Surroundings,
) -> Result<Host> {
    if !address.is_empty() {
        let parsed = address.parse().map_err(|_| {
            Error::usage(format!(
                "{}: \"{address}\" is not a network address",
                origin(parameters, "hostaddr")
            ))
            .mend("give a name as host")
        })?;
        // Without a name the address is the name; verify-full compares it with the certificate.
        let name = if host.is_empty() { address } else { host };
        return Ok(Host::Tcp {
            name: name.to_string(),
            address: Some(parsed),
        });
    }
    if host.starts_with('@') {
        return Err(Error::usage(format!(
            "{}: sockets in the abstract name space are not supported",
            origin(parameters, "host")
        )));
    }
    let host = if host.is_empty() {
        default_host(around, port)
    } else {
        host.to_string()
    };
    if !host.starts_with('/') {
        return Ok(Host::Tcp {
            name: host,
            address: None,
        });
    }
    if let Some(value) = parameters.value("requirepeer") {
        return Err(
            Error::usage(format!("{}: requirepeer is not supported", value.origin))
                .mend("leave it out"),
        );
    }
    Ok(Host::Socket(PathBuf::from(host)))
}

/// Gives every endpoint its password: the one given, else the one of the password file.
fn find_passwords(
    endpoints: &mut [Endpoint],
    parameters: &Parameters,
    around: &dyn Surroundings,
    database: &str,
    user: &str,
) {
    if let Some(given) = parameters.get("password") {
        let password = Password {
            bytes: given.as_bytes().to_vec(),
            file: None,
        };
        endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.password = Some(password.clone()));
        return;
    }
    let path = match parameters.get("passfile") {
        Some(path) => Some(PathBuf::from(path)),
        None => home(around).map(|home| home.join(".pgpass")),
    };
    let Some(file) = path.and_then(|path| Passfile::read(&path, around)) else {
        return;
    };
    for endpoint in endpoints {
        let host = match &endpoint.host {
            Host::Tcp { name, .. } => name.clone(),
            Host::Socket(directory) => socket_name(directory),
        };
        endpoint.password = file
            .password(&host, endpoint.port, database, user)
            .map(|bytes| Password {
                bytes,
                file: Some(file.path.clone()),
            });
    }
}

/// The name under which a password file has a socket directory: without a trailing slash, where
/// that makes it the default one.
fn socket_name(directory: &Path) -> String {
    let name = directory.to_string_lossy();
    match name.strip_suffix('/') {
        Some(trimmed) if is_default_socket_directory(trimmed) => trimmed.to_string(),
        _ => name.into_owned(),
    }
}
