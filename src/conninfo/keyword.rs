//! The parameters libpq 18 knows, the variable each has, and the map from keyword to value.
//!
//! Source of the list: the libpq manual, 34.1.2 "Parameter Key Words" and 34.15 "Environment
//! Variables". A keyword that has no effect here is still accepted, so that a connection string
//! that works with psql works with us.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What we do with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// It shapes the connection.
    Used,
    /// It cannot change what we do; a debug message says that it was left aside.
    LeftAside,
}

/// One row of libpq's table of connection parameters.
#[derive(Debug)]
pub(super) struct Keyword {
    /// As written in a connection string.
    pub name: &'static str,
    /// The environment variable that fills it in, if it has one.
    pub variable: Option<&'static str>,
    /// What we do with it.
    pub treatment: Treatment,
}

const fn used(name: &'static str, variable: &'static str) -> Keyword {
    Keyword {
        name,
        variable: Some(variable),
        treatment: Treatment::Used,
    }
}

const fn used_without_variable(name: &'static str) -> Keyword {
    Keyword {
        name,
        variable: None,
        treatment: Treatment::Used,
    }
}

const fn left_aside(name: &'static str, variable: Option<&'static str>) -> Keyword {
    Keyword {
        name,
        variable,
        treatment: Treatment::LeftAside,
    }
}

/// All keywords, in the order of libpq's own table.
pub(super) const KEYWORDS: &[Keyword] = &[
    used("service", "PGSERVICE"),
    used("servicefile", "PGSERVICEFILE"),
    used("user", "PGUSER"),
    used("password", "PGPASSWORD"),
    used("passfile", "PGPASSFILE"),
    used("channel_binding", "PGCHANNELBINDING"),
    used("connect_timeout", "PGCONNECT_TIMEOUT"),
    used("dbname", "PGDATABASE"),
    used("host", "PGHOST"),
    used("hostaddr", "PGHOSTADDR"),
    used("port", "PGPORT"),
    // Always UTF8: values are moved as they are, and messages are shown as UTF-8.
    left_aside("client_encoding", Some("PGCLIENTENCODING")),
    used("options", "PGOPTIONS"),
    // Every connection of the tool says by its own name what it does.
    left_aside("application_name", Some("PGAPPNAME")),
    left_aside("fallback_application_name", None),
    used_without_variable("keepalives"),
    used_without_variable("keepalives_idle"),
    used_without_variable("keepalives_interval"),
    used_without_variable("keepalives_count"),
    used_without_variable("tcp_user_timeout"),
    used("sslmode", "PGSSLMODE"),
    used("sslnegotiation", "PGSSLNEGOTIATION"),
    left_aside("sslcompression", Some("PGSSLCOMPRESSION")),
    used("sslcert", "PGSSLCERT"),
    used("sslkey", "PGSSLKEY"),
    used("sslcertmode", "PGSSLCERTMODE"),
    used_without_variable("sslpassword"),
    used("sslrootcert", "PGSSLROOTCERT"),
    used("sslcrl", "PGSSLCRL"),
    used("sslcrldir", "PGSSLCRLDIR"),
    used("sslsni", "PGSSLSNI"),
    used("requirepeer", "PGREQUIREPEER"),
    used("require_auth", "PGREQUIREAUTH"),
    used("min_protocol_version", "PGMINPROTOCOLVERSION"),
    left_aside("max_protocol_version", Some("PGMAXPROTOCOLVERSION")),
    used("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    used("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    used("gssencmode", "PGGSSENCMODE"),
    left_aside("krbsrvname", Some("PGKRBSRVNAME")),
    left_aside("gsslib", Some("PGGSSLIB")),
    left_aside("gssdelegation", Some("PGGSSDELEGATION")),
    used_without_variable("replication"),
    used("target_session_attrs", "PGTARGETSESSIONATTRS"),
    used("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    used_without_variable("scram_client_key"),
    used_without_variable("scram_server_key"),
    left_aside("oauth_issuer", None),
    left_aside("oauth_client_id", None),
    left_aside("oauth_client_secret", None),
    left_aside("oauth_scope", None),
    left_aside("sslkeylogfile", None),
];

/// What people write who come from another client, and what libpq calls it.
const MISNOMERS: &[(&str, &str)] = &[
    ("username", "user"),
    ("role", "user"),
    ("database", "dbname"),
    ("db", "dbname"),
    ("pass", "password"),
    ("pwd", "password"),
    ("hostname", "host"),
    ("server", "host"),
    ("address", "hostaddr"),
    ("ssl_mode", "sslmode"),
    ("timeout", "connect_timeout"),
    ("keepalives_retries", "keepalives_count"),
];

/// Finds the table's row for a word.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

/// Returns the keyword that was probably meant, if one is near enough.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    if let Some((_, meant)) = MISNOMERS.iter().find(|(wrong, _)| *wrong == name) {
        return Some(meant);
    }
    let (distance, nearest) = KEYWORDS
        .iter()
        .map(|keyword| (edit_distance(&name, keyword.name), keyword.name))
        .min()?;
    // Half of the word wrong is another word.
    (distance * 2 <= nearest.len()).then_some(nearest)
}

/// Counts the insertions, deletions and replacements that turn `from` into `to`.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

/// A value and where it was written, for messages ("--source", "PGPORT").
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Value {
    /// The text, unquoted. May be empty, which libpq takes as "the default, whatever PG* says".
    pub text: String,
    /// Where it comes from.
    pub origin: String,
}

/// Connection parameters by keyword. Has no `Debug`: it holds passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Parameters(BTreeMap<&'static str, Value>);

impl Parameters {
    /// Sets a parameter; the last one written wins, as in libpq.
    pub fn set(&mut self, keyword: &'static Keyword, text: &str, origin: &str) {
        if keyword.treatment == Treatment::LeftAside {
            log::debug!("{origin}: {} has no effect here", keyword.name);
        }
        self.0.insert(keyword.name, value(text, origin));
    }

    /// Sets a parameter that nothing before has set.
    pub fn fill(&mut self, keyword: &'static Keyword, text: &str, origin: &str) {
        if let Entry::Vacant(vacant) = self.0.entry(keyword.name) {
            vacant.insert(value(text, origin));
        }
    }

    /// Sets each parameter of `other` that nothing before has set.
    pub fn fill_from(&mut self, other: Parameters) {
        for (name, value) in other.0 {
            self.0.entry(name).or_insert(value);
        }
    }

    /// Returns a parameter that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.value(name).map(|value| value.text.as_str())
    }

    /// Returns a parameter that is set and not empty, with its origin.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.text.is_empty())
    }

    /// Returns true if the parameter is set, be it to the empty string.
    #[cfg(test)]
    pub fn is_set(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

fn value(text: &str, origin: &str) -> Value {
    Value {
        text: text.to_string(),
        origin: origin.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_keyword_finds_the_one_that_was_meant() {
        assert_eq!(nearest("hots"), Some("host"));
        assert_eq!(nearest("sslmod"), Some("sslmode"));
        assert_eq!(nearest("database"), Some("dbname"));
        assert_eq!(nearest("Password"), Some("password"));
        assert_eq!(nearest("zzzzzz"), None);
    }

    #[test]
    fn no_keyword_stands_twice_in_the_table() {
        let mut names: Vec<_> = KEYWORDS.iter().map(|keyword| keyword.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
