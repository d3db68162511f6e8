//! Nobody but the tool writes into the moved tables of the destination before the switch, and everybody does right
//! after it. What slips in between a final cycle and a flip that does not follow is named, and taken back.

mod in_between;

use std::time::Duration;

use postgres::{Client, NoTls};

use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::{Action, Proxy};
use crate::support::thorough;

const LIMIT: Duration = Duration::from_secs(60);

/// What the guard says.
const REFUSED: &str = "25006";

/// Tables of every kind, and ways into them.
const TABLES: &str = "
    CREATE ROLE clerk LOGIN;
    CREATE TABLE t (id int PRIMARY KEY, n int);
    CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
    CREATE TABLE part_1_1 PARTITION OF part_1 FOR VALUES FROM (0) TO (100);
    CREATE TABLE part_rest PARTITION OF part DEFAULT;
    CREATE TABLE parent (id int);
    CREATE TABLE child () INHERITS (parent);
    CREATE TABLE \"Odd \"\"name\" (id int);
    CREATE VIEW seen AS SELECT * FROM t;
    CREATE FUNCTION add_one() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'INSERT INTO public.t VALUES (900, 0)';
    GRANT ALL ON ALL TABLES IN SCHEMA public TO clerk;";

const ROWS: &str = "
    INSERT INTO t SELECT i, i FROM generate_series(1, 10) i;
    INSERT INTO part SELECT i * 10, i FROM generate_series(1, 20) i;
    INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2); INSERT INTO \"Odd \"\"name\" VALUES (3);";

/// Statements of an application, each of which writes into moved tables.
const WRITES: &[&str] = &[
    "INSERT INTO t VALUES (901, 0)",
    "INSERT INTO t VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET n = 0",
    "INSERT INTO t VALUES (1, 0) ON CONFLICT DO NOTHING",
    "UPDATE t SET n = n + 1 WHERE id = 1",
    "DELETE FROM t WHERE id = 2",
    "TRUNCATE t",
    "TRUNCATE parent CASCADE",
    "COPY t FROM PROGRAM 'echo 902,0' (FORMAT csv)",
    "INSERT INTO part VALUES (7, 0)",
    "UPDATE part SET id = id + 1000",
    "DELETE FROM part",
    "TRUNCATE part",
    "INSERT INTO part_1 VALUES (7, 0)",
    "TRUNCATE part_1",
    "UPDATE part_1_1 SET n = 0",
    "TRUNCATE part_1_1",
    "DELETE FROM part_rest",
    "UPDATE parent SET id = 5",
    "DELETE FROM ONLY child",
    "INSERT INTO \"Odd \"\"name\" VALUES (4)",
    "INSERT INTO seen VALUES (903, 0)",
    "UPDATE seen SET n = 0 WHERE id = 4",
    "SELECT add_one()",
    "WITH gone AS (DELETE FROM t RETURNING *) SELECT count(*) FROM gone",
    "DO $$ BEGIN EXECUTE 'UPDATE public.t SET n = 0'; END $$",
    "MERGE INTO t USING (VALUES (1)) v (id) ON t.id = v.id WHEN MATCHED THEN DELETE",
    // From a table that is not moved into one that is.
    "DELETE FROM stays",
    "UPDATE stays SET id = id + 10000 WHERE id < 5",
];

/// A pair where everything is copied, and a table that stays on the destination, to which a moved one refers.
fn copied(source: u32, destination: u32) -> Pair {
    let pair = Pair::new(source, destination);
    pair.on_both(TABLES);
    pair.on_destination(
        "CREATE TABLE stays (id int PRIMARY KEY); INSERT INTO stays SELECT generate_series(1, 1000);
         ALTER TABLE t ADD FOREIGN KEY (id) REFERENCES stays ON DELETE CASCADE ON UPDATE CASCADE;
         GRANT ALL ON stays TO clerk",
    );
    pair.on_source(ROWS);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair
}

fn destination_as(pair: &Pair, role: &str) -> Client {
    let uri = pair.destination.uri_as(role, DATABASE);
    Client::connect(&uri, NoTls).expect("a session")
}

fn state(error: &postgres::Error) -> String {
    error
        .code()
        .map(|code| code.code().to_string())
        .unwrap_or_else(|| format!("{error:?}"))
}

/// Demands that each write is refused, in sessions of every kind.
fn all_refused(pair: &Pair) {
    for role in ["postgres", "clerk"] {
        let mut client = destination_as(pair, role);
        for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
            for write in WRITES {
                // Of a superuser only, and from 15 on.
                if write.starts_with("COPY") && role != "postgres"
                    || write.starts_with("MERGE") && pair.destination.version() < 15
                {
                    continue;
                }
                client
                    .batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1"))
                    .unwrap();
                let result = client.batch_execute(write);
                let found = result.as_ref().err().map(state);
                // Another table of the statement may be met first, or one that the role does not own.
                assert_eq!(
                    found.as_deref(),
                    Some(REFUSED),
                    "{role}, {isolation}: {write}"
                );
                client.batch_execute("ROLLBACK").unwrap();
            }
        }
    }
    let mut client = destination_as(pair, "clerk");
    let error = client.batch_execute("UPDATE t SET n = 0").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert!(error.message().contains("not in charge yet"), "{error:?}");
    assert!(error.hint().unwrap().contains("old database"), "{error:?}");
    let rows = "SET ROLE clerk;\n\\set VERBOSITY sqlstate\nCOPY t FROM STDIN;\n901\t0\n\\.\n";
    let refused = pair.destination.try_psql(DATABASE, rows).unwrap_err();
    assert!(refused.contains(REFUSED), "{refused}");
}

/// Demands that each write is let in; each is rolled back.
fn all_let_in(pair: &Pair) {
    for role in ["postgres", "clerk"] {
        let mut client = destination_as(pair, role);
        for write in WRITES {
            if write.starts_with("COPY") && role != "postgres"
                || write.starts_with("MERGE") && pair.destination.version() < 15
            {
                continue;
            }
            client
                .batch_execute(&format!("BEGIN; {write}; ROLLBACK"))
                .unwrap_or_else(|error| panic!("{role}: {write}: {error:?}"));
        }
    }
}

/// Only the destination has this one, and nothing of it is moved.
const STAYS: &[&str] = &["public.stays"];

#[test]
fn every_early_write_is_refused_and_every_later_one_let_in() {
    let mut versions = vec![(15, 18)];
    if thorough() {
        versions.extend([(13, 13), (14, 14), (15, 15), (16, 16), (17, 17)]);
    }
    for (source, destination) in versions {
        refused_and_let_in(&copied(source, destination));
    }
}

fn refused_and_let_in(pair: &Pair) {
    all_refused(pair);
    pair.on_source(
        "UPDATE t SET n = -1 WHERE id < 5; TRUNCATE part_1_1; INSERT INTO part VALUES (500, 5)",
    );
    pair.run(&["sync", "-q"]).expect(0);
    pair.on_source("UPDATE t SET n = -2 WHERE id < 7");
    pair.run(&["sync", "-q", "--max-pending=1"]).expect(0);
    compare::assert_equal_except(pair, STAYS);
    all_refused(pair);
    // What is not moved is nobody's concern.
    pair.on_destination("INSERT INTO stays VALUES (1077); CREATE TABLE other (id int); INSERT INTO other VALUES (1); DROP TABLE other");
    // A snapshot from before the switch does not keep its writer out.
    let mut old = pair.destination_client();
    let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM part";
    old.batch_execute(sql).unwrap();
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    old.batch_execute("INSERT INTO part VALUES (1234, 1); COMMIT")
        .unwrap();
    pair.on_destination("DELETE FROM part WHERE id = 1234");
    compare::assert_equal_except(pair, STAYS);
    all_let_in(pair);
    // Nobody leaves notes any more.
    let notes = "SELECT count(*) FROM switchover.early_write";
    assert_eq!(pair.on_destination(notes), "0");
}

/// The role on the destination may not set session_replication_role: the tool's own writes meet the guard.
#[test]
fn early_writes_are_refused_where_the_tool_writes_as_owner() {
    let mut pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_destination(
        "CREATE ROLE keeper LOGIN; GRANT postgres TO keeper; GRANT ALL ON DATABASE app TO keeper",
    );
    pair.on_source(ROWS);
    pair.destination_uri = pair.destination_uri.replace("postgres@", "keeper@");
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    let refused = |pair: &Pair| {
        for role in ["postgres", "clerk", "keeper"] {
            let mut client = destination_as(pair, role);
            for write in [
                "UPDATE t SET n = 0",
                "DELETE FROM part_1",
                "INSERT INTO parent VALUES (9)",
            ] {
                let result = client.batch_execute(write);
                assert_eq!(
                    result.as_ref().err().map(state).as_deref(),
                    Some(REFUSED),
                    "{role}: {write}"
                );
            }
        }
        // Somebody else's token is none.
        let error = destination_as(pair, "clerk")
            .batch_execute("SET switchover.run = 'mine'; UPDATE t SET n = 0")
            .unwrap_err();
        assert_eq!(state(&error), "55006");
    };
    refused(&pair);
    for most in ["100", "1"] {
        pair.on_source("UPDATE t SET n = n + 1; UPDATE part SET n = n + 1; TRUNCATE parent; INSERT INTO child VALUES (1)");
        pair.run(&["sync", "-q", "--max-pending", most]).expect(0);
        compare::assert_equal(&pair);
        refused(&pair);
    }
    // The guard counts for nothing among the triggers that each transaction switches off.
    let acting = "SELECT count(*) FROM switchover.acting(ARRAY['t'::regclass::oid, 'part'::regclass], false)";
    assert_eq!(pair.on_destination(acting), "0");
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
    destination_as(&pair, "clerk")
        .batch_execute("UPDATE t SET n = 0; DELETE FROM part_1")
        .unwrap();
}

/// Rows that somebody writes between the look whether there are any and the guard are not overwritten either.
#[test]
fn rows_that_come_just_before_the_guard_are_found() {
    let mut pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair.run(&["init", "-q"]).expect(0);
    let wire = Proxy::start(&pair.destination);
    pair.destination_uri = wire.uri(DATABASE);
    wire.at("CREATE TRIGGER pg_switchover_guard", Action::HoldBefore);
    let running = pair.spawn(&["copy"]);
    wire.wait_until_hit(LIMIT);
    pair.on_destination("INSERT INTO part_1 VALUES (33, 33)");
    wire.release();
    running
        .wait(LIMIT)
        .expect(1)
        .expect_stderr("table \"public\".\"part\" on the destination holds rows already");
    assert_eq!(pair.on_destination("SELECT id FROM part"), "33");
}

fn guards(pair: &Pair) -> String {
    pair.on_destination(
        "SELECT tgrelid::regclass || ' ' || tgenabled::text FROM pg_trigger WHERE tgname = 'pg_switchover_guard' ORDER BY 1",
    )
}

#[test]
fn tables_that_come_later_are_guarded_and_those_that_go_are_not() {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair.run(&["init", "-q", "-T", "\"Odd\"*"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    let all = guards(&pair);
    let tables = [
        "child",
        "parent",
        "part",
        "part_1",
        "part_1_1",
        "part_rest",
        "t",
    ];
    assert_eq!(all, tables.map(|table| format!("{table} O")).join("\n"));
    // What somebody takes away, or switches off, comes back with the next command.
    pair.on_destination(
        "DROP TRIGGER pg_switchover_guard ON t; ALTER TABLE part_1 DISABLE TRIGGER ALL;
         ALTER TABLE child ENABLE REPLICA TRIGGER pg_switchover_guard",
    );
    pair.run(&["sync", "-q"]).expect(0);
    assert_eq!(guards(&pair), all);
    // While a sync follows: a partition comes, and another one becomes a table of its own.
    let mut running = pair.spawn(&["sync", "--follow", "--interval=0.01"]);
    running.wait_for_stderr("cycle", LIMIT);
    pair.on_both(
        "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (1000) TO (2000);
         ALTER TABLE part_1 DETACH PARTITION part_1_1;",
    );
    pair.on_source("INSERT INTO part VALUES (1500, 1)");
    crate::support::wait_for("the guards to follow", LIMIT, || {
        let now = guards(&pair);
        now.contains("part_2 O") && !now.contains("part_1_1 ")
    });
    running.signal("TERM");
    running.wait(LIMIT);
    assert!(
        destination_as(&pair, "postgres")
            .batch_execute("DELETE FROM part_2")
            .is_err()
    );
    // Bookkeeping of a build that knew no guard is completed.
    pair.on_destination(
        "DROP FUNCTION switchover.refuse_early() CASCADE; DROP FUNCTION switchover.takes_writes() CASCADE; DROP FUNCTION switchover.enter(oid);
         DROP SEQUENCE switchover.entrance; DROP TABLE switchover.early_write",
    );
    pair.run(&["status"]).expect(0);
    pair.run(&["init", "-q"]).expect(0);
    // The one that was detached is new.
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    assert!(guards(&pair).contains("part_2 O"), "{}", guards(&pair));
    compare::assert_equal_except(&pair, &["public.\"Odd \"\"name\""]);
}

/// Logical replication writes in it, and so does whoever may set it.
#[test]
fn the_replica_role_is_let_in() {
    let pair = copied(15, 15);
    pair.past_the_guard("UPDATE t SET n = 901 WHERE id = 1");
    pair.run(&["verify"]).expect(3).expect_stdout("\"t\"");
}

#[test]
fn a_drop_leaves_no_guard() {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    let before = compare::schema(&pair.destination, DATABASE);
    let clean = |pair: &Pair| {
        let left = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pg\\_switchover%'";
        assert_eq!(pair.on_destination(left), "0");
        assert_eq!(compare::schema(&pair.destination, DATABASE), before);
    };
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.run(&["drop", "-q"]).expect(0);
    clean(&pair);
    pair.on_destination("UPDATE t SET n = 901 WHERE id = 1");
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    // Applications are at work: a reader of one table is waited for a bounded time, the other tables are let go.
    let mut reader = pair.destination_client();
    reader.batch_execute("BEGIN; SELECT * FROM t").unwrap();
    pair.run(&["drop", "--lock-timeout=200", "--lock-attempts=2"])
        .expect(4)
        .expect_stderr("remove the guard of table \"public\".\"t\" on the destination");
    pair.on_destination("UPDATE t SET n = 902 WHERE id = 1");
    reader.batch_execute("COMMIT").unwrap();
    pair.run(&["drop", "-q"]).expect(0);
    clean(&pair);
    pair.on_destination("UPDATE t SET n = 903 WHERE id = 1");
}

/// `check` asks for the owner; who goes on without that is told, and `switch` looks itself.
#[test]
fn a_role_that_may_not_create_triggers_compares_before_the_switch() {
    let mut pair = Pair::new(15, 18);
    pair.on_both(
        "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE u (id int PRIMARY KEY, n int)",
    );
    pair.on_source(
        "INSERT INTO t SELECT i, i FROM generate_series(1, 10) i; INSERT INTO u VALUES (1, 1)",
    );
    pair.on_destination(
        "CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE app TO mover; GRANT SET ON PARAMETER session_replication_role TO mover;
         GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO mover; GRANT TRIGGER ON u TO mover",
    );
    pair.destination_uri = pair.destination_uri.replace("postgres@", "mover@");
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"])
        .expect(0)
        .expect_stderr(
            "others can write into \"public\".\"t\" on the destination before the switch",
        )
        .expect_stderr("GRANT TRIGGER ON TABLE \"public\".\"t\" there");
    pair.run(&["verify", "-q"]).expect(0);
    assert!(
        destination_as(&pair, "postgres")
            .batch_execute("UPDATE u SET n = 0")
            .is_err()
    );
    pair.on_destination("UPDATE t SET n = 901 WHERE id = 1");
    pair.run(&["switch"])
        .expect(3)
        .expect_stdout("table \"public\".\"t\"")
        .expect_stderr("comparing 1 table that others can write into");
    pair.on_source("UPDATE t SET n = n WHERE id = 1");
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    compare::assert_equal(&pair);
    pair.on_destination("UPDATE u SET n = 5");
    // What our role does not own goes with the schema.
    pair.run(&["drop", "-q"]).expect(0);
    assert_eq!(guards(&pair), "");
}
