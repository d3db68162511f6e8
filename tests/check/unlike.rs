//! Servers that do not go together, cannot be reached, or go away.

use super::*;

#[test]
fn servers_that_do_not_go_together_are_found() {
    let builder = |version, encoding: &str| {
        Cluster::builder(version)
            .initdb(&format!("--encoding={encoding}"))
            .initdb("--locale=C")
            .setting("max_connections", "6")
            .setting("max_locks_per_transaction", "10")
    };
    let mut pair = Pair::from_builders(builder(18, "LATIN1"), builder(15, "LATIN2"));
    pair.on_source(
        "SELECT format('CREATE TABLE t%s (id int PRIMARY KEY, v text)', g)
           FROM generate_series(1, 120) AS g \\gexec",
    );
    pair.on_destination("ALTER DATABASE app SET default_transaction_read_only = on");
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            ("stops", "the destination is PostgreSQL 15."),
            (
                "stops",
                "none of the 120 tables to move exists on the destination",
            ),
            (
                "spoils",
                "the encoding is LATIN1 on the source and LATIN2 on the destination",
            ),
            (
                "spoils",
                "the destination's lock table holds 160 locks, and to lock every table and sequence at once takes 480",
            ),
            (
                "spoils",
                "default_transaction_read_only is on on the destination",
            ),
            ("spoils", "fsync is off on the destination"),
            (
                "spoils",
                "more connections can be opened on the source (superusers' included)",
            ),
        ],
    );
    expect_no_line(&outcome, "the source's lock table");
    let outcome = pair.run(&["check", "--allow-downgrade"]).expect(3);
    expect_lines(&outcome, &[("spoils", "older than the source's 18.")]);

    // Two names of one database.
    pair.destination_uri = pair.source_uri.replace("127.0.0.1", "localhost");
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(&outcome, &[("stops", "are the same database \"app\"")]);
    assert_eq!(outcome.stdout.lines().count(), 2, "{}", outcome.report());
}

#[test]
fn a_collation_that_differs_is_noted_and_characters_find_a_place_in_utf8() {
    let latin = Cluster::builder(15)
        .initdb("--encoding=LATIN1")
        .initdb("--locale=C");
    let pair = Pair::from_builders(latin, Cluster::builder(18));
    pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
    let outcome = pair.run(&["check", "--create-schema"]).expect(0);
    expect_lines(
        &outcome,
        &[
            (
                "note",
                "the encoding is LATIN1 on the source and UTF8 on the destination",
            ),
            (
                "note",
                "collation is C on the source and C.UTF-8 on the destination",
            ),
            ("note", "character type is C on the source"),
        ],
    );
}

#[test]
fn a_side_that_cannot_be_reached_hides_nothing_of_the_other() {
    let mut pair = both_bad();
    let reachable = pair.destination_uri.clone();
    pair.destination_uri = "postgresql://postgres@127.0.0.1:1/app?connect_timeout=5".to_string();
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            ("stops", "destination"),
            ("stops", "the source has 2 large objects"),
        ],
    );
    pair.source_uri = std::mem::replace(&mut pair.destination_uri, reachable);
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            ("stops", "source"),
            ("spoils", "event trigger \"watch_there\""),
        ],
    );
}

#[test]
fn a_server_in_recovery_is_found() {
    let pair = Pair::new(16, 18);
    pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
    for server in [&pair.source, &pair.destination] {
        server.stop_fast();
        std::fs::write(server.data().join("standby.signal"), "").unwrap();
        server.start_again();
    }
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[
            ("stops", "the source is in recovery"),
            ("stops", "the destination is in recovery"),
        ],
    );
}

#[test]
fn commits_that_would_wait_for_an_absent_standby_are_found() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id int PRIMARY KEY)");
    // Not before: creating the database would wait already.
    pair.on_destination("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 2 (a, b)'");
    pair.on_destination("SELECT pg_reload_conf()");
    wait_for("the setting", Duration::from_secs(10), || {
        !pair
            .on_destination("SHOW synchronous_standby_names")
            .is_empty()
    });
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[(
            "stops",
            "commits on the destination wait for 2 synchronous standbys, and none is connected",
        )],
    );
}

/// It has failed, and found nothing: run again, it may find nothing either.
#[test]
fn a_server_that_goes_away_while_it_looks_is_no_finding() {
    let stage = Stage::new(Pair::new(15, 18));
    for command in ["check", "run"] {
        for wire in [&stage.source_wire, &stage.destination_wire] {
            wire.at("SET LOCAL lock_timeout = 500", Action::CutBefore);
            stage
                .pair
                .run(&[command])
                .expect(1)
                .expect_stderr("check is not complete: ")
                .expect_stderr("; run it again");
        }
    }
}
