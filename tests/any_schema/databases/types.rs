//! Every type that a generated column may have, each with an expression that makes a value of a number.

use crate::support::chance::Chance;

/// A type of PostgreSQL, or one of the generated schema.
#[derive(Clone, Debug)]
pub struct Type {
    /// Its name, as SQL.
    pub sql: String,
    /// A value of the number `{x}`, which is 0 or more.
    pub value: String,
    /// How many numbers give different values at least.
    pub distinct: usize,
    /// May be a key, or what a list of partitions goes by.
    pub ordered: bool,
    /// May be what partitions are hashed by.
    pub hashed: bool,
    /// Larger numbers give larger values.
    pub rising: bool,
}

/// Enough for every number in use.
const MANY: usize = 1000;

/// Name, value, how many values, and whether ordered, hashed, rising.
type BuiltIn = (&'static str, &'static str, usize, &'static str);

const BUILT_IN: &[BuiltIn] = &[
    ("bool", "{x} % 2 = 1", 2, "oh"),
    ("int2", "{x} - 5", MANY, "ohr"),
    ("int4", "{x}", MANY, "ohr"),
    ("int8", "{x} * 4294967296 - 2147483649", MANY, "ohr"),
    (
        "float4",
        "CASE {x} WHEN 0 THEN '-0' WHEN 1 THEN 'NaN' ELSE {x} / 7.0::float4 END",
        MANY,
        "oh",
    ),
    (
        "float8",
        "CASE {x} WHEN 0 THEN '-0' WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE {x} * 0.1::float8 END",
        MANY,
        "oh",
    ),
    ("numeric", "round({x} / 2.0, 1 + {x} % 4)", MANY, "ohr"),
    ("numeric(20, 5)", "{x} / 3.0", MANY, "ohr"),
    ("money", "({x} * 1.01)::numeric", MANY, "o"),
    ("char(9)", "repeat(' ', {x} % 3) || {x}", MANY, "oh"),
    ("\"char\"", "chr(35 + {x} % 80)", 80, "oh"),
    ("varchar(30)", "'v''\"' || {x}", MANY, "oh"),
    (
        "text",
        "repeat(chr(39 + {x} % 80), {x} % 4) || E'\\\\\\n' || {x}",
        MANY,
        "oh",
    ),
    (
        "text COLLATE \"C\"",
        "'Ö' || {x} || chr(228 + {x} % 10)",
        MANY,
        "oh",
    ),
    ("name", "'Name ' || {x}", MANY, "oh"),
    (
        "bytea",
        "decode(lpad(to_hex({x}), 6, '0') || '005c00', 'hex')",
        MANY,
        "oh",
    ),
    ("date", "'1999-12-20'::date + {x}", MANY, "ohr"),
    (
        "time",
        "'00:00'::time + {x} * interval '1 minute 0.000001 s'",
        MANY,
        "oh",
    ),
    (
        "timetz",
        "('00:00'::time + {x} * interval '1 minute')::text || '+05:30'",
        MANY,
        "oh",
    ),
    (
        "timestamp",
        "CASE {x} WHEN 0 THEN '-infinity' ELSE '0001-01-01 BC'::timestamp + {x} * interval '1 year 1 us' END",
        MANY,
        "ohr",
    ),
    (
        "timestamptz",
        "'2024-03-30 22:00:00.000001+00'::timestamptz + {x} * interval '30 minutes'",
        MANY,
        "ohr",
    ),
    (
        "interval",
        "{x} * interval '1 day 1 hour -0.000001 s'",
        MANY,
        "oh",
    ),
    ("uuid", "md5(({x})::text)", MANY, "oh"),
    (
        "json",
        "'{\"a\":  [' || {x} || ', null],\"a\":\"\\u00e9\"}'",
        MANY,
        "",
    ),
    (
        "jsonb",
        "jsonb_build_object('n', {x}, 'list', jsonb_build_array(NULL, 1.50))",
        MANY,
        "oh",
    ),
    ("jsonpath", "'$.a[*] ? (@ > ' || {x} || ')'", MANY, ""),
    ("inet", "'10.0.0.0/8'::inet + {x}", MANY, "oh"),
    (
        "cidr",
        "set_masklen('10.0.0.0'::cidr + 256 * {x}, 24)",
        MANY,
        "oh",
    ),
    (
        "macaddr",
        "'08:00:2b:01:' || lpad(to_hex({x} / 256), 2, '0') || ':' || lpad(to_hex({x} % 256), 2, '0')",
        MANY,
        "oh",
    ),
    (
        "macaddr8",
        "'08:00:2b:01:02:03:' || lpad(to_hex({x} / 256), 2, '0') || ':' || lpad(to_hex({x} % 256), 2, '0')",
        MANY,
        "oh",
    ),
    ("bit(12)", "({x})::bit(12)", MANY, "o"),
    (
        "varbit",
        "substring(({x})::bit(16)::varbit FROM 1 + {x} % 3)",
        1,
        "o",
    ),
    ("point", "point({x}, -0.1)", MANY, ""),
    ("line", "'{1,-1,' || {x} || '}'", MANY, ""),
    ("lseg", "lseg(point(0, 0), point({x}, 1))", MANY, ""),
    ("box", "box(point(0, 0), point({x}, 1e-300))", MANY, ""),
    ("path", "'[(0,0),(' || {x} || ',1)]'", MANY, ""),
    (
        "polygon",
        "polygon(box(point(0, 0), point({x}, 1)))",
        MANY,
        "",
    ),
    ("circle", "circle(point(0.1, 0), {x})", MANY, ""),
    (
        "tsvector",
        "to_tsvector('simple', 'a quoted''word ' || {x})",
        MANY,
        "o",
    ),
    (
        "tsquery",
        "plainto_tsquery('simple', 'a & b' || {x})",
        MANY,
        "o",
    ),
    ("int4range", "int4range({x} * 10, {x} * 10 + 5)", MANY, "oh"),
    ("int8range", "int8range({x}, NULL)", MANY, "oh"),
    ("numrange", "numrange({x} / 2.0, {x} + 7, '()')", MANY, "oh"),
    (
        "daterange",
        "CASE {x} WHEN 1 THEN 'empty' ELSE daterange('2000-01-01', '2000-01-02'::date + {x}) END",
        MANY,
        "oh",
    ),
    (
        "tsrange",
        "tsrange(NULL, '2000-01-01'::timestamp + {x} * interval '1 s')",
        MANY,
        "oh",
    ),
    (
        "tstzrange",
        "tstzrange('2000-01-01 00:00+00', '2000-01-01 00:00+00'::timestamptz + {x} * interval '1 day')",
        MANY,
        "oh",
    ),
    ("oid", "4294967295 - {x}", MANY, "oh"),
    ("xid", "({x} + 3)::text", MANY, "h"),
    ("xid8", "({x} + 3)::text", MANY, "oh"),
    ("cid", "({x})::text", MANY, ""),
    ("tid", "'(' || {x} || ',1)'", MANY, "oh"),
    ("pg_lsn", "to_hex({x}) || '/FF'", MANY, "oh"),
    ("pg_snapshot", "'10:20:1' || {x} % 10", 10, ""),
    ("oidvector", "'1 2 ' || {x}", MANY, "oh"),
    ("int2vector", "'1 -2 ' || {x}", MANY, ""),
    (
        "aclitem",
        "'postgres=' || substr('rwdDxt', 1, 1 + {x} % 6) || '/postgres'",
        6,
        "",
    ),
    ("refcursor", "'cursor ' || {x}", MANY, ""),
    (
        "regclass",
        "(ARRAY['pg_class', 'pg_proc', 'pg_type', 'pg_index'])[1 + {x} % 4]",
        4,
        "oh",
    ),
    (
        "regtype",
        "(ARRAY['integer[]', 'text', 'pg_class', '\"char\"'])[1 + {x} % 4]",
        4,
        "oh",
    ),
    (
        "regproc",
        "(ARRAY['now', 'pg_catalog.version'])[1 + {x} % 2]",
        2,
        "oh",
    ),
    (
        "regprocedure",
        "(ARRAY['now()', 'abs(numeric)'])[1 + {x} % 2]",
        2,
        "oh",
    ),
    (
        "regoperator",
        "(ARRAY['+(integer,integer)', '-(NONE,integer)'])[1 + {x} % 2]",
        2,
        "oh",
    ),
    (
        "regconfig",
        "(ARRAY['simple', 'english'])[1 + {x} % 2]",
        2,
        "oh",
    ),
    (
        "regrole",
        "(ARRAY['postgres', 'pg_monitor'])[1 + {x} % 2]",
        2,
        "oh",
    ),
    (
        "regnamespace",
        "(ARRAY['public', 'pg_catalog'])[1 + {x} % 2]",
        2,
        "oh",
    ),
];

/// There are multiranges from 14 on.
const MULTIRANGES: &[BuiltIn] = &[
    (
        "int4multirange",
        "int4multirange(int4range({x}, {x} + 2), int4range({x} + 10, NULL))",
        MANY,
        "oh",
    ),
    (
        "nummultirange",
        "CASE {x} WHEN 0 THEN '{}' ELSE nummultirange(numrange(NULL, {x})) END",
        MANY,
        "oh",
    ),
    (
        "tstzmultirange",
        "tstzmultirange(tstzrange('2000-01-01 00:00+00', '2000-01-01 00:00+00'::timestamptz + {x} * interval '999 days', '[]'))",
        1,
        "oh",
    ),
];

/// Makes the types of users, in schema `kinds`.
pub const USER_TYPES: &str = r#"
CREATE SCHEMA kinds;
CREATE TYPE kinds.mood AS ENUM ('0', 'it''s', 'a,b', '{4}', '5', '', 'very "happy"', '(8)', '9', 'ten', ' ', 'NULL');
CREATE TYPE kinds."Odd; ""Type"" \" AS ENUM ('a', 'b\', '$1', '%s');
CREATE TYPE kinds.place AS (street text, number int, mood kinds.mood, tags text[]);
CREATE TYPE kinds.journey AS ("from" kinds.place, "to" kinds.place, stops kinds.place[]);
CREATE DOMAIN kinds.percentage AS numeric(9, 3) CHECK (VALUE BETWEEN 0 AND 10000);
CREATE DOMAIN kinds.year AS int CHECK (VALUE >= 1901);
CREATE DOMAIN kinds.code AS varchar(12) COLLATE "C" CHECK (VALUE ~ '^[A-Z]');
CREATE DOMAIN kinds.moods AS kinds.mood[] CHECK (cardinality(VALUE) < 9);
CREATE DOMAIN kinds.late_year AS kinds.year CHECK (VALUE < 9999);
CREATE TYPE kinds.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE kinds.words AS RANGE (subtype = text, collation = "C");
"#;

/// An enum's hash is that of its oid, which differs between servers, so rows would be in other partitions there.
const USER: &[BuiltIn] = &[
    (
        "kinds.mood",
        "(enum_range(NULL::kinds.mood))[1 + {x} % 12]",
        12,
        "o",
    ),
    (
        "kinds.\"Odd; \"\"Type\"\" \\\"",
        "(enum_range(NULL::kinds.\"Odd; \"\"Type\"\" \\\"))[1 + {x} % 4]",
        4,
        "o",
    ),
    (
        "kinds.place",
        "ROW('a \"road\", (' || {x}, {x}, (enum_range(NULL::kinds.mood))[1 + {x} % 12], ARRAY['', NULL, E'\\\\'])",
        MANY,
        "o",
    ),
    (
        "kinds.journey",
        "ROW(NULL, ROW('to', {x}, NULL, '{}'), ARRAY[ROW(NULL, {x}, 'ten', NULL)::kinds.place])",
        MANY,
        "o",
    ),
    ("kinds.percentage", "{x} / 8.0", MANY, "ohr"),
    ("kinds.year", "1901 + {x}", MANY, "ohr"),
    ("kinds.late_year", "1902 + {x}", MANY, "ohr"),
    ("kinds.code", "'Code ' || {x}", MANY, "oh"),
    (
        "kinds.moods",
        "ARRAY[(enum_range(NULL::kinds.mood))[1 + {x} % 12], NULL, 'a,b']::kinds.mood[]",
        12,
        "o",
    ),
    (
        "kinds.span",
        "kinds.span({x} * 0.1, 'Infinity', '()')",
        MANY,
        "oh",
    ),
    (
        "kinds.words",
        "kinds.words('a,\"' || chr(65 + {x} % 26), 'z')",
        26,
        "oh",
    ),
];

/// Which types a schema is made of.
pub struct Types {
    all: Vec<Type>,
}

impl Types {
    /// Those of a version.
    pub fn of(version: u32) -> Types {
        let multiranges = if version >= 14 { MULTIRANGES } else { &[] };
        let all = [BUILT_IN, multiranges, USER].concat();
        Types {
            all: all.into_iter().map(described).collect(),
        }
    }

    /// Any type, and sometimes an array of it.
    pub fn any(&self, chance: &mut Chance) -> Type {
        let element = chance.one_of(&self.all).clone();
        // ARRAY[] of a vector is a matrix.
        if chance.percent(80) || element.sql.ends_with("vector") {
            return element;
        }
        let name = element.sql.replace(" COLLATE \"C\"", "");
        let (value, element_sql) = (&element.value, &name);
        let value = match chance.below(3) {
            0 => format!("ARRAY[({value})::{element_sql}, NULL]"),
            1 => format!("ARRAY[[({value})::{element_sql}], [NULL]]"),
            _ => format!("array_fill(({value})::{element_sql}, ARRAY[2], ARRAY[0])"),
        };
        Type {
            sql: format!("{name}[]"),
            value,
            rising: false,
            ..element
        }
    }

    /// One that is good enough for something.
    pub fn some(&self, chance: &mut Chance, fit: impl Fn(&Type) -> bool) -> Type {
        loop {
            let found = self.any(chance);
            if fit(&found) {
                return found;
            }
        }
    }

    /// The type of that name.
    pub fn named(&self, sql: &str) -> Type {
        let found = self.all.iter().find(|one| one.sql == sql);
        found.expect("a type of the list").clone()
    }
}

fn described((sql, value, distinct, properties): BuiltIn) -> Type {
    Type {
        sql: sql.to_owned(),
        value: value.to_owned(),
        distinct,
        ordered: properties.contains('o'),
        hashed: properties.contains('h'),
        rising: properties.contains('r'),
    }
}
