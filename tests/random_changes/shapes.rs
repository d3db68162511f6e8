//! The shapes of tables, and the statements that change them. In a statement, `{t}` stands for the table,
//! `{a}` and `{b}` for small numbers that keys are made of, and `{v}` for a number up to 255.

/// Name, schema, statements.
type Shape = (&'static str, &'static str, &'static [&'static str]);

/// What every table with a key `k` and a value `v` goes through; `$key` makes a key of the number `x`.
macro_rules! keyed {
    ($key:literal) => {
        &[
            concat!("INSERT INTO {t} (k, v) SELECT ", $key, ", '{v}' FROM (SELECT {a} AS x) n"),
            concat!("INSERT INTO {t} (k, v) SELECT ", $key, ", '{v}' FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING"),
            concat!("INSERT INTO {t} (k, v) SELECT ", $key, ", '{v}' FROM generate_series({a}, {a} + {b}) x ON CONFLICT (k) DO UPDATE SET v = excluded.v"),
            concat!("UPDATE {t} SET v = '{v}' WHERE k = (SELECT ", $key, " FROM (SELECT {a} AS x) n)"),
            concat!("UPDATE {t} SET k = (SELECT ", $key, " FROM (SELECT {b} AS x) n) WHERE k = (SELECT ", $key, " FROM (SELECT {a} AS x) n)"),
            // Two rows exchange their keys.
            concat!("UPDATE {t} SET k = (SELECT ", $key, " FROM (SELECT 99 AS x) n) WHERE k = (SELECT ", $key, " FROM (SELECT {a} AS x) n);
                     UPDATE {t} SET k = (SELECT ", $key, " FROM (SELECT {a} AS x) n) WHERE k = (SELECT ", $key, " FROM (SELECT {b} AS x) n);
                     UPDATE {t} SET k = (SELECT ", $key, " FROM (SELECT {b} AS x) n) WHERE k = (SELECT ", $key, " FROM (SELECT 99 AS x) n)"),
            concat!("DELETE FROM {t} WHERE k = (SELECT ", $key, " FROM (SELECT {a} AS x) n)"),
            "UPDATE {t} SET v = coalesce(v, '') || '{v}' WHERE length(v) % 3 = {a} % 3",
            "UPDATE {t} SET v = NULL", "DELETE FROM {t} WHERE v = '{v}' OR v IS NULL", "TRUNCATE {t}",
        ]
    };
}

/// All shapes, children before their parents.
pub const SHAPES: &[Shape] = &[
    ("k_int", "CREATE TABLE k_int (v text, k int PRIMARY KEY);", keyed!("x")),
    ("k_text", "CREATE TABLE k_text (k text PRIMARY KEY, v text);", keyed!("repeat(chr(39 + x), x)")),
    ("k_uuid", "CREATE TABLE k_uuid (k uuid PRIMARY KEY, v text);", keyed!("md5(x::text)::uuid")),
    // One number, several texts.
    ("k_numeric", "CREATE TABLE k_numeric (k numeric PRIMARY KEY, v text);", keyed!("round(x / 2.0, 1 + {v} % 4)")),
    ("k_float", "CREATE TABLE k_float (k float8 PRIMARY KEY, v text);", keyed!("CASE x WHEN 0 THEN '-0' WHEN 1 THEN 'NaN' WHEN 2 THEN '-Infinity' ELSE x * 0.1::float8 END")),
    ("k_time", "CREATE TABLE k_time (k timestamptz PRIMARY KEY, v text);", keyed!("'epoch'::timestamptz + x * interval '100 days 1 hour 0.1 s'")),
    ("k_enum", "CREATE TYPE mood AS ENUM ('0', '1', 'it''s', 'a,b', '{4}', '5', '6', '', '8', '9'); CREATE TABLE k_enum (k mood PRIMARY KEY, v text);",
     keyed!("(enum_range(NULL::mood))[1 + x % 10]")),
    ("k_char", "CREATE TABLE k_char (k char(4) PRIMARY KEY, v text);", keyed!("repeat(' ', x % 2) || x")),
    ("composite", "CREATE TABLE composite (a int, b text, c timestamptz DEFAULT 'epoch', v text, k int UNIQUE DEFERRABLE INITIALLY DEFERRED, PRIMARY KEY (b, a, c));", &[
        "INSERT INTO {t} VALUES ({a}, '{b}', DEFAULT, '{v}', {v}) ON CONFLICT DO NOTHING",
        "INSERT INTO {t} SELECT x, '\"{b}\",{', 'epoch', NULL, x + 10 * {v} FROM generate_series(0, {a}) x ON CONFLICT (a, b, c) DO UPDATE SET v = '{v}'",
        "UPDATE {t} SET a = a + {b} WHERE a = {a}", "UPDATE {t} SET b = NULLIF('{b}', '0') || '\\' WHERE a = {a}",
        "UPDATE {t} SET c = c + interval '{b} hours' WHERE b = '{a}'", "UPDATE {t} SET k = (SELECT max(k) FROM {t}) - k",
        "DELETE FROM {t} WHERE a < {a} AND b <> '{b}'", "UPDATE {t} SET v = '{v}'", "TRUNCATE {t}",
    ]),
    ("uniques", "CREATE TABLE uniques (k int PRIMARY KEY, u int UNIQUE, r int4range, v text, EXCLUDE USING gist (r WITH &&));", &[
        "INSERT INTO {t} VALUES ({a}, {b}, int4range({a}, {b} + 1), '{v}')",
        "INSERT INTO {t} SELECT x, {v} + x, int4range(10 * x, 10 * x + 5) FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING",
        // Two rows exchange what is unique.
        "UPDATE {t} SET u = -1 WHERE k = {a}; UPDATE {t} SET u = q.u FROM {t} q WHERE {t}.k = {a} AND q.k = {b} AND {t}.u IS NULL;
         UPDATE {t} SET u = NULL, r = NULL WHERE k = {b}; UPDATE {t} SET u = {b} WHERE k = {a}; UPDATE {t} SET u = {a} WHERE k = {b}",
        "DELETE FROM {t} WHERE k = {a}; INSERT INTO {t} (k, u, v) VALUES ({a}, {b}, '{v}')",
        "UPDATE {t} SET u = NULL WHERE k > {a}", "UPDATE {t} SET k = {b}, r = int4range({v}, {v} + 3) WHERE k = {a}",
        "UPDATE {t} SET u = {b} WHERE u = {a}", "DELETE FROM {t} WHERE u > {b}", "TRUNCATE {t}",
    ]),
    ("tree", "CREATE TABLE tree (k int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE ON UPDATE CASCADE, v text);", &[
        "INSERT INTO {t} VALUES ({a}, NULL, '{v}')", "INSERT INTO {t} VALUES ({a}, {b}, '{v}')",
        "INSERT INTO {t} SELECT x, nullif(x / 2, 0) FROM generate_series(1, 7) x ON CONFLICT DO NOTHING",
        "UPDATE {t} SET parent = {b} WHERE k = {a}", "UPDATE {t} SET k = {b} WHERE k = {a}", "DELETE FROM {t} WHERE k = {a}",
        "UPDATE {t} SET v = '{v}' WHERE parent = {a}", "TRUNCATE {t}",
    ]),
    ("nulled", "CREATE TABLE parent (k int PRIMARY KEY, v text);
                CREATE TABLE nulled (k int PRIMARY KEY, p int REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE, v text);", &[
        "INSERT INTO {t} VALUES ({a}, {b}, '{v}')", "INSERT INTO {t} SELECT 10 * k + {a}, k FROM parent ON CONFLICT DO NOTHING", "DELETE FROM {t} WHERE p = {a}",
    ]),
    ("child", "CREATE TABLE child (p int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE, n int, v text, PRIMARY KEY (p, n));", &[
        "INSERT INTO {t} VALUES ({a}, {b}, '{v}')", "INSERT INTO {t} SELECT k, {v} FROM parent ON CONFLICT DO NOTHING",
        "UPDATE {t} SET v = '{v}' WHERE p = {a}", "DELETE FROM {t} WHERE n = {b}", "UPDATE {t} SET n = n + 1 WHERE p = {a} AND n > {v}", "TRUNCATE {t}",
    ]),
    ("parent", "", &[
        "INSERT INTO {t} SELECT x, '{v}' FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING", "UPDATE {t} SET k = {b} WHERE k = {a}",
        "DELETE FROM {t} WHERE k = {a}", "DELETE FROM {t} WHERE k BETWEEN {a} AND {b}", "UPDATE {t} SET v = '{v}' WHERE k = {a}", "TRUNCATE {t} CASCADE",
    ]),
    ("parts", "CREATE TABLE parts (k int, r int, v text, PRIMARY KEY (r, k)) PARTITION BY LIST (r);
               CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0, 1, 2);
               CREATE TABLE parts_1 (v text, r int NOT NULL, k int NOT NULL); ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES IN (3, 4);
               CREATE TABLE parts_2 PARTITION OF parts DEFAULT PARTITION BY RANGE (k);
               CREATE TABLE parts_2_0 PARTITION OF parts_2 FOR VALUES FROM (0) TO (5); CREATE TABLE parts_2_1 PARTITION OF parts_2 DEFAULT;", &[
        "INSERT INTO {t} SELECT x, {b}, '{v}' FROM generate_series(0, {a}) x ON CONFLICT (r, k) DO UPDATE SET v = excluded.v || 'u'",
        "UPDATE {t} SET r = {b} WHERE k = {a} AND v < '5'", "UPDATE {t} SET k = k + {b} WHERE r = {a}", "DELETE FROM {t} WHERE k = {a}",
        "INSERT INTO parts_1 (k, r, v) VALUES ({a}, 3 + {b} % 2, '{v}')", "UPDATE parts_0 SET v = '{v}' WHERE k = {a}", "DELETE FROM parts_2 WHERE r = {b}",
        "TRUNCATE parts_2", "TRUNCATE parts_1", "TRUNCATE {t}", "COPY parts_0 (k, r) FROM PROGRAM 'echo {a} 1' (DELIMITER ' ')",
    ]),
    ("keyless", "CREATE TABLE keyless (k int, v text);", &[
        "INSERT INTO {t} SELECT {a}, '{v}' FROM generate_series(0, {b})", "INSERT INTO {t} SELECT * FROM {t} LIMIT {a}", "UPDATE {t} SET v = '{v}' WHERE k = {a}",
        "DELETE FROM {t} WHERE k = {a}", "DELETE FROM {t} WHERE ctid = (SELECT min(ctid) FROM {t})", "TRUNCATE {t}",
    ]),
    ("computed", "CREATE TABLE computed (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, k int, twice int GENERATED ALWAYS AS (2 * k) STORED, v text);", &[
        "INSERT INTO {t} (k, v) SELECT x, '{v}' FROM generate_series(0, {a}) x", "UPDATE {t} SET k = {b} WHERE id % 9 = {a}", "DELETE FROM {t} WHERE k = {a}",
        "UPDATE {t} SET id = DEFAULT WHERE id % 9 = {b}", "TRUNCATE {t} RESTART IDENTITY", "TRUNCATE {t}",
    ]),
];
