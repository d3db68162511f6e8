//! The harness tested by itself: a comparer that notices nothing would make every other test worthless.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};

use crate::support::cluster::Cluster;
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::proxy::{Action, Proxy};
use crate::support::workload::{self, Kind, Server, Workload};
use crate::support::{VARIED, version_pairs, wait_for};

#[test]
fn every_kind_of_table_loads_and_compares_equal_on_every_version() {
    for versions in version_pairs() {
        let pair = Pair::new(versions.0, versions.1);
        pair.on_both(VARIED);
        compare::assert_equal(&pair);
        // PostgreSQL 15 changed who owns schema public, and what everybody may do in it.
        if (versions.0 < 15) == (versions.1 < 15) {
            compare::assert_same_schema(&pair);
        }
    }
}

#[test]
fn the_comparer_notices_each_kind_of_difference() {
    let pair = Pair::new(15, 18);
    pair.on_both(VARIED);
    compare::assert_equal(&pair);
    pair.on_destination(
        "UPDATE varied.dictionary SET meaning = NULL WHERE word = 'a,b;c';
         DELETE FROM varied.event WHERE id = 3;
         INSERT INTO varied.keyless VALUES (1, 'b1');
         CREATE TABLE varied.more ();
         DROP TABLE varied.nothing;
         ALTER TABLE varied.empty ADD c int;
         SELECT setval('varied.never_called', 1000, true);",
    );
    let found = compare::differences(&pair, &[]).join("\n");
    for expected in [
        "table varied.dictionary (",
        "destination only: \\N\t\\N\t13\ta,b;c",
        "25 rows on the source, 24 on the destination",
        "table varied.keyless",
        "table varied.more exists on the destination only",
        "table varied.nothing is missing on the destination",
        "table varied.empty has columns id, t on the source, c, id, t on",
        "sequence varied.never_called: source Some(\"1000 false\"), destination Some(\"1000 true\")",
    ] {
        assert!(found.contains(expected), "no \"{expected}\" in:\n{found}");
    }
    assert_eq!(found.matches("table ").count(), 6, "{found}");
}

#[test]
fn writers_on_a_single_server_testify_the_truth() {
    let cluster = Cluster::start(15);
    cluster.psql("postgres", workload::SCHEMA);
    let uri = cluster.uri("postgres");
    let writers = Workload::start(&uri, &uri, &Kind::all());
    writers.wait_for_more(2000);
    // Those who lose their connections come back, and do not know what became of their last commits.
    cluster.psql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writer'",
    );
    writers.wait_for_more(500);
    let testimony = writers.stop();
    let mut client = cluster.connect("postgres");
    testimony.check(&mut client);
    assert!(testimony.longest_gap().as_millis() < 3000);
    assert_eq!(testimony.refusals(), 0);

    client
        .batch_execute(
            "DELETE FROM workload.journal WHERE entry = (SELECT max(entry) FROM workload.journal);
             INSERT INTO workload.journal (id) SELECT id FROM workload.journal ORDER BY entry LIMIT 1;
             INSERT INTO workload.journal (id) VALUES ('from nowhere');
             UPDATE workload.account SET balance = balance + 1 WHERE id = 1;
             UPDATE workload.counter SET n = n - 100 WHERE id = 2;
             UPDATE workload.slot SET content = 'stale'
             WHERE number = (SELECT min(number) FROM workload.slot);",
        )
        .unwrap();
    let found = testimony.contradictions(&mut client).join("\n");
    for expected in [
        "was acknowledged and is lost",
        "is there 2 times",
        "journal from nowhere is there, but nobody committed it",
        "the balances add up to 50001",
        "account 1 has",
        "counter 2 is",
        "holds Some(\"stale\")",
    ] {
        assert!(found.contains(expected), "no \"{expected}\" in:\n{found}");
    }
}

/// A fence of the simplest kind: a read-only default refuses with SQLSTATE 25006.
#[test]
fn writers_that_are_refused_go_on_at_the_destination() {
    let (source, destination) = (Cluster::start(15), Cluster::start(18));
    source.psql("postgres", workload::SCHEMA);
    destination.psql("postgres", workload::SCHEMA);
    let kinds = [Kind::Journal, Kind::Slot];
    let writers = Workload::start(
        &source.uri("postgres"),
        &destination.uri("postgres"),
        &kinds,
    );
    writers.wait_for_more(50);
    // The default counts from the next transaction of each session on.
    source.psql(
        "postgres",
        "ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()",
    );
    writers.wait_until_moved();
    writers.wait_for_more(50);
    let testimony = writers.stop();
    assert_eq!(testimony.refusals(), 2);
    assert!(testimony.acknowledged_by(Server::Source) >= 50);
    // Nobody carried the rows over: exactly what the source acknowledged is missing.
    let found = testimony.contradictions(&mut destination.connect("postgres"));
    assert!(
        found.iter().any(|line| line.ends_with("is lost")),
        "{found:?}"
    );
}

#[test]
fn the_proxy_counts_round_trips() {
    let cluster = Cluster::start(15);
    let proxy = Proxy::start(&cluster);
    let mut client = Client::connect(&proxy.uri("postgres"), NoTls).unwrap();
    let trips = |client: &mut Client, work: &dyn Fn(&mut Client)| {
        // The driver closes a dropped statement with its next message, which belongs to what was before.
        client.simple_query("SELECT 1").unwrap();
        proxy.forget_trips();
        work(client);
        proxy.round_trips()
    };
    let one = trips(&mut client, &|client| {
        client
            .batch_execute(
                "BEGIN; CREATE TABLE t (a int); DO $$BEGIN RAISE NOTICE 'x'; END$$; COMMIT",
            )
            .unwrap();
    });
    assert_eq!(one, 1);
    assert!(proxy.trips()[0].sql.starts_with("BEGIN; CREATE TABLE t"));
    let statement = client.prepare("INSERT INTO t VALUES ($1)").unwrap();
    let two = trips(&mut client, &|client| {
        client.execute(&statement, &[&1]).unwrap();
        client.execute(&statement, &[&2]).unwrap();
    });
    assert_eq!(two, 2);
    assert!(
        proxy
            .trips()
            .iter()
            .all(|trip| trip.sql == "INSERT INTO t VALUES ($1)")
    );
    // Asked, then sent: COPY FROM takes two, the other direction one.
    let copy_in = trips(&mut client, &|client| {
        let mut writer = client.copy_in("COPY t FROM STDIN").unwrap();
        writer.write_all(&b"7\n".repeat(100_000)).unwrap();
        writer.finish().unwrap();
    });
    let copy_out = trips(&mut client, &|client| {
        let mut text = Vec::new();
        client
            .copy_out("COPY t TO STDOUT")
            .unwrap()
            .read_to_end(&mut text)
            .unwrap();
        assert_eq!(text.len(), 200_004);
    });
    // The driver prepares a COPY before it runs it.
    assert_eq!((copy_in, copy_out), (3, 2));
    proxy.set_delay(Duration::from_millis(50));
    let start = Instant::now();
    trips(&mut client, &|client| {
        client.batch_execute("SELECT 1").unwrap()
    });
    assert!(
        (50..150).contains(&start.elapsed().as_millis()),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn the_proxy_loses_what_it_is_told_to_lose() {
    let cluster = Cluster::start(15);
    let proxy = Proxy::start(&cluster);
    let connect = || Client::connect(&proxy.uri("postgres"), NoTls).unwrap();
    let count = || cluster.psql("postgres", "SELECT count(*) FROM t");
    connect().batch_execute("CREATE TABLE t (a int)").unwrap();

    proxy.at("COMMIT", Action::DropReply);
    let lost = connect().batch_execute("BEGIN; INSERT INTO t VALUES (1); COMMIT");
    assert!(lost.unwrap_err().code().is_none());
    assert_eq!((count().as_str(), proxy.hits()), ("1", 1));

    proxy.at("INSERT INTO t", Action::CutBefore);
    assert!(connect().execute("INSERT INTO t VALUES (2)", &[]).is_err());
    assert_eq!((count().as_str(), proxy.hits()), ("1", 2));

    proxy.at("INSERT INTO t", Action::HoldReply);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| connect().batch_execute("INSERT INTO t VALUES (3)"));
        wait_for("the third hit", Duration::from_secs(10), || {
            proxy.hits() == 3
        });
        assert_eq!(count(), "2");
        assert!(!held.is_finished());
        proxy.release();
        held.join().unwrap().unwrap();
    });

    let mut client = connect();
    proxy.cut();
    assert!(client.batch_execute("SELECT 1").is_err());
    assert!(Client::connect(&proxy.uri("postgres"), NoTls).is_err());
    proxy.mend();
    connect().batch_execute("SELECT 1").unwrap();
}

#[test]
fn a_server_comes_back_after_a_crash_with_what_was_committed() {
    let cluster = Cluster::with_settings(18, &[("wal_level", "logical"), ("cluster_name", "it's")]);
    cluster.create_database("Odd \"name\"");
    cluster.psql(
        "postgres",
        "CREATE TABLE t (a int); INSERT INTO t VALUES (1)",
    );
    let port = cluster.port();
    cluster.stop_immediate();
    assert!(Client::connect(&cluster.uri("postgres"), NoTls).is_err());
    cluster.start_again();
    cluster.restart();
    assert_eq!(cluster.port(), port);
    let text = cluster.psql(
        "postgres",
        "SELECT a FROM t; SHOW wal_level; SHOW cluster_name",
    );
    assert_eq!(text, "1\nlogical\nit's");
    assert!(
        cluster
            .log()
            .contains("database system was not properly shut down")
    );
    let error = cluster.try_psql("postgres", "SELECT 1/0").unwrap_err();
    assert!(error.contains("division by zero"), "{error}");
}

#[test]
fn the_program_runs_and_its_end_is_judged() {
    let pair = Pair::new(15, 18);
    let outcome = pair.run(&["--version"]);
    assert!(outcome.code().is_some(), "{}", outcome.report());
    let failure = std::panic::catch_unwind(|| pair.run(&["--version"]).expect(77));
    let text = *failure.err().unwrap().downcast::<String>().unwrap();
    for expected in [
        "expected exit status 77",
        "--- pg_switchover --version",
        "--- log of PostgreSQL 15",
        "--- log of PostgreSQL 18",
    ] {
        assert!(text.contains(expected), "{text}");
    }
}

/// The test process runs itself again with this variable, and kills that second process.
const VICTIM: &str = "PG_SWITCHOVER_TEST_VICTIM";

#[test]
fn a_server_does_not_outlive_a_killed_test() {
    if std::env::var_os(VICTIM).is_some() {
        let cluster = Cluster::start(15);
        println!("directory {}", cluster.socket_directory().display());
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let name = "harness::a_server_does_not_outlive_a_killed_test";
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let line = lines
        .map(Result::unwrap)
        .find(|line| line.contains("directory "));
    let directory = line.unwrap().split_once("directory ").unwrap().1.to_owned();
    let pid_file = Path::new(&directory).join("data/postmaster.pid");
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    let process = Path::new("/proc").join(pid.lines().next().unwrap());
    assert!(process.exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_for("the keeper", Duration::from_secs(20), || {
        !process.exists() && !Path::new(&directory).exists()
    });
}
