//! Ways to change rows. Each has tables in a schema of its own, so that a difference names the way.

/// One way to change rows, or a few that belong together.
pub struct Way {
    /// Also the schema where everything happens; it is first on the `search_path` of both scripts.
    pub name: &'static str,
    /// Makes tables and rows on both sides, before `init`.
    pub before: &'static str,
    /// Replaces `before` on the destination, for tables that look different there.
    pub there: Option<&'static str>,
    /// Changes rows on the source, after the copy.
    pub change: &'static str,
}

const fn way(name: &'static str, before: &'static str, change: &'static str) -> Way {
    Way {
        name,
        before,
        there: None,
        change,
    }
}

const STATEMENTS: &[Way] = &[
    way(
        "plain_statements",
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 50) i;",
        "INSERT INTO t SELECT i, 'new' FROM generate_series(51, 60) i;
         UPDATE t SET v = NULL WHERE id % 7 = 0;
         DELETE FROM t WHERE id % 5 = 0;
         INSERT INTO t VALUES (5, 'deleted and inserted again');
         WITH gone AS (DELETE FROM t WHERE id = 1 RETURNING v)
         INSERT INTO t SELECT 100, v FROM gone;
         DO $$
         DECLARE c CURSOR FOR SELECT * FROM t WHERE id IN (11, 12) FOR UPDATE;
         BEGIN
             FOR r IN c LOOP
                 UPDATE t SET v = 'where current of' WHERE CURRENT OF c;
             END LOOP;
         END $$;",
    ),
    way(
        "upsert",
        "CREATE TABLE t (id int PRIMARY KEY, email text UNIQUE, n int DEFAULT 0);
         INSERT INTO t SELECT i, 'e' || i FROM generate_series(1, 5) i;",
        "INSERT INTO t VALUES (1, 'e1') ON CONFLICT (id) DO UPDATE SET n = t.n + 1;
         INSERT INTO t VALUES (9, 'e2') ON CONFLICT (email) DO UPDATE SET id = 102;
         INSERT INTO t VALUES (3, 'x'), (7, 'e7') ON CONFLICT DO NOTHING;",
    ),
    way(
        "inserts",
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE keyless (id int, v text);
         CREATE TABLE w (a int, b text, v text, PRIMARY KEY (b, a));
         CREATE FUNCTION another() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN IF pg_trigger_depth() = 1 THEN INSERT INTO inserts.t SELECT i.id + 100, 'by a trigger' FROM i; END IF;
                   RETURN NULL; END $$;
         CREATE TRIGGER another AFTER INSERT ON t REFERENCING NEW TABLE AS i FOR EACH STATEMENT EXECUTE FUNCTION another();",
        "WITH a AS (INSERT INTO t VALUES (1, 'a') RETURNING id),
              b AS (INSERT INTO t SELECT i, 'b' FROM generate_series(2, 5) i RETURNING id)
         INSERT INTO t SELECT id + 10, 'c' FROM (TABLE a UNION ALL TABLE b) x;
         INSERT INTO t SELECT 1000 WHERE false;
         INSERT INTO t VALUES (1, 'x'), (6, 'new') ON CONFLICT (id) DO UPDATE SET id = 7, v = 'moved';
         INSERT INTO keyless SELECT i, 'v' FROM generate_series(1, 5) i;
         INSERT INTO w VALUES (1, '{\"b', 'v'), (2, '', 'v');
         BEGIN; SAVEPOINT s; INSERT INTO w VALUES (3, 'undone'); ROLLBACK TO s; INSERT INTO w VALUES (4, 'kept'); COMMIT;",
    ),
    way(
        "more_inserts",
        "CREATE TABLE t (gone int, id int PRIMARY KEY, v text); ALTER TABLE t DROP gone;
         CREATE TABLE emptied (id int PRIMARY KEY); INSERT INTO emptied VALUES (1);
         CREATE TABLE computed (a int, id int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY);
         CREATE FUNCTION add(i int) RETURNS SETOF more_inserts.t LANGUAGE sql AS
             'INSERT INTO more_inserts.t VALUES (i, ''by a function''), (i + 1, ''v'') RETURNING *';
         CREATE FUNCTION not_negative() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN IF NEW.id < 0 THEN RETURN NULL; END IF; RETURN NEW; END';
         CREATE TRIGGER not_negative BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION not_negative();",
        "COPY t FROM STDIN WHERE id > 1;\n1\tone\n2\ttwo\n-3\tno\n\\.\n
         BEGIN; TRUNCATE emptied; COPY emptied FROM STDIN WITH (FREEZE);\n5\n6\n\\.\nCOMMIT;
         INSERT INTO computed VALUES (1), (2); COPY computed (a) FROM STDIN;\n3\n4\n\\.\n
         SELECT * FROM add(10); SELECT add(20) LIMIT 1;
         COPY (INSERT INTO t VALUES (30, 'in a copy') RETURNING id) TO STDOUT;
         EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) INSERT INTO t VALUES (31, 'explained');
         WITH a AS (INSERT INTO t VALUES (40, 'beside a MERGE'))
         MERGE INTO t USING (VALUES (2), (41)) n (id) ON t.id = n.id
         WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (n.id, 'merged in');
         SET session_replication_role = local; INSERT INTO t VALUES (50, 'local'); RESET session_replication_role;
         SET work_mem = '64kB'; INSERT INTO t SELECT i, repeat('v', 300) FROM generate_series(1000, 2000) i; RESET work_mem;
         ALTER TABLE t ADD w int; INSERT INTO t VALUES (60, 'between', 1); ALTER TABLE t DROP w;
         BEGIN; INSERT INTO t VALUES (70, 'prepared'); PREPARE TRANSACTION 'pending'; COMMIT PREPARED 'pending';",
    ),
    way(
        "merge",
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'v' FROM generate_series(1, 6) i;",
        "MERGE INTO t USING (SELECT generate_series(4, 9) AS id) s ON t.id = s.id
         WHEN MATCHED AND t.id = 4 THEN DELETE
         WHEN MATCHED THEN UPDATE SET v = 'merged'
         WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'merged in');",
    ),
    way(
        "copy_from",
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE p (id int PRIMARY KEY, v text)
         PARTITION BY HASH (id);
         CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
        "COPY t FROM STDIN;\n1\tone\n2\t\\N\n3\ttab\\there\n\\.\nCOPY p FROM STDIN;\n1\tone\n2\t\\N\n3\t\n\\.\n",
    ),
    way(
        "through_views_rules_and_functions",
        "CREATE TABLE t (id int PRIMARY KEY, v text, gone bool NOT NULL DEFAULT false);
         INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i;
         CREATE TABLE audit (id int, v text);
         CREATE RULE note AS ON UPDATE TO t DO ALSO INSERT INTO audit VALUES (old.id, old.v);
         CREATE RULE keep AS ON DELETE TO t DO INSTEAD UPDATE t SET gone = true WHERE id = old.id;
         CREATE VIEW updatable AS SELECT id, v FROM t WHERE NOT gone;
         CREATE TABLE other (id int PRIMARY KEY);
         CREATE VIEW instead AS SELECT id FROM other;
         CREATE FUNCTION into_other() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO through_views_rules_and_functions.other VALUES (NEW.id * 2); RETURN NEW; END';
         CREATE TRIGGER i INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION into_other();",
        "UPDATE t SET v = 'u' WHERE id < 3;
         DELETE FROM t WHERE id = 4;
         INSERT INTO updatable VALUES (20, 'through the view');
         UPDATE updatable SET v = 'view' WHERE id = 5;
         INSERT INTO instead VALUES (1), (2);",
    ),
    way(
        "user_triggers",
        "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0);
         CREATE TABLE sums (v text PRIMARY KEY, n int NOT NULL);
         CREATE TABLE late (id int PRIMARY KEY, at_commit text);
         INSERT INTO t SELECT i, 'v' || i % 3 FROM generate_series(1, 9) i;
         CREATE FUNCTION change_it() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.n := NEW.n + 1; IF NEW.id < 0 THEN NEW.id := -NEW.id * 100; END IF; RETURN NEW; END $$;
         CREATE FUNCTION add_up() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO user_triggers.sums VALUES (NEW.v, 1)
                   ON CONFLICT (v) DO UPDATE SET n = sums.n + 1; RETURN NULL; END $$;
         CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO user_triggers.late VALUES (NEW.id, NEW.v)
                   ON CONFLICT (id) DO UPDATE SET at_commit = excluded.at_commit; RETURN NULL; END $$;
         CREATE TRIGGER before BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION change_it();
         CREATE TRIGGER after AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION add_up();
         CREATE CONSTRAINT TRIGGER deferred AFTER INSERT OR UPDATE ON t DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION at_commit();",
        "INSERT INTO t VALUES (-1, 'negative'), (10, 'v1');
         BEGIN; UPDATE t SET v = 'v9' WHERE id = 1; UPDATE t SET id = 77 WHERE id = 2; COMMIT;",
    ),
    way(
        "replica_sessions",
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i;
         CREATE TABLE e (id int PRIMARY KEY); INSERT INTO e VALUES (1), (2);
         CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
         INSERT INTO p SELECT i, 'v' FROM generate_series(5, 15) i;",
        "SET session_replication_role = replica;
         INSERT INTO t VALUES (10, 'replica'); UPDATE t SET v = 'replica' WHERE id = 1;
         DELETE FROM t WHERE id = 2; TRUNCATE e;
         UPDATE p SET v = 'replica' WHERE id = 5; DELETE FROM p1 WHERE id = 6; INSERT INTO p2 VALUES (19);
         UPDATE p SET id = 1 WHERE id = 15;",
    ),
    way(
        "transactions",
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i;
         CREATE TABLE kept (id int PRIMARY KEY); INSERT INTO kept VALUES (1), (2);",
        "BEGIN; UPDATE t SET v = 'prepared' WHERE id = 1; DELETE FROM t WHERE id = 2;
         PREPARE TRANSACTION 'pending'; COMMIT PREPARED 'pending';
         BEGIN; DELETE FROM t; PREPARE TRANSACTION 'pending'; ROLLBACK PREPARED 'pending';
         BEGIN;
         INSERT INTO t VALUES (10, 'kept'); SAVEPOINT a; UPDATE t SET v = 'undone'; DELETE FROM t WHERE id = 3;
         SAVEPOINT b; INSERT INTO t VALUES (11, 'undone'); ROLLBACK TO b; ROLLBACK TO a;
         SAVEPOINT c; UPDATE t SET v = 'subtransaction' WHERE id = 4; RELEASE c;
         COMMIT;
         BEGIN; TRUNCATE kept; INSERT INTO kept VALUES (9); ROLLBACK;
         BEGIN; SAVEPOINT a; TRUNCATE kept; ROLLBACK TO a; INSERT INTO kept VALUES (3); COMMIT;
         BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE t SET v = 'serializable' WHERE id = 5; COMMIT;",
    ),
    way(
        "truncate",
        "CREATE TABLE alone (id int PRIMARY KEY); INSERT INTO alone SELECT generate_series(1, 9);
         CREATE TABLE filled (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);
         INSERT INTO filled (v) SELECT i FROM generate_series(1, 9) i;
         CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent SELECT generate_series(1, 9);
         CREATE TABLE child (id int PRIMARY KEY REFERENCES parent); INSERT INTO child VALUES (1), (2);
         CREATE TABLE base (id int PRIMARY KEY); INSERT INTO base VALUES (1), (2);
         CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (base); INSERT INTO heir VALUES (3), (4);
         CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (id);
         CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (10) TO (20);
         CREATE TABLE p22 PARTITION OF p2 FOR VALUES FROM (20) TO (30);
         CREATE TABLE q (LIKE p INCLUDING ALL) PARTITION BY RANGE (id);
         CREATE TABLE q1 PARTITION OF q FOR VALUES FROM (0) TO (99) PARTITION BY RANGE (id);
         CREATE TABLE q11 PARTITION OF q1 FOR VALUES FROM (0) TO (50);
         CREATE TABLE q12 PARTITION OF q1 DEFAULT;
         INSERT INTO p SELECT generate_series(5, 25); INSERT INTO q SELECT generate_series(40, 60);",
        "TRUNCATE alone;
         TRUNCATE filled RESTART IDENTITY; INSERT INTO filled (v) VALUES ('after');
         TRUNCATE parent CASCADE; INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1);
         TRUNCATE base; INSERT INTO heir VALUES (5);
         TRUNCATE p21; INSERT INTO p VALUES (11); TRUNCATE q1;",
    ),
];

const CONSTRAINTS: &[Way] = &[
    way(
        "keys_that_change",
        "CREATE TABLE t (id int PRIMARY KEY, v text);
         INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 9) i;
         CREATE TABLE d (id int PRIMARY KEY DEFERRABLE, v text);
         INSERT INTO d SELECT i, 'v' || i FROM generate_series(1, 9) i;
         CREATE TABLE c (a int, b text, v text, PRIMARY KEY (b, a));
         INSERT INTO c SELECT i, 'b' || i, 'v' FROM generate_series(1, 9) i;",
        "UPDATE t SET id = 100 + id WHERE id < 3;
         BEGIN; UPDATE t SET id = -3 WHERE id = 3; UPDATE t SET id = 3 WHERE id = 4;
         UPDATE t SET id = 4 WHERE id = -3; COMMIT;
         DELETE FROM t WHERE id = 5; UPDATE t SET id = 5 WHERE id = 6;
         UPDATE d SET id = 10 - id;
         UPDATE c SET a = a + 1; UPDATE c SET b = '{\"quoted, and braced}' WHERE a = 2;",
    ),
    way(
        "unique_values_that_wander",
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, room int, during int4range,
                          EXCLUDE USING gist (during WITH &&));
         INSERT INTO t SELECT i, i, i, int4range(i * 10, i * 10 + 5) FROM generate_series(1, 30) i;
         CREATE TABLE d (id int PRIMARY KEY, u int UNIQUE DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO d SELECT i, i FROM generate_series(1, 9) i;
         CREATE TABLE n (id int PRIMARY KEY, u int, UNIQUE NULLS NOT DISTINCT (u));
         INSERT INTO n VALUES (1, NULL), (2, 2), (3, 3);
         CREATE UNIQUE INDEX partly ON n (abs(u)) WHERE id > 0;",
        "BEGIN; UPDATE t SET u = -1 WHERE id = 1; UPDATE t SET u = 1 WHERE id = 2;
         UPDATE t SET u = 2 WHERE id = 1; COMMIT;
         BEGIN; UPDATE t SET u = 0 WHERE id = 3; UPDATE t SET u = 3 WHERE id = 4;
         UPDATE t SET u = 4 WHERE id = 5; UPDATE t SET u = 5 WHERE id = 3; COMMIT;
         DELETE FROM t WHERE id = 6; INSERT INTO t VALUES (200, 6, 6, '[60,64)'); UPDATE t SET u = 66 WHERE id = 200;
         UPDATE t SET u = 6 WHERE id = 7;
         BEGIN; UPDATE t SET during = NULL WHERE id = 8; UPDATE t SET during = '[80,85)' WHERE id = 9;
         UPDATE t SET during = '[90,95)' WHERE id = 8; COMMIT;
         UPDATE d SET u = 10 - u; UPDATE d SET u = u % 9 + 1;
         BEGIN; UPDATE n SET u = 9 WHERE id = 1; UPDATE n SET u = NULL WHERE id = 2;
         UPDATE n SET u = 2 WHERE id = 3; UPDATE n SET u = 3 WHERE id = 1; COMMIT;",
    ),
    way(
        "foreign_keys",
        "CREATE TABLE p (id int PRIMARY KEY, v text);
         INSERT INTO p SELECT i, 'v' FROM generate_series(0, 20) i;
         CREATE TABLE cascading (id int PRIMARY KEY, p int REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE nulled (id int PRIMARY KEY, p int REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL);
         CREATE TABLE defaulted (id int PRIMARY KEY, p int DEFAULT 0 REFERENCES p ON DELETE SET DEFAULT ON UPDATE CASCADE);
         CREATE TABLE keyed (p int PRIMARY KEY REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         INSERT INTO cascading SELECT i, i % 20 + 1 FROM generate_series(1, 60) i;
         INSERT INTO nulled SELECT * FROM cascading; INSERT INTO defaulted SELECT * FROM cascading;
         INSERT INTO keyed SELECT generate_series(1, 20);",
        "DELETE FROM p WHERE id IN (3, 4); UPDATE p SET id = 100 + id WHERE id IN (5, 6);
         UPDATE p SET v = 'its children are not touched' WHERE id = 7;
         DELETE FROM p WHERE id = 8; INSERT INTO p VALUES (8, 'without children');",
    ),
    way(
        "references_in_circles",
        "CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE);
         INSERT INTO tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 31) i;
         CREATE TABLE chicken (id int PRIMARY KEY, egg int NOT NULL);
         CREATE TABLE egg (id int PRIMARY KEY, chicken int NOT NULL
                           REFERENCES chicken DEFERRABLE INITIALLY DEFERRED);
         ALTER TABLE chicken ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE INITIALLY DEFERRED;
         BEGIN; INSERT INTO chicken VALUES (1, 1); INSERT INTO egg VALUES (1, 1); COMMIT;",
        "DELETE FROM tree WHERE id = 3; INSERT INTO tree VALUES (3, 1), (40, 3); UPDATE tree SET parent = 40 WHERE id = 2;
         BEGIN; INSERT INTO chicken VALUES (2, 2); INSERT INTO egg VALUES (2, 2);
         DELETE FROM egg WHERE id = 1; DELETE FROM chicken WHERE id = 1; COMMIT;",
    ),
    way(
        "partitions",
        "CREATE TABLE p (id int, region text, v text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
         CREATE TABLE p_east PARTITION OF p FOR VALUES IN ('east');
         CREATE TABLE p_west (v text, dropped int, region text NOT NULL, id int NOT NULL);
         ALTER TABLE p_west DROP dropped;
         ALTER TABLE p ATTACH PARTITION p_west FOR VALUES IN ('west');
         CREATE TABLE p_rest PARTITION OF p DEFAULT PARTITION BY RANGE (id);
         CREATE TABLE p_low PARTITION OF p_rest FOR VALUES FROM (0) TO (100);
         CREATE TABLE p_high PARTITION OF p_rest DEFAULT;
         INSERT INTO p SELECT i, (ARRAY['east', 'west', 'north'])[1 + i % 3], 'v' FROM generate_series(1, 120) i;",
        "UPDATE p SET region = 'west' WHERE id IN (3, 6); UPDATE p SET region = 'south' WHERE id IN (9, 12);
         INSERT INTO p_west (id, region, v) VALUES (500, 'west', 'direct');
         UPDATE p_east SET v = 'direct' WHERE id = 15; DELETE FROM p_high WHERE id = 119;
         INSERT INTO p VALUES (501, 'north', 'high'), (0, 'north', 'low');
         UPDATE p_rest SET id = id + 1000 WHERE id = 5;",
    ),
    way(
        "inheritance",
        "CREATE TABLE base (id int PRIMARY KEY, v text); CREATE TABLE heir (w int, PRIMARY KEY (id)) INHERITS (base);
         CREATE TABLE poor () INHERITS (base);
         INSERT INTO base SELECT i, 'v' FROM generate_series(1, 5) i;
         INSERT INTO heir SELECT i, 'v', i FROM generate_series(3, 9) i; INSERT INTO poor VALUES (1, 'p'), (1, 'p');",
        "UPDATE base SET v = 'all' WHERE id IN (1, 4); DELETE FROM ONLY base WHERE id = 3; DELETE FROM heir WHERE id = 5;
         INSERT INTO poor VALUES (20, 'new');",
    ),
];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Way> {
    STATEMENTS
        .iter()
        .chain(CONSTRAINTS)
        .chain(super::values::WAYS)
}
