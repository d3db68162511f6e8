//! Servers and machines without room, and programs that are not there.

use std::process::Command;

use super::{Untouched, copied, fill, pair, refused};
use crate::support::cluster::{Builder, Cluster};
use crate::support::pair::{DATABASE, Pair};
use crate::support::{compare, servers};

#[test]
fn too_few_connections_for_the_jobs_are_told_as_such() {
    for source_is_small in [true, false] {
        let small = |is: bool, version| {
            let builder = Cluster::builder(version);
            if !is {
                return builder;
            }
            builder
                .setting("max_connections", "7")
                .setting("max_wal_senders", "0")
                .setting("superuser_reserved_connections", "0")
        };
        let pair = Pair::from_builders(small(source_is_small, 15), small(!source_is_small, 18));
        pair.on_both("DO $$ BEGIN FOR i IN 1..20 LOOP EXECUTE format('CREATE TABLE public.t%s (id int PRIMARY KEY)', i); END LOOP; END $$");
        pair.on_source("INSERT INTO public.t1 SELECT generate_series(1, 100)");
        pair.run(&["init", "-q"]).expect(0);
        refused(
            pair.run(&["copy", "-q", "--jobs=16"]),
            1,
            &["too many clients already", "--jobs"],
        );
        pair.run(&["copy", "-q", "--jobs=2"]).expect(0);
        pair.run(&["sync", "-q", "--jobs=2"]).expect(0);
        compare::assert_equal(&pair);
    }
}

#[test]
fn a_full_disk_on_the_destination_is_told_and_copy_goes_on_once_there_is_room() {
    let pair = pair();
    // 40 MB, which do not fit into a file of at most 24 MB. (WAL comes in files of 16 MB.)
    pair.on_both("CREATE TABLE public.big (id int PRIMARY KEY, filler text); ALTER TABLE public.big ALTER filler SET STORAGE EXTERNAL");
    pair.on_source("INSERT INTO public.big SELECT i, repeat(md5(i::text), 60) FROM generate_series(1, 20000) i");
    pair.run(&["init", "-q"]).expect(0);
    limit_files(&pair.destination, "25165824");
    let untouched = Untouched::note(&pair);
    refused(
        pair.run(&["copy", "-q"]),
        1,
        &[
            "could not write table \"public\".\"big\" on the destination",
            "could not extend file",
        ],
    );
    // The source never noticed, and the rest of the destination is as far as it came.
    untouched.check_source();
    pair.run(&["status"]).expect(0).expect_stdout("capturing");
    limit_files(&pair.destination, "unlimited");
    pair.run(&["copy", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

/// Bounds the size of every file that new sessions of a server write: as good as a full disk, for those
/// who may not mount a small one.
fn limit_files(cluster: &Cluster, bytes: &str) {
    let pid = std::fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap();
    let pid = pid.lines().next().unwrap();
    servers::output_of(servers::as_server_user("prlimit").args([
        "--pid",
        pid,
        &format!("--fsize={bytes}:unlimited"),
    ]));
}

#[test]
fn without_a_fitting_pg_dump_the_schema_is_not_created() {
    let pair = Pair::new(15, 18);
    pair.on_source(super::TABLES);
    pair.run(&["init", "-q"]).expect(0);
    let untouched = Untouched::note(&pair);
    let copy = |bindir: &str| pair.run(&["copy", "-q", "--create-schema", "--pg-bindir", bindir]);
    refused(
        copy("/nonexistent"),
        1,
        &[
            "there is no pg_dump with its pg_restore in /nonexistent",
            "--pg-bindir",
        ],
    );
    let old = servers::bin(15);
    let old = old.to_str().unwrap();
    refused(copy(old), 1, &["is of version 15", "needs version 18"]);
    let outcome = pair
        .program(&["copy", "-q", "--create-schema"])
        .env("TMPDIR", "/nonexistent")
        .run();
    refused(outcome, 1, &["/nonexistent", "set TMPDIR"]);
    untouched.check();
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_role_that_the_destination_lacks_stops_the_schema_with_the_ways_out() {
    let pair = Pair::new(15, 18);
    pair.on_source(super::TABLES);
    pair.on_source("CREATE ROLE clerk; ALTER TABLE public.entry OWNER TO clerk");
    pair.run(&["init", "-q"]).expect(0);
    let untouched = Untouched::note(&pair);
    refused(
        pair.run(&["copy", "-q", "--create-schema"]),
        1,
        &[
            "role \"clerk\" does not exist",
            "pg_dumpall --roles-only",
            "--no-owner",
        ],
    );
    untouched.check();
    pair.run(&[
        "copy",
        "-q",
        "--create-schema",
        "--no-owner",
        "--no-privileges",
    ])
    .expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_database_of_another_encoding_is_found_before_anything_is_lost() {
    let pair = Pair::from_builders(
        Cluster::builder(15),
        Cluster::builder(18)
            .initdb("--encoding=LATIN1")
            .initdb("--locale=C"),
    );
    fill(&pair);
    pair.run(&["check"])
        .expect(0)
        .expect_stdout("the encoding is UTF8 on the source and LATIN1 on the destination");
    pair.on_source("INSERT INTO public.entry (note) VALUES ('\u{65e5}\u{672c}')");
    pair.run(&["init", "-q"]).expect(0);
    refused(
        pair.run(&["copy", "-q"]),
        1,
        &["\"public\".\"entry\"", "no equivalent in encoding"],
    );
}

#[test]
fn a_standard_output_that_is_full_is_a_failure() {
    let pair = copied();
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pg_switchover"));
    servers::without_libpq_variables(&mut command);
    let output = command
        .args([
            "status",
            "--json",
            "-s",
            &pair.source_uri,
            "-d",
            &pair.destination_uri,
        ])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("could not write to standard output"),
        "{told}"
    );
}

/// A server with room for few locks.
fn few_locks(version: u32) -> Builder {
    [
        ("max_locks_per_transaction", "10"),
        ("max_connections", "12"),
        ("max_wal_senders", "0"),
        ("max_worker_processes", "0"),
        ("max_prepared_transactions", "0"),
        ("autovacuum_max_workers", "1"),
    ]
    .iter()
    .fold(Cluster::builder(version), |builder, (name, value)| {
        builder.setting(name, value)
    })
}

#[test]
fn too_few_locks_for_the_sequences_are_told_before_anything_is_made() {
    for source_is_small in [true, false] {
        let small = |is: bool, version| match is {
            true => few_locks(version),
            false => Cluster::builder(version),
        };
        let pair = Pair::from_builders(small(source_is_small, 15), small(!source_is_small, 18));
        pair.on_both(
            "CREATE TABLE public.t (id int PRIMARY KEY);
             DO $$ BEGIN FOR i IN 1..130 LOOP EXECUTE format('CREATE SEQUENCE public.s%s', i); END LOOP; END $$",
        );
        let side = if source_is_small {
            "source"
        } else {
            "destination"
        };
        refused(
            pair.run(&["init", "-q"]),
            1,
            &[
                &format!(
                    "the {side}'s lock table holds 120 locks, and a cycle locks all 130 sequences at once"
                ),
                "raise max_locks_per_transaction there from 10 to 22",
            ],
        );
        no_schema_of_ours(&pair);
    }
}

const MANY_TABLES: &str = "SELECT format('CREATE TABLE public.t%s (id int PRIMARY KEY)', g) FROM generate_series(1, 250) AS g \\gexec";

#[test]
fn too_few_locks_for_the_tables_are_told_with_the_way_out() {
    let pair = Pair::from_builders(Cluster::builder(15), few_locks(15));
    pair.on_both(MANY_TABLES);
    pair.run(&["init", "-q"]).expect(0);
    refused(
        pair.run(&["copy", "-q"]),
        1,
        &[
            "on the destination: out of shared memory",
            "raise max_locks_per_transaction there, and restart it",
        ],
    );
}

#[test]
fn the_functions_of_more_tables_than_can_be_locked_at_once_are_removed() {
    let pair = Pair::from_builders(few_locks(15), Cluster::builder(18));
    // Each by itself: there is no room for more.
    pair.on_both(MANY_TABLES);
    pair.run(&["init", "-q"]).expect(0);
    let drop_at_once = "DROP SCHEMA switchover CASCADE";
    let refused = pair.source.try_psql(DATABASE, drop_at_once).unwrap_err();
    assert!(refused.contains("out of shared memory"), "{refused}");
    pair.run(&["drop", "-q"]).expect(0);
    no_schema_of_ours(&pair);
}

/// Too few locks even for pg_dump.
fn no_schema_of_ours(pair: &Pair) {
    let ours = "SELECT count(*) FROM pg_namespace WHERE nspname = 'switchover'";
    assert_eq!(pair.on_source(ours), "0");
    assert_eq!(pair.on_destination(ours), "0");
}
