//! Unique values that move from row to row, under every kind of constraint that could be in their way.

use super::cases::{Case, arrive_by_every_road, arrive_through_an_owner, case};
use crate::support::pair::Pair;
use crate::support::stage::Stage;
use crate::support::thorough;

/// What works on every version, as any role.
pub const CASES: &[Case] = &[
    case(
        "swaps",
        "CREATE TABLE t (id int PRIMARY KEY, u text UNIQUE, v text)",
        "INSERT INTO t SELECT i, 'u' || i, 'v' FROM generate_series(1, 20) i",
        "BEGIN; UPDATE t SET u = 'free' WHERE id = 1; UPDATE t SET u = 'u1' WHERE id = 2; UPDATE t SET u = 'u2' WHERE id = 1; COMMIT;
         BEGIN; UPDATE t SET u = NULL WHERE id = 19; UPDATE t SET u = 'u19' WHERE id = 3; UPDATE t SET u = 'u3' WHERE id = 19; COMMIT",
    ),
    case(
        "chains",
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)",
        "INSERT INTO t SELECT i, i FROM generate_series(1, 100) i",
        "DO $$ BEGIN
             UPDATE t SET u = 1000 WHERE id = 50;
             FOR i IN REVERSE 49..1 LOOP UPDATE t SET u = u + 1 WHERE id = i; END LOOP;
             DELETE FROM t WHERE id = 60;
             FOR i IN REVERSE 59..52 LOOP UPDATE t SET u = u + 1 WHERE id = i; END LOOP;
             INSERT INTO t VALUES (160, 52);
             UPDATE t SET u = 0 WHERE id = 61;
             FOR i IN 62..100 LOOP UPDATE t SET u = u - 1 WHERE id = i; END LOOP;
         END $$",
    ),
    case(
        "rings",
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, ring int)",
        "INSERT INTO t SELECT i, i, (i - 1) / 25 FROM generate_series(1, 100) i",
        "DO $$ DECLARE r int; BEGIN
             FOR r IN 0..2 LOOP
                 UPDATE t SET u = -1 WHERE id = 25 * r + 1;
                 FOR i IN 2..25 LOOP UPDATE t SET u = u - 1 WHERE id = 25 * r + i; END LOOP;
                 UPDATE t SET u = 25 * r + 25 WHERE id = 25 * r + 1;
             END LOOP;
         END $$",
    ),
    case(
        "freed_by_deletes",
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE NOT NULL, v text)",
        "INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 20) i",
        "DELETE FROM t WHERE id = 20; INSERT INTO t VALUES (0, 20, 'inserted, with a smaller key');
         DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (100, 1, 'inserted, with a larger key');
         DELETE FROM t WHERE id = 2; UPDATE t SET u = 2 WHERE id = 3; UPDATE t SET u = 3 WHERE id = 4; INSERT INTO t VALUES (2, 4);
         UPDATE t SET id = 50 WHERE id = 5; INSERT INTO t VALUES (5, 50); UPDATE t SET u = 55 WHERE id = 5;
         DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (6, 6, 'the same again')",
    ),
    case(
        "several_at_once",
        "CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE, b text, c int, d date, UNIQUE (c, d), UNIQUE (b) INCLUDE (a));
         CREATE UNIQUE INDEX ON t (b text_pattern_ops DESC NULLS FIRST)",
        "INSERT INTO t SELECT i, i, 'b' || i, i % 3, DATE '2024-01-01' + i / 3 FROM generate_series(1, 30) i",
        "BEGIN;
         CREATE TEMPORARY TABLE was ON COMMIT DROP AS SELECT * FROM t;
         UPDATE t SET a = -a, b = 'x' || b, c = -10 - c WHERE id < 20;
         UPDATE t SET a = (SELECT a FROM was WHERE was.id = 20 - t.id), b = (SELECT b FROM was WHERE was.id = t.id % 19 + 1) WHERE id < 20;
         UPDATE t SET (c, d) = (SELECT c, d FROM was WHERE was.id = (t.id + 7) % 19 + 1) WHERE id < 20;
         COMMIT;
         -- Each of three values of one row that goes is taken by another row.
         DELETE FROM t WHERE id = 25;
         UPDATE t SET a = 25 WHERE id = 26; UPDATE t SET b = 'b25' WHERE id = 27;
         INSERT INTO t SELECT 200, 200, 'b200', 25 % 3, DATE '2024-01-01' + 25 / 3",
    ),
    case(
        "deferrable",
        "CREATE TABLE later (id int PRIMARY KEY, u int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE at_once (id int PRIMARY KEY, u int UNIQUE DEFERRABLE INITIALLY IMMEDIATE);
         CREATE TABLE key (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text);
         CREATE TABLE shifted (id int PRIMARY KEY DEFERRABLE, u int, UNIQUE (u) DEFERRABLE)",
        "INSERT INTO later SELECT i, i FROM generate_series(1, 20) i; INSERT INTO at_once SELECT * FROM later;
         INSERT INTO key SELECT i, 'v' || i FROM generate_series(1, 20) i; INSERT INTO shifted SELECT * FROM later",
        "BEGIN; UPDATE later SET u = 2 WHERE id = 1; UPDATE later SET u = 3 WHERE id = 2; UPDATE later SET u = 1 WHERE id = 3; COMMIT;
         UPDATE at_once SET u = 21 - u WHERE u < 8 OR u > 13;
         BEGIN; UPDATE key SET id = 2 WHERE v = 'v1'; UPDATE key SET id = 3 WHERE v = 'v2'; UPDATE key SET id = 1 WHERE v = 'v3';
         INSERT INTO key VALUES (4, 'new'); DELETE FROM key WHERE v = 'v4'; COMMIT;
         UPDATE shifted SET id = id + 1, u = u - 1",
    ),
    case(
        "partial",
        "CREATE TABLE address (id int PRIMARY KEY, customer int NOT NULL, main bool NOT NULL, gone timestamptz, street text);
         CREATE UNIQUE INDEX ON address (customer) WHERE main;
         CREATE UNIQUE INDEX ON address (street) WHERE gone IS NULL",
        "INSERT INTO address SELECT i, i / 4, i % 4 = 0, CASE WHEN i % 5 = 0 THEN now() END, 's' || i FROM generate_series(1, 40) i",
        "UPDATE address SET main = false WHERE id = 4; UPDATE address SET main = true WHERE id = 7;
         UPDATE address SET main = false WHERE id = 12; UPDATE address SET main = true WHERE id = 13; UPDATE address SET customer = 77 WHERE id = 13;
         DELETE FROM address WHERE id = 16; INSERT INTO address VALUES (1, 4, true, NULL, 's16') ON CONFLICT (id) DO UPDATE SET customer = 4, main = true, street = 's16';
         UPDATE address SET gone = now() WHERE id = 21; UPDATE address SET street = 's21' WHERE id = 22; UPDATE address SET street = 's22', gone = NULL WHERE id = 25",
    ),
    case(
        "expressions",
        "CREATE TABLE account (id int PRIMARY KEY, email text, n int);
         CREATE UNIQUE INDEX ON account (lower(email)); CREATE UNIQUE INDEX ON account (abs(n), (n % 2)) WHERE n > -1000",
        "INSERT INTO account SELECT i, 'Person' || i || '@Example.org', i FROM generate_series(1, 20) i",
        "BEGIN; UPDATE account SET email = NULL WHERE id = 1; UPDATE account SET email = 'PERSON1@example.ORG' WHERE id = 2;
         UPDATE account SET email = 'person2@example.org' WHERE id = 1; COMMIT;
         BEGIN; UPDATE account SET n = -2000 WHERE id = 4; UPDATE account SET n = -4 WHERE id = 6; UPDATE account SET n = 6 WHERE id = 4; COMMIT;
         DELETE FROM account WHERE id = 8; INSERT INTO account VALUES (88, 'pERSON8@eXAMPLE.ORG', -8)",
    ),
    case(
        "exclusions",
        "CREATE TABLE booking (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
         CREATE TABLE later (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&) DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE site (id int PRIMARY KEY, area box, around circle, kind int, EXCLUDE USING gist (area WITH &&) WHERE (kind = 1),
                            EXCLUDE USING gist (around WITH &&, area WITH ~=));
         CREATE TABLE hashed (id int PRIMARY KEY, u text, EXCLUDE USING hash (u WITH =));
         CREATE TABLE neighbours (id int PRIMARY KEY, during daterange, EXCLUDE USING gist (during WITH -|-))",
        "INSERT INTO booking SELECT i, int4range(i * 10, i * 10 + 10) FROM generate_series(1, 40) i; INSERT INTO later SELECT * FROM booking;
         INSERT INTO site SELECT i, box(point(i * 10, 0), point(i * 10 + 5, 5)), circle(point(i, i), 0.4), i % 2 FROM generate_series(1, 20) i;
         INSERT INTO hashed SELECT i, 'u' || i FROM generate_series(1, 20) i;
         INSERT INTO neighbours SELECT i, daterange(DATE '2024-01-01' + 10 * i, DATE '2024-01-05' + 10 * i) FROM generate_series(1, 20) i",
        "BEGIN; UPDATE booking SET during = 'empty' WHERE id = 1; UPDATE booking SET during = '[10,20)' WHERE id = 2;
         UPDATE booking SET during = '[20,30)' WHERE id = 1; COMMIT;
         -- A border that moves: one grows where the other shrinks. One takes the place of two, two that of one.
         UPDATE booking SET during = '[50,53)' WHERE id = 5; UPDATE booking SET during = '[53,70)' WHERE id = 6;
         DELETE FROM booking WHERE id IN (8, 9); INSERT INTO booking VALUES (89, '[80,100)');
         DELETE FROM booking WHERE id = 11; INSERT INTO booking VALUES (0, '[110,115)'), (111, '[115,120)');
         DO $$ BEGIN FOR i IN REVERSE 40..20 LOOP UPDATE booking SET during = int4range(i * 10 + 3, i * 10 + 13) WHERE id = i; END LOOP; END $$;
         UPDATE later SET during = int4range(410 - 10 * id, 420 - 10 * id) WHERE id < 30 OR true;
         BEGIN; UPDATE site SET kind = 2 WHERE id = 1; UPDATE site SET area = box(point(12, 2), point(13, 3)) WHERE id = 3;
         UPDATE site SET area = box(point(30, 0), point(35, 5)), kind = 1 WHERE id = 1; UPDATE site SET around = circle(point(3, 3), 2) WHERE id = 4; COMMIT;
         BEGIN; UPDATE hashed SET u = NULL WHERE id = 1; UPDATE hashed SET u = 'u1' WHERE id = 2; UPDATE hashed SET u = 'u2' WHERE id = 1; COMMIT;
         UPDATE neighbours SET during = daterange(DATE '2024-02-01', DATE '2024-02-03') WHERE id = 3; UPDATE neighbours SET during = daterange(DATE '2024-02-05', DATE '2024-02-06') WHERE id = 4;
         DELETE FROM neighbours WHERE id = 3; UPDATE neighbours SET during = daterange(DATE '2024-02-03', DATE '2024-02-04') WHERE id = 2",
    ),
    case(
        "keys_and_values",
        "CREATE TABLE t (a int, b int, u int UNIQUE, v text, PRIMARY KEY (a, b), UNIQUE (b, u))",
        "INSERT INTO t SELECT i / 5, i % 5, i, 'v' FROM generate_series(0, 49) i",
        "BEGIN; UPDATE t SET a = -1, u = NULL WHERE (a, b) = (0, 0); UPDATE t SET a = 0, b = 0, u = 0 WHERE (a, b) = (3, 3);
         UPDATE t SET a = 3, b = 3, u = 18 WHERE a = -1; COMMIT;
         UPDATE t SET a = 100 - a WHERE b = 1; UPDATE t SET b = b + 10 WHERE a = 7; DELETE FROM t WHERE (a, b) = (8, 0); UPDATE t SET a = 8, b = 0, u = 40 WHERE (a, b) = (9, 4)",
    ),
    case(
        "in_partitions",
        "CREATE TABLE p (k int, r int, u int, v text, PRIMARY KEY (k, r), UNIQUE (u, r)) PARTITION BY LIST (r);
         CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
         CREATE UNIQUE INDEX ON p_1 (v); CREATE UNIQUE INDEX ON p_2 ((u % 1000)) WHERE u > 0",
        "INSERT INTO p SELECT i, 1 + i % 2, i, 'v' || i FROM generate_series(1, 40) i",
        "BEGIN; UPDATE p SET r = 2, u = 1002 WHERE k = 4; UPDATE p SET v = 'v4' WHERE k = 6; UPDATE p SET v = 'v6', u = 4 WHERE k = 8; COMMIT;
         UPDATE p SET r = 1, v = 'v1' WHERE k = 3; UPDATE p_2 SET u = 3 WHERE k = 5; INSERT INTO p_2 VALUES (3, 2, 5, 'v3');
         DELETE FROM p WHERE k = 10; UPDATE p SET k = 10, u = 10, v = 'v10' WHERE k = 12",
    ),
    case(
        "referenced",
        "CREATE TABLE p (id int PRIMARY KEY, code text NOT NULL UNIQUE, number int UNIQUE DEFERRABLE);
         CREATE TABLE c (id int PRIMARY KEY, code text REFERENCES p (code) ON UPDATE CASCADE ON DELETE CASCADE, one text UNIQUE REFERENCES p (code) ON UPDATE CASCADE)",
        "INSERT INTO p SELECT i, 'c' || i, i FROM generate_series(1, 20) i; INSERT INTO c SELECT i, 'c' || 1 + i % 10, CASE WHEN i > 50 THEN 'c' || i - 50 END FROM generate_series(1, 60) i",
        "BEGIN; UPDATE p SET code = 'x' WHERE id = 1; UPDATE p SET code = 'c1' WHERE id = 2; UPDATE p SET code = 'c2' WHERE id = 1; COMMIT;
         UPDATE p SET number = 21 - number; DELETE FROM p WHERE id = 20; INSERT INTO p VALUES (21, 'c20', 1);
         BEGIN; UPDATE c SET one = NULL WHERE id = 53; UPDATE c SET one = 'c3' WHERE id = 54; UPDATE c SET one = 'c4' WHERE id = 53; COMMIT",
    ),
];

/// From 15 on.
pub const NULLS_NOT_DISTINCT: Case = case(
    "one_null",
    "CREATE TABLE t (id int PRIMARY KEY, u int, w int, UNIQUE NULLS NOT DISTINCT (u), UNIQUE NULLS NOT DISTINCT (u, w));
     CREATE UNIQUE INDEX ON t (w) NULLS NOT DISTINCT WHERE id < 100",
    "INSERT INTO t SELECT i, nullif(i, 1), nullif(i, 2) FROM generate_series(1, 20) i",
    "BEGIN; UPDATE t SET u = 99 WHERE id = 1; UPDATE t SET u = NULL WHERE id = 5; UPDATE t SET u = 5 WHERE id = 1; COMMIT;
     DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (0, 2, NULL); UPDATE t SET w = -7 WHERE id = 7; UPDATE t SET w = 7 WHERE id = 8; UPDATE t SET u = NULL, w = 8 WHERE false",
);

/// With btree_gist, which not every build of the servers has.
pub const EXCLUDED_IN_ROOMS: Case = case(
    "rooms",
    "CREATE TABLE booking (id int PRIMARY KEY, room text NOT NULL, during tstzrange, gone bool NOT NULL DEFAULT false,
                           EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (NOT gone));
     CREATE TABLE later (id int PRIMARY KEY, room int, during daterange, EXCLUDE USING gist (room WITH =, during WITH &&, id WITH <>) DEFERRABLE)",
    "INSERT INTO booking SELECT i, 'room ' || i % 3, tstzrange('epoch'::timestamptz + i * interval '1 h', 'epoch'::timestamptz + (i + 2) * interval '1 h') FROM generate_series(1, 30) i;
     INSERT INTO later SELECT i, i % 3, daterange(DATE '2024-01-01' + i, DATE '2024-01-04' + i) FROM generate_series(1, 30) i",
    "BEGIN; UPDATE booking SET gone = true WHERE id = 1; DELETE FROM booking WHERE id = 3; UPDATE booking SET room = 'room 0' WHERE id = 2;
     UPDATE booking SET room = 'room 2', gone = false WHERE id = 1; COMMIT;
     UPDATE booking SET gone = true WHERE id = 12; INSERT INTO booking SELECT 112, room, during FROM booking WHERE id = 12;
     UPDATE later SET room = 2 - room; UPDATE later SET during = daterange(lower(during) + 3, upper(during) + 3) WHERE room = 1",
);

/// Keys of version 18 that hold for a time.
pub const WITHOUT_OVERLAPS: Case = case(
    "periods",
    "CREATE TABLE price (item int4range, valid daterange, price int, PRIMARY KEY (item, valid WITHOUT OVERLAPS));
     CREATE TABLE rate (id int PRIMARY KEY, item int4range, valid daterange, UNIQUE (item, valid WITHOUT OVERLAPS));
     CREATE TABLE used (id int PRIMARY KEY, item int4range, valid daterange, FOREIGN KEY (item, PERIOD valid) REFERENCES price (item, PERIOD valid))",
    "INSERT INTO price SELECT int4range(i % 5, 10 + i % 5), daterange(DATE '2024-01-01' + 10 * i, DATE '2024-01-11' + 10 * i + i % 7), i FROM generate_series(1, 40) i;
     INSERT INTO rate SELECT i, int4range(i % 5, 10 + i % 5), daterange(DATE '2024-01-01' + 10 * i, DATE '2024-01-11' + 10 * i) FROM generate_series(1, 40) i;
     INSERT INTO used SELECT price, item, valid FROM price WHERE price % 4 = 0",
    "UPDATE price SET price = price + 1000 WHERE price IN (1, 7, 13);
     DELETE FROM price WHERE price = 3; UPDATE price SET valid = daterange(lower(valid), upper(valid) - 3) WHERE price = 5;
     INSERT INTO price SELECT item, daterange(upper(valid), upper(valid) + 2), 500 FROM price WHERE price = 5;
     UPDATE rate SET valid = daterange(lower(valid) + 400, upper(valid) + 400) WHERE id = 1;
     UPDATE rate SET item = '[1,11)', valid = daterange(DATE '2024-01-11', DATE '2024-01-21') WHERE id = 2;
     UPDATE used SET id = id + 100 WHERE id % 8 = 0",
);

/// The cases that version 15 and everything later can run.
pub fn cases() -> Vec<&'static Case> {
    CASES.iter().chain([&NULLS_NOT_DISTINCT]).collect()
}

#[test]
fn unique_values_move_from_row_to_row() {
    arrive_by_every_road(&Stage::new(Pair::new(15, 18)), &cases());
}

#[test]
fn unique_values_move_for_an_owner_as_well() {
    arrive_through_an_owner(Pair::new(15, 18), &cases());
}

#[test]
fn periods_without_overlaps_change_hands() {
    let pair = Pair::new(18, 18);
    arrive_by_every_road(&Stage::new(pair), &[&WITHOUT_OVERLAPS, &NULLS_NOT_DISTINCT]);
}

#[test]
fn rooms_are_booked_anew() {
    let versions = if thorough() { (14, 17) } else { (15, 15) };
    let pair = Pair::new(versions.0, versions.1);
    pair.on_both("CREATE EXTENSION btree_gist");
    if versions.0 < 15 && versions.1 >= 15 {
        // 15 has other defaults, and whoever makes a schema by hand decides.
        pair.on_destination(
            "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC",
        );
    }
    arrive_by_every_road(&Stage::new(pair), &[&EXCLUDED_IN_ROOMS]);
}
