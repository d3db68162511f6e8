//! Commands in the wrong order, twice, or for another switchover.

use std::time::Duration;

use super::{ROWS, TABLES, Untouched, copied, pair, refused};
use crate::support::pair::{DATABASE, Pair};
use crate::support::{compare, wait_for};

#[test]
fn nothing_but_init_works_before_init() {
    let pair = pair();
    let untouched = Untouched::note(&pair);
    for args in [
        &["copy"][..],
        &["sync"],
        &["sync", "--follow"],
        &["switch"],
        &["switch", "--unverified"],
        &["verify"],
    ] {
        refused(
            pair.run(args),
            1,
            &[
                "no switchover has been prepared on the source",
                "run pg_switchover init first",
            ],
        );
    }
    pair.run(&["status"]).expect(0).expect_stdout("none");
    pair.run(&["drop", "-q"]).expect(0);
    untouched.check();
}

#[test]
fn nothing_is_switched_before_it_is_copied_and_verified() {
    let pair = pair();
    pair.run(&["init", "-q"]).expect(0);
    let untouched = Untouched::note(&pair);
    for args in [
        &["sync"][..],
        &["switch"],
        &["switch", "--unverified"],
        &["verify"],
    ] {
        refused(
            pair.run(args),
            1,
            &[
                "not every table has been copied",
                "run pg_switchover copy first",
            ],
        );
    }
    untouched.check();
    pair.run(&["copy", "-q"]).expect(0);
    let untouched = Untouched::note(&pair);
    let line = refused(
        pair.run(&["switch"]),
        1,
        &["no verify has passed since the copy"],
    );
    assert!(
        line.contains("verify first") && line.contains("--unverified"),
        "{line}"
    );
    untouched.check();
    compare::assert_equal(&pair);
}

/// What it calls on the servers may be missing there, or mean something else.
#[test]
fn another_version_than_the_one_that_ran_init_asks_for_init_again() {
    let pair = copied();
    let by_another = "COMMENT ON TABLE switchover.state IS 'pg_switchover 0.0.1';
                      DROP FUNCTION switchover.read_changes, switchover.bound;";
    pair.on_source(by_another);
    pair.on_destination("DROP FUNCTION switchover.confirm");
    pair.on_source("INSERT INTO account VALUES (4711, 0)");
    for (comment, said) in [
        (
            "'pg_switchover 0.0.1'",
            "run by pg_switchover 0.0.1, and this is",
        ),
        (
            "NULL",
            "run by another version of pg_switchover, and this is",
        ),
    ] {
        pair.on_source(&format!("COMMENT ON TABLE switchover.state IS {comment}"));
        let untouched = Untouched::note(&pair);
        for args in [
            &["copy"][..],
            &["sync"],
            &["sync", "--follow"],
            &["verify"],
            &["switch", "--unverified"],
        ] {
            refused(pair.run(args), 1, &[said, "run init again"]);
        }
        untouched.check();
        pair.run(&["status"]).expect(0).expect_stdout("source");
    }
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["switch", "--unverified", "-q"]).expect(0);
    compare::assert_equal(&pair);
    // Nothing is left to be called.
    pair.on_source("COMMENT ON TABLE switchover.state IS 'pg_switchover 0.0.1'");
    pair.run(&["switch"])
        .expect(0)
        .expect_stderr("the destination is in charge");
    pair.run(&["drop", "-q"]).expect(0);
}

#[test]
fn after_the_switch_only_what_makes_sense_is_done() {
    let pair = copied();
    pair.run(&["switch", "--unverified", "-q"]).expect(0);
    let untouched = Untouched::note(&pair);
    for command in ["init", "copy", "sync", "verify"] {
        refused(
            pair.run(&[command]),
            1,
            &["the switch is done: the destination is in charge", "drop"],
        );
    }
    pair.run(&["switch"])
        .expect(0)
        .expect_stderr("the destination is in charge");
    pair.run(&["run"])
        .expect(0)
        .expect_stderr("the destination is in charge");
    pair.run(&["status"])
        .expect(0)
        .expect_stdout("destination, since");
    untouched.check();
}

#[test]
fn a_switchover_has_one_destination() {
    let pair = copied();
    pair.destination.create_database("another");
    pair.destination.psql("another", TABLES);
    let another = pair.destination.uri("another");
    let untouched = Untouched::note(&pair);
    let there = super::dump(&pair.destination, "another");
    for command in ["init", "copy", "sync", "switch", "verify", "drop"] {
        let outcome = pair.program(&[command]).destination(&another).run();
        refused(
            outcome,
            1,
            &[
                "the source is being moved to another destination",
                "check --dest",
            ],
        );
    }
    untouched.check();
    assert_eq!(there, super::dump(&pair.destination, "another"));
}

#[test]
fn a_destination_takes_one_source() {
    let pair = copied();
    pair.source.create_database("another");
    pair.source.psql("another", TABLES);
    pair.source.psql("another", ROWS);
    let another = pair.source.uri("another");
    let untouched = Untouched::note(&pair);
    let there = super::dump(&pair.source, "another");
    for command in ["init", "run"] {
        let outcome = pair.program(&[command]).source(&another).run();
        if command == "run" {
            outcome.expect(3);
        } else {
            refused(
                outcome,
                1,
                &["the destination belongs to a switchover from another source"],
            );
        }
    }
    let outcome = pair.program(&["drop"]).source(&another).run();
    refused(
        outcome,
        1,
        &["the destination belongs to a switchover from another source"],
    );
    untouched.check();
    assert_eq!(there, super::dump(&pair.source, "another"));
}

#[test]
fn a_schema_of_somebody_else_called_switchover_is_left_alone() {
    let theirs =
        "CREATE SCHEMA switchover; CREATE TABLE switchover.plan (id int PRIMARY KEY, what text);
                  INSERT INTO switchover.plan VALUES (1, 'buy milk');";
    let pair = pair();
    pair.on_destination(theirs);
    let untouched = Untouched::note(&pair);
    for command in ["init", "copy", "drop"] {
        let line = refused(pair.run(&[command]), 1, &["switchover"]);
        let prepared = command == "copy";
        assert!(
            prepared || line.contains("schema \"switchover\" exists on the destination"),
            "{line}"
        );
    }
    untouched.check();
    let pair = super::pair();
    pair.on_source(theirs);
    let untouched = Untouched::note(&pair);
    for command in ["init", "copy", "sync", "switch", "drop"] {
        refused(
            pair.run(&[command]),
            1,
            &["schema \"switchover\" exists on the source"],
        );
    }
    untouched.check();
}

#[test]
fn an_init_that_is_held_up_gives_up_in_time_and_names_who_holds_it_up() {
    let pair = pair();
    let mut writer = pair.source_client();
    writer
        .batch_execute("BEGIN; UPDATE public.entry SET note = 'mine' WHERE id = 1")
        .unwrap();
    let impatient = ["init", "-q", "--lock-timeout=1000", "--lock-attempts=2"];
    let line = refused(
        pair.run(&impatient),
        4,
        &["table \"public\".\"entry\"", "pid ", "idle in transaction"],
    );
    assert!(
        line.contains("--lock-timeout") || line.contains("run"),
        "{line}"
    );
    refused(pair.run(&["copy"]), 1, &["run pg_switchover init again"]);
    writer.batch_execute("COMMIT").unwrap();
    for command in ["init", "copy", "sync"] {
        pair.run(&[command, "-q"]).expect(0);
    }
    compare::assert_equal(&pair);
}

#[test]
fn an_init_that_was_killed_is_completed_by_the_next() {
    let pair = pair();
    let mut writer = pair.source_client();
    writer
        .batch_execute("BEGIN; UPDATE public.entry SET note = 'mine' WHERE id = 1")
        .unwrap();
    let mut running = pair.spawn(&["init", "--lock-timeout=500"]);
    running.wait_for_stderr("held up by", Duration::from_secs(60));
    // One tool at a time, and the second says who the first is.
    refused(
        pair.run(&["init"]),
        5,
        &["another pg_switchover is at work on the source", "pid "],
    );
    running.kill();
    wait_for(
        "the killed init's session to end",
        Duration::from_secs(60),
        || {
            pair.on_source("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg_switchover%'") == "0"
        },
    );
    for args in [&["copy"][..], &["sync"], &["switch", "--unverified"]] {
        refused(pair.run(args), 1, &["pg_switchover"]);
    }
    writer.batch_execute("COMMIT").unwrap();
    for command in ["init", "copy", "sync"] {
        pair.run(&[command, "-q"]).expect(0);
    }
    compare::assert_equal(&pair);
}

#[test]
fn patterns_that_match_nothing_and_databases_without_tables_are_refused() {
    let pair = pair();
    let untouched = Untouched::note(&pair);
    for pattern in ["-tnosuch", "-nnosuch", "-tpublic.acount"] {
        let name = &pattern[2..];
        refused(
            pair.run(&["init", pattern]),
            2,
            &["matches", name, "check the spelling"],
        );
    }
    for pattern in ["-Npublic", "-T*"] {
        refused(
            pair.run(&["init", pattern]),
            2,
            &["there is no table to move on the source", "patterns"],
        );
    }
    refused(pair.run(&["init", "-t", "a.b.c.d"]), 2, &["a.b.c.d"]);
    untouched.check();
    let pair = Pair::new(15, 15);
    let untouched = Untouched::note(&pair);
    refused(
        pair.run(&["init"]),
        2,
        &["there is no table to move on the source", "check --source"],
    );
    untouched.check();
}

#[test]
fn an_older_destination_is_refused_unless_it_is_asked_for() {
    let pair = Pair::new(18, 15);
    super::fill(&pair);
    let untouched = Untouched::note(&pair);
    pair.run(&["check"])
        .expect(3)
        .expect_stdout("--allow-downgrade");
    pair.run(&["run"])
        .expect(3)
        .expect_stdout("--allow-downgrade");
    untouched.check();
    pair.run(&["check", "--allow-downgrade"]).expect(0);
}

#[test]
fn a_destination_with_rows_is_not_overwritten_by_mistake() {
    let pair = pair();
    pair.on_destination(ROWS);
    pair.run(&["init", "-q"]).expect(0);
    let untouched = Untouched::note(&pair);
    let told = [
        "tables \"public\".\"account\", \"public\".\"entry\" on the destination hold rows already",
        "check --dest",
        "--truncate",
    ];
    refused(pair.run(&["copy"]), 1, &told);
    // Asking again is no permission.
    refused(pair.run(&["copy"]), 1, &told);
    untouched.check();
    pair.on_destination(
        "UPDATE public.account SET balance = -1; DELETE FROM public.entry WHERE id > 10",
    );
    pair.run(&["copy", "-q", "--truncate"]).expect(0);
    compare::assert_equal(&pair);
    assert_eq!(
        pair.destination
            .psql(DATABASE, "SELECT min(balance) FROM public.account"),
        "100"
    );
}

#[test]
fn a_schema_that_exists_already_is_not_created_over() {
    let pair = pair();
    pair.run(&["init", "-q"]).expect(0);
    let schema = compare::schema(&pair.destination, DATABASE);
    let copy = pair.run(&["copy", "--create-schema"]).expect(0);
    assert!(!copy.stderr.contains("creating on"), "{}", copy.report());
    let mut after = compare::schema(&pair.destination, DATABASE);
    after.retain(|statement| !statement.contains(" pg_switchover_guard "));
    assert_eq!(schema, after);
    compare::assert_equal(&pair);
}
