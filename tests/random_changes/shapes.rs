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

/// All shapes, children before their parents. The first three statements of each make rows.
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
    // Unique values under conditions, of expressions, with one NULL; some that go round in rings.
    ("account", "CREATE TABLE account (k int PRIMARY KEY, email text, owner int, main bool NOT NULL DEFAULT false, n int, u int UNIQUE, UNIQUE NULLS NOT DISTINCT (n), UNIQUE (owner, u) DEFERRABLE);
                 CREATE UNIQUE INDEX ON account (lower(email)); CREATE UNIQUE INDEX ON account (owner) WHERE main; CREATE UNIQUE INDEX ON account ((abs(n) % 100), u) WHERE n < 0;", &[
        "INSERT INTO {t} SELECT x, 'e' || x, x / 3, x % 3 = 0, 10 + x, x FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING",
        "INSERT INTO {t} VALUES ({a}, 'E{b}', {b}, true, NULL, {v})", "INSERT INTO {t} (k, email, u) VALUES (100 + {a}, NULL, NULL) ON CONFLICT DO NOTHING",
        "UPDATE {t} SET u = -1000 - u; UPDATE {t} SET u = -1000 - q.n FROM (SELECT k, coalesce(lead(u) OVER w, first_value(u) OVER w) AS n FROM {t} WINDOW w AS (ORDER BY k)) q WHERE q.k = {t}.k",
        "UPDATE {t} SET email = '-' || email WHERE k <= {a}; UPDATE {t} SET email = 'e' || ({a} - k) WHERE k <= {a}",
        "UPDATE {t} SET main = false WHERE owner = {a}; UPDATE {t} SET main = true WHERE k = (SELECT max(k) FROM {t} WHERE owner = {a})",
        "UPDATE {t} SET n = NULL WHERE k = {a}", "UPDATE {t} SET n = 1000 + k WHERE n IS NULL; UPDATE {t} SET n = NULL WHERE k = {b}", "UPDATE {t} SET owner = {b}, n = -n WHERE k = {a}",
        "DELETE FROM {t} WHERE k = {a}; UPDATE {t} SET k = {a}, u = {a} WHERE k = {b}", "UPDATE {t} SET k = k + 1 WHERE k = (SELECT max(k) FROM {t})", "DELETE FROM {t} WHERE owner = {b}", "TRUNCATE {t}",
    ]),
    ("shift", "CREATE TABLE shift (k int PRIMARY KEY DEFERRABLE, during int4range, place int, EXCLUDE USING gist (during WITH &&) WHERE (place = 1) DEFERRABLE INITIALLY DEFERRED, EXCLUDE USING hash (k WITH =));", &[
        "INSERT INTO {t} SELECT x, int4range(10 * x, 10 * x + 10), 1 FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING", "INSERT INTO {t} VALUES (50 + {a}, int4range(10 * {b}, 10 * {b} + {v}), {b} % 3)",
        "INSERT INTO {t} VALUES (70 + {a}, 'empty', 1)", "UPDATE {t} SET during = int4range(lower(during) + {b}, upper(during) + {b})", "UPDATE {t} SET place = 1 + {v} % 2 WHERE k = {a}",
        "UPDATE {t} SET during = (SELECT q.during FROM {t} q WHERE q.k = {a} + {b} - {t}.k) WHERE k IN ({a}, {b})", "UPDATE {t} SET during = NULL WHERE k = {b}", "DELETE FROM {t} WHERE k > {b}", "TRUNCATE {t}",
    ]),
    // Two tables that refer to each other, and by default to row 0.
    ("egg", "CREATE TABLE hen (k int PRIMARY KEY, egg int, v text); CREATE TABLE egg (k int PRIMARY KEY, hen int DEFAULT 0 REFERENCES hen ON DELETE SET DEFAULT ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
             ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE;", &[
        "INSERT INTO {t} SELECT x, {b} FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING", "INSERT INTO {t} VALUES ({a})", "INSERT INTO {t} VALUES (10 + {a}, {a})",
        "UPDATE {t} SET k = {b} WHERE k = {a}", "UPDATE {t} SET hen = {b} WHERE k = {a}", "DELETE FROM {t} WHERE k = {a}", "DELETE FROM {t} WHERE hen = {b}", "TRUNCATE {t} CASCADE",
    ]),
    ("hen", "", &[
        "INSERT INTO {t} SELECT x FROM generate_series(0, {b}) x ON CONFLICT DO NOTHING", "INSERT INTO {t} VALUES ({a}, NULL, '{v}')", "UPDATE {t} SET egg = {a} WHERE k > {b}",
        "UPDATE {t} SET k = {b} WHERE k = {a}", "UPDATE {t} SET v = '{v}' WHERE k = {a}", "DELETE FROM {t} WHERE k = {a}", "DELETE FROM {t} WHERE egg IS NULL AND k > 0",
        "INSERT INTO egg VALUES (200 + {b}, 200 + {a}); INSERT INTO {t} VALUES (200 + {a}, 200 + {b})", "TRUNCATE {t}, egg",
    ]),
    // To and between partitioned tables, by several columns, all or none of them NULL.
    ("visit", "CREATE TABLE town (k int, r int, v text, PRIMARY KEY (k, r)) PARTITION BY LIST (r); CREATE TABLE town_0 PARTITION OF town FOR VALUES IN (0, 1, 2, 3); CREATE TABLE town_x PARTITION OF town DEFAULT PARTITION BY HASH (k);
               CREATE TABLE town_x0 PARTITION OF town_x FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE town_x1 PARTITION OF town_x FOR VALUES WITH (MODULUS 2, REMAINDER 1);
               CREATE TABLE visit (id int, k int, r int, z int DEFAULT 0, PRIMARY KEY (id), FOREIGN KEY (k, r) REFERENCES town MATCH FULL ON DELETE CASCADE ON UPDATE CASCADE,
                                   FOREIGN KEY (k, z) REFERENCES town ON DELETE SET DEFAULT (z) ON UPDATE CASCADE) PARTITION BY RANGE (id);
               CREATE TABLE visit_0 PARTITION OF visit FOR VALUES FROM (MINVALUE) TO (5); CREATE TABLE visit_1 PARTITION OF visit DEFAULT;", &[
        "INSERT INTO {t} SELECT 10 * k + r, k, r, r FROM town ON CONFLICT DO NOTHING", "INSERT INTO {t} VALUES ({a}, {a}, {b}, NULL)", "INSERT INTO {t} VALUES (100 + {a}, NULL, NULL, {b})",
        "UPDATE {t} SET k = {a}, r = {b} WHERE id % 9 = {a}", "UPDATE {t} SET k = NULL, r = NULL WHERE id = {a}", "UPDATE {t} SET id = {b} WHERE id = {a}", "DELETE FROM visit_1 WHERE r = {b}", "TRUNCATE visit_0", "TRUNCATE {t}",
    ]),
    ("town", "", &[
        "INSERT INTO {t} SELECT x, {b}, '{v}' FROM generate_series(0, {a}) x ON CONFLICT DO NOTHING", "INSERT INTO {t} SELECT x, 0 FROM generate_series(0, 9) x ON CONFLICT DO NOTHING", "INSERT INTO {t} SELECT {a}, x FROM generate_series(0, {b}) x ON CONFLICT DO NOTHING",
        "UPDATE {t} SET r = {b} WHERE k = {a} AND r > 0", "UPDATE {t} SET k = k + {b} WHERE r = {a}", "DELETE FROM {t} WHERE k = {a}", "DELETE FROM town_x WHERE k < {a}", "UPDATE town_0 SET v = '{v}' WHERE k = {a}", "TRUNCATE {t} CASCADE",
    ]),
    ("ancestor", "CREATE TABLE ancestor (k int PRIMARY KEY, gone int, v text); CREATE TABLE heir (own int, PRIMARY KEY (k)) INHERITS (ancestor); CREATE TABLE last_heir (PRIMARY KEY (k), UNIQUE (own)) INHERITS (heir); ALTER TABLE ancestor DROP gone;", &[
        "INSERT INTO {t} SELECT x, '{v}' FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING", "INSERT INTO heir SELECT x, '{v}', {b} FROM generate_series({a}, {a} + {b}) x ON CONFLICT DO NOTHING",
        "INSERT INTO last_heir VALUES ({a}, '{v}', {b})", "UPDATE {t} SET v = '{v}' WHERE k = {a}", "UPDATE heir SET k = {b} WHERE k = {a}", "UPDATE ONLY {t} SET k = {b} WHERE k = {a}", "DELETE FROM heir WHERE k = {a}",
        "WITH m AS (DELETE FROM ONLY {t} WHERE k = {a} RETURNING *) INSERT INTO last_heir SELECT k, v, k FROM m", "UPDATE last_heir SET own = NULL", "TRUNCATE ONLY {t}", "TRUNCATE heir", "TRUNCATE {t}",
    ]),
    // Rules, policies and triggers that write more than they were told to, and a sequence that three tables share.
    ("ruled", "CREATE SEQUENCE shared_sequence; CREATE TABLE noted (id int PRIMARY KEY DEFAULT nextval('shared_sequence'), what text); CREATE TABLE ruled (k int PRIMARY KEY, v text, gone bool NOT NULL DEFAULT false);
               CREATE RULE soft AS ON DELETE TO ruled WHERE NOT old.gone DO INSTEAD UPDATE ruled SET gone = true WHERE k = old.k;
               CREATE RULE also AS ON INSERT TO ruled DO ALSO INSERT INTO noted (what) VALUES ('rule'); ALTER TABLE ruled ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;", &[
        "INSERT INTO {t} SELECT x, '{v}' FROM generate_series(10 * {a}, 10 * {a} + {b}) x WHERE NOT EXISTS (SELECT FROM {t} WHERE k = x)", "INSERT INTO {t} VALUES ({a}, '{v}')", "UPDATE {t} SET v = '{v}' WHERE k % 9 = {a}",
        "DELETE FROM {t} WHERE k = {a}", "DELETE FROM {t} WHERE k > 20", "UPDATE {t} SET k = {b}, gone = false WHERE k = {a}", "TRUNCATE {t}",
    ]),
    ("noted", "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.noted (what) VALUES (TG_OP); RETURN NULL; END $$;
               CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := nextval('public.down_sequence'); RETURN NEW; END $$; CREATE SEQUENCE down_sequence INCREMENT -3 CACHE 5;
               CREATE TABLE stamped (k int PRIMARY KEY DEFAULT nextval('shared_sequence'), n int UNIQUE, v text); CREATE TRIGGER n AFTER INSERT OR UPDATE OR DELETE ON stamped FOR EACH ROW EXECUTE FUNCTION note();
               CREATE TRIGGER s BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();", &[
        "INSERT INTO {t} (what) VALUES ('{v}')", "SELECT nextval('down_sequence')", "INSERT INTO {t} SELECT nextval('shared_sequence') FROM generate_series(0, {a})", "DELETE FROM {t} WHERE id % 9 = {a}", "UPDATE {t} SET what = '{v}' WHERE id % 9 = {a}",
        "SELECT setval('down_sequence', min(n) - 1, false) FROM stamped HAVING min(n) < 0",
    ]),
    ("stamped", "CREATE SEQUENCE round MAXVALUE 5 CYCLE;", &[
        "INSERT INTO {t} (v) SELECT '{v}' FROM generate_series(0, {a})", "UPDATE {t} SET v = '{v}' WHERE k % 9 = {a}", "SELECT nextval('round')", "DELETE FROM {t} WHERE k % 9 = {b}",
        "UPDATE {t} SET k = nextval('shared_sequence') WHERE k % 9 = {a}", "ALTER SEQUENCE round RESTART", "TRUNCATE {t}",
    ]),
];
