//! `check`: every finding on real servers, that nothing is found where nothing is wrong, that nothing is
//! changed and nobody waited for.

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
fn missing_privileges_are_found_on_both_sides() {
    let mut pair = both_bad();
    let role = "CREATE ROLE clerk LOGIN CONNECTION LIMIT 6;
                REVOKE TEMPORARY ON DATABASE app FROM PUBLIC;";
    pair.on_both(role);
    pair.on_source("ALTER TABLE app.rows_apart OWNER TO clerk");
    pair.source_uri = pair.source.uri_as("clerk", DATABASE);
    pair.destination_uri = pair.destination.uri_as("clerk", DATABASE);
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "role \"clerk\" may not create schema switchover on the source",
            ),
            (
                "stops",
                "role \"clerk\" may not create schema switchover on the destination",
            ),
            (
                "stops",
                "schema switchover on the source belongs to role \"postgres\"",
            ),
            (
                "stops",
                "table \"app\".\"secret\" on the source belongs to role \"owner_here\", and capture triggers need the owner",
            ),
            (
                "stops",
                "on the source belong to role \"postgres\", and capture triggers need the owner",
            ),
            (
                "stops",
                "role \"clerk\" may not read tables \"app\".\"rows_apart\", \"app\".\"secret\"",
            ),
            (
                "stops",
                "row-level security of table \"app\".\"rows_apart\" on the source applies to role \"clerk\"",
            ),
            (
                "stops",
                "role \"clerk\" may not read sequence \"app\".\"numbers\" on the source",
            ),
            (
                "stops",
                "on the destination belong to role \"postgres\", and copy needs the owner",
            ),
            ("stops", "role \"clerk\" may not load tables"),
            (
                "stops",
                "role \"clerk\" may not create temporary tables on the destination",
            ),
            (
                "note",
                "role \"clerk\" may not set session_replication_role on the destination: its foreign keys are away",
            ),
            (
                "stops",
                "foreign key stray_reference on public.stray on the destination has to be away until the switch, and only role \"postgres\" may drop it; GRANT \"postgres\" TO \"clerk\" there, or GRANT SET ON PARAMETER",
            ),
            // A superuser, or their owner, switches them off.
            (
                "stops",
                "trigger \"awake\" of \"public\".\"plain\" on the destination: enabled ALWAYS or REPLICA",
            ),
            (
                "stops",
                "rule \"tell\" of \"public\".\"checked\" on the destination: enabled ALWAYS or REPLICA",
            ),
            ("spoils", "6 more connections can be opened on the source"),
            (
                "note",
                "role \"clerk\" cannot see what other roles run on the source",
            ),
        ],
    );
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "role \"clerk\" may not create tables in schema public of the destination",
            ),
            (
                "stops",
                "our role on the destination may not give objects to role \"postgres\"",
            ),
        ],
    );
    // What is granted is no longer missed.
    pair.on_destination(
        "GRANT CREATE, TEMPORARY ON DATABASE app TO clerk;
         GRANT SET ON PARAMETER session_replication_role TO clerk;",
    );
    let outcome = pair.run(&["check"]).expect(3);
    for granted in [
        "switchover on the destination",
        "temporary tables",
        "replication_role",
    ] {
        expect_no_line(&outcome, granted);
    }
}

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

#[test]
fn check_waits_for_no_lock_and_changes_nothing() {
    let pair = both_bad();
    let dump = |server: &Cluster| {
        // pg_dump would wait for a lock on tables, and a token in its output is random.
        let mut command = std::process::Command::new(servers::client("pg_dump"));
        servers::without_libpq_variables(&mut command);
        let text = servers::output_of(
            command
                .args(["--restrict-key=test", "-d"])
                .arg(server.uri(DATABASE)),
        );
        text + &server.psql(
            DATABASE,
            "SELECT txid_current_if_assigned() IS NULL, pg_current_xact_id()::text",
        )
    };
    let number = |text: &str| -> u64 {
        let last = text.rsplit('|').next().unwrap_or_default();
        last.parse().unwrap()
    };
    let before = [dump(&pair.source), dump(&pair.destination)];
    pair.run(&["check"]).expect(3);
    let after = [dump(&pair.source), dump(&pair.destination)];
    for (before, after) in before.iter().zip(&after) {
        // Our own question drew one number; check has drawn none.
        assert_eq!(number(before) + 1, number(after));
        assert_eq!(
            before.rsplit_once('|').unwrap().0,
            after.rsplit_once('|').unwrap().0
        );
    }

    let mut holder = pair.destination_client();
    let mut lock = holder.transaction().unwrap();
    lock.batch_execute("LOCK TABLE plain IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "on the destination: canceling statement due to lock timeout (SQLSTATE 55P03)",
            ),
            ("stops", "the source has 2 large objects"),
        ],
    );
    assert!(
        outcome.elapsed < Duration::from_secs(10),
        "{}",
        outcome.report()
    );
}

#[test]
fn what_another_switchover_left_is_found() {
    let pair = Pair::new(15, 18);
    pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
    // As far as check looks at them.
    let destination_of = "CREATE SCHEMA switchover;
         CREATE TABLE switchover.confirmation ();
         CREATE TABLE switchover.copied (schema_name text, table_name text, finished_at timestamptz,
                                         source_id oid, table_id oid, columns jsonb);
         CREATE TABLE switchover.state (source_identity text, schema_created_at timestamptz,
                                        schema_finished_at timestamptz);
         INSERT INTO switchover.state VALUES ('1/2');";
    pair.on_destination(destination_of);
    pair.on_source(destination_of);
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "on the destination is of a switchover with another database (1/2)",
            ),
            ("stops", "in which this database was the destination"),
        ],
    );
    pair.on_destination("DROP SCHEMA switchover CASCADE");
    pair.on_source("DROP SCHEMA switchover CASCADE");

    let identity = |server: &Cluster| {
        server.psql(
            DATABASE,
            "SELECT system_identifier::text || '/' || oid::text
               FROM pg_control_system(), pg_database WHERE datname = current_database()",
        )
    };
    pair.on_source(&format!(
        "CREATE SCHEMA switchover;
         CREATE TABLE switchover.change_log_1 ();
         CREATE TABLE switchover.state (destination_identity text, use_next_db boolean);
         INSERT INTO switchover.state VALUES ('{}', false)",
        identity(&pair.destination)
    ));
    pair.run(&["check", "--create-schema"]).expect(0);
    pair.on_source("UPDATE switchover.state SET use_next_db = true");
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(&outcome, &[("stops", "the switch has been done")]);

    // Rows that copy from this source has put there are not in the way of going on.
    pair.on_source("UPDATE switchover.state SET use_next_db = false; INSERT INTO t VALUES (1)");
    pair.on_destination("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[("stops", "\"public\".\"t\" on the destination: not empty")],
    );
    pair.on_destination(&format!(
        "{destination_of}
         UPDATE switchover.state SET source_identity = '{}';
         INSERT INTO switchover.copied VALUES ('public', 't')",
        identity(&pair.source)
    ));
    pair.run(&["check"]).expect(0);
}

#[test]
fn what_init_installs_is_not_in_its_own_way() {
    let pair = Pair::new(15, 18);
    pair.on_source(VARIED);
    // What init selects stands for check too.
    pair.run(&["init", "-T", "varied.nothing"]).expect(0);
    let outcome = pair.run(&["check", "--create-schema"]).expect(0);
    expect_no_line(&outcome, "stops: ");
    expect_no_line(&outcome, "pg_switchover_");
    expect_no_line(&outcome, "\"varied\".\"nothing\"");
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

#[test]
#[ignore = "a transaction has to be a minute old"]
fn transactions_that_are_a_minute_old_are_found() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id int PRIMARY KEY)");
    let mut clients = [pair.source_client(), pair.destination_client()];
    let mut reader = pair.destination_client();
    for client in &mut clients {
        client
            .batch_execute("BEGIN; INSERT INTO t VALUES (1)")
            .unwrap();
    }
    reader.batch_execute("BEGIN; SELECT 1").unwrap();
    std::thread::sleep(Duration::from_secs(61));
    let outcome = pair.run(&["check"]).expect(0);
    expect_lines(
        &outcome,
        &[
            (
                "spoils",
                "(role \"postgres\", idle in transaction) on the source has been open for 00:01:0",
            ),
            (
                "spoils",
                "(role \"postgres\", idle in transaction) on the destination has been open for 00:01:0",
            ),
        ],
    );
    assert_eq!(
        outcome.stdout.matches("has been open").count(),
        2,
        "{}",
        outcome.report()
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
