//! TRUNCATE in every form, alone and among other changes.

use std::time::Duration;

use super::cases::{Case, Untouched, arrive_by_every_road, case};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::proxy::Action;
use crate::support::stage::{CONFIRM, LIMIT, Stage};
use crate::support::wait_for;

/// What works on version 13 and later, as any role.
pub const CASES: &[Case] = &[
    case(
        "alone",
        "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE bare (v text); CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); CREATE TABLE empty (id int)",
        "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 20) i; INSERT INTO bare SELECT v FROM t; INSERT INTO a SELECT id FROM t; INSERT INTO b SELECT id, id FROM t",
        "TRUNCATE t; TRUNCATE bare; TRUNCATE a, b, empty; TRUNCATE empty",
    ),
    case(
        "cascading",
        "CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE); CREATE TABLE c (id int, b int REFERENCES b) PARTITION BY LIST (id);
         CREATE TABLE c_1 PARTITION OF c DEFAULT; CREATE TABLE beside (id int PRIMARY KEY, n int)",
        "INSERT INTO a SELECT i, i FROM generate_series(1, 20) i; INSERT INTO b SELECT id, id FROM a; INSERT INTO c SELECT id, id FROM b; INSERT INTO beside SELECT * FROM a",
        "TRUNCATE a CASCADE; INSERT INTO a VALUES (1, NULL), (2, 1); INSERT INTO b VALUES (7, 2); UPDATE beside SET n = 0 WHERE id = 5",
    ),
    case(
        "restarting",
        "CREATE TABLE t (id serial PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY (START -100 INCREMENT -5)); CREATE TABLE kept (id serial PRIMARY KEY, v text); CREATE TABLE anew (id serial PRIMARY KEY, v text); CREATE SEQUENCE own OWNED BY t.n",
        "INSERT INTO t SELECT FROM generate_series(1, 20); INSERT INTO kept SELECT FROM generate_series(1, 20); INSERT INTO anew SELECT FROM generate_series(1, 20); SELECT nextval('own')",
        "TRUNCATE t RESTART IDENTITY; TRUNCATE kept CONTINUE IDENTITY; INSERT INTO kept (v) VALUES ('after'); BEGIN; TRUNCATE anew RESTART IDENTITY; INSERT INTO anew (v) VALUES ('first again'); COMMIT",
    ),
    case(
        "in_transactions",
        "CREATE TABLE filled (id int PRIMARY KEY, u int UNIQUE); CREATE TABLE undone (id serial PRIMARY KEY, v text); CREATE TABLE to_savepoint (id serial PRIMARY KEY, v text); CREATE TABLE twice (id int PRIMARY KEY, v text);
         CREATE TABLE after (id int PRIMARY KEY, v text)",
        "INSERT INTO filled SELECT i, i FROM generate_series(1, 20) i; INSERT INTO undone (v) SELECT 'v' FROM filled; INSERT INTO to_savepoint (v) SELECT 'v' FROM filled; INSERT INTO twice SELECT id, 'v' FROM filled; INSERT INTO after SELECT * FROM twice",
        "BEGIN; TRUNCATE filled; INSERT INTO filled SELECT i, 21 - i FROM generate_series(1, 10) i; UPDATE filled SET u = 100 WHERE id = 5; COMMIT;
         BEGIN; UPDATE undone SET v = 'kept out' WHERE id = 3; TRUNCATE undone RESTART IDENTITY; INSERT INTO undone (v) VALUES ('undone'); ROLLBACK; INSERT INTO undone (v) VALUES ('after');
         BEGIN; UPDATE to_savepoint SET v = 'before' WHERE id = 3; SAVEPOINT s; TRUNCATE to_savepoint RESTART IDENTITY; INSERT INTO to_savepoint (v) VALUES ('undone'); ROLLBACK TO s;
         INSERT INTO to_savepoint (v) VALUES ('after'); COMMIT;
         BEGIN; TRUNCATE twice; INSERT INTO twice VALUES (1, 'gone too'); TRUNCATE twice; INSERT INTO twice VALUES (2, 'stays'); COMMIT;
         UPDATE after SET v = 'changed' WHERE id < 4; DELETE FROM after WHERE id = 5; TRUNCATE after; INSERT INTO after VALUES (1, 'new'), (30, 'new')",
    ),
    case(
        "parts_of_tables",
        "CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
         CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (id); CREATE TABLE p_21 PARTITION OF p_2 FOR VALUES FROM (10) TO (20); CREATE TABLE p_22 PARTITION OF p_2 DEFAULT;
         CREATE TABLE q (LIKE p INCLUDING ALL) PARTITION BY RANGE (id); CREATE TABLE q_1 PARTITION OF q FOR VALUES FROM (0) TO (20) PARTITION BY RANGE (id); CREATE TABLE q_11 PARTITION OF q_1 DEFAULT; CREATE TABLE q_2 PARTITION OF q DEFAULT;
         CREATE TABLE base (id int PRIMARY KEY); CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (base); CREATE TABLE heir_of_heir (PRIMARY KEY (id)) INHERITS (heir); CREATE TABLE base_2 (id int PRIMARY KEY); CREATE TABLE heir_2 (PRIMARY KEY (id)) INHERITS (base_2)",
        "INSERT INTO p SELECT i, 'v' FROM generate_series(0, 29) i; INSERT INTO q SELECT * FROM p; INSERT INTO base SELECT generate_series(1, 9); INSERT INTO heir SELECT generate_series(5, 14); INSERT INTO heir_of_heir SELECT generate_series(7, 16);
         INSERT INTO base_2 SELECT id FROM ONLY base; INSERT INTO heir_2 SELECT id FROM ONLY base",
        "BEGIN; UPDATE p SET id = 9 WHERE false; DELETE FROM p WHERE id = 12; TRUNCATE p_1; UPDATE p SET id = 3 WHERE id = 15; COMMIT; TRUNCATE p_22; INSERT INTO p VALUES (25, 'back'); TRUNCATE q_1; UPDATE q SET id = 7 WHERE id = 27;
         TRUNCATE heir; TRUNCATE ONLY base_2",
    ),
    case(
        "with_triggers",
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE audit (id serial PRIMARY KEY, what text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('INSERT INTO %I.audit (what) VALUES ($1)', TG_TABLE_SCHEMA) USING TG_WHEN || TG_OP; RETURN NULL; END $$;
         CREATE TRIGGER b BEFORE TRUNCATE ON t EXECUTE FUNCTION note(); CREATE TRIGGER a AFTER TRUNCATE ON t EXECUTE FUNCTION note()",
        "INSERT INTO t SELECT generate_series(1, 9)",
        "TRUNCATE t; INSERT INTO t VALUES (5)",
    ),
];

#[test]
fn a_truncated_table_is_what_it_is_on_the_source() {
    arrive_by_every_road(
        &Stage::new(Pair::new(15, 18)),
        &CASES.iter().collect::<Vec<_>>(),
    );
}

/// The cycle has read the rows that go, and has not confirmed them yet.
#[test]
fn a_table_that_is_truncated_while_a_cycle_runs_arrives_empty_with_the_next() {
    let stage = Stage::copied(
        "CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY REFERENCES t); CREATE TABLE stays (id int PRIMARY KEY, v text);",
        "INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 9); INSERT INTO u SELECT id FROM t; INSERT INTO stays SELECT * FROM t",
    );
    let pair = &stage.pair;
    for most in ["10000", "1"] {
        let before = Untouched::note(pair);
        pair.on_source("UPDATE t SET v = v || '!'; INSERT INTO u SELECT id FROM t ON CONFLICT DO NOTHING; UPDATE stays SET v = v || '!' WHERE id < 4");
        let hits = stage.destination_wire.hits();
        stage.destination_wire.at(CONFIRM, Action::HoldBefore);
        let sync = pair.spawn(&["sync", "-q", "--max-pending", most]);
        wait_for("the end of the cycle", LIMIT, || {
            stage.destination_wire.hits() > hits
        });
        // Nobody waits for the cycle.
        pair.on_source("SET statement_timeout = '20s'; TRUNCATE t, u RESTART IDENTITY; INSERT INTO t (v) VALUES ('new')");
        stage.destination_wire.release();
        sync.wait(LIMIT).expect(0);
        let rows = "SELECT count(*) FROM t";
        assert_eq!(
            pair.on_destination(rows),
            if most == "1" { "1" } else { "9" }
        );
        pair.run(&["sync", "-q", "--max-pending", most]).expect(0);
        compare::assert_equal(pair);
        assert!(before.check(pair) >= 6);
    }
}

/// A transaction holds a table, and its sequence, which RESTART IDENTITY locks as well.
#[test]
fn a_truncate_that_is_not_committed_is_waited_for_a_bounded_time() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v text)");
    pair.on_source(
        "INSERT INTO t (v) SELECT 'v' FROM generate_series(1, 9); INSERT INTO u SELECT * FROM t",
    );
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    let mut writer = pair.source_client();
    writer
        .batch_execute("BEGIN; TRUNCATE t RESTART IDENTITY; INSERT INTO t (v) VALUES ('new')")
        .unwrap();
    pair.on_source("UPDATE u SET v = 'w' WHERE id = 1");
    let hasty = ["sync", "--lock-timeout", "20"];
    pair.run(&hasty)
        .expect(1)
        .expect_stderr("TRUNCATE … RESTART IDENTITY) is open");
    let waiting = pair.spawn(&["sync", "-q"]);
    std::thread::sleep(Duration::from_millis(100));
    writer.batch_execute("COMMIT").unwrap();
    waiting.wait(LIMIT).expect(0);
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}
