//! Ways to change rows whose keys, values or names are out of the ordinary.

use super::ways::Way;

const fn way(name: &'static str, before: &'static str, change: &'static str) -> Way {
    Way {
        name,
        before,
        there: None,
        change,
    }
}

/// All of them.
pub const WAYS: &[Way] = &[
    way(
        "keys_that_print_differently",
        "CREATE TABLE tz (k timestamptz PRIMARY KEY, n int); CREATE TABLE ts (k timestamp PRIMARY KEY, n int);
         CREATE TABLE da (k date PRIMARY KEY, n int); CREATE TABLE ttz (k timetz PRIMARY KEY, n int);
         CREATE TABLE iv (k interval PRIMARY KEY, n int); CREATE TABLE f8 (k float8 PRIMARY KEY, n int);
         CREATE TABLE f4 (k float4 PRIMARY KEY, n int); CREATE TABLE by (k bytea PRIMARY KEY, n int);
         CREATE TABLE mo (k money PRIMARY KEY, n int); CREATE TABLE ar (k timestamptz[] PRIMARY KEY, n int);
         CREATE TABLE ra (k tstzrange PRIMARY KEY, n int);
         CREATE TABLE co (a timestamptz, b float8, c bytea, n int, PRIMARY KEY (a, b, c));
         CREATE DOMAIN moment AS timestamptz; CREATE TABLE dom (k moment PRIMARY KEY, n int);
         INSERT INTO tz SELECT '2024-03-31 00:30:00.123456+00'::timestamptz + i * interval '1 hour', i FROM generate_series(1, 9) i;
         INSERT INTO ts SELECT k AT TIME ZONE 'UTC', n FROM tz; INSERT INTO da SELECT '2024-02-01'::date + n, n FROM tz;
         INSERT INTO ttz SELECT k::timetz, n FROM tz WHERE n < 5;
         INSERT INTO iv SELECT (n || ' mons ' || n || ' days -01:00:0' || n)::interval, n FROM tz;
         INSERT INTO f8 SELECT 0.1 * n + 1e-17, n FROM tz; INSERT INTO f4 SELECT 0.1 * n, n FROM tz;
         INSERT INTO by SELECT decode(md5(n::text), 'hex'), n FROM tz; INSERT INTO mo SELECT (n * 1234.56)::numeric::money, n FROM tz;
         INSERT INTO ar SELECT ARRAY[k, NULL], n FROM tz; INSERT INTO ra SELECT tstzrange(k, NULL), n FROM tz;
         INSERT INTO co SELECT k, 0.1 * n, decode(md5(n::text), 'hex'), n FROM tz; INSERT INTO dom SELECT * FROM tz;",
        "DO $$
         DECLARE
             style text[];
             n int := 0;
             t text;
         BEGIN
             -- DateStyle, IntervalStyle, TimeZone, extra_float_digits, bytea_output, lc_monetary
             FOREACH style SLICE 1 IN ARRAY ARRAY[
                 ['SQL, DMY', 'sql_standard', 'Europe/Berlin', '-15', 'escape', 'C'],
                 ['German', 'iso_8601', 'Asia/Kathmandu', '0', 'escape', 'C.UTF-8'],
                 ['Postgres, MDY', 'postgres_verbose', 'America/St_Johns', '1', 'hex', 'C'],
                 ['ISO, MDY', 'postgres', '<-03>+03', '-4', 'escape', 'POSIX']]
             LOOP
                 PERFORM set_config('DateStyle', style[1], true), set_config('IntervalStyle', style[2], true),
                         set_config('TimeZone', style[3], true), set_config('extra_float_digits', style[4], true),
                         set_config('bytea_output', style[5], true), set_config('lc_monetary', style[6], true);
                 n := n + 1;
                 FOREACH t IN ARRAY ARRAY['tz', 'ts', 'da', 'ttz', 'iv', 'f8', 'f4', 'by', 'mo', 'ar', 'ra', 'co', 'dom'] LOOP
                     EXECUTE format('UPDATE %I SET n = 100 + n WHERE n = %s', t, n);
                 END LOOP;
             END LOOP;
             FOREACH t IN ARRAY ARRAY['tz', 'ts', 'da', 'iv', 'f8', 'f4', 'by', 'mo', 'ar', 'ra', 'co', 'dom'] LOOP
                 EXECUTE format('DELETE FROM %I WHERE n = 8', t);
             END LOOP;
             UPDATE tz SET k = k + interval '1 second' WHERE tz.n = 9;
             UPDATE f8 SET k = 'NaN' WHERE f8.n = 9; UPDATE f8 SET k = '-Infinity' WHERE f8.n = 7;
             UPDATE tz SET k = 'infinity' WHERE tz.n = 7; UPDATE da SET k = '-infinity' WHERE da.n = 7;
             UPDATE da SET k = '4713-01-01 BC' WHERE da.n = 6;
             UPDATE tz SET k = '0044-03-15 12:00:00 BC' WHERE tz.n = 6;
         END $$;",
    ),
    way(
        "keys_with_several_texts",
        "CREATE TABLE nu (k numeric PRIMARY KEY, n int); CREATE TABLE ch (k char(5) PRIMARY KEY, n int);
         CREATE TABLE f8 (k float8 PRIMARY KEY, n int); CREATE TABLE iv (k interval PRIMARY KEY, n int);
         CREATE TABLE js (k jsonb PRIMARY KEY, n int);
         CREATE TABLE co (a text COLLATE \"C\", b char(3), c numeric, n int, PRIMARY KEY (a, b, c));
         INSERT INTO nu VALUES (1, 1), (2.50, 2), ('NaN', 3), ('Infinity', 4), (0, 5), (1e40, 6);
         INSERT INTO ch VALUES ('a', 1), ('b  ', 2), ('  c', 3), ('', 4);
         INSERT INTO f8 VALUES (0, 1), ('-Infinity', 2); INSERT INTO iv VALUES ('1 mon', 1), ('24:00', 2);
         INSERT INTO js VALUES ('1.0', 1), ('{\"a\": 1, \"b\": [2.50]}', 2);
         INSERT INTO co VALUES ('A', 'a', 1.0, 1), ('b', 'b', 2, 2);",
        "UPDATE nu SET k = 1.00 WHERE k = 1; UPDATE nu SET n = 9 WHERE k = 1.0000; DELETE FROM nu WHERE k = 2.5;
         UPDATE nu SET n = 33 WHERE k = 'NaN'; DELETE FROM nu WHERE k = 'Infinity'; INSERT INTO nu VALUES ('-Infinity', 7);
         UPDATE ch SET n = 11 WHERE k = 'a    '; DELETE FROM ch WHERE k = 'b'; UPDATE ch SET n = 13 WHERE k = '  c';
         UPDATE ch SET k = 'e' WHERE k = '';
         UPDATE f8 SET k = '-0' WHERE k = 0; UPDATE iv SET k = '30 days' WHERE k = '1 mon'; UPDATE iv SET k = '1 day' WHERE n = 2;
         UPDATE js SET k = '1.00' WHERE n = 1; UPDATE js SET n = 22 WHERE n = 2;
         UPDATE co SET a = 'a', c = 1.00 WHERE n = 1; UPDATE co SET n = 22, b = 'b' WHERE a = 'b';",
    ),
    way(
        "keys_of_many_types",
        "CREATE TYPE mood AS ENUM ('sad', 'so \"so\", x', ''); CREATE DOMAIN code AS varchar(8) CHECK (VALUE <> 'no');
         CREATE TYPE pair AS (a int, b text);
         CREATE TABLE en (k mood PRIMARY KEY, n int); CREATE TABLE doms (k code PRIMARY KEY, n int);
         CREATE TABLE ro (k pair PRIMARY KEY, n int); CREATE TABLE uu (k uuid PRIMARY KEY, n int);
         CREATE TABLE bo (k bool PRIMARY KEY, n int); CREATE TABLE bi (k bit(3) PRIMARY KEY, n int);
         CREATE TABLE ine (k inet PRIMARY KEY, n int); CREATE TABLE q (k \"char\" PRIMARY KEY, n int);
         CREATE TABLE na (k name PRIMARY KEY, n int); CREATE TABLE ia (k int[] PRIMARY KEY, n int);
         CREATE TABLE ir (k int4range PRIMARY KEY, n int); CREATE TABLE od (k oid PRIMARY KEY, n int);
         CREATE TABLE tv (k tsvector PRIMARY KEY, n int); CREATE TABLE ma (k macaddr PRIMARY KEY, n int);
         CREATE TABLE te (k text PRIMARY KEY, n int); CREATE TABLE ea (k mood[] PRIMARY KEY, n int);
         INSERT INTO en VALUES ('sad', 1), ('so \"so\", x', 2), ('', 3); INSERT INTO doms VALUES ('a', 1), ('', 2);
         INSERT INTO ro VALUES ((1, 'x, \"y\"'), 1), ((NULL, NULL), 2); INSERT INTO bo VALUES (true, 1), (false, 2);
         INSERT INTO uu VALUES ('00000000-0000-0000-0000-000000000001', 1), ('ffffffff-ffff-ffff-ffff-ffffffffffff', 2);
         INSERT INTO bi VALUES ('101', 1), ('000', 2); INSERT INTO ine VALUES ('10.0.0.1/8', 1), ('::1', 2);
         INSERT INTO q VALUES ('x', 1), ('''', 2); INSERT INTO na VALUES ('a', 1), ('b c', 2);
         INSERT INTO ia VALUES ('{1,2,NULL}', 1), ('{}', 2), ('[2:3]={1,2}', 3); INSERT INTO ir VALUES ('[1,5)', 1), ('empty', 2);
         INSERT INTO od VALUES (1, 1), (4294967295, 2); INSERT INTO tv VALUES ('a:1 b:2', 1), ('', 2);
         INSERT INTO ma VALUES ('08:00:2b:01:02:03', 1), ('08:00:2b:01:02:04', 2);
         INSERT INTO te VALUES ('', 1), (E'\\n', 2), ('NULL', 3), (E'back\\\\slash ''quote'' \\\\.', 4), ('{a,b}', 5), ('ünï', 6), (repeat('long', 400), 7);
         INSERT INTO ea VALUES ('{sad}', 1), ('{}', 2);",
        "DO $$
         DECLARE t text;
         BEGIN
             FOREACH t IN ARRAY ARRAY['en', 'doms', 'ro', 'uu', 'bo', 'bi', 'ine', 'q', 'na', 'ia', 'ir', 'od', 'tv', 'ma', 'te', 'ea'] LOOP
                 EXECUTE format('UPDATE %I SET n = 10 WHERE n = 1', t);
                 EXECUTE format('DELETE FROM %I WHERE n = 2', t);
             END LOOP;
             UPDATE te SET n = 10 * n; UPDATE ia SET n = 30 WHERE n = 3;
         END $$;",
    ),
    way(
        "values_of_every_kind",
        "CREATE TABLE t (id int PRIMARY KEY, f8 float8, f4 float4, nu numeric, d date, tz timestamptz, iv interval, c char(5),
                         vc varchar(5), by bytea, js json, jb jsonb, a text[], m money, b bit(3), vb varbit, p point, r tstzrange, s text);
         INSERT INTO t (id) SELECT generate_series(1, 9);",
        "SET extra_float_digits = -15; SET DateStyle = 'German'; SET bytea_output = 'escape';
         INSERT INTO t VALUES (20, 0.1::float8 + 0.2, 'NaN', '-Infinity', 'infinity', '-infinity', '-1 mon 2 days', 'a ', '', '\\x00ff5c27', '{\"a\" :  1.0}',
             '{\"b\": 2.50}', ARRAY['NULL', NULL, '', 'a,\"b\"', E'\\n'], '-1.23', '101', '', '(0.1,1e300)', '[2024-01-01,)', E'tab\\t \\\\ '' \\r\\n \\x7f ende');
         UPDATE t SET nu = 1.500, c = '  x' WHERE id = 1; UPDATE t SET s = repeat('x', 300000), by = decode(repeat('00ff', 40000), 'hex') WHERE id = 2;
         UPDATE t SET f8 = '-0', f4 = 1e-45, tz = '4713-01-01 00:00:00 BC' WHERE id = 3; UPDATE t SET s = '' WHERE id = 4;
         UPDATE t SET s = '\\.', by = '' WHERE id = 5; UPDATE t SET d = '31.12.5874897', nu = 'NaN' WHERE id = 6;",
    ),
    way(
        "computed_columns",
        "CREATE TABLE g (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, b text);
         CREATE TABLE i (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
         CREATE TABLE k (a int NOT NULL, k int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY);
         CREATE TABLE dropped (id int PRIMARY KEY, x int, v text); ALTER TABLE dropped DROP x;
         INSERT INTO g (id, a) SELECT i, i FROM generate_series(1, 9) i; INSERT INTO i (v) SELECT 'v' FROM generate_series(1, 9);
         INSERT INTO k SELECT generate_series(1, 9); INSERT INTO dropped SELECT i, 'v' FROM generate_series(1, 9) i;",
        "UPDATE g SET a = 50 WHERE id = 1; INSERT INTO g (id, a, b) VALUES (10, NULL, 'b'); DELETE FROM g WHERE id = 2;
         INSERT INTO i (v) VALUES ('new'); UPDATE i SET v = 'u' WHERE id = 1; INSERT INTO i OVERRIDING SYSTEM VALUE VALUES (-5, 'own');
         UPDATE k SET a = 100 WHERE a = 1; DELETE FROM k WHERE a = 2; UPDATE dropped SET v = 'u' WHERE id = 3;",
    ),
    Way {
        name: "columns_in_another_order",
        before: "CREATE TABLE t (a int, b text, gone int, c numeric, PRIMARY KEY (a, b)); ALTER TABLE t DROP gone;
                 INSERT INTO t SELECT i, 'b' || i, i / 3.0 FROM generate_series(1, 20) i;",
        there: Some(
            "CREATE TABLE t (c numeric, other int, b text, a int, PRIMARY KEY (b, a)) PARTITION BY HASH (a);
             ALTER TABLE t DROP other;
             CREATE TABLE t_all PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0);",
        ),
        change: "UPDATE t SET c = -1 WHERE a = 1; UPDATE t SET b = 'z' WHERE a = 2; DELETE FROM t WHERE a = 3; INSERT INTO t VALUES (0, '', NULL);",
    },
    way(
        "tables_without_a_key",
        "CREATE TABLE t (a int, b text); INSERT INTO t SELECT i % 3, 'b' FROM generate_series(1, 9) i;
         CREATE TABLE untouched (a int); INSERT INTO untouched VALUES (1), (1);
         CREATE TABLE nullable (a int UNIQUE, b text); INSERT INTO nullable VALUES (NULL, 'x'), (NULL, 'x'), (1, 'y');
         CREATE TABLE partly (a int NOT NULL, b text); CREATE UNIQUE INDEX ON partly (a) WHERE b IS NULL;
         INSERT INTO partly VALUES (1, 'x'), (1, 'y');
         CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;
         CREATE TABLE p (a int, b text) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
         CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p SELECT i % 3, 'b' FROM generate_series(1, 9) i;
         CREATE TABLE emptied (a int); INSERT INTO emptied VALUES (1);",
        "INSERT INTO t VALUES (1, 'b'), (1, 'b'); UPDATE t SET b = 'u' WHERE a = 2; DELETE FROM t WHERE a = 0;
         UPDATE nullable SET b = 'z' WHERE a IS NULL; DELETE FROM partly WHERE b = 'x'; INSERT INTO nothing DEFAULT VALUES;
         DELETE FROM p1; INSERT INTO p2 VALUES (7, 'direct'); DELETE FROM emptied;",
    ),
    way(
        "keys_that_are_no_primary_keys",
        "CREATE TABLE u (v text, a int NOT NULL, b int NOT NULL UNIQUE); INSERT INTO u SELECT 'v', i, i FROM generate_series(1, 9) i;
         CREATE TABLE inc (a int NOT NULL, v text); CREATE UNIQUE INDEX ON inc (a DESC) INCLUDE (v); INSERT INTO inc SELECT i, 'v' FROM generate_series(1, 9) i;
         CREATE TABLE def (a int NOT NULL UNIQUE DEFERRABLE INITIALLY DEFERRED, v text); INSERT INTO def SELECT i, 'v' FROM generate_series(1, 9) i;",
        "UPDATE u SET v = 'u', a = 5 WHERE b = 1; UPDATE u SET b = 20 WHERE b = 2; DELETE FROM inc WHERE a = 1; UPDATE inc SET v = 'u' WHERE a = 2;
         UPDATE def SET a = 10 - a; DELETE FROM def WHERE a = 1; UPDATE def SET v = 'u' WHERE a = 3;",
    ),
    way(
        "names",
        r#"CREATE SCHEMA "Robert'); DROP TABLE x; --";
           CREATE TABLE "Robert'); DROP TABLE x; --"."sel""ect '%s' $1 \ {0}" ("Key of ""it""" int PRIMARY KEY, "na'me" text, "select" int, "%L" text, "NEW" text, "t" text, "k" text, "most" text, "whole" text, "key" text, "contents" text);
           INSERT INTO "Robert'); DROP TABLE x; --"."sel""ect '%s' $1 \ {0}" SELECT i, 'v', i FROM generate_series(1, 9) i;
           CREATE TABLE "äöü€ 漢字 🙂" ("ß" text, "👍" int, PRIMARY KEY ("ß", "👍")); INSERT INTO "äöü€ 漢字 🙂" VALUES ('x', 1), ('y', 2);
           CREATE TABLE "123456789012345678901234567890123456789012345678901234567890123" (id int PRIMARY KEY);
           CREATE TABLE "123456789012345678901234567890123456789012345678901234567890124" (id int PRIMARY KEY, v int);
           INSERT INTO "123456789012345678901234567890123456789012345678901234567890123" VALUES (1), (2);
           INSERT INTO "123456789012345678901234567890123456789012345678901234567890124" VALUES (1), (2);
           CREATE TABLE changed_id (changed_id int, former_id text, v text, PRIMARY KEY (changed_id, former_id)); INSERT INTO changed_id VALUES (1, 'a'), (2, 'b');
           CREATE TABLE k (k1 int PRIMARY KEY, k text, t int, row_id text, table_id int); INSERT INTO k VALUES (1), (2);"#,
        r#"UPDATE "Robert'); DROP TABLE x; --"."sel""ect '%s' $1 \ {0}" SET "na'me" = '$$; --', "most" = 'x', "whole" = '', "key" = 'k' WHERE "select" < 5;
           UPDATE "äöü€ 漢字 🙂" SET "ß" = 'ß🙂'; DELETE FROM "123456789012345678901234567890123456789012345678901234567890123" WHERE id = 1;
           UPDATE "123456789012345678901234567890123456789012345678901234567890124" SET v = 5; UPDATE changed_id SET v = 'x', former_id = 'z' WHERE changed_id = 1;
           UPDATE k SET t = 1, row_id = 'r' WHERE k1 = 2;"#,
    ),
    way(
        "very_wide_tables",
        "DO $$
         BEGIN
             EXECUTE (SELECT 'CREATE TABLE t (id int PRIMARY KEY, ' || string_agg('c' || i || ' text', ', ') || ')' FROM generate_series(1, 250) i);
         END $$;
         INSERT INTO t SELECT generate_series(1, 9);",
        "UPDATE t SET c1 = 'a', c89 = 'b', c90 = 'c', c91 = 'd', c250 = 'e' WHERE id = 1; INSERT INTO t VALUES (10, 'x');",
    ),
    way(
        "sequences",
        "CREATE SEQUENCE called; CREATE SEQUENCE never START 7; CREATE SEQUENCE set_back; CREATE SEQUENCE uncalled_again;
         CREATE SEQUENCE down INCREMENT -3 MAXVALUE 100 START 100; CREATE SEQUENCE small AS smallint; CREATE SEQUENCE \"Odd \"\"one\"\"\";
         CREATE SEQUENCE restarted START 5; CREATE SEQUENCE as_it_was; CREATE SEQUENCE touched;
         SELECT setval('set_back', 500), setval('uncalled_again', 3), setval('restarted', 99), setval('as_it_was', 12);
         CREATE TABLE t (id serial PRIMARY KEY, v text); INSERT INTO t (v) VALUES ('a');",
        "SELECT nextval('called') FROM generate_series(1, 40); SELECT setval('set_back', 20); SELECT setval('uncalled_again', 4, false);
         SELECT nextval('down'), nextval('down'); SELECT setval('small', 32767); SELECT nextval('\"Odd \"\"one\"\"\"');
         ALTER SEQUENCE restarted RESTART; SELECT setval('touched', 1, true);
         BEGIN; INSERT INTO t (v) VALUES ('never'); ROLLBACK; INSERT INTO t (v) VALUES ('b');",
    ),
];
