//! Quoting of identifiers and literals for SQL that is put together here.
//!
//! Every identifier is quoted, always: no list of reserved words to keep in step with a server.

use std::fmt;

/// A schema-qualified name. `Display` gives it quoted, ready for SQL and for messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QualifiedName {
    /// The schema, as in `pg_namespace.nspname`.
    pub schema: String,
    /// The relation, as in `pg_class.relname`.
    pub name: String,
}

impl QualifiedName {
    /// Makes a name from its two raw (unquoted) parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> QualifiedName {
        QualifiedName {
            schema: schema.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", ident(&self.schema), ident(&self.name))
    }
}

/// Quotes an identifier.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string literal, as `quote_literal()` does: with `E` where there are backslashes, so
/// that it means the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// Quotes a list of identifiers, separated by commas.
pub fn ident_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(ident).collect::<Vec<_>>().join(", ")
}

/// Returns a text as part of one line: a name, or the value of a key, may hold line breaks and whatever
/// else would make a terminal do something.
pub fn visible(text: &str) -> String {
    let unsafe_to_show = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if unsafe_to_show(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_are_doubled() {
        assert_eq!(
            ident("Robert'); DROP \"x\""),
            "\"Robert'); DROP \"\"x\"\"\""
        );
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\b'"), "E'a\\\\b'''");
        assert_eq!(QualifiedName::new("a.b", "c").to_string(), "\"a.b\".\"c\"");
    }

    #[test]
    fn what_is_shown_stays_in_its_line() {
        assert_eq!(visible("a\nb\u{1b}[2J ö '\\'"), "a\\nb\\u{1b}[2J ö '\\'");
    }
}
