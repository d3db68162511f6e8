//! Partitions that are created, attached, detached and dropped after `init`.

use super::{LIMIT, Writer, moved, versions};
use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::{Action, Proxy};
use crate::support::stage::{LOCK, SOURCE_IN_CHARGE};
use crate::support::wait_for;

/// Range, list, without a key, two levels with a default, and hash.
const SCHEMA: &str = "
    CREATE TABLE r (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (100);
    CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (100) TO (200);
    CREATE TABLE r3 PARTITION OF r FOR VALUES FROM (200) TO (300);
    CREATE TABLE k (id int, v text) PARTITION BY LIST (id);
    CREATE TABLE k1 PARTITION OF k FOR VALUES IN (1);
    CREATE TABLE k2 PARTITION OF k FOR VALUES IN (2);
    CREATE TABLE \"Two 'levels\" (a text, b int, v text, PRIMARY KEY (b, a)) PARTITION BY LIST (a);
    CREATE TABLE t_x PARTITION OF \"Two 'levels\" FOR VALUES IN ('x', 'it''s') PARTITION BY RANGE (b);
    CREATE TABLE t_x1 PARTITION OF t_x FOR VALUES FROM (0) TO (100);
    CREATE TABLE t_rest PARTITION OF \"Two 'levels\" DEFAULT;
    CREATE TABLE h (id int PRIMARY KEY, v text) PARTITION BY HASH (id);
    CREATE TABLE h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE alone (id int PRIMARY KEY, v text);
    CREATE TABLE other_key (v text UNIQUE NOT NULL, id int NOT NULL);
    CREATE TABLE under (a text, b int, v text, PRIMARY KEY (b, a)) PARTITION BY RANGE (b);
    CREATE TABLE under1 PARTITION OF under FOR VALUES FROM (0) TO (100);";

const ROWS: &str = "
    INSERT INTO r SELECT i, 'v' FROM generate_series(0, 299) i;
    INSERT INTO k SELECT 1 + i % 2, 'v' FROM generate_series(1, 20) i;
    INSERT INTO \"Two 'levels\" SELECT a, i, 'v' FROM generate_series(0, 20) i, unnest(ARRAY['x', 'it''s', 'y', 'z']) a;
    INSERT INTO h SELECT i, 'v' FROM generate_series(0, 50) i;
    INSERT INTO alone SELECT i, 'v' FROM generate_series(1000, 1020) i;
    INSERT INTO other_key SELECT 'v' || i, i FROM generate_series(1100, 1120) i;
    INSERT INTO under SELECT 'u', i, 'v' FROM generate_series(0, 20) i;";

/// What is done to the source, and what to the destination if that is not the same.
struct Step {
    source: &'static str,
    destination: &'static str,
}

const fn step(source: &'static str, destination: &'static str) -> Step {
    Step {
        source,
        destination: if destination.is_empty() {
            source
        } else {
            destination
        },
    }
}

const STEPS: &[Step] = &[
    // Created, written and truncated before anybody looks.
    step(
        "CREATE TABLE r4 PARTITION OF r FOR VALUES FROM (300) TO (400);
         INSERT INTO r SELECT i, 'new' FROM generate_series(300, 320) i; TRUNCATE r4;
         INSERT INTO r4 SELECT i, 'after' FROM generate_series(310, 330) i;",
        "CREATE TABLE r4 PARTITION OF r FOR VALUES FROM (300) TO (400);",
    ),
    // With rows that no trigger has seen, and columns in another order; without a key.
    step(
        "CREATE TABLE r5 (v text, id int NOT NULL); INSERT INTO r5 SELECT 'before', i FROM generate_series(400, 450) i;
         ALTER TABLE r ATTACH PARTITION r5 FOR VALUES FROM (400) TO (500); UPDATE r SET v = 'seen' WHERE id = 401;
         CREATE TABLE k3 (id int, v text); INSERT INTO k3 VALUES (3, 'before'), (3, 'before');
         ALTER TABLE k ATTACH PARTITION k3 FOR VALUES IN (3);",
        "CREATE TABLE r5 PARTITION OF r FOR VALUES FROM (400) TO (500); CREATE TABLE k3 PARTITION OF k FOR VALUES IN (3);",
    ),
    // Detached, changed where no trigger sees it, and back again: rows, a bound, and truncated.
    step(
        "ALTER TABLE r DETACH PARTITION r1; DELETE FROM r1 WHERE id < 10; UPDATE r1 SET v = 'unseen' WHERE id < 20;
         INSERT INTO r1 VALUES (5, 'unseen'); ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (0) TO (100);
         ALTER TABLE r DETACH PARTITION r2; DELETE FROM r2 WHERE id >= 150;
         ALTER TABLE r ATTACH PARTITION r2 FOR VALUES FROM (100) TO (150);
         ALTER TABLE k DETACH PARTITION k1; UPDATE k1 SET v = 'unseen'; ALTER TABLE k ATTACH PARTITION k1 FOR VALUES IN (1);
         ALTER TABLE h DETACH PARTITION h0; DELETE FROM h0 WHERE id < 10;
         ALTER TABLE h ATTACH PARTITION h0 FOR VALUES WITH (MODULUS 2, REMAINDER 0);",
        "ALTER TABLE r DETACH PARTITION r2; DELETE FROM r2 WHERE id >= 150;
         ALTER TABLE r ATTACH PARTITION r2 FOR VALUES FROM (100) TO (150);",
    ),
    // Gone on the source, and emptied, for its rows belong nowhere, on the destination later.
    step(
        "DROP TABLE r3; DROP TABLE k2; UPDATE r SET v = 'r3 has gone' WHERE id = 50;",
        "SELECT",
    ),
    step("SELECT", "DROP TABLE r3; DROP TABLE k2;"),
    // A part of the second level, a first level with two of them, one that the default made room for.
    step(
        "CREATE TABLE t_x2 PARTITION OF t_x FOR VALUES FROM (100) TO (200); INSERT INTO t_x2 VALUES ('x', 100, 'new') ON CONFLICT DO NOTHING;
         CREATE TABLE t_y (LIKE \"Two 'levels\") PARTITION BY RANGE (b);
         CREATE TABLE t_y1 PARTITION OF t_y FOR VALUES FROM (0) TO (100); CREATE TABLE t_y2 PARTITION OF t_y DEFAULT;
         BEGIN; LOCK TABLE \"Two 'levels\"; INSERT INTO t_y SELECT * FROM t_rest WHERE a = 'y'; DELETE FROM t_rest WHERE a = 'y';
         ALTER TABLE \"Two 'levels\" ATTACH PARTITION t_y FOR VALUES IN ('y'); COMMIT;",
        "CREATE TABLE t_x2 PARTITION OF t_x FOR VALUES FROM (100) TO (200);
         DELETE FROM t_rest WHERE a = 'y';
         CREATE TABLE t_y PARTITION OF \"Two 'levels\" FOR VALUES IN ('y') PARTITION BY RANGE (b);
         CREATE TABLE t_y1 PARTITION OF t_y FOR VALUES FROM (0) TO (100); CREATE TABLE t_y2 PARTITION OF t_y DEFAULT;",
    ),
    // The default goes, with rows that a partition made later takes in.
    step(
        "CREATE TEMP TABLE z AS SELECT * FROM t_rest; DROP TABLE t_rest;
         CREATE TABLE t_z PARTITION OF \"Two 'levels\" FOR VALUES IN ('z'); INSERT INTO t_z SELECT a, b, 'in t_z' FROM z WHERE a = 'z' ON CONFLICT DO NOTHING;
         DROP TABLE t_x1; CREATE TABLE t_x3 PARTITION OF t_x FOR VALUES FROM (0) TO (50);
         INSERT INTO \"Two 'levels\" SELECT 'x', i, 'in t_x3' FROM generate_series(3, 30) i ON CONFLICT DO NOTHING;",
        "DROP TABLE t_rest; CREATE TABLE t_z PARTITION OF \"Two 'levels\" FOR VALUES IN ('z');
         DROP TABLE t_x1; CREATE TABLE t_x3 PARTITION OF t_x FOR VALUES FROM (0) TO (50);",
    ),
    // Captured tables become partitions: what was logged for them, deletions above all, is the root's now.
    step(
        "DELETE FROM alone WHERE id < 1005; UPDATE alone SET v = 'logged for alone' WHERE id = 1006;
         ALTER TABLE r ATTACH PARTITION alone FOR VALUES FROM (1000) TO (1100); DELETE FROM r WHERE id = 1007;
         DELETE FROM other_key WHERE id < 1105; ALTER TABLE r ATTACH PARTITION other_key FOR VALUES FROM (1100) TO (1200);
         UPDATE r SET v = 'logged for r' WHERE id = 1008; UPDATE r SET v = 'for both' WHERE id = 1108;
         TRUNCATE under1; INSERT INTO under VALUES ('u', 3, 'logged for under');
         ALTER TABLE \"Two 'levels\" ATTACH PARTITION under FOR VALUES IN ('u'); INSERT INTO under1 VALUES ('u', 4, 'for both');",
        "ALTER TABLE r ATTACH PARTITION alone FOR VALUES FROM (1000) TO (1100);
         ALTER TABLE r ATTACH PARTITION other_key FOR VALUES FROM (1100) TO (1200);
         ALTER TABLE \"Two 'levels\" ATTACH PARTITION under FOR VALUES IN ('u');",
    ),
    // And their own triggers and log are the root's from now on.
    step(
        "UPDATE r SET v = 'as a partition ' || id WHERE id > 1000; TRUNCATE under1; INSERT INTO under1 VALUES ('u', 5, 'x');
         DELETE FROM other_key WHERE id = 1110; TRUNCATE alone; INSERT INTO alone VALUES (1000, 'last');",
        "SELECT",
    ),
];

fn statements(round: usize) -> Vec<String> {
    let id = (round * 37) % 1200;
    vec![
        format!(
            "INSERT INTO r VALUES ({id}, 'writer') ON CONFLICT (id) DO UPDATE SET v = r.v || 'x'"
        ),
        format!("UPDATE r SET v = 'w{round}' WHERE id = {}", id % 500),
        format!("DELETE FROM r WHERE id = {}", (id * 7) % 500),
        format!(
            "INSERT INTO r4 VALUES (399, 'leaf') ON CONFLICT (id) DO UPDATE SET v = 'leaf {round}'"
        ),
        format!("UPDATE r5 SET v = 'w{round}' WHERE id = {}", 400 + id % 100),
        format!(
            "INSERT INTO \"Two 'levels\" VALUES ('{}', {}, 'w') ON CONFLICT DO NOTHING",
            ["x", "y", "z", "it''s"][round % 4],
            id % 200
        ),
        format!("DELETE FROM \"Two 'levels\" WHERE b = {}", (id * 3) % 200),
        format!(
            "UPDATE k SET v = 'w{round}' WHERE ctid = '(0,1)' AND id = {}",
            1 + round % 3
        ),
        format!(
            "UPDATE h SET v = 'w{round}', id = id + 100 WHERE id = {}",
            id % 60
        ),
    ]
}

fn partitions_come_and_go(commands: &[&[&str]]) {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    // No partition for a row, none of this name, a key taken, a deadlock with DDL, a partition just detached.
    let expected = &["23514", "42P01", "23505", "40P01", "55000", "XX000"];
    let writer = Writer::start(&pair, expected, statements);
    for (number, step) in STEPS.iter().enumerate() {
        writer.wait_for_more(3);
        pair.past_the_guard(step.destination);
        pair.on_source(&format!("SET lock_timeout = '10s'; {}", step.source));
        let command = commands[number % commands.len()];
        pair.run(command).expect(0);
    }
    writer.wait_for_more(3);
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q", "--unverified", "--lock-attempts", "100"])
        .expect(0);
    writer.stop();
    compare::assert_equal(&pair);
}

const SMALL: &[&str] = &["sync", "--max-pending", "100000"];
const LARGE: &[&str] = &["sync", "--max-pending", "1"];

#[test]
fn partitions_that_come_and_go_under_writers_are_followed() {
    partitions_come_and_go(&[SMALL, LARGE]);
}

#[test]
fn every_command_follows_partitions() {
    let all: &[&[&str]] = &[LARGE, &["verify", "-q"], &["copy"], &["init"], SMALL];
    partitions_come_and_go(all);
}

/// Without writers, so that nothing but following can bring what no trigger has seen.
#[test]
fn what_no_trigger_has_seen_of_a_partition_is_brought() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    for (number, step) in STEPS.iter().enumerate() {
        pair.past_the_guard(step.destination);
        pair.on_source(step.source);
        pair.run([SMALL, LARGE][number % 2]).expect(0);
        // The destination has partitions a little longer than the source in one of the steps.
        let except = &["public.r3", "public.k2"];
        compare::assert_equal_except(&pair, except);
        let rows = "SELECT count(*), sum(id), string_agg(v, ' ' ORDER BY id, v) FROM";
        for root in ["r", "k", "h"] {
            let sql = format!("{rows} {root}");
            assert_eq!(
                pair.on_source(&sql),
                pair.on_destination(&sql),
                "{}",
                step.source
            );
        }
    }
    pair.run(&["switch", "--unverified"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn following_goes_on_while_partitions_come_and_go_and_says_what_is_missing() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    let mut follow = pair.spawn(&["sync", "--follow", "--interval", "0.05"]);
    follow.wait_for_stderr("nothing has changed since", LIMIT);
    // Noticed by a cycle.
    pair.on_both("CREATE TABLE r4 PARTITION OF r FOR VALUES FROM (300) TO (400)");
    pair.on_source("INSERT INTO r VALUES (300, 'new')");
    follow.wait_for_stderr(
        "partition \"public\".\"r4\" of table \"public\".\"r\" is new, and followed",
        LIMIT,
    );
    // Noticed by a look, for nothing is logged.
    pair.on_source("ALTER TABLE r DETACH PARTITION r2");
    follow.wait_for_stderr("table \"public\".\"r2\" is new", LIMIT);
    pair.on_source("ALTER TABLE r ATTACH PARTITION r2 FOR VALUES FROM (100) TO (200); UPDATE r SET v = 'back' WHERE id = 120");
    follow.wait_for_stderr(
        "partition \"public\".\"r2\" of table \"public\".\"r\" is new, and followed",
        LIMIT,
    );
    // What cannot be followed is said, and does not end the run before a cycle meets it.
    pair.on_source("ALTER TABLE alone ADD w int; UPDATE r SET v = 'still' WHERE id = 130");
    follow.wait_for_stderr(
        "the columns of table \"public\".\"alone\" have changed",
        LIMIT,
    );
    let brought = || pair.on_destination("SELECT v FROM r WHERE id = 130") == "still";
    wait_for("the cycle", LIMIT, brought);
    pair.on_source("ALTER TABLE alone DROP w");
    // The destination has no place for it.
    pair.on_source("CREATE TABLE r5 PARTITION OF r FOR VALUES FROM (400) TO (500); INSERT INTO r VALUES (450, 'nowhere')");
    let statement = "CREATE TABLE \"public\".\"r5\" PARTITION OF \"public\".\"r\" FOR VALUES FROM (400) TO (500)";
    let outcome = follow.wait(LIMIT).expect(1);
    let outcome = outcome.expect_stderr("no partition of relation \"r\" found for row");
    let error = outcome.last_line().to_owned();
    assert!(error.contains(statement), "{error}");
    pair.on_destination(statement);
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}

/// What comes between the last look and the lock is in no log: the switch has to look once more.
#[test]
fn what_changes_right_before_the_lock_is_noticed_under_it() {
    let mut pair = Pair::new(15, 18);
    let schema = [
        SCHEMA,
        "CREATE TABLE twins (id int PRIMARY KEY, a text, b text);",
    ]
    .concat();
    moved(
        &pair,
        &schema,
        &[ROWS, ";INSERT INTO twins VALUES (1)"].concat(),
    );
    let proxy = Proxy::start(&pair.source);
    pair.source_uri = proxy.uri(DATABASE);
    pair.on_destination("CREATE TABLE r4 PARTITION OF r FOR VALUES FROM (300) TO (400)");
    for (ddl, told, afterwards) in [
        (
            "CREATE TABLE r4 (id int NOT NULL, v text); INSERT INTO r4 VALUES (300, 'unseen');
             ALTER TABLE r ATTACH PARTITION r4 FOR VALUES FROM (300) TO (400)",
            "the partitions of table public.r have changed",
            "",
        ),
        (
            "ALTER TABLE alone ALTER v TYPE text USING v || 'rewritten'",
            "table public.alone was rewritten",
            "",
        ),
        (
            "DROP TABLE k2",
            "the partitions of table public.k have changed",
            "",
        ),
        (
            "ALTER TABLE r DETACH PARTITION r1; DELETE FROM r1; ALTER TABLE r ATTACH PARTITION r1 FOR VALUES FROM (0) TO (100)",
            "the partitions of table public.r have changed",
            "",
        ),
        (
            "CREATE SEQUENCE fresh",
            "public.fresh is new",
            "DROP SEQUENCE fresh",
        ),
        (
            "CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late VALUES (1)",
            "public.late is new",
            "DROP TABLE late",
        ),
        (
            "ALTER TABLE alone RENAME TO together",
            "is now called public.together",
            "ALTER TABLE together RENAME TO alone",
        ),
        (
            "DROP TABLE other_key",
            "table public.other_key was dropped",
            "alike",
        ),
        // Not a trace of it in pg_class, and nothing that a column of another name or type would give away.
        (
            "ALTER TABLE twins RENAME a TO c; ALTER TABLE twins RENAME b TO a; ALTER TABLE twins RENAME c TO b;
             UPDATE twins SET a = 'first', b = 'second'",
            "the columns of table public.twins have changed",
            "ALTER TABLE twins RENAME a TO c; ALTER TABLE twins RENAME b TO a; ALTER TABLE twins RENAME c TO b",
        ),
        (
            "ALTER TABLE h1 DISABLE TRIGGER USER; DELETE FROM h1",
            "a capture trigger was disabled",
            "DO $$ DECLARE t name; BEGIN
                 FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'h1'::regclass AND tgname LIKE 'pg_switchover%' LOOP
                     EXECUTE format('ALTER TABLE h1 ENABLE ALWAYS TRIGGER %I', t);
                 END LOOP; END $$",
        ),
        (
            "DROP TRIGGER pg_switchover_capture ON alone; DELETE FROM alone",
            "a capture trigger was disabled or dropped",
            "",
        ),
    ] {
        let hits = proxy.hits();
        proxy.at(LOCK, Action::HoldBefore);
        let mut switch = pair.spawn(&[
            "switch",
            "--unverified",
            "--lock-attempts",
            "1",
            "--interval",
            "0.01",
        ]);
        wait_for("the window", LIMIT, || {
            proxy.hits() > hits || !switch.is_running()
        });
        assert!(switch.is_running(), "{ddl}\n{}", switch.stderr());
        pair.on_source(ddl);
        proxy.release();
        let outcome = switch.wait(LIMIT).expect(4).expect_stderr(told);
        // What was read has been applied by then, and nobody may write behind it.
        let open = pair.on_destination("SELECT switchover.takes_writes()");
        assert_eq!(open, "f", "{ddl}");
        assert_eq!(
            outcome.last_line(),
            SOURCE_IN_CHARGE,
            "{}",
            outcome.report()
        );
        match afterwards {
            "" => continue,
            "alike" => pair.on_destination(ddl),
            back => pair.on_source(back),
        };
    }
}

/// DETACH ... CONCURRENTLY that was interrupted leaves a partition that is none any more.
#[test]
fn a_partition_whose_detachment_is_pending_is_gone() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    let mut reader = pair.source_client();
    reader
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM r")
        .unwrap();
    let mut client = pair.source_client();
    let cancelled = client.batch_execute("SET statement_timeout = '1s'");
    assert!(cancelled.is_ok());
    assert!(
        client
            .batch_execute("ALTER TABLE r DETACH PARTITION r2 CONCURRENTLY")
            .is_err()
    );
    reader.batch_execute("COMMIT").unwrap();
    pair.on_source("UPDATE r SET v = 'seen' WHERE id IN (5, 250)");
    for sync in [SMALL, LARGE] {
        pair.run(sync).expect(0);
        assert_eq!(pair.on_destination("SELECT count(*) FROM r"), "200");
        pair.on_source(
            "UPDATE r SET v = 'again' WHERE id IN (6, 251); UPDATE r2 SET v = 'x' WHERE id = 150",
        );
    }
    pair.run(&["sync"]).expect(0);
    compare::assert_equal_except(&pair, &["public.r2"]);
    pair.on_source("ALTER TABLE r DETACH PARTITION r2 FINALIZE");
    pair.run(&["sync"])
        .expect(1)
        .expect_stderr("table \"public\".\"r2\" is new");
    pair.on_both("DROP TABLE r2");
    pair.run(&["sync"]).expect(0);
    compare::assert_equal(&pair);
}

/// A captured table was attached on the source only.
#[test]
fn a_partition_that_the_destination_has_as_a_table_is_to_be_attached_there() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA, ROWS);
    let attach = "ALTER TABLE r ATTACH PARTITION alone FOR VALUES FROM (1000) TO (1100)";
    pair.on_source("DELETE FROM alone WHERE id = 1001; UPDATE alone SET v = 'x' WHERE id = 1002");
    pair.on_source(attach);
    let told = "ALTER TABLE \"public\".\"r\" ATTACH PARTITION \"public\".\"alone\" FOR VALUES FROM (1000) TO (1100)";
    for sync in [SMALL, LARGE] {
        let refused = pair.run(sync).expect(1);
        assert!(refused.last_line().contains(told), "{}", refused.report());
    }
    pair.on_destination(told);
    pair.run(SMALL).expect(0);
    compare::assert_equal(&pair);
}

/// The destination has one table where the source has partitions.
#[test]
fn a_partition_that_went_costs_no_more_than_its_own_rows() {
    let pair = Pair::new(15, 18);
    pair.on_source(
        "CREATE TABLE r (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
         CREATE TABLE r1 PARTITION OF r FOR VALUES FROM (0) TO (100);
         CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (100) TO (200);
         CREATE TABLE r3 PARTITION OF r DEFAULT; INSERT INTO r SELECT i, 'v' FROM generate_series(0, 299) i;",
    );
    pair.on_destination("CREATE TABLE r (id int PRIMARY KEY, v text)");
    for args in [&["init", "-q"][..], &["copy", "-q"]] {
        pair.run(args).expect(0);
    }
    let kept = versions(&pair, "r WHERE id NOT BETWEEN 100 AND 199");
    pair.on_source("DROP TABLE r2");
    pair.run(&["sync", "-q"]).expect(0);
    assert_eq!(pair.on_destination("SELECT count(*) FROM r"), "200");
    pair.on_source("CREATE TABLE r2 PARTITION OF r FOR VALUES FROM (100) TO (150)");
    pair.run(&["sync", "-q"]).expect(0);
    pair.on_source(
        "ALTER TABLE r DETACH PARTITION r2; INSERT INTO r2 VALUES (101, 'unseen');
         ALTER TABLE r ATTACH PARTITION r2 FOR VALUES FROM (100) TO (180)",
    );
    pair.run(&["sync", "-q"]).expect(0);
    assert_eq!(pair.on_destination("SELECT count(*) FROM r"), "201");
    assert_eq!(versions(&pair, "r WHERE id NOT BETWEEN 100 AND 199"), kept);
}
