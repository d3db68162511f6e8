//! Reads a connection string: a URI, `key=value` pairs, or a plain database name.
//!
//! The rules are libpq's (manual 34.1.1). Where a word might be a piece of a password that was
//! not quoted or percent-encoded, messages do not repeat it: an error is read by others than the
//! one who made it.

use super::keyword::{self, Parameters};
use super::uri;
use crate::error::{Error, Result};

/// Reads `text`; `origin` is where it was written ("--source") and begins every message.
pub(super) fn parse(text: &str, origin: &str) -> Result<Parameters> {
    let text = text.trim();
    if let Some(rest) = uri::after_scheme(text) {
        return uri::parse(rest, origin);
    }
    let before_equals = text.split('=').next().unwrap_or_default();
    if before_equals.contains("://") {
        return Err(usage(origin, "the URI does not begin with postgresql://"));
    }
    if text.contains('=') {
        return pairs(text, origin);
    }
    plain_word(text, origin)
}

/// Makes a usage error that begins with where the text was written.
pub(super) fn usage(origin: &str, message: &str) -> Error {
    Error::usage(format!("{origin}: {message}"))
}

fn plain_word(text: &str, origin: &str) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    // user:password@host/db without its scheme is no database name, and would be shown as one.
    if text.contains('@') {
        return Err(usage(
            origin,
            "this is neither a URI, nor key=value pairs, nor a database name",
        )
        .mend("begin a URI with postgresql://"));
    }
    set(&mut parameters, "dbname", text, origin, None)?;
    Ok(parameters)
}

/// Sets a keyword that must be one of libpq's. `previous` is the keyword before it: what follows
/// a password may be a part of it, and is not repeated.
pub(super) fn set(
    parameters: &mut Parameters,
    name: &str,
    value: &str,
    origin: &str,
    previous: Option<&str>,
) -> Result<()> {
    if let Some(keyword) = keyword::find(name) {
        if value.contains('\0') {
            return Err(usage(origin, &format!("{name} contains a zero byte")));
        }
        parameters.set(keyword, value, origin);
        return Ok(());
    }
    Err(unknown_keyword(name, origin, previous))
}

fn unknown_keyword(name: &str, origin: &str, previous: Option<&str>) -> Error {
    let is_word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if previous.is_some_and(holds_secret) || !is_word || name.len() > 40 {
        return usage(origin, "a word before \"=\" is not a connection parameter")
            .mend("quote a value with blanks, or percent-encode it in a URI");
    }
    let error = usage(origin, &format!("unknown connection parameter \"{name}\""));
    match keyword::nearest(name) {
        Some(meant) => error.mend(format!("did you mean \"{meant}\"?")),
        None => error,
    }
}

fn holds_secret(keyword: &str) -> bool {
    keyword.contains("pass") || keyword.contains("secret") || keyword.contains("pwd")
}

/// Reads `key = value` pairs, values quoted with `'` where they hold blanks, `\` before `'` and `\`.
fn pairs(text: &str, origin: &str) -> Result<Parameters> {
    let mut parameters = Parameters::default();
    let mut rest = text;
    let mut previous: Option<String> = None;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_ascii_whitespace())
            .unwrap_or(rest.len());
        let name = &rest[..end];
        let Some(after) = rest[end..].trim_ascii_start().strip_prefix('=') else {
            return Err(missing_equals(name, origin, previous.as_deref()));
        };
        let (value, tail) = pair_value(after.trim_ascii_start())
            .ok_or_else(|| usage(origin, "a quoted value has no closing quote"))?;
        set(&mut parameters, name, &value, origin, previous.as_deref())?;
        previous = Some(name.to_string());
        rest = tail.trim_ascii_start();
    }
    Ok(parameters)
}

fn missing_equals(name: &str, origin: &str, previous: Option<&str>) -> Error {
    if keyword::find(name).is_some() && !previous.is_some_and(holds_secret) {
        return usage(origin, &format!("\"=\" is missing after \"{name}\""));
    }
    usage(origin, "a word is not followed by \"=\"").mend("quote a value with blanks: key='a b'")
}

/// Reads one value; returns it and what follows, or None if a quote is not closed.
fn pair_value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut characters = text.char_indices().skip(usize::from(quoted));
    let mut value = String::new();
    while let Some((at, c)) = characters.next() {
        match c {
            '\'' if quoted => return Some((value, &text[at + 1..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            c if !quoted && c.is_ascii_whitespace() => return Some((value, &text[at..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parameters {
        parse(text, "--source").unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str) -> String {
        match parse(text, "--source") {
            Ok(_) => panic!("{text} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn pairs_are_read_with_quotes_backslashes_and_blanks() {
        let read = parsed(r" host = db  port=5433 password='a b\'c\\d' user=o\'neill dbname='' ");
        assert_eq!(read.get("host"), Some("db"));
        assert_eq!(read.get("port"), Some("5433"));
        assert_eq!(read.get("password"), Some(r"a b'c\d"));
        assert_eq!(read.get("user"), Some("o'neill"));
        assert!(read.is_set("dbname"));
        assert_eq!(read.get("dbname"), None);
    }

    #[test]
    fn the_last_of_two_equal_keywords_wins() {
        assert_eq!(parsed("port=1 port=2").get("port"), Some("2"));
    }

    #[test]
    fn a_plain_word_is_a_database_name() {
        assert_eq!(parsed("app").get("dbname"), Some("app"));
        assert_eq!(parsed("my app").get("dbname"), Some("my app"));
    }

    #[test]
    fn a_dbname_is_not_expanded() {
        let read = parsed("dbname='host=elsewhere' host=here");
        assert_eq!(read.get("host"), Some("here"));
        assert_eq!(read.get("dbname"), Some("host=elsewhere"));
    }

    #[test]
    fn an_unknown_keyword_is_named_with_the_nearest() {
        let said = refused("hots=db");
        assert_eq!(
            said,
            "--source: unknown connection parameter \"hots\"; did you mean \"host\"?"
        );
    }

    #[test]
    fn every_keyword_of_libpq_18_is_accepted() {
        for keyword in keyword::KEYWORDS {
            let read = parsed(&format!("{}=1", keyword.name));
            assert!(read.is_set(keyword.name), "{}", keyword.name);
        }
    }

    #[test]
    fn a_piece_of_a_password_is_never_repeated() {
        for text in [
            "password=my secret host=db",
            "password=my secret=1 host=db",
            "host=db password='secret",
            "user:secret@host/db",
            "jdbc:postgresql://h/db?password=secret",
            "mysql://u:secret@h/db",
            "password=x secret",
            "host=db my$secret=3",
        ] {
            let said = refused(text);
            assert!(!said.contains("secret"), "{text} → {said}");
            assert!(!said.contains('\n'));
        }
    }
}
