//! `drop` leaves nothing behind, and nothing of others' is touched.

use super::{ROWS, TABLES, assert_no_trace};
use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::stage::{LIMIT, Stage};
use crate::support::{VARIED, compare, wait_for};

#[test]
fn a_drop_from_another_source_leaves_a_switchover_alone() {
    let stage = Stage::copied(TABLES, ROWS);
    stage.pair.source.create_database("another");
    let another = stage.pair.source.uri("another");
    for command in ["drop", "init"] {
        stage.pair.source.psql(
            "another",
            "CREATE TABLE IF NOT EXISTS a (id int PRIMARY KEY, n int)",
        );
        stage
            .pair
            .program(&[command, "-s", &another])
            .run()
            .expect(1)
            .expect_stderr("the destination belongs to a switchover from another source");
    }
    stage.pair.on_source("UPDATE a SET n = 0 WHERE id = 1");
    stage.pair.run(&["switch", "-q", "--unverified"]).expect(0);
    compare::assert_equal(&stage.pair);
}

/// Each table that was read has what it showed flushed: where that is on disk already, nothing is written for it.
#[test]
fn a_source_that_rests_is_not_written_to_for_each_table_that_is_copied() {
    // Nothing else writes there.
    let source = Cluster::builder(15)
        .setting("autovacuum", "off")
        .setting("wal_level", "minimal")
        .setting("max_wal_senders", "0");
    let pair = Pair::from_builders(source, Cluster::builder(18));
    pair.on_both("SELECT format('CREATE TABLE t%s (id int PRIMARY KEY)', g) FROM generate_series(1, 20) AS g \\gexec");
    pair.run(&["init", "-q"]).expect(0);
    // A session has counted what it did when it has ended.
    let beats = || -> u32 {
        wait_for("the end of our sessions", LIMIT, || {
            let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg\\_switchover: %'";
            pair.on_source(ours) == "0"
        });
        let counted = "SELECT pg_stat_get_tuples_updated('switchover.heartbeat'::regclass)";
        pair.on_source(counted).parse().unwrap()
    };
    let before = beats();
    pair.run(&["copy", "-q"]).expect(0);
    let after = beats();
    // Where a page of the log ends right there, its last position looks like one that is not on disk.
    assert!(after - before <= 1, "{before} beats before, {after} after");
}

/// The dump of everything that a database has, without the lines that differ from dump to dump.
fn whole_schema(cluster: &Cluster) -> Vec<String> {
    compare::dump_schema(cluster, DATABASE, &[])
        .lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn drop_before_the_switch_leaves_no_trace() {
    let pair = Pair::new(15, 18);
    pair.on_both(VARIED);
    let schemas = || (whole_schema(&pair.source), whole_schema(&pair.destination));
    let settings = "SELECT * FROM pg_db_role_setting; SELECT * FROM pg_default_acl;
                    SELECT rolname FROM pg_roles ORDER BY 1; SELECT count(*) FROM pg_publication";
    let before = (
        schemas(),
        pair.on_source(settings),
        pair.on_destination(settings),
    );
    let after_drop = || {
        pair.run(&["drop"]).expect(0);
        assert_no_trace(&pair);
        let after = (
            schemas(),
            pair.on_source(settings),
            pair.on_destination(settings),
        );
        assert!(before == after, "{before:#?}\n{after:#?}");
    };
    pair.run(&["init", "-q"]).expect(0);
    after_drop();
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    pair.on_source("UPDATE varied.booking SET room = 4 WHERE id = 2; TRUNCATE varied.keyless");
    pair.run(&["sync", "-q"]).expect(0);
    pair.run(&["verify", "-q"]).expect(0);
    after_drop();
    // And again, where there is nothing.
    after_drop();
}

#[test]
fn drop_after_the_switch_keeps_the_fence_unless_it_is_forced() {
    let pair = Pair::new(15, 18);
    pair.on_both(VARIED);
    let before = whole_schema(&pair.source);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    pair.run(&["drop"])
        .expect(0)
        .expect_stderr("keeps refusing writes");
    let write = "UPDATE varied.secret SET owner = 'x' WHERE id = 2";
    let refused = pair.source.try_psql(DATABASE, write).unwrap_err();
    assert!(refused.contains("switched over"), "{refused}");
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname = 'switchover'";
    assert_eq!(pair.on_destination(left), "0");
    // The destination is what the source was.
    pair.on_destination(write);
    pair.run(&["drop", "--force"]).expect(0);
    assert_no_trace(&pair);
    pair.on_source(write);
    assert_eq!(before, whole_schema(&pair.source));
    compare::assert_equal(&pair);
}

/// Whoever asks reads a sequence, and then waits for the change log if `drop` has locked it; which `drop`, when it
/// comes to the sequence, would wait for in vain, attempt after attempt.
#[test]
fn drop_ends_though_everybody_asks_which_database_to_use() {
    let mut pair = Pair::new(15, 18);
    pair.on_both(&format!(
        "CREATE ROLE keeper LOGIN; ALTER DATABASE app OWNER TO keeper; SET ROLE keeper; {TABLES}"
    ));
    for uri in [&mut pair.source_uri, &mut pair.destination_uri] {
        *uri = uri.replace("postgres@", "keeper@");
    }
    pair.run(&["init", "-q"]).expect(0);
    std::thread::scope(|scope| {
        for row in 0..4 {
            let mut client = pair.source_client();
            // Until there is nobody to ask.
            scope.spawn(move || {
                let sql = format!(
                    "BEGIN; SELECT switchover.use_next_db(); INSERT INTO a VALUES ({row}) ON CONFLICT (id) DO UPDATE SET n = 1; SELECT pg_sleep(0.02); COMMIT"
                );
                while client.batch_execute(&sql).is_ok() {}
            });
        }
        let dropped = pair.run(&["drop", "--lock-timeout=400", "--lock-attempts=8"]);
        if dropped.code() != Some(0) {
            // Or they would go on for ever.
            pair.on_source("DROP SCHEMA switchover CASCADE");
        }
        dropped.expect(0);
    });
    assert_no_trace(&pair);
}
