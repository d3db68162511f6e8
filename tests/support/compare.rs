//! The independent comparer: whether two databases hold the same, seen as sorted text.
//!
//! It shares no code and no idea with the program's `verify`: each table travels as text COPY, is sorted
//! bytewise here, and compared line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::Command;

use postgres::Client;

use super::cluster::Cluster;
use super::pair::{DATABASE, Pair};
use super::servers;

/// How many lines of each kind a difference shows per table.
const SHOWN: usize = 5;

/// So that equal values have equal texts on every version.
const SETTINGS: &str = "
SET search_path = '';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET xmloption = 'content';
SET row_security = off;
SET client_encoding = 'UTF8';
SET statement_timeout = 0;
";

/// Ordinary tables, leaves of partitioned ones among them, with their columns in the order of their names.
const TABLES: &str = "
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
       coalesce((SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attname)
                 FROM pg_catalog.pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'switchover') AND n.nspname !~ '^pg_'
ORDER BY 1";

const SEQUENCES: &str = "
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'switchover') AND n.nspname !~ '^pg_'
ORDER BY 1";

/// Everything a database holds, as text.
struct Contents {
    // Columns and sorted lines by table.
    tables: BTreeMap<String, (String, Vec<Vec<u8>>)>,
    // "last_value is_called" by sequence.
    sequences: BTreeMap<String, String>,
}

/// Demands that both databases of a pair hold the same rows and sequences. Schema `switchover` does not
/// count, nor does anything temporary.
///
/// # Panics
/// With every difference.
pub fn assert_equal(pair: &Pair) {
    assert_equal_except(pair, &[]);
}

/// Like [`assert_equal`], but leaves out some relations (named as `quote_ident` would write them, with
/// their schema).
pub fn assert_equal_except(pair: &Pair, except: &[&str]) {
    let found = differences(pair, except);
    assert!(
        found.is_empty(),
        "the databases differ:\n{}",
        found.join("\n")
    );
}

/// Lists how the destination differs from the source, in rows and sequences.
pub fn differences(pair: &Pair, except: &[&str]) -> Vec<String> {
    differences_of(
        &mut pair.source_client(),
        &mut pair.destination_client(),
        except,
    )
}

/// Lists how the database of the second session differs from that of the first.
pub fn differences_of(
    source: &mut Client,
    destination: &mut Client,
    except: &[&str],
) -> Vec<String> {
    let (source, destination) = (
        read_contents(source, except),
        read_contents(destination, except),
    );
    let mut found = Vec::new();
    for name in keys(&source.tables, &destination.tables) {
        match (source.tables.get(name), destination.tables.get(name)) {
            (Some(source), Some(destination)) => {
                compare_table(name, source, destination, &mut found);
            }
            (Some(_), None) => found.push(format!("table {name} is missing on the destination")),
            _ => found.push(format!("table {name} exists on the destination only")),
        }
    }
    for name in keys(&source.sequences, &destination.sequences) {
        let (source, destination) = (source.sequences.get(name), destination.sequences.get(name));
        if source != destination {
            found.push(format!(
                "sequence {name}: source {source:?}, destination {destination:?}"
            ));
        }
    }
    found
}

fn keys<'a, T>(one: &'a BTreeMap<String, T>, other: &'a BTreeMap<String, T>) -> BTreeSet<&'a str> {
    one.keys().chain(other.keys()).map(String::as_str).collect()
}

/// Reads both kinds of contents in one snapshot (sequences are outside of snapshots).
fn read_contents(client: &mut Client, except: &[&str]) -> Contents {
    client.batch_execute(SETTINGS).expect("settings");
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .expect("begin");
    let mut tables = BTreeMap::new();
    for row in client.query(TABLES, &[]).expect("list of tables") {
        let (name, columns): (String, String) = (row.get(0), row.get(1));
        if !except.contains(&name.as_str()) {
            let lines = read_table(client, &name, &columns);
            tables.insert(name, (columns, lines));
        }
    }
    let mut sequences = BTreeMap::new();
    for row in client.query(SEQUENCES, &[]).expect("list of sequences") {
        let name: String = row.get(0);
        if !except.contains(&name.as_str()) {
            let sql = format!("SELECT last_value, is_called FROM {name}");
            let row = client.query_one(&sql, &[]).expect("sequence");
            let (value, called): (i64, bool) = (row.get(0), row.get(1));
            sequences.insert(name, format!("{value} {called}"));
        }
    }
    client.batch_execute("COMMIT").expect("commit");
    Contents { tables, sequences }
}

/// Generated columns are among the columns: COPY of a query gives them like any other.
fn read_table(client: &mut Client, name: &str, columns: &str) -> Vec<Vec<u8>> {
    let mut text = Vec::new();
    let sql = format!("COPY (SELECT {columns} FROM ONLY {name}) TO STDOUT");
    match client.copy_out(&sql) {
        Ok(mut reader) => reader.read_to_end(&mut text).map(|_| ()),
        Err(error) => panic!("cannot read {name}: {error:?}"),
    }
    .unwrap_or_else(|error| panic!("cannot read {name}: {error:?}"));
    let mut lines: Vec<Vec<u8>> = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        .collect();
    lines.sort_unstable();
    lines
}

fn compare_table(
    name: &str,
    (source_columns, source): &(String, Vec<Vec<u8>>),
    (destination_columns, destination): &(String, Vec<Vec<u8>>),
    found: &mut Vec<String>,
) {
    if source_columns != destination_columns {
        found.push(format!(
            "table {name} has columns {source_columns} on the source, {destination_columns} on the destination"
        ));
        return;
    }
    if source == destination {
        return;
    }
    let (only_source, only_destination) = symmetric_difference(source, destination);
    found.push(format!(
        "table {name} ({source_columns}): {} rows on the source, {} on the destination",
        source.len(),
        destination.len()
    ));
    for (side, lines) in [("source", only_source), ("destination", only_destination)] {
        for line in lines.iter().take(SHOWN) {
            found.push(format!("  {side} only: {}", String::from_utf8_lossy(line)));
        }
        if lines.len() > SHOWN {
            found.push(format!("  {side} only: {} more", lines.len() - SHOWN));
        }
    }
}

/// The lines that stand more often on one side than on the other, of two sorted lists.
fn symmetric_difference<'a>(
    one: &'a [Vec<u8>],
    other: &'a [Vec<u8>],
) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
    let (mut only_one, mut only_other) = (Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while i < one.len() || j < other.len() {
        let order = match (one.get(i), other.get(j)) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        match order {
            std::cmp::Ordering::Less => only_one.push(one[i].as_slice()),
            std::cmp::Ordering::Greater => only_other.push(other[j].as_slice()),
            std::cmp::Ordering::Equal => {}
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    (only_one, only_other)
}

/// Demands that both databases have the same schema, as the newest `pg_dump` writes it: nothing of
/// `switchover`, no comments, order aside. Triggers of the tool do not count.
///
/// # Panics
/// With every statement that only one side has.
pub fn assert_same_schema(pair: &Pair) {
    let mut source = schema(&pair.source, DATABASE);
    let mut destination = schema(&pair.destination, DATABASE);
    // While a switchover is under way its triggers are on both sides.
    source.retain(|statement| !statement.contains(" pg_switchover_"));
    destination.retain(|statement| !statement.contains(" pg_switchover_"));
    if pair.source.version() < 14 {
        destination = without_multiranges(&destination);
    }
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
        a.difference(b).cloned().collect::<Vec<_>>().join("\n")
    };
    assert!(
        source == destination,
        "the schemas differ\n--- source only\n{}\n--- destination only\n{}",
        only(&source, &destination),
        only(&destination, &source)
    );
}

/// The statements of a schema dump, without what depends on the server's version and not on the schema.
pub fn schema(cluster: &Cluster, database: &str) -> BTreeSet<String> {
    let dump = dump_schema(cluster, database, &["-N", "switchover"]);
    let dump = without_names_of_not_null(&dump);
    let lines: Vec<String> = dump
        .lines()
        .filter(|line| !line.starts_with("--") && !line.starts_with('\\'))
        // PostgreSQL 18 names NOT NULL constraints, and repeats inherited ones.
        .filter(|line| !line.starts_with("    NOT NULL "))
        .filter_map(|line| without_attver(line.trim_end_matches(',')))
        .collect();
    // Statements end with a semicolon at a line's end; a blank line stands between them.
    lines
        .join("\n")
        .split(";\n")
        .map(|statement| without_qualifiers(statement.trim()))
        .filter(|statement| {
            !statement.is_empty()
                && !statement.starts_with("SET ")
                && !statement.starts_with("SELECT pg_catalog.set_config(")
        })
        .collect()
}

/// Ranges of a server before 14 have none, and get them on the way.
fn without_multiranges(statements: &BTreeSet<String>) -> BTreeSet<String> {
    let of_range = |line: &&str| !line.starts_with("    multirange_type_name = ");
    statements
        .iter()
        .map(|statement| statement.lines().filter(of_range).collect::<Vec<_>>())
        .map(|lines| lines.join("\n"))
        .collect()
}

/// Debian's 15.20 keeps a number of its own among each column's options, and only its own `pg_dump` hides it.
fn without_attver(line: &str) -> Option<String> {
    let Some((before, rest)) = line.split_once(" SET (pg_attver=") else {
        return Some(line.to_owned());
    };
    let (_, others) = rest.split_once(", ")?;
    Some(format!("{before} SET ({others}"))
}

/// Takes `CONSTRAINT name` off where the name is one that 18 has made up. It may hold anything, lines too.
fn without_names_of_not_null(dump: &str) -> String {
    const WORD: &str = "CONSTRAINT ";
    let mut kept = String::with_capacity(dump.len());
    let mut rest = dump;
    while let Some(at) = rest.find(WORD) {
        let (before, named) = rest.split_at(at);
        kept.push_str(before);
        let name = first_identifier(&named[WORD.len()..]);
        let behind = &named[WORD.len() + name.len()..];
        let made_up = name
            .trim_end_matches(|end: char| end == '"' || end.is_ascii_digit())
            .ends_with("_not_null");
        if made_up && behind.starts_with(" NOT NULL") {
            rest = &behind[1..];
        } else {
            kept.push_str(WORD);
            rest = &named[WORD.len()..];
        }
    }
    kept.push_str(rest);
    kept
}

/// The identifier that a text begins with, as it stands there.
fn first_identifier(text: &str) -> &str {
    let quoted = text.starts_with('"');
    // A doubled quote closes and opens again, which comes to the same.
    let mut open = false;
    let end = text.char_indices().find(|(_, character)| {
        open ^= *character == '"';
        match quoted {
            true => !open && *character != '"',
            false => !character.is_alphanumeric() && *character != '_' && *character != '$',
        }
    });
    end.map_or(text, |(at, _)| &text[..at])
}

/// Takes `table.` off the columns of a view: servers before 16 print it where later ones do not.
fn without_qualifiers(statement: &str) -> String {
    if !statement.starts_with("CREATE VIEW ") && !statement.starts_with("CREATE MATERIALIZED VIEW ")
    {
        return statement.to_owned();
    }
    let mut kept = String::new();
    let mut word = 0;
    for (at, character) in statement.char_indices() {
        let in_word = character.is_alphanumeric() || character == '_';
        let name_follows = statement[at + character.len_utf8()..]
            .starts_with(|next: char| next.is_alphabetic() || next == '_' || next == '"');
        if character == '.' && word > 0 && name_follows {
            kept.truncate(kept.len() - word);
        } else {
            kept.push(character);
        }
        word = if in_word {
            word + character.len_utf8()
        } else {
            0
        };
    }
    kept
}

/// The output of `pg_dump --schema-only` of the newest version, as it is.
pub fn dump_schema(cluster: &Cluster, database: &str, options: &[&str]) -> String {
    let mut command = Command::new(servers::client("pg_dump"));
    servers::without_libpq_variables(&mut command);
    command.arg("--schema-only").args(options).arg("-d");
    servers::output_of(command.arg(cluster.uri(database)))
}
