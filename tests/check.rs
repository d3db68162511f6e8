//! `check`: every finding on real servers, that nothing is found where nothing is wrong, that nothing is
//! changed and nobody waited for.

mod others;
mod privileges;
mod unlike;

use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Outcome;
use crate::support::proxy::Action;
use crate::support::stage::Stage;
use crate::support::{VARIED, servers, version_pairs, wait_for};

const SOURCE: &str = include_str!("check/source.sql");
const DESTINATION: &str = include_str!("check/destination.sql");

/// Demands for each pair a line that begins with the first text, `stops` for example, and contains
/// the second.
fn expect_lines(outcome: &Outcome, lines: &[(&str, &str)]) {
    let missing: Vec<_> = lines
        .iter()
        .filter(|(severity, text)| {
            let start = format!("{severity}: ");
            !outcome
                .stdout
                .lines()
                .any(|line| line.starts_with(&start) && line.contains(text))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "not found: {missing:#?}\n{}",
        outcome.report()
    );
}

fn expect_no_line(outcome: &Outcome, text: &str) {
    let found = outcome.stdout.lines().any(|line| line.contains(text));
    assert!(!found, "unexpected \"{text}\"\n{}", outcome.report());
}

fn both_bad() -> Pair {
    let pair = Pair::new(15, 18);
    pair.on_source(SOURCE);
    pair.on_destination(DESTINATION);
    pair
}

#[test]
fn nothing_stops_a_healthy_pair() {
    for versions in version_pairs() {
        let pair = Pair::new(versions.0, versions.1);
        pair.on_source(VARIED);
        let outcome = pair.run(&["check", "--create-schema"]).expect(0);
        expect_no_line(&outcome, "stops: ");
        outcome.expect_stdout("nothing stops a switchover (0 that stop it");
        pair.on_destination(VARIED);
        let outcome = pair.run(&["check"]).expect(3);
        expect_lines(&outcome, &[("stops", "on the destination: not empty")]);
        assert_eq!(
            outcome.stdout.matches("stops: ").count(),
            1,
            "{}",
            outcome.report()
        );
        let outcome = pair.run(&["check", "--create-schema"]).expect(3);
        expect_lines(&outcome, &[("stops", "on the destination: not empty")]);
    }
}

#[test]
fn what_is_wrong_with_the_source_is_found() {
    let pair = both_bad();
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "schema switchover on the source is not pg_switchover's",
            ),
            (
                "stops",
                "table \"public\".\"split\" on the source has partition \"public\".\"split_2\" elsewhere",
            ),
            ("stops", "the source has 2 large objects"),
            (
                "stops",
                "trigger \"pg_switchover_capture\" of \"public\".\"plain\" on the source: named like",
            ),
            (
                "spoils",
                "table \"public\".\"keyless_and_large\" (12 MB) has no primary key",
            ),
            (
                "note",
                "table \"public\".\"keyless\" (8192 bytes) has no primary key",
            ),
            (
                "spoils",
                "table \"public\".\"forgetful\" is unlogged on the source",
            ),
            (
                "spoils",
                "foreign key \"watched_p_fkey\" of \"public\".\"watched\" on the source: not enforced",
            ),
            (
                "spoils",
                "transaction 'first of two phases' of role \"postgres\" has been prepared on the source",
            ),
            ("spoils", "subscription \"feed\" writes on the source"),
            (
                "spoils",
                "event trigger \"watch\" (ddl_command_end, function public.note_ddl) on the source",
            ),
            ("spoils", "its own settings extension.secret, search_path"),
            ("note", "database \"app\" has "),
            (
                "note",
                "the rows of foreign table \"public\".\"far\" are not moved",
            ),
            ("note", "materialized view \"public\".\"Gist\""),
            ("note", "child table \"public\".\"child\" by inheritance"),
            (
                "note",
                "constraints \"deferring_pkey\", \"late\" on the source are deferrable",
            ),
            (
                "note",
                "trigger \"asleep\" of \"public\".\"watched\" on the source: disabled",
            ),
            (
                "note",
                "rule \"tell\" of \"public\".\"plain\" on the source",
            ),
            ("note", "the source has publication \"news\""),
        ],
    );
    expect_no_line(&outcome, "hunter2");
    outcome.expect_stderr("things that stop a switchover");
}

#[test]
fn what_is_wrong_with_the_tables_of_the_destination_is_found() {
    let pair = both_bad();
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "table \"app\".\"secret\" is missing on the destination",
            ),
            (
                "stops",
                "sequence \"app\".\"numbers\" is missing on the destination",
            ),
            (
                "stops",
                "column \"b\" of table \"public\".\"checked\" is of type integer on the source and bigint",
            ),
            (
                "stops",
                "table \"public\".\"parent\" has no key (\"id\") on the destination",
            ),
            (
                "stops",
                "table \"public\".\"forgetful\" is logged on the destination only",
            ),
            (
                "spoils",
                "table \"public\".\"stray\" on the destination is not moved and refers to table \"public\".\"plain\" by foreign key \"stray_reference\"",
            ),
            (
                "stops",
                "table \"public\".\"plain\" on the destination: not empty",
            ),
            (
                "spoils",
                "column \"v\" of table \"public\".\"plain\" may be NULL on the source",
            ),
            (
                "spoils",
                "constraint \"checked_a_key\" of table \"public\".\"checked\" exists on the destination only",
            ),
            (
                "spoils",
                "constraint \"unproven\" of table \"public\".\"checked\" is NOT VALID on the source",
            ),
            ("spoils", "event trigger \"watch_there\" (sql_drop"),
        ],
    );
}

#[test]
fn what_is_in_the_way_of_a_new_schema_is_found() {
    let pair = both_bad();
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[
            ("note", "the destination lacks table"),
            (
                "stops",
                "roles \"grantee_here\", \"owner_here\", \"policy_here\" of the source are missing on the destination",
            ),
        ],
    );
    expect_no_line(&outcome, "is missing on the destination; create it");
    let bare = ["check", "--create-schema", "--no-owner", "--no-privileges"];
    let outcome = pair.run(&bare).expect(3);
    expect_lines(
        &outcome,
        &[("stops", "role \"policy_here\" of the source is missing")],
    );

    // Another database's tables and functions are told; nothing but the role's schema is not.
    pair.on_destination("DROP TABLE plain, checked, forgetful, parent CASCADE; DROP SCHEMA other;");
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "spoils",
                "the destination is not empty: it has table \"public\".\"stray\"",
            ),
            ("spoils", "the destination already has 1 enum, 2 functions"),
        ],
    );
}

#[test]
fn a_selection_narrows_what_is_looked_at() {
    let pair = both_bad();
    let outcome = pair
        .run(&["check", "-t", "checked", "--create-schema"])
        .expect(3);
    expect_lines(
        &outcome,
        &[
            ("note", "2 large objects, which are not moved"),
            // The whole schema is created, whichever tables are moved.
            (
                "stops",
                "roles \"grantee_here\", \"owner_here\", \"policy_here\" of the source are missing",
            ),
        ],
    );
    for other in ["forgetful", "split", "keyless"] {
        expect_no_line(&outcome, other);
    }
    let outcome = pair.run(&["check", "-t", "chekced"]).expect(3);
    expect_lines(&outcome, &[("stops", "no table matches --table=chekced")]);
}

#[test]
fn a_tablespace_that_is_missing_is_found() {
    let pair = Pair::new(15, 18);
    pair.on_source("ALTER SYSTEM SET allow_in_place_tablespaces = on");
    pair.on_source("SELECT pg_reload_conf()");
    wait_for("the setting", Duration::from_secs(10), || {
        pair.on_source("SHOW allow_in_place_tablespaces") == "on"
    });
    pair.on_source("CREATE TABLESPACE \"Fast\" LOCATION ''");
    pair.on_source("CREATE TABLE t (id int PRIMARY KEY) TABLESPACE \"Fast\"");
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[("stops", "tablespace \"Fast\" of the source is missing")],
    );
    // check is right about that.
    pair.run(&["init"]).expect(0);
    let outcome = pair.run(&["copy", "--create-schema"]).expect(1);
    outcome.expect_stderr("\"Fast\" does not exist");
}

#[test]
fn extensions_must_be_where_they_are_needed() {
    // plpgsql apart, no extension is everywhere: take one that the source's server has.
    let pair = Pair::new(16, 18);
    let name = pair.on_source(
        "SELECT name FROM pg_available_extensions WHERE installed_version IS NULL
          ORDER BY name = 'pg_trgm' DESC, name LIMIT 1",
    );
    if name.is_empty() {
        return;
    }
    pair.on_source(&format!(
        "CREATE EXTENSION \"{name}\"; CREATE TABLE t (id int PRIMARY KEY)"
    ));
    pair.on_destination("CREATE TABLE t (id int PRIMARY KEY)");
    let outcome = pair.run(&["check"]).expect(0);
    let expected = format!("extension \"{name}\" of the source is not installed");
    expect_lines(&outcome, &[("spoils", &expected)]);
}

#[test]
fn json_holds_every_finding_and_quiet_no_note() {
    let pair = both_bad();
    let outcome = pair.run(&["check", "--json"]).expect(3);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let total = ["stops", "spoils", "notes"].map(|key| json[key].as_u64().unwrap());
    assert_eq!(findings.len() as u64, total.iter().sum::<u64>());
    assert!(total.iter().all(|count| *count > 0), "{json:#}");
    assert_eq!(findings[0]["severity"], "stops");
    for finding in findings {
        assert!(finding["message"].is_string() && finding["mend"].is_string());
        assert!(finding["side"].is_null() || finding["side"].is_string());
    }
    let outcome = pair.run(&["check", "--quiet"]).expect(3);
    expect_no_line(&outcome, "note: ");
    expect_lines(&outcome, &[("stops", "large objects")]);
}
