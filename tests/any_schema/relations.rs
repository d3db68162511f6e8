//! Partitions, inheritance, views, rules, policies, triggers: every kind of relation, and many of them.

use super::cases::{Case, Untouched, arrive_by_every_road, case};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::stage::Stage;
use crate::support::thorough;

/// What works on version 13 and later, as any role.
pub const CASES: &[Case] = &[
    case(
        "by_range",
        "CREATE TABLE t (at date NOT NULL, id int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE t_old PARTITION OF t FOR VALUES FROM (MINVALUE) TO ('2024-01-01'); CREATE TABLE t_new PARTITION OF t FOR VALUES FROM ('2024-01-01') TO ('infinity');
         CREATE TABLE t_ever (id int NOT NULL, gone int, v text, at date NOT NULL); ALTER TABLE t_ever DROP gone; ALTER TABLE t ATTACH PARTITION t_ever DEFAULT;
         CREATE TABLE pair (a int, b text, n int, PRIMARY KEY (a, b)) PARTITION BY RANGE (a, b);
         CREATE TABLE pair_low PARTITION OF pair FOR VALUES FROM (MINVALUE, MINVALUE) TO (10, 'm'); CREATE TABLE pair_high PARTITION OF pair FOR VALUES FROM (10, 'm') TO (MAXVALUE, MAXVALUE)",
        "INSERT INTO t SELECT DATE '2023-12-01' + i, i, 'v' FROM generate_series(1, 60) i; INSERT INTO t VALUES ('infinity', 99); INSERT INTO pair SELECT i, chr(97 + i), i FROM generate_series(0, 20) i",
        "UPDATE t SET at = at + 31 WHERE id < 5; INSERT INTO t_old VALUES ('2000-01-01', 1, 'direct'); INSERT INTO t_ever (id, at) VALUES (98, 'infinity');
         UPDATE t_new SET v = 'direct' WHERE id = 50; DELETE FROM ONLY t_new WHERE id = 51; UPDATE t SET at = 'infinity' WHERE id = 52; UPDATE t SET at = '1999-09-09' WHERE id = 99;
         UPDATE pair SET b = 'z' WHERE a = 10; UPDATE pair SET a = a + 5 WHERE a BETWEEN 3 AND 6 AND b = 'd'; DELETE FROM pair_high WHERE a = 20",
    ),
    case(
        "by_list_and_hash",
        "CREATE TABLE l (k text NOT NULL, r text, n int) PARTITION BY LIST (lower(r)); CREATE TABLE l_null PARTITION OF l FOR VALUES IN (NULL, ''); CREATE TABLE l_a PARTITION OF l FOR VALUES IN ('a', 'b');
         CREATE TABLE l_x PARTITION OF l DEFAULT;
         CREATE TABLE h (id uuid PRIMARY KEY, v text) PARTITION BY HASH (id);
         CREATE TABLE h_0 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 0); CREATE TABLE h_1 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 1); CREATE TABLE h_2 PARTITION OF h FOR VALUES WITH (MODULUS 3, REMAINDER 2);
         CREATE TABLE e (id int, a int, b int, PRIMARY KEY (id, b)) PARTITION BY RANGE (b);
         CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM (0) TO (100) PARTITION BY HASH (id); CREATE TABLE e_10 PARTITION OF e_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE e_11 PARTITION OF e_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1); CREATE TABLE e_2 PARTITION OF e DEFAULT PARTITION BY LIST (b); CREATE TABLE e_20 PARTITION OF e_2 FOR VALUES IN (110, 120, 210);
         CREATE TABLE e_2x PARTITION OF e_2 DEFAULT",
        "INSERT INTO l SELECT 'k' || i, (ARRAY[NULL, '', 'a', 'b', 'c'])[i % 5 + 1], i FROM generate_series(1, 30) i; INSERT INTO h SELECT md5(i::text)::uuid, i FROM generate_series(1, 60) i;
         INSERT INTO e SELECT i, i, 10 * i FROM generate_series(1, 60) i",
        "UPDATE l SET r = NULL WHERE r = 'a'; UPDATE l SET r = 'd' WHERE r = ''; INSERT INTO l_null VALUES ('new', NULL); DELETE FROM l_a;
         UPDATE h SET id = md5('x' || v)::uuid WHERE v::int % 10 = 0; UPDATE h_1 SET v = 'direct'; DELETE FROM h WHERE v LIKE '%7';
         UPDATE e SET b = b + 50 WHERE id < 9; UPDATE e SET id = id + 1000 WHERE id > 50; UPDATE e_20 SET a = -a; INSERT INTO e_2 VALUES (77, 77, 777); DELETE FROM e_11 WHERE a = 3",
    ),
    case(
        "inheritance",
        "CREATE TABLE person (id int PRIMARY KEY, gone text, name text, CHECK (id > 0)); ALTER TABLE person DROP gone;
         CREATE TABLE employee (salary int, PRIMARY KEY (id)) INHERITS (person); CREATE TABLE boss (PRIMARY KEY (id)) INHERITS (employee);
         CREATE TABLE place (town text, name text, doomed int); CREATE TABLE resident (PRIMARY KEY (id)) INHERITS (person, place);
         ALTER TABLE place DROP doomed; ALTER TABLE resident ADD own int; ALTER TABLE ONLY resident ALTER town SET DEFAULT 'here'",
        "INSERT INTO person SELECT i, 'p' FROM generate_series(1, 10) i; INSERT INTO employee SELECT i, 'e', 100 FROM generate_series(5, 15) i; INSERT INTO boss SELECT i, 'b', 1000 FROM generate_series(10, 12) i;
         INSERT INTO resident (id, name) SELECT i, 'r' FROM generate_series(1, 5) i; INSERT INTO place VALUES ('only', 'a place')",
        "UPDATE person SET name = name || '!' WHERE id IN (5, 11); DELETE FROM ONLY person WHERE id = 1; DELETE FROM person WHERE id = 12;
         -- A row moves from a parent to its child, keeping its key; another one back.
         WITH moved AS (DELETE FROM ONLY person WHERE id = 7 RETURNING *) INSERT INTO boss SELECT id, name, 7 FROM moved;
         WITH moved AS (DELETE FROM boss WHERE id = 10 RETURNING *) INSERT INTO person SELECT id + 100, name FROM moved;
         UPDATE place SET town = 'there'; UPDATE resident SET own = id, id = id + 10 WHERE id < 3",
    ),
    case(
        "typed",
        "CREATE TYPE thing AS (id int, name text, tags text[]); CREATE TABLE t OF thing (PRIMARY KEY (id), name WITH OPTIONS NOT NULL DEFAULT 'none');
         CREATE TABLE parted OF thing (PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE parted_1 PARTITION OF parted DEFAULT; CREATE TABLE held (id int PRIMARY KEY, t thing, all_of thing[])",
        "INSERT INTO t (id) SELECT generate_series(1, 9); INSERT INTO parted SELECT i, 'n', ARRAY['a', NULL] FROM generate_series(1, 9) i; INSERT INTO held SELECT id, t, ARRAY[t::thing, NULL] FROM t",
        "UPDATE t SET tags = '{x}', id = id + 10 WHERE id < 3; DELETE FROM parted WHERE id = 4; UPDATE held SET t.name = 'changed', all_of = NULL WHERE id > 7",
    ),
    case(
        "rules",
        "CREATE TABLE t (id int PRIMARY KEY, v text, gone bool NOT NULL DEFAULT false); CREATE TABLE log (id serial PRIMARY KEY, what text); CREATE TABLE bin (LIKE t INCLUDING ALL);
         CREATE RULE soft AS ON DELETE TO t WHERE NOT old.gone DO INSTEAD UPDATE t SET gone = true WHERE id = old.id;
         CREATE RULE note AS ON UPDATE TO t DO ALSO INSERT INTO log (what) VALUES (old.v || '>' || new.v);
         CREATE RULE elsewhere AS ON INSERT TO t WHERE new.id > 1000 DO INSTEAD INSERT INTO bin VALUES (new.*);
         CREATE TABLE sealed (id int PRIMARY KEY); CREATE RULE no AS ON DELETE TO sealed DO INSTEAD NOTHING;
         CREATE VIEW v AS SELECT id, v FROM t WHERE NOT gone; CREATE RULE i AS ON INSERT TO v DO INSTEAD INSERT INTO t (id, v) VALUES (new.id, new.v) RETURNING id, v",
        "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 20) i; INSERT INTO sealed VALUES (1), (2)",
        "DELETE FROM t WHERE id < 4; DELETE FROM t WHERE id = 2; UPDATE t SET v = 'u' WHERE id = 7; INSERT INTO t VALUES (2000, 'to the bin'), (30, 'here'); INSERT INTO v VALUES (31, 'by the view');
         INSERT INTO sealed VALUES (3); DELETE FROM sealed; UPDATE sealed SET id = 20 WHERE id = 2; UPDATE v SET v = 'updatable' WHERE id = 8",
    ),
    case(
        "views",
        "CREATE TABLE t (id int PRIMARY KEY, owner text, v text); CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM t WHERE owner = 'me' WITH CASCADED CHECK OPTION;
         CREATE VIEW both_names AS SELECT id, owner || ':' || v AS text FROM t; CREATE VIEW over AS SELECT * FROM both_names WHERE id < 100;
         CREATE FUNCTION split() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF TG_OP = 'DELETE' THEN EXECUTE format('DELETE FROM %I.t WHERE id = $1', TG_TABLE_SCHEMA) USING OLD.id; RETURN OLD; END IF;
             EXECUTE format('INSERT INTO %I.t VALUES ($1, split_part($2, '':'', 1), split_part($2, '':'', 2)) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, v = excluded.v', TG_TABLE_SCHEMA)
             USING NEW.id, NEW.text; RETURN NEW; END $$;
         CREATE TRIGGER split INSTEAD OF INSERT OR UPDATE OR DELETE ON both_names FOR EACH ROW EXECUTE FUNCTION split()",
        "INSERT INTO t SELECT i, CASE i % 2 WHEN 0 THEN 'me' ELSE 'you' END, 'v' FROM generate_series(1, 20) i",
        "UPDATE barrier SET v = 'mine' WHERE id < 9; DELETE FROM barrier WHERE id = 10; INSERT INTO barrier VALUES (100, 'me', 'new');
         INSERT INTO both_names VALUES (101, 'a:b'); UPDATE over SET text = 'c:d' WHERE id = 3; DELETE FROM both_names WHERE id = 5",
    ),
    case(
        "triggers",
        "CREATE TABLE t (id int PRIMARY KEY, v text, changes int NOT NULL DEFAULT 0, stamp timestamptz); CREATE TABLE audit (id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), what text);
         CREATE TABLE totals (v text PRIMARY KEY, n int NOT NULL); CREATE TABLE at_commit (id int PRIMARY KEY, n int);
         CREATE FUNCTION before() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF NEW.v = 'never' THEN RETURN NULL; END IF; NEW.changes := NEW.changes + 1; NEW.stamp := clock_timestamp(); IF NEW.id < 0 THEN NEW.id := 100 - NEW.id; END IF; RETURN NEW; END $$;
         CREATE FUNCTION after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             EXECUTE format('INSERT INTO %I.audit (what) VALUES ($1)', TG_TABLE_SCHEMA) USING TG_OP || coalesce(NEW.v, OLD.v);
             EXECUTE format('INSERT INTO %I.totals AS o VALUES ($1, 1) ON CONFLICT (v) DO UPDATE SET n = o.n + 1', TG_TABLE_SCHEMA) USING coalesce(NEW.v, OLD.v); RETURN NULL; END $$;
         CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             EXECUTE format('INSERT INTO %I.at_commit AS o VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET n = o.n + 1', TG_TABLE_SCHEMA) USING NEW.id; RETURN NULL; END $$;
         CREATE FUNCTION statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             EXECUTE format('INSERT INTO %I.audit (what) SELECT $1 || count(*) FROM changed', TG_TABLE_SCHEMA) USING TG_OP; RETURN NULL; END $$;
         CREATE TRIGGER a_before BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION before(); CREATE TRIGGER b_after AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION after();
         CREATE TRIGGER z_statement AFTER UPDATE ON t REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION statement();
         CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id > 5) EXECUTE FUNCTION late();
         CREATE TRIGGER off AFTER DELETE ON t FOR EACH ROW EXECUTE FUNCTION late(); ALTER TABLE t DISABLE TRIGGER off",
        "INSERT INTO t SELECT i, 'v' || i % 3 FROM generate_series(1, 20) i",
        "UPDATE t SET v = 'never' WHERE id = 1; UPDATE t SET v = 'x' WHERE id IN (2, 8); INSERT INTO t VALUES (-7, 'negative'); DELETE FROM t WHERE id = 9;
         BEGIN; UPDATE t SET v = 'y' WHERE id = 10; UPDATE t SET id = 500 WHERE id = 11; COMMIT; INSERT INTO t VALUES (12, 'up') ON CONFLICT (id) DO UPDATE SET v = excluded.v",
    ),
    case(
        "policies",
        "CREATE TABLE few (id int PRIMARY KEY, owner text); ALTER TABLE few ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON few USING (owner = 'nobody') WITH CHECK (true);
         CREATE TABLE hidden (id int PRIMARY KEY, owner text); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
         CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parts DEFAULT; ALTER TABLE part ENABLE ROW LEVEL SECURITY; ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
         CREATE POLICY none ON parts AS RESTRICTIVE USING (false)",
        "INSERT INTO few SELECT i, 'me' FROM generate_series(1, 9) i; INSERT INTO hidden SELECT * FROM few; INSERT INTO parts SELECT * FROM few",
        "UPDATE few SET owner = 'nobody' WHERE id = 1; DELETE FROM hidden WHERE id = 2; INSERT INTO hidden VALUES (20, 'new'); UPDATE parts SET v = 'you', id = id + 10 WHERE id = 3; DELETE FROM part WHERE id = 4",
    ),
    case(
        "unlogged",
        "CREATE UNLOGGED TABLE t (id serial PRIMARY KEY, v text); CREATE UNLOGGED TABLE bare (v text)",
        "INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 9); INSERT INTO bare SELECT v FROM t",
        "UPDATE t SET v = 'w' WHERE id = 3; INSERT INTO t (v) VALUES ('new'); DELETE FROM bare WHERE ctid = '(0,1)'",
    ),
    case(
        "beside_temporary_tables",
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF parts DEFAULT",
        "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i; INSERT INTO parts SELECT * FROM t",
        "CREATE TEMPORARY TABLE passing (id int PRIMARY KEY, v text); INSERT INTO passing VALUES (1, 'temporary'); CREATE TEMPORARY TABLE heir () INHERITS (t); INSERT INTO heir VALUES (77, 'in the heir');
         UPDATE t SET v = 'both' WHERE id IN (3, 77); INSERT INTO parts SELECT id + 50, v FROM t; DROP TABLE passing, heir",
    ),
];

/// Triggers and rules that fire for replicated rows, too, or for them only.
pub const ALWAYS: Case = case(
    "always",
    "CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0); CREATE TABLE audit (id bigserial PRIMARY KEY, what text);
     CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE p_1 PARTITION OF p DEFAULT;
     CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := NEW.n + 1; RETURN NEW; END $$;
     CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('INSERT INTO %I.audit (what) VALUES ($1)', TG_TABLE_SCHEMA) USING TG_NAME || TG_OP; RETURN NULL; END $$;
     CREATE TRIGGER b BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION bump(); ALTER TABLE t ENABLE ALWAYS TRIGGER b;
     CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t ENABLE REPLICA TRIGGER a;
     CREATE TRIGGER s AFTER INSERT OR DELETE ON t EXECUTE FUNCTION note(); ALTER TABLE t ENABLE ALWAYS TRIGGER s;
     CREATE RULE r AS ON DELETE TO t DO ALSO INSERT INTO audit (what) VALUES ('rule'); ALTER TABLE t ENABLE ALWAYS RULE r;
     CREATE TRIGGER q AFTER INSERT OR UPDATE OR DELETE ON p FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE p ENABLE ALWAYS TRIGGER q",
    "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i; INSERT INTO p SELECT id, v FROM t",
    "UPDATE t SET v = 'w' WHERE id < 4; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (50, 'new'); UPDATE p SET id = id + 100 WHERE id = 1; DELETE FROM p_1 WHERE id = 2",
);

/// What only superusers and their like may do.
pub const FORCED: Case = case(
    "forced_policies",
    "CREATE TABLE t (id int PRIMARY KEY, owner text); ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (owner = 'nobody')",
    "INSERT INTO t SELECT i, 'me' FROM generate_series(1, 9) i",
    "UPDATE t SET owner = 'you' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (20, 'nobody')",
);

/// A child whose columns stand in another order, which a dump does not keep.
pub const ADOPTED: Case = case(
    "adopted",
    "CREATE TABLE place (town text, name text); CREATE TABLE adopted (name text, extra int, id int PRIMARY KEY, town text); ALTER TABLE adopted INHERIT place",
    "INSERT INTO place VALUES ('t', 'n'); INSERT INTO adopted SELECT 'name', i, i, 'town' FROM generate_series(1, 9) i",
    "UPDATE place SET town = 'there'; DELETE FROM adopted WHERE id = 2; INSERT INTO adopted VALUES ('b', 2, 20, 'c')",
);

/// The cases that every version can run.
pub fn cases() -> Vec<&'static Case> {
    CASES.iter().chain([&FORCED, &ALWAYS]).collect()
}

/// pg_dump 15 and later say that its sequence is logged, which servers before that take for a mistake.
#[test]
fn an_unlogged_table_with_an_identity_comes_to_a_server_before_15() {
    let pair = Pair::new(14, 14);
    pair.on_source(
        "CREATE UNLOGGED TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
         INSERT INTO t (v) VALUES ('a'), ('b')",
    );
    pair.run(&["run", "--create-schema", "-q"]).expect(0);
    compare::assert_equal(&pair);
    let draw = "INSERT INTO t (v) VALUES ('c') RETURNING id";
    assert_eq!(pair.on_destination(draw), "3");
}

#[test]
fn rows_of_every_kind_of_relation_arrive_once() {
    let cases: Vec<&Case> = cases().into_iter().chain([&ADOPTED]).collect();
    arrive_by_every_road(&Stage::new(Pair::new(15, 18)), &cases);
}

#[test]
fn every_kind_of_relation_comes_with_the_schema() {
    let pair = Pair::new(15, 18);
    for case in cases() {
        pair.on_source(&case.tables(1));
        pair.on_source(&case.script(1, case.rows));
    }
    // What has no rows of its own on either side.
    pair.on_source(
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER far FOREIGN DATA WRAPPER nothing OPTIONS (host 'far');
         CREATE FOREIGN TABLE distant (id int, v text) SERVER far; CREATE TABLE near (id int PRIMARY KEY, v text); INSERT INTO near VALUES (1, 'near');
         CREATE FOREIGN TABLE distant_heir () INHERITS (near) SERVER far;",
    );
    let outcome = pair.run(&["check", "--create-schema"]).expect(0);
    outcome.expect_stdout("the rows of foreign tables \"public\".\"distant\", \"public\".\"distant_heir\" are not moved");
    pair.run(&["init", "-q"]).expect(0);
    // Statistics of a parent take in its children, wherever they are.
    let outcome = pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    outcome.expect_stderr("could not analyze table \"public\".\"near\" on the destination");
    super::judge(&pair);
    let before = Untouched::note(&pair);
    for case in cases() {
        pair.on_source(&case.script(1, case.changes));
    }
    pair.on_source("UPDATE ONLY near SET v = 'nearer'");
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
    assert!(before.check(&pair) > 0);
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    super::judge(&pair);
    pair.run(&["drop", "-q"]).expect(0);
    super::judge(&pair);
}

/// Event triggers on both sides that note what is done, in a table that moves itself.
const NOTED: &str = "
CREATE TABLE ddl_log (id bigserial PRIMARY KEY, what text); CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.ddl_log (what) VALUES (TG_EVENT || ' ' || TG_TAG); END $$;
CREATE EVENT TRIGGER at_the_end ON ddl_command_end EXECUTE FUNCTION note_ddl(); CREATE EVENT TRIGGER when_dropped ON sql_drop EXECUTE FUNCTION note_ddl();
";

#[test]
fn event_triggers_write_nothing_twice_and_are_in_nobodys_way() {
    let pair = Pair::new(15, 18);
    pair.on_both(NOTED);
    pair.on_source("INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i");
    let outcome = pair.run(&["check", "--truncate"]).expect(0);
    for side in ["source", "destination"] {
        let line = format!(
            "event trigger \"at_the_end\" (ddl_command_end, function public.note_ddl) on the {side} fires for what pg_switchover does"
        );
        assert!(outcome.stdout.contains(&line), "{}", outcome.report());
    }
    pair.run(&["init", "-q"]).expect(0);
    // What was noted on the destination is of no use there.
    pair.run(&["copy", "-q"])
        .expect(1)
        .expect_stderr("use copy --truncate");
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    compare::assert_equal(&pair);
    for most in ["1000", "1"] {
        pair.on_source("UPDATE t SET v = v || '!'; INSERT INTO ddl_log (what) VALUES ('by hand')");
        pair.run(&["sync", "-q", "--max-pending", most]).expect(0);
        compare::assert_equal(&pair);
    }
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    super::judge(&pair);
    // Whatever is noted by now, on either side, is noted there alone.
    pair.run(&["drop", "-q"]).expect(0);
    pair.on_destination("CREATE TABLE after (id int)");
    let noted = "SELECT count(*) > 0 FROM ddl_log WHERE what = 'ddl_command_end CREATE TABLE'";
    assert_eq!(pair.on_destination(noted), "t");
}

/// So many tables, spread over 50 schemas, each with a serial key, some with references.
fn many(count: usize) -> String {
    format!(
        "DO $$ BEGIN
             FOR i IN 0..49 LOOP EXECUTE format('CREATE SCHEMA s%s', i); END LOOP;
             FOR i IN 1..{count} LOOP
                 EXECUTE format('CREATE TABLE s%s.t%s (id serial PRIMARY KEY, n int UNIQUE, v text)', i % 50, i);
                 IF i > 50 AND i % 3 = 0 THEN
                     EXECUTE format('ALTER TABLE s%s.t%s ADD FOREIGN KEY (n) REFERENCES s%s.t%s', i % 50, i, i % 50, i - 50);
                 END IF;
                 EXECUTE format('INSERT INTO s%s.t%s (n, v) SELECT i, ''v'' FROM generate_series(1, 3) i', i % 50, i);
                 IF i % 200 = 0 THEN COMMIT; END IF;
             END LOOP;
         END $$;"
    )
}

#[test]
fn thousands_of_tables_in_fifty_schemas_arrive() {
    let count = if thorough() { 2000 } else { 200 };
    let pair = Pair::new(15, 18);
    pair.on_source(&many(count));
    let timed = |args: &[&str]| {
        let outcome = pair.run(args).expect(0);
        println!("{count} tables, {}: {:?}", outcome.command, outcome.elapsed);
    };
    timed(&["check", "--create-schema", "-q"]);
    timed(&["init", "-q"]);
    timed(&["copy", "-q", "--create-schema"]);
    super::judge(&pair);
    timed(&["sync", "-q"]);
    let change = |what: &str| {
        pair.on_source(&format!(
            "DO $$ BEGIN FOR i IN 1..{count} LOOP
                 EXECUTE format('UPDATE s%s.t%s SET v = ''{what}'' WHERE id = 2', i % 50, i);
                 EXECUTE format('INSERT INTO s%s.t%s (v) VALUES (''new'')', i % 50, i);
                 IF i % 500 = 0 THEN COMMIT; END IF;
             END LOOP; END $$"
        ));
    };
    change("small");
    timed(&["sync", "-q", "--max-pending", "100000"]);
    change("large");
    timed(&["sync", "-q", "--max-pending", "1"]);
    compare::assert_equal(&pair);
    timed(&["verify", "-q"]);
    timed(&["status"]);
    timed(&["switch", "-q"]);
    super::judge(&pair);
    timed(&["drop", "-q"]);
}
