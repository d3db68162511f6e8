//! `-n -N -t -T` patterns as `pg_dump` and psql's `\d` read them (psql manual, "Patterns"): `*` and
//! `?` are wildcards, a dot parts schema and table, letters fold to lower case outside double quotes.

use super::Relation;
use crate::error::{Error, Result};
use crate::ident::QualifiedName;

/// Characters with a meaning in psql's patterns that is not built here.
const REGULAR_EXPRESSION: &str = "[](){}|+^\\";

/// Which relations a command is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// A pattern of `-n` or `-t` that matches nothing is an error, for it may be a typo.
    strict: bool,
    schemas: Vec<Pattern>,
    exclude_schemas: Vec<Pattern>,
    tables: Vec<Pattern>,
    exclude_tables: Vec<Pattern>,
}

/// A pattern for a schema or, with both parts, for a table.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    schema: Option<Vec<Token>>,
    name: Vec<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Any,
}

impl Selection {
    /// Reads the patterns of the four options.
    ///
    /// # Errors
    /// Usage: a pattern that cannot be read, named with its option.
    pub fn parse(
        schemas: &[String],
        exclude_schemas: &[String],
        tables: &[String],
        exclude_tables: &[String],
    ) -> Result<Selection> {
        let all = |option: &str, texts: &[String], parts: usize| {
            texts
                .iter()
                .map(|text| Pattern::parse(option, text, parts))
                .collect::<Result<Vec<_>>>()
        };
        Ok(Selection {
            strict: true,
            schemas: all("--schema", schemas, 1)?,
            exclude_schemas: all("--exclude-schema", exclude_schemas, 1)?,
            tables: all("--table", tables, 2)?,
            exclude_tables: all("--exclude-table", exclude_tables, 2)?,
        })
    }

    /// Returns the patterns as the state row keeps them: option letter and pattern, `t=public.x*`.
    pub fn to_stored(&self) -> Vec<String> {
        let lists = [
            ("n", &self.schemas),
            ("N", &self.exclude_schemas),
            ("t", &self.tables),
            ("T", &self.exclude_tables),
        ];
        let stored = |(letter, patterns): (&str, &Vec<Pattern>)| {
            patterns
                .iter()
                .map(|pattern| format!("{letter}={}", pattern.text))
                .collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(stored).collect()
    }

    /// Reads what [`Selection::to_stored`] wrote.
    ///
    /// # Errors
    /// A pattern that cannot be read.
    pub fn from_stored(stored: &[String]) -> Result<Selection> {
        let list = |letter: char| -> Vec<String> {
            let of = |text: &String| {
                text.strip_prefix(letter)?
                    .strip_prefix('=')
                    .map(String::from)
            };
            stored.iter().filter_map(of).collect()
        };
        let selection = Selection::parse(&list('n'), &list('N'), &list('t'), &list('T'))?;
        // What it matched once may have been dropped since, which is for the look at drift to say.
        Ok(Selection {
            strict: false,
            ..selection
        })
    }

    /// Returns true if nothing is left out.
    pub fn takes_all(&self) -> bool {
        self.schemas.is_empty()
            && self.exclude_schemas.is_empty()
            && self.tables.is_empty()
            && self.exclude_tables.is_empty()
    }

    /// Returns true if a schema as a whole is taken in. As in `pg_dump`, `-t` leaves out whatever it
    /// does not name, and `-n` and `-N` say nothing then.
    pub fn takes_schema(&self, schema: &str) -> bool {
        self.tables.is_empty()
            && (self.schemas.is_empty() || any(&self.schemas, schema))
            && !any(&self.exclude_schemas, schema)
    }

    fn takes(&self, name: &QualifiedName) -> bool {
        let wanted = if self.tables.is_empty() {
            self.takes_schema(&name.schema)
        } else {
            self.tables
                .iter()
                .any(|pattern| pattern.matches_table(name))
        };
        wanted
            && !self
                .exclude_tables
                .iter()
                .any(|pattern| pattern.matches_table(name))
    }

    /// Drops what is not taken in.
    ///
    /// # Errors
    /// A pattern of `-n` or `-t` that matches nothing: a typo there would leave tables behind.
    pub(super) fn apply(
        &self,
        relations: &mut Vec<Relation>,
        foreign_tables: &mut Vec<QualifiedName>,
    ) -> Result<()> {
        for (option, patterns) in [("--schema", &self.schemas), ("--table", &self.tables)] {
            for pattern in patterns.iter().filter(|_| self.strict) {
                let matched = relations.iter().any(|relation| match option {
                    "--schema" => matches(&pattern.name, &relation.name.schema),
                    _ => pattern.matches_table(&relation.name),
                });
                if !matched {
                    return Err(Error::usage(format!(
                        "no table matches {option}={}",
                        pattern.text
                    ))
                    .mend("a partition is taken in with its root; check the spelling"));
                }
            }
        }
        relations.retain(|relation| self.takes(&relation.name));
        foreign_tables.retain(|name| self.takes(name));
        Ok(())
    }
}

fn any(patterns: &[Pattern], schema: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| matches(&pattern.name, schema))
}

impl Pattern {
    fn parse(option: &str, text: &str, most_parts: usize) -> Result<Pattern> {
        let wrong = |why: &str| Error::usage(format!("cannot read {option}={text}: {why}"));
        let mut parts = vec![Vec::new()];
        let mut quoted = false;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let Some(part) = parts.last_mut() else { break };
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    part.push(Token::Literal('"'));
                }
                '"' => quoted = !quoted,
                _ if quoted => part.push(Token::Literal(character)),
                '.' => parts.push(Vec::new()),
                '*' => part.push(Token::Any),
                '?' => part.push(Token::One),
                _ if REGULAR_EXPRESSION.contains(character) => {
                    return Err(
                        wrong("of the special characters only * and ? are supported")
                            .mend("put a name that holds others into double quotes"),
                    );
                }
                // PostgreSQL folds ASCII letters only, in every encoding it is safe in.
                _ => part.push(Token::Literal(character.to_ascii_lowercase())),
            }
        }
        if quoted {
            return Err(wrong("a double quote is not closed"));
        }
        if parts.iter().any(Vec::is_empty) {
            return Err(wrong("a name is empty"));
        }
        if parts.len() > most_parts {
            return Err(
                wrong("too many dots").mend("put a name that holds a dot into double quotes")
            );
        }
        let name = parts.pop().unwrap_or_default();
        Ok(Pattern {
            text: text.to_string(),
            schema: parts.pop(),
            name,
        })
    }

    fn matches_table(&self, name: &QualifiedName) -> bool {
        self.schema
            .as_ref()
            .is_none_or(|schema| matches(schema, &name.schema))
            && matches(&self.name, &name.name)
    }
}

fn matches(tokens: &[Token], text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    // reachable[i]: the tokens so far match the first i characters.
    let mut reachable = vec![false; characters.len() + 1];
    reachable[0] = true;
    for token in tokens {
        let mut next = vec![false; reachable.len()];
        for (index, _) in reachable
            .iter()
            .enumerate()
            .filter(|(_, reached)| **reached)
        {
            match token {
                Token::Any => next[index..].fill(true),
                Token::One if index < characters.len() => next[index + 1] = true,
                Token::Literal(wanted) if characters.get(index) == Some(wanted) => {
                    next[index + 1] = true;
                }
                Token::One | Token::Literal(_) => {}
            }
        }
        reachable = next;
    }
    reachable.last().copied().unwrap_or(false)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn selection(
        schemas: &[&str],
        not_schemas: &[&str],
        tables: &[&str],
        not: &[&str],
    ) -> Selection {
        let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        Selection::parse(&own(schemas), &own(not_schemas), &own(tables), &own(not)).unwrap()
    }

    fn takes(selection: &Selection, schema: &str, name: &str) -> bool {
        selection.takes(&QualifiedName::new(schema, name))
    }

    #[test]
    fn wildcards_quotes_and_folding_are_those_of_pg_dump() {
        let some = selection(
            &[],
            &[],
            &["Sales.ord*", "\"Odd.Name\"", "x?z"],
            &["*.orders_old"],
        );
        assert!(takes(&some, "sales", "orders"));
        assert!(!takes(&some, "sales", "Orders"));
        assert!(!takes(&some, "sales", "orders_old"));
        assert!(takes(&some, "any", "Odd.Name"));
        assert!(takes(&some, "any", "xyz") && !takes(&some, "any", "xz"));
    }

    #[test]
    fn schemas_are_taken_in_and_left_out() {
        let some = selection(&["s*"], &["secret"], &[], &[]);
        assert!(takes(&some, "sales", "x") && !takes(&some, "secret", "x"));
        assert!(!takes(&some, "public", "x"));
        assert!(takes(&Selection::default(), "public", "x"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for bad in ["", "a..b", "a.b.c", "\"a", "a|b"] {
            assert!(
                Selection::parse(&[], &[], &[bad.to_string()], &[]).is_err(),
                "{bad}"
            );
        }
        assert!(Selection::parse(&["a.b".to_string()], &[], &[], &[]).is_err());
    }
}
