//! What triggers cannot see (the schema, and their own absence) is noticed before a cycle is applied, and
//! `init` and `copy` mend it.

use super::moved;
use crate::support::compare;
use crate::support::pair::Pair;

struct Drift {
    /// Done to the source after the copy, with rows that no trigger sees.
    source: &'static str,
    /// What `sync` has to say about it.
    complaint: &'static str,
    /// The same change on the destination.
    destination: &'static str,
}

const fn drift(source: &'static str, complaint: &'static str, destination: &'static str) -> Drift {
    Drift {
        source,
        complaint,
        destination,
    }
}

const SCHEMA: &str = "
    CREATE TABLE witness (id int PRIMARY KEY, n int NOT NULL); INSERT INTO witness VALUES (1, 0);
    CREATE TABLE silent (id int PRIMARY KEY, v text); INSERT INTO silent SELECT i, 'v' FROM generate_series(1, 9) i;
    CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
    CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30);
    INSERT INTO p SELECT i, 'v' FROM generate_series(0, 29) i;
    CREATE TABLE dropped (id int PRIMARY KEY); INSERT INTO dropped VALUES (1);
    CREATE TABLE renamed (id int PRIMARY KEY); INSERT INTO renamed VALUES (1);
    CREATE TABLE moved (id int PRIMARY KEY); INSERT INTO moved VALUES (1); CREATE SCHEMA elsewhere;
    CREATE TABLE replaced (id int PRIMARY KEY); INSERT INTO replaced VALUES (1);
    CREATE TABLE altered (id int PRIMARY KEY, v text); INSERT INTO altered SELECT i, 'v' FROM generate_series(1, 9) i;
    CREATE TABLE retyped (id int PRIMARY KEY, v text); INSERT INTO retyped SELECT i, 'v' FROM generate_series(1, 9) i;
    CREATE TABLE rekeyed (a int NOT NULL, b int NOT NULL, v text, PRIMARY KEY (a));
    INSERT INTO rekeyed SELECT i, 10 - i, 'v' FROM generate_series(1, 9) i;
    CREATE TABLE keyed_later (id int NOT NULL, v text); INSERT INTO keyed_later SELECT i, 'v' FROM generate_series(1, 9) i;
    CREATE SEQUENCE gone; CREATE SEQUENCE called_else;";

const DRIFTS: &[Drift] = &[
    drift(
        "ALTER TABLE silent DISABLE TRIGGER ALL; UPDATE silent SET v = 'unseen' WHERE id = 1;",
        "silent is disabled",
        "",
    ),
    drift(
        "ALTER TABLE silent DISABLE TRIGGER ALL; ALTER TABLE silent ENABLE TRIGGER ALL;
         SET session_replication_role = replica; UPDATE silent SET v = 'unseen' WHERE id = 2;",
        "silent is no longer ENABLE ALWAYS",
        "",
    ),
    drift(
        "DROP TRIGGER pg_switchover_capture ON silent; DELETE FROM silent WHERE id = 3;",
        "trigger pg_switchover_capture on public.silent is missing",
        "",
    ),
    drift(
        "DROP TRIGGER pg_switchover_truncate ON p1; TRUNCATE p1;",
        "trigger pg_switchover_truncate on public.p1 is missing",
        "",
    ),
    drift(
        "ALTER TABLE p2 DISABLE TRIGGER USER; DELETE FROM p2 WHERE id = 10;",
        "p2 is disabled",
        "",
    ),
    drift(
        "ALTER TABLE p DETACH PARTITION p3;",
        "p3 is new",
        "ALTER TABLE p DETACH PARTITION p3;",
    ),
    drift(
        "DROP TABLE dropped;",
        "dropped was dropped",
        "DROP TABLE dropped;",
    ),
    drift(
        "ALTER TABLE renamed RENAME TO called_so; UPDATE called_so SET id = 2;",
        "renamed is now called public.called_so",
        "ALTER TABLE renamed RENAME TO called_so;",
    ),
    drift(
        "ALTER TABLE moved SET SCHEMA elsewhere; UPDATE elsewhere.moved SET id = 2;",
        "moved is now called elsewhere.moved",
        "ALTER TABLE moved SET SCHEMA elsewhere;",
    ),
    drift(
        "UPDATE replaced SET id = 7; DROP TABLE replaced; CREATE TABLE replaced (id text PRIMARY KEY); INSERT INTO replaced VALUES ('x');",
        "replaced was dropped",
        "DROP TABLE replaced; CREATE TABLE replaced (id text PRIMARY KEY);",
    ),
    drift(
        "CREATE TABLE newcomer (id int PRIMARY KEY); INSERT INTO newcomer VALUES (1);",
        "newcomer is new",
        "CREATE TABLE newcomer (id int PRIMARY KEY);",
    ),
    drift(
        "UPDATE altered SET v = 'seen' WHERE id = 1; ALTER TABLE altered ADD w int DEFAULT 7;",
        "columns of table public.altered have changed",
        "ALTER TABLE altered ADD w int;",
    ),
    drift(
        "ALTER TABLE altered DROP v; ALTER TABLE altered ADD v text DEFAULT 'same name, same type';",
        "columns of table public.altered have changed",
        "",
    ),
    drift(
        "ALTER TABLE altered ALTER w TYPE bigint USING w * 2;",
        "columns of table public.altered have changed",
        "ALTER TABLE altered ALTER w TYPE bigint;",
    ),
    drift(
        // What the log holds is no value of the new type.
        "UPDATE retyped SET v = 'seen'; ALTER TABLE retyped ALTER id TYPE uuid USING md5(id::text)::uuid;",
        "columns of table public.retyped have changed",
        "SET session_replication_role = replica; TRUNCATE retyped; ALTER TABLE retyped ALTER id TYPE uuid USING NULL::uuid;",
    ),
    drift(
        "UPDATE rekeyed SET v = 'seen' WHERE a = 2;
         ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (b);",
        "key of table public.rekeyed has changed",
        "ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (b);",
    ),
    drift(
        "ALTER TABLE keyed_later ADD PRIMARY KEY (id); UPDATE keyed_later SET v = 'seen' WHERE id = 2;",
        "key of table public.keyed_later has changed",
        "ALTER TABLE keyed_later ADD PRIMARY KEY (id);",
    ),
    drift(
        "DROP SEQUENCE gone;",
        "gone was dropped",
        "DROP SEQUENCE gone;",
    ),
    drift(
        "ALTER SEQUENCE called_else RENAME TO called_thus; SELECT nextval('called_thus');",
        "called_else is now called",
        "ALTER SEQUENCE called_else RENAME TO called_thus;",
    ),
    drift(
        "CREATE SEQUENCE fresh; SELECT nextval('fresh');",
        "fresh is new",
        "CREATE SEQUENCE fresh;",
    ),
];

/// Drifts are looked at together that have nothing to do with each other, because each look costs five runs
/// of the program: every eighth.
const GROUPS: usize = 8;

#[test]
fn what_triggers_cannot_see_is_noticed_before_a_cycle_is_applied() {
    let pair = Pair::new(15, 18);
    moved(&pair, SCHEMA);
    for group in 0..GROUPS {
        let drifts: Vec<&Drift> = DRIFTS.iter().skip(group).step_by(GROUPS).collect();
        let cycle = if group % 2 == 0 { "10000" } else { "1" };
        let sync = || pair.run(&["sync", "--max-pending", cycle]);
        pair.on_source("UPDATE witness SET n = n + 1");
        for drift in &drifts {
            pair.on_source(drift.source);
        }
        let outcome = sync().expect(1);
        let said = outcome.stderr.replace('"', "");
        for drift in &drifts {
            let Drift {
                source, complaint, ..
            } = drift;
            assert!(
                said.contains(complaint),
                "no \"{complaint}\" after {source}\n{said}"
            );
        }
        let witness = pair.on_destination("SELECT n FROM witness");
        assert_eq!(witness, group.to_string(), "a cycle was applied");

        for drift in &drifts {
            pair.on_destination(drift.destination);
        }
        // The same change on the destination alone does not mend everything.
        sync().expect(1);
        pair.run(&["init"]).expect(0);
        pair.run(&["copy", "--truncate"]).expect(0);
        let found = compare::differences(&pair, &[]).join("\n");
        assert!(found.is_empty(), "group {group}:\n{found}");
    }
}
