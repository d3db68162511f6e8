//! Values of every type arrive as they are; types of one name that are made otherwise on the destination
//! are refused by name.

mod differing;
mod large;
mod large_objects;

use super::judge;
use crate::support::pair::Pair;
use crate::support::version_pairs;

/// Values at the edges of every built-in type, in the spelling of its input function.
const VALUES: &[(&str, &[&str])] = &[
    ("aclitem", &["postgres=arwdDxt/postgres", "=r/postgres"]),
    ("bit", &["1", "0"]),
    ("bool", &["t", "f"]),
    (
        "box",
        &["(1,2),(-3,-4)", "(Infinity,1e300),(-Infinity,-1e-300)"],
    ),
    ("bpchar", &["", "a  ", "  b", "é"]),
    ("bytea", &["\\x", "\\x00", "\\x5c0a0d09275c2e", "\\xff00"]),
    ("char", &["x", "'", "\\", ""]),
    ("cid", &["0", "4294967295"]),
    ("cidr", &["10.1.2.0/24", "::/0"]),
    ("circle", &["<(0.1,-0),1e300>", "<(NaN,Infinity),0>"]),
    (
        "date",
        &[
            "-infinity",
            "infinity",
            "4713-01-01 BC",
            "5874897-12-31",
            "0001-12-31 BC",
        ],
    ),
    (
        "datemultirange",
        &["{}", "{[4713-01-01 BC,2000-01-01),[2001-01-01,)}"],
    ),
    ("daterange", &["empty", "(,)", "[-infinity,infinity]"]),
    (
        "float4",
        &["NaN", "-0", "1e-45", "3.4028235e38", "-Infinity", "0.1"],
    ),
    (
        "float8",
        &[
            "NaN",
            "-0",
            "5e-324",
            "1.7976931348623157e308",
            "Infinity",
            "0.30000000000000004",
        ],
    ),
    (
        "inet",
        &["10.0.0.1/8", "::ffff:1.2.3.4/96", "255.255.255.255"],
    ),
    ("int2", &["-32768", "32767"]),
    ("int2vector", &["", "1 -2 3"]),
    ("int4", &["-2147483648", "2147483647"]),
    ("int4multirange", &["{}", "{[-2147483648,0),[5,)}"]),
    ("int4range", &["empty", "[1,2)", "(,)"]),
    ("int8", &["-9223372036854775808", "9223372036854775807"]),
    (
        "int8multirange",
        &["{(,)}", "{[1,2),[9223372036854775806,9223372036854775807)}"],
    ),
    ("int8range", &["empty", "[,5)"]),
    (
        "interval",
        &[
            "-178000000 years",
            "178000000 years",
            "1 mon -1 day 00:00:00.000001",
            "-00:00:00.5",
            "0",
        ],
    ),
    (
        "json",
        &["{\"a\":1,  \"a\":2}", " [1e400,\n null ] ", "\"\\u00e9\""],
    ),
    (
        "jsonb",
        &[
            "{\"b\": [1.00, null, \"\\u00e9\"]}",
            "-0.0",
            "1e400",
            "\"\\\\\"",
        ],
    ),
    (
        "jsonpath",
        &["$.a[*]?(@ > 1)", "strict $.\"quoted \\\"key\\\"\""],
    ),
    ("line", &["{1,-1,0}", "{0,1,-1e300}"]),
    ("lseg", &["[(0,-0),(0.1,1e-300)]"]),
    ("macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8", &["08:00:2b:01:02:03:04:05"]),
    (
        "money",
        &["-92233720368547758.08", "92233720368547758.07", "0.01"],
    ),
    ("name", &["", "a \"b\" 'c' \\", "Zoë 日本 🐘"]),
    (
        "numeric",
        &[
            "NaN",
            "0.000",
            "-1e-100",
            "1e1000",
            "12345678901234567890.0123456789",
            "1.00",
        ],
    ),
    ("nummultirange", &["{}", "{[1.00,2.0),(3,NaN]}"]),
    ("numrange", &["empty", "(-1e100,NaN]", "[1.50,)"]),
    ("oid", &["0", "4294967295"]),
    ("oidvector", &["", "0 4294967295"]),
    ("path", &["[(0,0),(1,1),(2,0)]", "((0.1,-0),(Infinity,1))"]),
    ("pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("pg_snapshot", &["10:20:10,14,15", "10:10:"]),
    ("point", &["(NaN,Infinity)", "(-0,5e-324)"]),
    ("polygon", &["((0,0),(1,1),(2,0))", "((0.1,0.2))"]),
    ("refcursor", &["", "<unnamed portal 1>"]),
    (
        "regclass",
        &[
            "pg_catalog.pg_class",
            "types.\"Target 'x'\"",
            "0",
            "987654321",
        ],
    ),
    ("regcollation", &["pg_catalog.\"C\"", "0"]),
    ("regconfig", &["pg_catalog.simple"]),
    ("regdictionary", &["pg_catalog.simple"]),
    ("regnamespace", &["types", "pg_catalog"]),
    ("regoper", &["pg_catalog.||/", "0"]),
    (
        "regoperator",
        &[
            "pg_catalog.+(integer,integer)",
            "pg_catalog.-(NONE,integer)",
        ],
    ),
    (
        "regproc",
        &["pg_catalog.now", "types.\"some function\"", "0"],
    ),
    (
        "regprocedure",
        &[
            "pg_catalog.abs(numeric)",
            "types.\"some function\"(types.color)",
        ],
    ),
    ("regrole", &["postgres", "pg_monitor", "0"]),
    (
        "regtype",
        &[
            "integer[]",
            "types.color",
            "types.duo[]",
            "timestamp without time zone",
        ],
    ),
    (
        "text",
        &[
            "",
            "\\N",
            "\\.",
            "NULL",
            "tab\there\nline \\ '\"{},()",
            "Zoë 日本 🐘",
            "\\x41",
            "\u{1}\u{7f}",
        ],
    ),
    ("tid", &["(0,0)", "(4294967295,65535)"]),
    ("time", &["00:00:00", "24:00:00", "23:59:59.999999"]),
    (
        "timestamp",
        &[
            "-infinity",
            "4713-01-01 00:00:00 BC",
            "294276-12-31 23:59:59.999999",
            "0001-12-31 23:59:59 BC",
        ],
    ),
    (
        "timestamptz",
        &[
            "infinity",
            "4713-01-02 00:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "1883-11-18 12:03:57+00",
        ],
    ),
    ("timetz", &["00:00:00+15:59:59", "24:00:00-15:59:59"]),
    ("tsmultirange", &["{}", "{[-infinity,infinity]}"]),
    ("tsquery", &["'a' & !'b':*AB <-> 'c d'", ""]),
    ("tsrange", &["empty", "[4713-01-01 00:00:00 BC,infinity]"]),
    (
        "tstzmultirange",
        &[
            "{}",
            "{[2000-01-01 00:00+00,2000-01-02 00:00+00),[2001-01-01 00:00+00,)}",
        ],
    ),
    ("tstzrange", &["empty", "(,2000-01-01 00:00:00.000001+00)"]),
    ("tsvector", &["", "'a':1A,2B 'quote''s':3 'Zoë'"]),
    ("txid_snapshot", &["10:20:10,14,15"]),
    (
        "uuid",
        &[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
    ),
    ("varbit", &["", "10101010101", "1"]),
    ("varchar", &["", "a  ", "NULL"]),
    ("xid", &["0", "4294967295"]),
    ("xid8", &["0", "18446744073709551615"]),
    (
        "xml",
        &[
            "<a b=\"1\">&lt;</a>",
            "text only",
            "<?xml version=\"1.0\"?><a/>",
        ],
    ),
];

/// Types whose input functions refuse every value: no column that is filled can be moved by anybody.
const NO_INPUT: &[&str] = &[
    "gtsvector",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_ndistinct",
    "pg_node_tree",
];

/// Base, range and multirange types, but arrays.
const BUILT_IN: &str = "SELECT t.typname FROM pg_type t
    WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm')
      AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid) ORDER BY 1";

/// What values of the reg* types refer to.
const TARGETS: &str = r#"
    CREATE SCHEMA types; CREATE TABLE types."Target 'x'" (); CREATE TYPE types.color AS ENUM ('red', 'green');
    CREATE TYPE types.duo AS (a int, b text);
    CREATE FUNCTION types."some function"(types.color) RETURNS int LANGUAGE sql AS 'SELECT 1';"#;

fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Array literals: all values and a NULL, those twice, none, with other bounds, and none at all.
fn arrays(name: &str, values: &[&str]) -> [String; 5] {
    let delimiter = if name == "box" { ";" } else { "," };
    let quoted = |value: &&str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let mut elements: Vec<String> = values.iter().map(quoted).collect();
    elements.push("NULL".to_string());
    let list = elements.join(delimiter);
    let array = |text: String| literal(&text);
    [
        array(format!("{{{list}}}")),
        array(format!("{{{{{list}}}{delimiter}{{{list}}}}}")),
        array("{}".to_string()),
        array(format!("[0:{}]={{{list}}}", values.len())),
        "NULL".to_string(),
    ]
}

/// Three tables of a type: one that goes by binary COPY, one that goes by text (a composite's binary form
/// holds oids), and one without a key; with domains and arrays.
fn tables(name: &str, values: &[&str]) -> String {
    let rows: String = values
        .iter()
        .enumerate()
        .map(|(id, value)| {
            let value = literal(value);
            format!("INSERT INTO types.\"b {name}\" (id, v, d) VALUES ({id}, {value}, {value});\n")
        })
        .collect();
    let arrays: String = arrays(name, values)
        .iter()
        .enumerate()
        .map(|(id, array)| {
            format!(
                "INSERT INTO types.\"b {name}\" (id, a, e) VALUES (10{id}, {array}, {array});\n"
            )
        })
        .collect();
    format!(
        "CREATE TYPE types.\"of {name}\" AS (v pg_catalog.\"{name}\", a pg_catalog.\"{name}\"[]);
         CREATE DOMAIN types.\"some {name}\" AS pg_catalog.\"{name}\";
         CREATE DOMAIN types.\"many {name}\" AS pg_catalog.\"{name}\"[];
         CREATE TABLE types.\"b {name}\" (id int PRIMARY KEY, n int, v pg_catalog.\"{name}\",
             a pg_catalog.\"{name}\"[], d types.\"some {name}\", e types.\"many {name}\");
         CREATE TABLE types.\"t {name}\" (id int PRIMARY KEY, n int, v types.\"of {name}\",
             a types.\"of {name}\"[], d types.\"some {name}\"[]);
         {rows}{arrays}
         INSERT INTO types.\"t {name}\" (id, v, a, d)
             SELECT id, (v, a)::types.\"of {name}\",
                    ARRAY[(v, a)::types.\"of {name}\", NULL, (NULL, NULL)::types.\"of {name}\"], a::text::types.\"some {name}\"[]
               FROM types.\"b {name}\";
         CREATE TABLE types.\"k {name}\" AS SELECT v, a FROM types.\"b {name}\";\n"
    )
}

/// The statements for every type that both servers have.
fn every_type(pair: &Pair) -> (Vec<String>, String) {
    let both = |sql: &str| pair.on_source(sql) + "\n" + &pair.on_destination(sql);
    let there = pair.on_destination(BUILT_IN);
    let names: Vec<String> = pair
        .on_source(BUILT_IN)
        .lines()
        .filter(|name| !NO_INPUT.contains(name) && there.lines().any(|other| other == *name))
        .filter(|name| {
            let with_xml = "SELECT setting FROM pg_config() WHERE name = 'CONFIGURE'";
            *name != "xml"
                || both(with_xml)
                    .lines()
                    .all(|line| line.contains("--with-libxml"))
        })
        .map(ToString::to_string)
        .collect();
    let sql = names
        .iter()
        .map(|name| {
            let (_, values) = VALUES
                .iter()
                .find(|(known, _)| known == name)
                .unwrap_or_else(|| panic!("type {name} has no values in VALUES"));
            tables(name, values)
        })
        .collect();
    (names, sql)
}

#[test]
fn values_of_every_built_in_type_and_its_array_arrive() {
    for (number, versions) in version_pairs().into_iter().enumerate() {
        // 15→18, and the others under --all.
        if number > 0 && !crate::support::thorough() {
            continue;
        }
        let pair = Pair::new(versions.0, versions.1);
        pair.on_source(TARGETS);
        let (names, sql) = every_type(&pair);
        assert!(names.len() > 60, "{names:?}");
        pair.on_source(&sql);
        pair.run(&["init", "-q"]).expect(0);
        pair.on_destination("ALTER DATABASE app SET log_statement = 'all'");
        pair.run(&["copy", "-q", "--create-schema"]).expect(0);
        pair.on_destination("ALTER DATABASE app RESET log_statement");
        // What has the oids of types in it means something else there.
        let log = pair.destination.log();
        for (table, form) in [("t int4", "text"), ("k int4", "binary")] {
            let copied = log.lines().any(|line| {
                line.contains(&format!("COPY \"types\".\"{table}\" "))
                    && line.contains(&format!("FROM STDIN (FORMAT {form})"))
            });
            assert!(copied, "{table} did not go as {form}");
        }
        let touch = |set: &str| -> String {
            names
                .iter()
                .map(|name| {
                    format!(
                        "UPDATE types.\"b {name}\" SET {set}; UPDATE types.\"t {name}\" SET {set};
                         DELETE FROM types.\"k {name}\" WHERE ctid = (SELECT min(ctid) FROM types.\"k {name}\");\n"
                    )
                })
                .collect()
        };
        for (set, pending) in [
            ("n = 1", "--max-pending=1000000"),
            ("n = 2", "--max-pending=2"),
        ] {
            pair.on_source(&touch(set));
            pair.run(&["sync", "-q", pending]).expect(0);
            if versions.0 >= 14 {
                judge(&pair);
            }
        }
        pair.run(&["verify", "-q"]).expect(0);
    }
}
