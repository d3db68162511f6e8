//! Every legal name in every position: the whole way, patterns, and addresses.

use super::judge;
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Outcome;
use crate::support::{compare, thorough};

/// Names that somebody forgot to quote, or quoted wrongly.
const NAMES: &[&str] = &[
    "Robert'); DROP TABLE students;--",
    "double \" quote\"",
    "single ' quote''",
    "new\nline\n; \\q\r\nend -- ",
    "back\\slash \\n \\\\ \\",
    "%s %I %L %1$s %",
    "$$ $1 $body$ $",
    "Zoë 漢字 🙂",
    "a name of sixty-three bytes, which is all that an identifier ge",
    "ein Name aus dreiundsechzig Bytes, nämlich vielen Umlauten ä",
    "UPPER",
    "select",
    "pg_class",
    " blanks at both ends ",
    "dots.and, commas; {0} {} (1) [a-z]* ? | + /* */ #",
    "tab\tand \u{1b}[31m bell \u{7}",
    ":var :'var' @x &y",
    "switchover",
];

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A name with a suffix, still not longer than 63 bytes.
fn with(name: &str, suffix: &str) -> String {
    let mut end = name.len().min(63 - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &name[..end])
}

/// The schema's name: one of ours is taken.
fn schema(name: &str) -> String {
    match name {
        "switchover" | "pg_class" => format!("my {name}"),
        other => other.to_string(),
    }
}

/// Everything that has a name, under this one, in a schema of this name.
fn everything(name: &str) -> String {
    let s = ident(&schema(name));
    let n = ident(name);
    let also = |suffix: &str| ident(&with(name, suffix));
    let text = literal(name);
    // A collation, which the 18 here would lack, is made of the one that every server has.
    format!(
        "CREATE ROLE {role}; CREATE SCHEMA {s}; SET search_path = {s}, pg_catalog;
         CREATE COLLATION {n} FROM \"C\";
         CREATE TYPE {enum_} AS ENUM ({text}, 'other', {second});
         CREATE TYPE {composite} AS ({n} int, {second_column} {s}.{enum_});
         CREATE DOMAIN {domain} AS text COLLATE {s}.{n} CONSTRAINT {n} CHECK (VALUE <> {text} || 'no');
         CREATE TYPE {range} AS RANGE (subtype = int8);
         CREATE SEQUENCE {sequence} INCREMENT 3;
         CREATE FUNCTION {n}({n} text) RETURNS text IMMUTABLE LANGUAGE sql AS {function_body};
         CREATE TABLE {n} ({n} text COLLATE {s}.{n}, {second_column} {s}.{enum_}, \"third\" {s}.{composite}, fourth {s}.{domain} DEFAULT {text},
             fifth {s}.{range}, id serial, twice text GENERATED ALWAYS AS (upper(fourth::text)) STORED,
             CONSTRAINT {key} PRIMARY KEY ({n}, {second_column}), CONSTRAINT {check_} CHECK ({n} <> 'never'));
         CREATE UNIQUE INDEX {index} ON {n} ({n}, id) INCLUDE (fourth) WHERE {n} <> {text};
         CREATE TABLE {child} ({n} int PRIMARY KEY, parent text, parent2 {s}.{enum_},
             CONSTRAINT {n} FOREIGN KEY (parent, parent2) REFERENCES {n} ON UPDATE CASCADE DEFERRABLE);
         CREATE TABLE {root} ({n} int, v text, PRIMARY KEY ({n})) PARTITION BY RANGE ({n});
         CREATE TABLE {leaf} PARTITION OF {root} FOR VALUES FROM (0) TO (100);
         CREATE TABLE {rest} PARTITION OF {root} DEFAULT;
         CREATE TABLE {keyless} ({n} text);
         CREATE VIEW {view} AS SELECT {n}.{n} AS {second_column} FROM {n}, (SELECT 1) AS one (x);
         CREATE MATERIALIZED VIEW {matview} AS SELECT {n}.{n}, {n}.fourth FROM {n}, (SELECT 1) AS one (x);
         CREATE INDEX {matindex} ON {matview} ({n});
         CREATE FUNCTION {trigger_function}() RETURNS trigger LANGUAGE plpgsql AS {trigger_body};
         CREATE TRIGGER {n} BEFORE INSERT ON {n} FOR EACH ROW EXECUTE FUNCTION {trigger_function}({text});
         CREATE RULE {n} AS ON DELETE TO {view} DO INSTEAD NOTHING;
         CREATE POLICY {n} ON {child} TO {role} USING ({n} > 0); ALTER TABLE {child} ENABLE ROW LEVEL SECURITY;
         CREATE STATISTICS {statistics} ON {n}, id FROM {n};
         COMMENT ON TABLE {n} IS {text}; COMMENT ON COLUMN {n}.{n} IS {text}; COMMENT ON CONSTRAINT {n} ON {child} IS {text};
         COMMENT ON MATERIALIZED VIEW {matview} IS {text}; COMMENT ON SCHEMA {s} IS {text};
         GRANT SELECT ({n}) ON {n} TO {role}; GRANT SELECT ON {matview} TO {role}; ALTER TABLE {child} OWNER TO {role}; ALTER SCHEMA {s} OWNER TO {role};
         INSERT INTO {n} ({n}, {second_column}, third, fifth) SELECT {text} || i, {text}, (i, {second})::{s}.{composite}, {s}.{range}(i, NULL) FROM generate_series(1, 20) i;
         INSERT INTO {child} SELECT i, {text} || i, {text} FROM generate_series(1, 20) i;
         INSERT INTO {root} SELECT i * 10, {text} FROM generate_series(1, 20) i; INSERT INTO {keyless} SELECT {text} FROM generate_series(1, 3);
         SELECT nextval({sequence_text}) FROM generate_series(1, 4);
         RESET search_path;\n",
        role = ident(&role(name)),
        enum_ = also(" e"),
        second = literal(&with(name, " 2")),
        composite = also(" c"),
        second_column = also(" 2"),
        domain = also(" d"),
        range = also(" r"),
        sequence = also(" s"),
        sequence_text = literal(&format!("{s}.{}", also(" s"))),
        key = also(" p"),
        check_ = also(" k"),
        index = also(" i"),
        child = also(" f"),
        root = also(" o"),
        leaf = also(" l"),
        rest = also(" t"),
        keyless = also(" x"),
        view = also(" v"),
        matview = also(" m"),
        matindex = also(" n"),
        trigger_function = also(" g"),
        statistics = also(" a"),
        function_body = literal(&format!("SELECT {text}")),
        trigger_body = literal("BEGIN RETURN NEW; END"),
    )
}

/// Roles may not begin with `pg_`, nor may all of them be called alike.
fn role(name: &str) -> String {
    with(&format!("r{name}"), "")
}

fn change(name: &str, round: u32) -> String {
    let table = |suffix: &str| format!("{}.{}", ident(&schema(name)), ident(&with(name, suffix)));
    let (n, main) = (
        ident(name),
        format!("{}.{}", ident(&schema(name)), ident(name)),
    );
    let (text, second) = (literal(name), literal(&with(name, " 2")));
    format!(
        "UPDATE {main} SET fourth = {second} WHERE id = {round}; UPDATE {main} SET {n} = {n} || 'new' WHERE id = {round} + 3;
         INSERT INTO {main} ({n}, {two}) VALUES ({text} || 'more' || {round}, 'other');
         DELETE FROM {child} WHERE {n} = 10 + {round};
         UPDATE {root} SET {n} = {n} + 95 WHERE {n} = {round} * 10; UPDATE {leaf} SET v = v || 'x';
         INSERT INTO {keyless} VALUES ({text});
         SELECT nextval({sequence});\n",
        two = ident(&with(name, " 2")),
        child = table(" f"),
        root = table(" o"),
        leaf = table(" l"),
        keyless = table(" x"),
        sequence = literal(&table(" s")),
    )
}

fn all(make: impl Fn(&str) -> String) -> String {
    NAMES.iter().map(|name| make(name)).collect()
}

/// Demands that every message is one line that begins with the program's name.
fn in_lines(outcome: Outcome) -> Outcome {
    for line in outcome.stderr.lines() {
        assert!(
            line.starts_with("pg_switchover: "),
            "{line}\n{}",
            outcome.report()
        );
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
    outcome
}

#[test]
fn whatever_things_are_called_they_are_moved() {
    for versions in [(15, 18), (15, 15), (14, 17)] {
        if versions != (15, 18) && !thorough() {
            continue;
        }
        let pair = Pair::new(versions.0, versions.1);
        pair.on_source(&all(everything));
        pair.on_destination(&all(|name| format!("CREATE ROLE {};", ident(&role(name)))));
        let run = |args: &[&str], status| in_lines(pair.run(args)).expect(status);
        run(&["check", "--create-schema", "-v"], 0);
        run(&["init", "-v"], 0);
        run(&["copy", "--create-schema", "-v"], 0);
        judge(&pair);
        for (round, options) in [["--max-pending=10000", "-v"], ["--max-pending=1", "-v"]]
            .iter()
            .enumerate()
        {
            pair.on_source(&all(|name| change(name, round as u32 + 1)));
            run(&[&["sync"], &options[..]].concat(), 0);
            judge(&pair);
        }
        pair.on_source(&all(|name| change(name, 3)));
        let status = run(&["status", "--json"], 0);
        let text = run(&["status"], 0);
        assert!(
            !text
                .stdout
                .replace('\n', "")
                .contains(|c: char| c.is_control()),
            "{}",
            text.report()
        );
        for name in NAMES {
            let quoted = serde_json_string(name);
            assert!(
                status.stdout.contains(&quoted),
                "{quoted}\n{}",
                status.report()
            );
        }
        run(&["verify", "-v"], 0);
        found_and_told(&pair);
        pair.on_source(&all(|name| change(name, 4)));
        run(&["switch", "-v", "--unverified"], 0);
        judge(&pair);
        run(&["drop", "--force", "-v"], 0);
        for cluster in [&pair.source, &pair.destination] {
            let left = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pg\\_switchover%'";
            assert_eq!(cluster.psql(DATABASE, left), "0");
            assert_eq!(
                cluster.psql(DATABASE, "SELECT to_regnamespace('switchover')"),
                ""
            );
        }
    }
}

/// As JSON has it.
fn serde_json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\r' => out += "\\r",
            '\t' => out += "\\t",
            c if c.is_control() && (c as u32) < 0x20 => out += &format!("\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out + "\""
}

/// Differences are found under every name, and each is told in a line of its own.
fn found_and_told(pair: &Pair) {
    pair.run(&["sync", "-q"]).expect(0);
    let spoil = |name: &str| {
        let main = format!("{}.{}", ident(&schema(name)), ident(name));
        format!(
            "UPDATE {main} SET fourth = 'spoilt' WHERE id = 9; DELETE FROM {main} WHERE id = 8;"
        )
    };
    pair.on_destination(&(String::from("SET session_replication_role = replica;") + &all(spoil)));
    let outcome = in_lines(pair.run(&["verify"])).expect(3);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines.len(), 3 * NAMES.len(), "{}", outcome.report());
    assert!(
        !outcome
            .stdout
            .replace('\n', "")
            .contains(|c: char| c.is_control())
    );
    // Written to themselves, they come again.
    pair.on_source(&all(|name| {
        let main = format!("{}.{}", ident(&schema(name)), ident(name));
        format!("UPDATE {main} SET id = id WHERE id IN (8, 9);")
    }));
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(pair);
}

#[test]
fn objects_are_called_by_their_names_when_something_is_wrong() {
    let pair = Pair::new(15, 18);
    let tables = |name: &str| {
        format!(
            "CREATE TABLE public.{} ({} int PRIMARY KEY, v int);",
            ident(name),
            ident(&with(name, " 2"))
        )
    };
    pair.on_both(&all(tables));
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    for (number, name) in NAMES.iter().enumerate() {
        let table = format!("public.{}", ident(name));
        let column = ident(&with(name, " 3"));
        let shown = |text: &str| -> String {
            text.chars()
                .map(|c| {
                    if c.is_control() {
                        c.escape_default().to_string()
                    } else {
                        c.to_string()
                    }
                })
                .collect()
        };
        let said = format!("public\".{}", shown(&ident(name)));
        // One of several ways to go wrong for each.
        let (harm, mend) = match number % 3 {
            0 => (
                format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
                format!(
                    "ALTER TABLE {table} ENABLE ALWAYS TRIGGER pg_switchover_capture; ALTER TABLE {table} ENABLE ALWAYS TRIGGER pg_switchover_truncate"
                ),
            ),
            1 => (
                format!("ALTER TABLE {table} RENAME TO passing"),
                format!("ALTER TABLE passing RENAME TO {}", ident(name)),
            ),
            _ => (
                format!("ALTER TABLE {table} RENAME v TO {column}"),
                format!("ALTER TABLE {table} RENAME {column} TO v"),
            ),
        };
        pair.on_source(&harm);
        in_lines(pair.run(&["sync"])).expect(1).expect_stderr(&said);
        pair.on_source(&mend);
    }
    pair.run(&["sync"]).expect(0);
    let found = pair.run(&["check"]);
    assert!(
        !found
            .stdout
            .replace('\n', "")
            .contains(|c: char| c.is_control()),
        "{}",
        found.report()
    );
}

#[test]
fn patterns_choose_tables_of_every_name() {
    let pair = Pair::new(15, 18);
    let made = |name: &str| {
        let s = ident(&schema(name));
        format!(
            "CREATE SCHEMA {s}; CREATE TABLE {s}.{} (id int PRIMARY KEY); CREATE TABLE {s}.{} (id int PRIMARY KEY);",
            ident(name),
            ident(&with(name, " 2"))
        )
    };
    pair.on_source(&all(made));
    let captured = "SELECT string_agg(quote_ident(schema_name) || '.' || quote_ident(table_name), ',' ORDER BY table_id) FROM switchover.captured";
    let wanted = |suffix: &'static str| {
        let quoted: Vec<String> = NAMES
            .iter()
            .map(|name| {
                format!(
                    "{},{}",
                    literal(&schema(name)),
                    literal(&with(name, suffix))
                )
            })
            .collect();
        let sql = format!(
            "SELECT string_agg(quote_ident(s) || '.' || quote_ident(t), ',' ORDER BY o) FROM (VALUES ({})) v (s, t) NATURAL JOIN (SELECT nspname s, relname t, c.oid o FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace) x",
            quoted.join("), (")
        );
        pair.on_source(&sql)
    };
    let qualified = |name: &&str| format!("{}.{}", ident(&schema(name)), ident(name));
    let tables: Vec<String> = NAMES
        .iter()
        .flat_map(|name| ["-t".to_string(), qualified(name)])
        .collect();
    let args: Vec<&str> = ["init", "-q"]
        .into_iter()
        .chain(tables.iter().map(String::as_str))
        .collect();
    in_lines(pair.run(&args)).expect(0);
    assert_eq!(pair.on_source(captured), wanted(""));
    pair.run(&["drop", "-q"]).expect(0);

    let schemas: Vec<String> = NAMES
        .iter()
        .flat_map(|name| ["-n".to_string(), ident(&schema(name))])
        .collect();
    let not: Vec<String> = NAMES
        .iter()
        .map(|name| format!("--exclude-table={}", qualified(name)))
        .collect();
    let args: Vec<&str> = ["init", "-q"]
        .into_iter()
        .chain(schemas.iter().chain(&not).map(String::as_str))
        .collect();
    in_lines(pair.run(&args)).expect(0);
    assert_eq!(pair.on_source(captured), wanted(" 2"));
    pair.run(&["drop", "-q"]).expect(0);
}

#[test]
fn databases_and_roles_may_have_any_name() {
    let mut pair = Pair::new(15, 18);
    for (number, name) in NAMES.iter().enumerate() {
        if !thorough() && ![0, 3, 4, 14].contains(&number) {
            continue;
        }
        let (role, database) = (ident(&role(name)), with(name, ""));
        for cluster in [&pair.source, &pair.destination] {
            cluster.create_database(&database);
            cluster.psql("postgres", &format!("CREATE ROLE {role} SUPERUSER LOGIN"));
        }
        let rows = "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 9) i";
        pair.source.connect(&database).batch_execute(rows).unwrap();
        let user = with(&format!("r{name}"), "");
        let uri = |port: u16| {
            format!(
                "postgresql://{}@127.0.0.1:{port}/{}",
                percent(&user),
                percent(&database)
            )
        };
        let words = |port: u16| {
            format!(
                "host=127.0.0.1 port={port} user='{}' dbname = '{}'",
                escaped(&user),
                escaped(&database)
            )
        };
        (pair.source_uri, pair.destination_uri) = match number % 2 {
            0 => (uri(pair.source.port()), words(pair.destination.port())),
            _ => (words(pair.source.port()), uri(pair.destination.port())),
        };
        in_lines(pair.run(&["run", "--create-schema", "-v"])).expect(0);
        in_lines(pair.run(&["status"])).expect(0);
        let count = "SELECT count(*)::text || current_user FROM t";
        let there = pair
            .destination
            .connect(&database)
            .query_one(count, &[])
            .unwrap();
        assert_eq!(there.get::<_, String>(0), "9postgres");
        let refused = pair
            .source
            .connect(&database)
            .batch_execute("INSERT INTO t VALUES (10)");
        let refused = refused.unwrap_err();
        let hint = refused.as_db_error().unwrap().hint().unwrap();
        let shown: String = database
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        assert!(hint.contains(&shown), "{hint}");
        in_lines(pair.run(&["drop", "-v"])).expect(0);
    }
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
