//! Each command by itself, in order, as a shell script or cron would call it.

mod copying;

use std::time::Duration;

use serde_json::Value;

use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Outcome;
use crate::support::workload::{self, Isolation, Kind, Server, Workload};
use crate::support::{VARIED, compare, servers, version_pairs, wait_for};

/// A guard against hangs.
const LIMIT: Duration = Duration::from_secs(60);

const TABLES: &str = "
CREATE TABLE public.account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE public.entry (id bigserial PRIMARY KEY, account int REFERENCES public.account, note text);
";

const ROWS: &str = "
INSERT INTO public.account SELECT i, 100 * i FROM generate_series(1, 20) i;
INSERT INTO public.entry (account, note) SELECT 1 + i % 20, 'note ' || i FROM generate_series(1, 50) i;
";

fn pair() -> Pair {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair
}

fn copied() -> Pair {
    let pair = pair();
    for command in ["init", "copy"] {
        pair.run(&[command, "-q"]).expect(0);
    }
    pair
}

fn status(pair: &Pair) -> Value {
    let outcome = pair.run(&["status", "--json"]).expect(0);
    assert_eq!(outcome.stderr, "");
    serde_json::from_str(&outcome.stdout).unwrap()
}

/// Demands that nothing was said at all: cron would send it by mail.
fn silent(outcome: Outcome) {
    let outcome = outcome.expect(0);
    assert_eq!(
        (outcome.stdout.as_str(), outcome.stderr.as_str()),
        ("", ""),
        "{}",
        outcome.command
    );
}

#[test]
fn every_command_in_its_turn_moves_a_database_under_writes() {
    for versions in version_pairs() {
        let pair = Pair::new(versions.0, versions.1);
        pair.on_source(VARIED);
        pair.on_source(workload::SCHEMA);
        let before = compare::dump_schema(&pair.source, DATABASE, &["-N", "switchover"]);
        let kinds = [
            Kind::Journal,
            Kind::LongJournal(Isolation::ReadCommitted),
            Kind::Straddler(Isolation::RepeatableRead),
            Kind::Transfer(Isolation::Serializable),
            Kind::Counter,
            Kind::Slot,
        ];
        let writers = Workload::start(&pair.source_uri, &pair.destination_uri, &kinds);
        writers.wait_for_more(20);

        pair.run(&["check", "--create-schema"])
            .expect(0)
            .expect_stdout("nothing stops a switchover");
        pair.run(&["init"]).expect(0).expect_stderr("are captured");
        pair.run(&["copy", "--create-schema", "--progress=never"])
            .expect(0)
            .expect_stderr("copied ");
        for _ in 0..3 {
            writers.wait_for_more(20);
            pair.run(&["sync"]).expect(0).expect_stderr("cycle ");
        }
        let text = pair.run(&["status"]).expect(0);
        for word in [
            "phase           copied",
            "in charge       source",
            "pending",
            "cycle",
        ] {
            assert!(text.stdout.contains(word), "no {word}\n{}", text.report());
        }
        pair.run(&["verify"])
            .expect(0)
            .expect_stderr("are the same on both sides");
        writers.wait_for_more(20);
        pair.run(&["switch"])
            .expect(0)
            .expect_stderr("the destination is in charge")
            .expect_stderr("window ");
        writers.wait_until_moved();
        writers.wait_for_more(20);
        pair.run(&["status"])
            .expect(0)
            .expect_stdout("in charge       destination, since");
        pair.run(&["switch"])
            .expect(0)
            .expect_stderr("the switch was done");
        let testimony = writers.stop();
        testimony.check(&mut pair.destination_client());
        assert!(testimony.acknowledged_by(Server::Destination) > 0);

        pair.run(&["drop"]).expect(0);
        let left = compare::dump_schema(&pair.destination, DATABASE, &[]);
        assert!(
            !left.contains("switchover"),
            "drop left something on the destination"
        );
        let late = pair
            .source
            .try_psql(DATABASE, "INSERT INTO varied.empty VALUES (1)");
        assert!(late.is_err(), "the source takes writes after drop");
        pair.run(&["drop", "--force"]).expect(0);
        let after = compare::dump_schema(&pair.source, DATABASE, &[]);
        assert_eq!(
            lines(&before),
            lines(&after),
            "drop --force left something on the source"
        );
        pair.on_source("INSERT INTO varied.empty VALUES (1)");
    }
}

/// The lines of a dump without the random word that `pg_dump` puts into each.
fn lines(dump: &str) -> Vec<&str> {
    dump.lines()
        .filter(|line| !line.starts_with('\\'))
        .collect()
}

#[test]
fn status_has_the_keys_that_the_manual_names_whatever_server_is_down() {
    const KEYS: [&str; 9] = [
        "phase",
        "in_charge",
        "use_next_db",
        "pending_changes",
        "oldest_pending_seconds",
        "tables",
        "destination_takes_writes",
        "foreign_keys_left",
        "last_cycles",
    ];
    let manual = include_str!("../man/pg_switchover.1");
    let pair = pair();
    let demand = |what: &str, expected: [Value; 4]| {
        let document = status(&pair);
        for key in KEYS {
            assert!(
                document.get(key).is_some(),
                "{what}: no key {key} in {document}"
            );
            assert!(
                manual.contains(&format!(".It Ql {key}\n")),
                "the manual does not name {key}"
            );
        }
        let found = ["phase", "in_charge", "use_next_db", "pending_changes"]
            .map(|key| document[key].clone());
        assert_eq!(found, expected, "{what}: {document}");
        document
    };
    demand(
        "before init",
        ["none".into(), "source".into(), Value::Null, Value::Null],
    );
    pair.run(&["init", "-q"]).expect(0);
    demand(
        "after init",
        ["capturing".into(), "source".into(), false.into(), 0.into()],
    );
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source("UPDATE public.account SET balance = 0 WHERE id <= 3");
    let document = demand(
        "with changes",
        ["copied".into(), "source".into(), false.into(), 3.into()],
    );
    assert!(document["oldest_pending_seconds"].as_f64().is_some());
    assert_eq!(document["tables"].as_array().unwrap().len(), 2);
    pair.run(&["sync", "-q"]).expect(0);
    let document = demand(
        "after sync",
        ["copied".into(), "source".into(), false.into(), 0.into()],
    );
    assert_eq!(document["oldest_pending_seconds"], Value::Null);
    assert_eq!(document["last_cycles"][0]["rows"], 3);

    pair.destination.stop_fast();
    let document = demand(
        "destination down",
        ["copied".into(), "source".into(), false.into(), 0.into()],
    );
    assert_eq!(document["last_cycles"], Value::Null);
    assert_eq!(document["destination"]["reachable"], false);
    assert_eq!(document["tables"][0]["copied"], Value::Null);
    pair.run(&["status"])
        .expect(0)
        .expect_stdout("could not connect to the destination");
    pair.destination.start_again();
    pair.source.stop_fast();
    let document = demand(
        "source down",
        [Value::Null, Value::Null, Value::Null, Value::Null],
    );
    assert_eq!(document["source"]["reachable"], false);
    assert_eq!(document["last_cycles"][0]["rows"], 3);
    pair.run(&["status"])
        .expect(0)
        .expect_stdout("in charge       unknown");
    pair.source.start_again();
    pair.run(&["switch", "-q", "--unverified"]).expect(0);
    demand(
        "after the switch",
        [
            "switched".into(),
            "destination".into(),
            true.into(),
            0.into(),
        ],
    );
}

#[test]
fn init_and_copy_again_find_nothing_to_do() {
    let pair = pair();
    pair.run(&["init"])
        .expect(0)
        .expect_stderr("changes of 2 tables are captured\n");
    let once = compare::dump_schema(&pair.source, DATABASE, &[]);
    pair.run(&["init"])
        .expect(0)
        .expect_stderr("(nothing was missing)");
    assert_eq!(
        lines(&once),
        lines(&compare::dump_schema(&pair.source, DATABASE, &[]))
    );
    pair.run(&["copy"])
        .expect(0)
        .expect_stderr("copied 2 tables");
    let noted = pair.on_destination("SELECT * FROM switchover.copied ORDER BY 1, 2");
    pair.run(&["copy"])
        .expect(0)
        .expect_stderr("all 2 tables are copied already");
    assert_eq!(
        noted,
        pair.on_destination("SELECT * FROM switchover.copied ORDER BY 1, 2")
    );
    // A further init after the copy takes nothing back.
    pair.run(&["init"])
        .expect(0)
        .expect_stderr("(nothing was missing)");
    pair.run(&["sync"]).expect(0);
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
}

#[test]
fn sync_in_a_crontab_prints_nothing() {
    let pair = copied();
    silent(pair.run(&["sync", "-q"]));
    pair.on_source("INSERT INTO public.account VALUES (100, 1); DELETE FROM public.entry WHERE id < 10; TRUNCATE public.entry");
    silent(pair.run(&["sync", "-q"]));
    compare::assert_equal(&pair);
    silent(pair.run(&["verify", "-q"]));
    silent(pair.run(&["switch", "-q"]));
    silent(pair.run(&["switch", "-q"]));
    silent(pair.run(&["drop", "-q"]));
}

#[test]
fn sync_follows_until_it_is_told_to_end() {
    for signal in ["TERM", "INT"] {
        let pair = copied();
        let running = pair.spawn(&["sync", "--follow", "--interval=0.05"]);
        for round in 1..=3 {
            pair.on_source(&format!(
                "INSERT INTO public.account VALUES (1000 + {round}, {round})"
            ));
            wait_for("the row on the destination", LIMIT, || {
                pair.on_destination(&format!(
                    "SELECT count(*) FROM public.account WHERE id = 1000 + {round}"
                )) == "1"
            });
        }
        running.signal(signal);
        let outcome = running.wait(LIMIT).expect(0);
        assert_eq!(
            outcome.last_line(),
            "pg_switchover: stopped; run sync again to go on",
            "{}",
            outcome.report()
        );
        compare::assert_equal(&pair);
        pair.run(&["sync", "-q"]).expect(0);
    }
}

#[test]
fn the_commands_work_from_a_shell_script() {
    let pair = Pair::new(15, 18);
    pair.on_source(TABLES);
    pair.on_source(ROWS);
    let program = env!("CARGO_BIN_EXE_pg_switchover");
    let script = "set -eu
        \"$1\" check --create-schema -q >/dev/null
        \"$1\" init -q
        \"$1\" copy -q --create-schema
        for n in 1 2 3; do \"$1\" sync -q; done
        \"$1\" verify -q
        \"$1\" switch -q
        [ \"$(\"$1\" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[\"in_charge\"])')\" = destination ]
        \"$1\" drop -q
        echo done";
    let mut command = std::process::Command::new("sh");
    servers::without_libpq_variables(&mut command);
    command
        .args(["-c", script, "script", program])
        .env("PG_SWITCHOVER_SOURCE", &pair.source_uri)
        .env("PG_SWITCHOVER_DEST", &pair.destination_uri)
        .env(
            "PATH",
            format!(
                "{}:{}",
                servers::bin(servers::NEWEST).display(),
                std::env::var("PATH").unwrap()
            ),
        );
    assert_eq!(servers::output_of(&mut command), "done\n");
    compare::assert_equal(&pair);
}
