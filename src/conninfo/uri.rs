//! The URI form of a connection string (libpq manual 34.1.1.2).
//!
//! `postgresql://[user[:password]@][host][:port][,…][/dbname][?param=value&…]`, every part may be
//! missing, every part may be percent-encoded. Nothing of a malformed URI is repeated in a message:
//! where a character of a password was not encoded, any part may be a piece of it.

use super::keyword::{self, Parameters};
use super::parse::{set, usage};
use crate::error::{Error, Result};

/// Returns what follows `postgresql://` or `postgres://`, if the text is a URI of ours.
pub(super) fn after_scheme(text: &str) -> Option<&str> {
    ["postgresql://", "postgres://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
}

/// Reads what follows the scheme.
pub(super) fn parse(text: &str, origin: &str) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    let after_user = user_info(&mut parameters, text, origin)?;
    let end = after_user.find(['/', '?']).unwrap_or(after_user.len());
    let (hosts, tail) = after_user.split_at(end);
    host_list(&mut parameters, hosts, origin)?;

    let (path, query) = match tail.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (tail, None),
    };
    let dbname = path.strip_prefix('/').unwrap_or_default();
    if dbname.contains('@') {
        return Err(unencoded(origin, "the database name holds \"@\""));
    }
    put(&mut parameters, "dbname", dbname, origin)?;
    if let Some(query) = query {
        parameter_list(&mut parameters, query, origin)?;
    }
    Ok(parameters)
}

/// Reads `user:password@`; returns what follows. As in libpq the first `@` ends it, and a `/`
/// before any `@` says that there is none.
fn user_info<'a>(parameters: &mut Parameters, text: &'a str, origin: &str) -> Result<&'a str> {
    let Some(end) = text
        .find(['@', '/'])
        .filter(|at| text[*at..].starts_with('@'))
    else {
        return Ok(text);
    };
    let (user, password) = match text[..end].split_once(':') {
        Some((user, password)) => (user, password),
        None => (&text[..end], ""),
    };
    put(parameters, "user", user, origin)?;
    put(parameters, "password", password, origin)?;
    Ok(&text[end + 1..])
}

/// Reads `host:port,host:port`; an IPv6 address stands in brackets.
fn host_list(parameters: &mut Parameters, text: &str, origin: &str) -> Result<()> {
    if text.contains('@') {
        return Err(unencoded(origin, "the host holds \"@\""));
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        let (host, port) = host_and_port(part, origin)?;
        hosts.push(host);
        ports.push(port);
    }
    // Joined first and decoded then, as libpq does. A list of empty parts is still a list.
    put(parameters, "host", &hosts.join(","), origin)?;
    put(parameters, "port", &ports.join(","), origin)
}

fn host_and_port<'a>(part: &'a str, origin: &str) -> Result<(&'a str, &'a str)> {
    let Some(bracketed) = part.strip_prefix('[') else {
        let (host, port) = part.split_once(':').unwrap_or((part, ""));
        return check_port(port, origin).map(|()| (host, port));
    };
    let Some((host, after)) = bracketed.split_once(']') else {
        return Err(usage(
            origin,
            "\"]\" is missing after an IPv6 address in the URI",
        ));
    };
    if host.is_empty() {
        return Err(usage(origin, "an IPv6 address in the URI is empty"));
    }
    match after.strip_prefix(':') {
        Some(port) => check_port(port, origin).map(|()| (host, port)),
        None if after.is_empty() => Ok((host, "")),
        None => Err(usage(
            origin,
            "an IPv6 address in the URI is followed by neither \":\" nor \"/\"",
        )),
    }
}

/// Refuses a port that is no number here, where the password that it may be a piece of (`u:p/w@h`)
/// is known not to have been encoded.
fn check_port(port: &str, origin: &str) -> Result<()> {
    if port
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'%')
    {
        return Ok(());
    }
    Err(unencoded(origin, "the port in the URI is not a number"))
}

fn unencoded(origin: &str, message: &str) -> Error {
    usage(origin, message)
        .mend("in a user name or password write %40 for \"@\", %2F for \"/\", %3A for \":\"")
}

fn parameter_list(parameters: &mut Parameters, query: &str, origin: &str) -> Result<()> {
    let mut previous: Option<String> = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(usage(origin, "a parameter of the URI has no \"=\""));
        };
        if value.contains('=') {
            return Err(usage(origin, "a parameter of the URI has two \"=\"")
                .mend("write %3D for \"=\" in a value"));
        }
        let (name, value) = (decode(name, origin)?, decode(value, origin)?);
        // What JDBC writes, and libpq accepts.
        if name == "ssl" && value == "true" {
            set(parameters, "sslmode", "require", origin, None)?;
        } else {
            set(parameters, &name, &value, origin, previous.as_deref())?;
        }
        previous = Some(name);
    }
    Ok(())
}

/// Sets a part that is not empty: a missing part leaves the word to the PG* variables.
fn put(parameters: &mut Parameters, name: &str, encoded: &str, origin: &str) -> Result<()> {
    if let (false, Some(keyword)) = (encoded.is_empty(), keyword::find(name)) {
        parameters.set(keyword, &decode(encoded, origin)?, origin);
    }
    Ok(())
}

/// Replaces `%xx` by the byte it stands for; the result must be UTF-8 without a zero byte.
fn decode(text: &str, origin: &str) -> Result<String> {
    let wrong = || {
        usage(origin, "the URI holds an invalid percent-encoded character")
            .mend("write %25 for \"%\"")
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = rest.next().and_then(hex_digit).ok_or_else(wrong)?;
        let low = rest.next().and_then(hex_digit).ok_or_else(wrong)?;
        bytes.push(high * 16 + low);
    }
    match String::from_utf8(bytes) {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded),
        _ => Err(wrong()),
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse as parse_text;
    use super::*;

    fn parsed(text: &str) -> Parameters {
        parse_text(text, "--dest").unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        match parse_text(text, "--dest") {
            Ok(_) => panic!("{text} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    /// user, password, host, port, dbname.
    fn five(text: &str) -> [Option<String>; 5] {
        let read = parsed(text);
        ["user", "password", "host", "port", "dbname"].map(|name| read.get(name).map(String::from))
    }

    fn some(words: [&str; 5]) -> [Option<String>; 5] {
        words.map(|word| Some(word.to_string()).filter(|word| !word.is_empty()))
    }

    #[test]
    fn every_part_may_be_there_or_missing() {
        assert_eq!(
            five("postgresql://u:p@h:1/d"),
            some(["u", "p", "h", "1", "d"])
        );
        assert_eq!(five("postgres://h"), some(["", "", "h", "", ""]));
        assert_eq!(five("postgresql://"), some(["", "", "", "", ""]));
        assert_eq!(five("postgresql:///d"), some(["", "", "", "", "d"]));
        assert_eq!(five("postgresql://u@/d"), some(["u", "", "", "", "d"]));
        assert_eq!(five("postgresql://u:@h/"), some(["u", "", "h", "", ""]));
        assert_eq!(five("postgresql://:7/"), some(["", "", "", "7", ""]));
        assert_eq!(five("postgresql://h?user=x"), some(["x", "", "h", "", ""]));
    }

    #[test]
    fn several_hosts_keep_their_ports() {
        assert_eq!(
            five("postgresql://a:1,b,c:3/d"),
            some(["", "", "a,b,c", "1,,3", "d"])
        );
        assert_eq!(
            five("postgresql://[::1]:1,[fe80::2%25eth0]/d")[2].as_deref(),
            Some("::1,fe80::2%eth0")
        );
    }

    #[test]
    fn percent_encoding_is_undone() {
        let uri = "postgresql://a%40b:p%2F%3A%25w%C3%BC@%2Fvar%2Frun%2Fpostgresql/my%20db";
        assert_eq!(
            five(uri),
            some(["a@b", "p/:%wü", "/var/run/postgresql", "", "my db"])
        );
    }

    #[test]
    fn parameters_follow_the_question_mark() {
        let read =
            parsed("postgresql:///d?host=/tmp&connect_timeout=3&options=-c%20a%3Db&ssl=true");
        assert_eq!(read.get("host"), Some("/tmp"));
        assert_eq!(read.get("connect_timeout"), Some("3"));
        assert_eq!(read.get("options"), Some("-c a=b"));
        assert_eq!(read.get("sslmode"), Some("require"));
    }

    #[test]
    fn an_unknown_parameter_is_named_with_the_nearest() {
        let said = refused("postgresql://h/d?sslmod=require");
        assert!(
            said.ends_with("\"sslmod\"; did you mean \"sslmode\"?"),
            "{said}"
        );
    }

    #[test]
    fn a_malformed_uri_is_never_repeated() {
        for uri in [
            "postgresql://u:secret/x@h/d",
            "postgresql://u:12/secret@h/d",
            "postgresql://u:a@secret@h/d",
            "postgresql://u:secret%zz@h/d",
            "postgresql://u:secret%00@h/d",
            "postgresql://u:secret%ff@h/d",
            "postgresql://[secret/d",
            "postgresql://[::1]secret/d",
            "postgresql://[]:5432/secret",
            "postgresql://h:54secret/d",
            "postgresql://h/d?password=a&secret",
            "postgresql://h/d?password=a&secret=b",
            "postgresql://h/d?password=a=secret",
            "postgresql://h/d?sec%72et-x=1",
        ] {
            let said = refused(uri);
            assert!(!said.contains("secret"), "{uri} → {said}");
        }
    }
}
