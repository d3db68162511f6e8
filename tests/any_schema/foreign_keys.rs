//! Foreign keys of every kind: nothing acts twice, and nothing that stayed is touched.

use super::cases::{Case, Untouched, arrive_by_every_road, arrive_through_an_owner, case};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::stage::Stage;

/// What works on version 13 and later, as any role.
pub const CASES: &[Case] = &[
    case(
        "circle_of_two",
        "CREATE TABLE team (id int PRIMARY KEY, lead int, v text);
         CREATE TABLE person (id int PRIMARY KEY, team int REFERENCES team ON DELETE SET NULL ON UPDATE CASCADE, v text);
         ALTER TABLE team ADD FOREIGN KEY (lead) REFERENCES person ON DELETE SET NULL ON UPDATE CASCADE",
        "INSERT INTO team SELECT i FROM generate_series(1, 10) i; INSERT INTO person SELECT i, i % 10 + 1 FROM generate_series(1, 50) i;
         UPDATE team SET lead = 4 + id",
        "DELETE FROM team WHERE id = 3; DELETE FROM person WHERE id = 5; UPDATE person SET id = 500 WHERE id = 8; UPDATE team SET id = 100 WHERE id = 6;
         INSERT INTO team VALUES (3, NULL, 'again'); INSERT INTO person VALUES (5, 3, 'again'); UPDATE team SET lead = 5 WHERE id = 3;
         UPDATE team SET v = 'only itself' WHERE id = 7",
    ),
    case(
        "circle_of_three",
        "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL); CREATE TABLE b (id int PRIMARY KEY, c int NOT NULL);
         CREATE TABLE c (id int PRIMARY KEY, a int NOT NULL REFERENCES a ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED);
         ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED;
         ALTER TABLE b ADD FOREIGN KEY (c) REFERENCES c ON DELETE CASCADE ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED",
        "BEGIN; INSERT INTO a SELECT i, i FROM generate_series(1, 30) i; INSERT INTO b SELECT * FROM a; INSERT INTO c SELECT id, id % 30 + 1 FROM a WHERE id < 20;
         INSERT INTO c SELECT id, id FROM a WHERE id >= 20; COMMIT",
        "BEGIN; INSERT INTO a VALUES (50, 50); INSERT INTO c VALUES (50, 50); INSERT INTO b VALUES (50, 50); COMMIT;
         DELETE FROM b WHERE id = 25; UPDATE a SET id = 260 WHERE id = 26; UPDATE c SET id = 270 WHERE id = 27;
         BEGIN; UPDATE a SET b = 29 WHERE id = 28; UPDATE a SET b = 28 WHERE id = 29; COMMIT",
    ),
    case(
        "trees",
        "CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE ON UPDATE CASCADE, v text);
         CREATE TABLE deep (id int PRIMARY KEY, parent int NOT NULL REFERENCES deep ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE strict (id int PRIMARY KEY, parent int NOT NULL REFERENCES strict ON DELETE RESTRICT DEFERRABLE)",
        "INSERT INTO tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 63) i;
         INSERT INTO deep SELECT i, greatest(i - 1, 1) FROM generate_series(1, 1000) i; INSERT INTO strict VALUES (1, 1), (2, 1), (3, 2), (4, 3)",
        "DELETE FROM tree WHERE id = 4; UPDATE tree SET id = 500 WHERE id = 5; UPDATE tree SET parent = 1 WHERE id = 14;
         UPDATE tree SET parent = 30 WHERE id = 3; UPDATE tree SET v = 'its children stay' WHERE id = 6;
         -- A branch of some hundred levels goes, one of some hundred more hangs elsewhere, and the root gets another key.
         UPDATE deep SET parent = 100 WHERE id = 900; DELETE FROM deep WHERE id = 600; UPDATE deep SET id = 0 WHERE id = 1;
         DELETE FROM strict WHERE id = 4; UPDATE strict SET parent = 3 WHERE id = 3; INSERT INTO strict VALUES (5, 5)",
    ),
    case(
        "actions",
        "CREATE TABLE p (id int PRIMARY KEY, v text);
         CREATE TABLE cascading (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, v text);
         CREATE TABLE nulled (id int PRIMARY KEY, p int REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL, v text);
         CREATE TABLE defaulted (id int PRIMARY KEY, p int DEFAULT 0 REFERENCES p ON DELETE SET DEFAULT ON UPDATE SET DEFAULT, v text);
         CREATE TABLE restricted (id int PRIMARY KEY, p int REFERENCES p ON DELETE RESTRICT ON UPDATE RESTRICT, v text);
         CREATE TABLE unmoved (id int PRIMARY KEY, p int REFERENCES p ON DELETE NO ACTION ON UPDATE NO ACTION DEFERRABLE INITIALLY DEFERRED, v text);
         CREATE TABLE of_of (id int PRIMARY KEY, c int REFERENCES cascading ON DELETE SET NULL, n int REFERENCES nulled ON DELETE CASCADE)",
        "INSERT INTO p SELECT i, 'v' FROM generate_series(0, 40) i;
         INSERT INTO cascading SELECT i, i % 20 FROM generate_series(1, 60) i; INSERT INTO nulled SELECT * FROM cascading; INSERT INTO defaulted SELECT * FROM cascading;
         INSERT INTO restricted SELECT i, 20 + i FROM generate_series(1, 20) i; INSERT INTO unmoved SELECT * FROM restricted; INSERT INTO of_of SELECT i, i, i FROM generate_series(1, 60) i",
        // Children move to a new parent while the old one goes; a parent goes and comes; only a parent changes.
        "DELETE FROM p WHERE id IN (3, 4); UPDATE p SET id = 100 + id WHERE id IN (5, 6); UPDATE p SET v = 'alone' WHERE id IN (0, 7, 8, 30);
         INSERT INTO p VALUES (200); UPDATE cascading SET p = 200 WHERE p = 9; UPDATE nulled SET p = 200 WHERE p = 9; UPDATE defaulted SET p = 200 WHERE p = 9; DELETE FROM p WHERE id = 9;
         UPDATE restricted SET p = 200 WHERE p = 31; UPDATE unmoved SET p = 200 WHERE p = 31; DELETE FROM p WHERE id = 31;
         BEGIN; DELETE FROM p WHERE id = 10; INSERT INTO p VALUES (10, 'without children'); COMMIT;
         BEGIN; DELETE FROM restricted WHERE p = 32; DELETE FROM p WHERE id = 32; INSERT INTO p VALUES (32, 'the child is served by another'); COMMIT;
         DELETE FROM nulled WHERE id = 50; DELETE FROM cascading WHERE id = 51",
    ),
    case(
        "composite",
        "CREATE TABLE p (a int, b text, v text, PRIMARY KEY (a, b), UNIQUE (b, a, v), UNIQUE (b, a));
         CREATE TABLE simple (id int PRIMARY KEY, a int, b text, FOREIGN KEY (a, b) REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE);
         CREATE TABLE whole (id int PRIMARY KEY, a int, b text, FOREIGN KEY (b, a) REFERENCES p (b, a) MATCH FULL ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE other_order (id int PRIMARY KEY, x text, y int, z text, FOREIGN KEY (x, y, z) REFERENCES p (b, a, v) ON UPDATE CASCADE)",
        "INSERT INTO p SELECT i, 'b' || i % 3, 'v' || i FROM generate_series(1, 30) i;
         INSERT INTO simple SELECT i, i, 'b' || i % 3 FROM generate_series(1, 20) i; INSERT INTO simple VALUES (100, 999, NULL), (101, NULL, 'nothing');
         INSERT INTO whole SELECT * FROM simple WHERE id < 100; INSERT INTO whole VALUES (100, NULL, NULL); INSERT INTO other_order SELECT a, b, a, v FROM p WHERE a > 15",
        "UPDATE p SET a = a + 100 WHERE a IN (3, 16); UPDATE p SET b = 'x' WHERE a IN (4, 17); UPDATE p SET v = 'w' WHERE a = 18;
         DELETE FROM p WHERE a = 5; UPDATE simple SET a = NULL WHERE id = 6; UPDATE whole SET a = NULL, b = NULL WHERE id = 6; DELETE FROM p WHERE a = 6;
         INSERT INTO whole VALUES (200, NULL, NULL); INSERT INTO simple VALUES (200, 5, NULL)",
    ),
    case(
        "with_partitions",
        "CREATE TABLE p (id int, r int, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r);
         CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_2 PARTITION OF p DEFAULT PARTITION BY HASH (id);
         CREATE TABLE p_2_0 PARTITION OF p_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE p_2_1 PARTITION OF p_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         CREATE TABLE plain (id int PRIMARY KEY, p int, r int, FOREIGN KEY (p, r) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE c (id int, s int, p int, r int, PRIMARY KEY (s, id), FOREIGN KEY (p, r) REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE) PARTITION BY RANGE (s);
         CREATE TABLE c_1 PARTITION OF c FOR VALUES FROM (0) TO (10); CREATE TABLE c_2 (r int, id int NOT NULL, p int, s int NOT NULL); ALTER TABLE c ATTACH PARTITION c_2 DEFAULT;
         CREATE TABLE lone (id int PRIMARY KEY); CREATE TABLE lots (id int, lone int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE lots_1 PARTITION OF lots FOR VALUES FROM (0) TO (20); CREATE TABLE lots_2 PARTITION OF lots DEFAULT;
         ALTER TABLE ONLY lots_1 ADD FOREIGN KEY (lone) REFERENCES lone ON DELETE SET NULL; ALTER TABLE lots ADD FOREIGN KEY (id) REFERENCES lone (id) ON DELETE CASCADE;
         ALTER TABLE p ADD COLUMN up int, ADD FOREIGN KEY (up, r) REFERENCES p ON DELETE CASCADE",
        "INSERT INTO p SELECT i, 1 + i % 3, 'v' FROM generate_series(1, 60) i; INSERT INTO plain SELECT i, i, 1 + i % 3 FROM generate_series(1, 40) i;
         INSERT INTO c SELECT i, i % 20, i, 1 + i % 3 FROM generate_series(1, 40) i; INSERT INTO lone SELECT generate_series(1, 40); INSERT INTO lots SELECT id, id FROM lone;
         UPDATE p SET up = id - 30 WHERE id > 50",
        "UPDATE p SET r = 1 WHERE id IN (1, 4) AND r = 2; UPDATE p SET r = 3 WHERE id = 3; UPDATE p SET id = id + 1000 WHERE id IN (7, 8); DELETE FROM p WHERE id IN (10, 11, 22);
         UPDATE c SET s = s + 10 WHERE id IN (12, 13); UPDATE plain SET p = 15, r = 1 WHERE id = 16; DELETE FROM p WHERE id = 16; DELETE FROM c_2 WHERE id = 17;
         DELETE FROM lone WHERE id IN (5, 25); UPDATE lots SET lone = 30 WHERE id = 6; UPDATE p SET v = 'alone' WHERE id = 20",
    ),
    case(
        // Rows that break it were there before.
        "not_valid",
        "CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE c (id int PRIMARY KEY, p int, v text);
         ALTER TABLE c ADD CONSTRAINT late FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE NOT VALID",
        "ALTER TABLE c DROP CONSTRAINT late; INSERT INTO p SELECT i FROM generate_series(1, 20) i; INSERT INTO c SELECT i, i FROM generate_series(1, 30) i;
         ALTER TABLE c ADD CONSTRAINT late FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE NOT VALID",
        "DELETE FROM p WHERE id = 3; DELETE FROM c WHERE id = 25; INSERT INTO p VALUES (26); UPDATE p SET v = 'v' WHERE id = 4; UPDATE c SET v = 'breaks it still' WHERE id = 28",
    ),
    case(

        "several_to_one",
        "CREATE TABLE place (id int PRIMARY KEY, name text UNIQUE); CREATE TABLE trip (id int PRIMARY KEY, origin int NOT NULL REFERENCES place ON UPDATE CASCADE ON DELETE CASCADE,
             goal int REFERENCES place ON UPDATE CASCADE ON DELETE SET NULL, via text REFERENCES place (name) ON UPDATE SET NULL ON DELETE SET DEFAULT,
             back int UNIQUE REFERENCES trip DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO place SELECT i, 'n' || i FROM generate_series(1, 20) i; BEGIN; INSERT INTO trip SELECT i, i % 20 + 1, i / 3 + 1, 'n' || i % 7 + 1, 41 - i FROM generate_series(1, 40) i; COMMIT",
        "UPDATE place SET name = 'other' WHERE id = 2; UPDATE place SET id = 300 WHERE id = 3; UPDATE trip SET back = NULL WHERE id IN (37, 17, 6, 7, 8, 9, 11, 12);
         UPDATE place SET name = 'n1', id = 100 WHERE false; UPDATE trip SET back = NULL WHERE origin = 4 OR back IN (SELECT id FROM trip WHERE origin = 4); DELETE FROM place WHERE id = 4;
         BEGIN; UPDATE trip SET back = 1000 - id WHERE id IN (15, 26); UPDATE trip SET id = 1000 - 15 WHERE id = 26; UPDATE trip SET id = 1000 - 26 WHERE id = 15; COMMIT",
    ),
];

/// From 15 on: only some columns are set to NULL.
pub const SET_SOME: Case = case(
    "set_some",
    "CREATE TABLE p (tenant int, id int, v text, PRIMARY KEY (tenant, id));
     CREATE TABLE c (tenant int NOT NULL, id int, p int, other int DEFAULT 1, PRIMARY KEY (tenant, id), FOREIGN KEY (tenant, p) REFERENCES p ON DELETE SET NULL (p),
                     FOREIGN KEY (tenant, other) REFERENCES p ON DELETE SET DEFAULT (other))",
    "INSERT INTO p SELECT i / 10, i % 10 FROM generate_series(0, 49) i; INSERT INTO c SELECT tenant, id, id, id / 2 + 1 FROM p",
    "DELETE FROM p WHERE id = 4; UPDATE p SET v = 'alone' WHERE id = 1; INSERT INTO p VALUES (1, 4, 'again')",
);

/// From 18 on.
pub const NOT_ENFORCED: Case = case(
    "not_enforced",
    "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE NOT ENFORCED, n int CHECK (n > 0) NOT ENFORCED);
     CREATE TABLE q (id int PRIMARY KEY, p int) PARTITION BY RANGE (id); CREATE TABLE q_1 PARTITION OF q DEFAULT;
     ALTER TABLE q ADD CONSTRAINT late FOREIGN KEY (p) REFERENCES p NOT VALID",
    "ALTER TABLE q DROP CONSTRAINT late; INSERT INTO p SELECT generate_series(1, 10); INSERT INTO c SELECT i, i, i - 10 FROM generate_series(1, 20) i; INSERT INTO q SELECT i, i + 5 FROM generate_series(1, 20) i;
     ALTER TABLE q ADD CONSTRAINT late FOREIGN KEY (p) REFERENCES p NOT VALID",
    "DELETE FROM p WHERE id < 4 AND id > 1; UPDATE c SET p = 999, n = -9 WHERE id = 7; INSERT INTO c VALUES (100, 100, -1)",
);

/// The cases that version 15 and everything later can run.
pub fn cases() -> Vec<&'static Case> {
    CASES.iter().chain([&SET_SOME]).collect()
}

#[test]
fn foreign_keys_act_once_and_touch_nothing_else() {
    arrive_by_every_road(&Stage::new(Pair::new(15, 18)), &cases());
}

#[test]
fn foreign_keys_of_an_owner_touch_nothing_either() {
    arrive_through_an_owner(Pair::new(15, 18), &cases());
}

/// With foreign keys that `copy --create-schema` makes: all of them, the broken ones among them.
fn the_schema_comes_too(versions: (u32, u32), cases: &[&Case]) {
    let pair = Pair::new(versions.0, versions.1);
    for case in cases {
        pair.on_source(&case.tables(1));
        pair.on_source(&case.script(1, case.rows));
    }
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    super::judge(&pair);
    let before = Untouched::note(&pair);
    for case in cases {
        pair.on_source(&case.script(1, case.changes));
    }
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
    assert!(before.check(&pair) > 0);
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    super::judge(&pair);
}

#[test]
fn foreign_keys_that_rows_break_come_with_the_schema() {
    the_schema_comes_too((15, 18), &cases());
}

#[test]
fn foreign_keys_that_nobody_enforces_arrive_as_such() {
    arrive_by_every_road(&Stage::new(Pair::new(18, 18)), &[&NOT_ENFORCED, &SET_SOME]);
    the_schema_comes_too((18, 18), &[&NOT_ENFORCED, &SET_SOME]);
}
