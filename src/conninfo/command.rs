//! Makes a program that uses libpq (pg_dump, pg_restore, psql) connect as we do.

use std::path::Path;
use std::process::Command;

use super::Conninfo;
use super::keyword::{KEYWORDS, Treatment};
use super::settings::{Host, Settings};

impl Conninfo {
    /// Adds `--dbname` to a command, and sets its PG* variables. Nothing secret stands on the
    /// command line, which every user of the machine may read; and no variable that was meant for
    /// the other side remains. `passfile` holds what [`Conninfo::passfile`] gives.
    pub fn prepare_command(
        &self,
        command: &mut Command,
        application_name: &str,
        passfile: Option<&Path>,
    ) {
        for keyword in KEYWORDS {
            let Some(variable) = keyword.variable else {
                continue;
            };
            match self.parameters.get(keyword.name) {
                Some(text) if keyword.treatment == Treatment::Used => command.env(variable, text),
                _ => command.env_remove(variable),
            };
        }
        // What a service said is among the parameters already.
        command
            .env_remove("PGSERVICE")
            .env_remove("PGSERVICEFILE")
            .env_remove("PGREQUIRESSL");
        if let Some(path) = passfile {
            command.env_remove("PGPASSWORD").env("PGPASSFILE", path);
        }
        command
            .env("PGAPPNAME", application_name)
            .env("PGUSER", self.user());
        let hosts = &self.settings.endpoints;
        let ports: Vec<String> = hosts.iter().map(|host| host.port.to_string()).collect();
        command
            .env("PGHOST", host_list(&self.settings))
            .env("PGPORT", ports.join(","));
        if let Some(limit) = self.settings.connect_timeout {
            command.env("PGCONNECT_TIMEOUT", limit.as_secs().to_string());
        }
        if self.parameters.get("sslpassword").is_some() {
            log::warn!("sslpassword cannot be handed to other programs; they may ask for it");
        }
        command.arg(format!("--dbname={}", self.command_dbname()));
    }

    /// Returns the contents of a password file with the password that was given, if one was and it fits into a
    /// line: libpq's password file knows no way to write a line break.
    pub fn passfile(&self) -> Option<String> {
        let password = self.parameters.get("password")?;
        let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
        (!password.contains(['\n', '\r'])).then(|| format!("*:*:*:*:{escaped}\n"))
    }

    /// The database, and what has no variable.
    fn command_dbname(&self) -> String {
        let mut words = vec![format!("dbname={}", quoted(self.database()))];
        match self.settings.keepalives {
            Some(keepalives) => {
                words.push(format!("keepalives_idle={}", keepalives.idle.as_secs()));
                words.push(format!(
                    "keepalives_interval={}",
                    keepalives.interval.as_secs()
                ));
                words.push(format!("keepalives_count={}", keepalives.count));
            }
            None => words.push("keepalives=0".to_string()),
        }
        if let Some(limit) = self.settings.tcp_user_timeout {
            words.push(format!("tcp_user_timeout={}", limit.as_millis()));
        }
        words.join(" ")
    }
}

fn host_list(settings: &Settings) -> String {
    let names = settings
        .endpoints
        .iter()
        .map(|endpoint| match &endpoint.host {
            Host::Tcp { name, .. } => name.clone(),
            Host::Socket(directory) => directory.to_string_lossy().into_owned(),
        });
    names.collect::<Vec<_>>().join(",")
}

/// Quotes a value for a connection string.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}
