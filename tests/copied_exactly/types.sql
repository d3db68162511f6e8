-- Every built-in type that a column may have, with values at its edges, and types made of them.
-- ("char" keeps to ASCII: before 15 its text is a bare byte, which no COPY can load again.)
CREATE SCHEMA types;

CREATE TABLE types.scalar (
    id int PRIMARY KEY, touched int NOT NULL DEFAULT 0,
    c_bool bool, c_int2 int2, c_int4 int4, c_int8 int8, c_float4 float4, c_float8 float8, c_numeric numeric,
    c_numeric_scale numeric(20, 5), c_money money, c_char char(5), c_internal_char "char", c_varchar varchar(10),
    c_text text, c_name name, c_bytea bytea, c_date date, c_time time, c_timetz timetz, c_timestamp timestamp,
    c_timestamptz timestamptz, c_timestamp0 timestamp(0), c_interval interval, c_interval_day interval day to second,
    c_uuid uuid, c_json json, c_jsonb jsonb, c_jsonpath jsonpath, c_inet inet, c_cidr cidr, c_macaddr macaddr,
    c_macaddr8 macaddr8, c_bit bit(3), c_varbit varbit, c_point point, c_line line, c_lseg lseg, c_box box, c_path path,
    c_polygon polygon, c_circle circle, c_tsvector tsvector, c_tsquery tsquery, c_int4range int4range,
    c_int8range int8range, c_numrange numrange, c_tsrange tsrange, c_tstzrange tstzrange, c_daterange daterange,
    c_oid oid, c_xid xid, c_xid8 xid8, c_cid cid, c_tid tid, c_pg_lsn pg_lsn, c_pg_snapshot pg_snapshot,
    c_regclass regclass, c_regtype regtype, c_regproc regproc, c_regrole regrole, c_regnamespace regnamespace
);
INSERT INTO types.scalar VALUES
(1, 0, true, -32768, -2147483648, -9223372036854775808, '-3.4028235e38', '-1.7976931348623157e308', 'NaN',
 -99999.99999, '-92233720368547758.08', 'ab', 'x', '', '', 'n', '\x', '4713-01-01 BC', '00:00:00', '00:00:00+15:59:59',
 '4713-01-01 00:00:00 BC', '4713-01-02 00:00:00+00 BC', '2000-01-01 00:00:01', '-178000000 years', '-1 day -00:00:01.000001',
 '00000000-0000-0000-0000-000000000000', '{"a":1,  "a":2}', '{"b": [1.00, null, "\u00e9"]}', '$.a[*] ? (@ > 1)',
 '::/0', '0.0.0.0/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00', B'000', B'', '(0,-0)', '{1,-1,0}', '[(0,0),(1,1)]',
 '(1,1),(0,0)', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),0>', '', '', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty',
 0, '0', '0', '0', '(0,0)', '0/0', '10:10:',
 'types.scalar', 'types.scalar', 'pg_catalog.now', 'postgres', 'types'),
(2, 0, false, 32767, 2147483647, 9223372036854775807, '3.4028235e38', '1.7976931348623157e308',
 ('1' || repeat('0', 1000) || '.' || repeat('0', 500) || '1')::numeric,
 99999.99999, '92233720368547758.07', 'abcde', '', '1234567890', E'tab\there\nnew line \\ backslash \\N', repeat('n', 63), '\x00ff5c0a0d09',
 '5874897-12-31', '24:00:00', '24:00:00-15:59:59',
 '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', '1999-12-31 23:59:59', '178000000 years', '3 days 23:59:59.999999',
 'ffffffff-ffff-ffff-ffff-ffffffffffff', E'[ 1e400,\n null ]', '[[], {}, "", 1e400, -0.0]', 'strict $."quoted \"key\""',
 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '255.255.255.255/32', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', B'111',
 repeat('10', 300)::varbit, '(NaN,Infinity)', '{0,1,-1e300}', '[(-1e300,1e-300),(0.1,0.2)]', '(1e300,1e300),(-1e300,-1e300)', '((0,0),(1,1))',
 '((0.1,0.2))', '<(1e10,-1e10),1e-5>', $$'a':1A,2B 'quote''s':3 'Zoë'$$, $$'a' & !'b':*AB <-> 'c d'$$,
 '[-2147483648,2147483647)', '(,)', '[-1e100,NaN]', '["-infinity",infinity]', '[2000-01-01 00:00+00,)', '[4713-01-01 BC,5874897-12-31)',
 4294967295, '4294967295', '18446744073709551615', '4294967295', '(4294967295,65535)', 'FFFFFFFF/FFFFFFFF', '10:20:10,14,15',
 'pg_catalog.pg_class', 'integer[]', 'pg_catalog.version', 'pg_monitor', 'pg_catalog'),
(3, 0, NULL, 0, 0, 0, '-0', '-0', '-0.000', 0, 0, '     ', NULL, NULL, '\.', NULL, NULL, '-infinity', '23:59:59.999999', '12:00+00',
 '-infinity', '-infinity', NULL, '0', '0', NULL, 'null', 'null', '$', '10.0.0.1/8', '10.0.0.0/8', NULL, NULL, NULL, B'0',
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '(1,5]', NULL, NULL, NULL, NULL, NULL, 1, NULL, NULL, NULL, NULL, '16/B374D848', NULL,
 NULL, NULL, NULL, NULL, NULL),
(4, 0, NULL, 1, 1, 1, 'NaN', 'NaN', '0.00000000000000000001', 0.1, 0.01, 'é', 'z', 'Zoë 日本 🐘', 'Zoë 日本 🐘', 'Zoë', '\xde00', 'infinity', '12:34:56', '12:34:56+05:30',
 'infinity', 'infinity', NULL, '1 mon -1 day 00:00:00.000001', '00:00:00.5', NULL, '"x"', '"x"', '$.x.type()', NULL, NULL, NULL, NULL, NULL, NULL,
 '(0.1,1e-320)', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
(5, 0, NULL, NULL, NULL, NULL, '1e-45', '5e-324', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '1582-10-10', NULL, NULL, '0001-01-01 00:00:00 BC', '1883-11-18 12:03:57+00',
 NULL, '1 year 2 mons -3 days +04:05:06.789', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
 NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO types.scalar (id, c_float4, c_float8, c_text) VALUES
(6, 'Infinity', '-Infinity', NULL), (7, 0.1, 0.1, ''), (8, 16777217, 9007199254740993, 'NULL'), (9, 1e-37, 2.2250738585072014e-308, '\x41'),
(10, NULL, 0.30000000000000004, repeat(E'\\''"', 5000));

-- Types made by users: their oids differ between servers.
CREATE TYPE types.color AS ENUM ('red', 'green', 'blue; "dark"');
ALTER TYPE types.color ADD VALUE 'infrared' BEFORE 'red';
CREATE TYPE types.point3 AS (x int, y numeric, color types.color);
CREATE TYPE types.nested AS (point types.point3, points types.point3[], at timestamptz);
CREATE TYPE types.colors AS RANGE (subtype = types.color);
CREATE TYPE types.float_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN types.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN types.short AS varchar(5) NOT NULL DEFAULT 'x';
CREATE DOMAIN types.some_positive AS types.positive[] CHECK (array_length(VALUE, 1) < 5);
CREATE DOMAIN types.sunny AS types.point3 CHECK ((VALUE).x IS NOT NULL);
CREATE TABLE types.made (
    id int PRIMARY KEY, touched int NOT NULL DEFAULT 0,
    color types.color, colors types.color[], range types.colors, ranges types.colors[], floats types.float_range,
    point types.point3, points types.point3[], nested types.nested, positive types.positive, short types.short,
    few types.some_positive, sunny types.sunny, ints int[], cube int[][][], shifted text[], times timestamptz[], docs jsonb[],
    bytes bytea[], ranges_of_dates daterange[], row_of_a_table types.scalar, catalog pg_catalog.regclass[]
);
INSERT INTO types.made VALUES
(1, 0, 'infrared', '{red,NULL,"blue; \"dark\""}', '[red,green]', '{"[red,green)",empty}', '[-1.5,NaN)', '(1,2.50,green)', '{"(1,,)","(,,red)",NULL}',
 '("(1,2,red)","{""(3,4,green)""}","2000-01-01 00:00:00+00")', 1, '', '{1,2}', '(1,,)', '{}', '{{{1,2},{3,4}},{{5,6},{7,NULL}}}', '[-2:0]={a,"",NULL}',
 '{-infinity,infinity,"2000-01-01 12:00:00+14"}', '{"{\"a\": [1]}",NULL,null}', '{"\\x","\\x00ff"}', '{empty,"[2000-01-01,)"}',
 (SELECT s FROM types.scalar s WHERE id = 7), '{types.scalar}'),
(2, 0, NULL, '{}', 'empty', NULL, '(,)', '(,,)', '{}', NULL, NULL, 'x', NULL, '(7,8,red)', '[5:6]={1,NULL}', NULL, '{NULL,"NULL","{}"}', NULL, NULL, NULL, NULL, NULL, NULL);

-- Multiranges, where there are any.
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 140000 THEN
        CREATE TABLE types.several (id int PRIMARY KEY, n nummultirange, d datemultirange, m int8multirange[]);
        INSERT INTO types.several VALUES (1, '{}', '{[2000-01-01,2000-01-02),[2001-01-01,)}', '{"{[1,2),[5,7)}","{}",NULL}'), (2, '{(,)}', NULL, '{}');
    END IF;
END $$;

-- Keys whose text depends on settings, and none.
CREATE TABLE types.keyless (touched int NOT NULL DEFAULT 0, t timestamptz, f float8, c types.color);
INSERT INTO types.keyless VALUES (0, 'infinity', 'NaN', 'red'), (0, 'infinity', 'NaN', 'red'), (0, NULL, NULL, NULL);
CREATE TABLE types.key_float (f float8, g float4, touched int NOT NULL DEFAULT 0, PRIMARY KEY (f, g));
INSERT INTO types.key_float SELECT f, g FROM unnest(ARRAY[0.1, 0.30000000000000004, 1e-310, 'NaN', 'Infinity', '-Infinity', 123456789.123456789]::float8[]) f,
                                                unnest(ARRAY[0.1, 'NaN', 1e-45, 16777216]::float4[]) g;
CREATE TABLE types.key_time (t timestamptz, d date, i interval, m money, touched int NOT NULL DEFAULT 0, PRIMARY KEY (t, d, i, m));
INSERT INTO types.key_time SELECT t, d, i, m FROM unnest(ARRAY['infinity', '0044-03-15 12:00:00.000001+00 BC', '2024-06-01 00:00:00+02']::timestamptz[]) t,
    unnest(ARRAY['2024-02-01', '-infinity']::date[]) d, unnest(ARRAY['1 mon', '-1 year 2 days 00:00:00.5']::interval[]) i, unnest(ARRAY[0, -1234.56]::money[]) m;
CREATE TABLE types.key_bytes (b bytea, c types.color, touched int NOT NULL DEFAULT 0, PRIMARY KEY (b, c));
INSERT INTO types.key_bytes SELECT b, c FROM unnest(ARRAY['', '\x00', '\x5c78', '\x7b2c7d']::bytea[]) b, unnest(enum_range(NULL::types.color)) c;
