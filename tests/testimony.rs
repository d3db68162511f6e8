//! The writers that testify, and the judge of their testimony: whatever they do, a switchover keeps it, and no lie
//! of a database goes unnoticed.

use std::time::{Duration, Instant};

use postgres::Client;

use crate::support::pair::{DATABASE, Pair};
use crate::support::wait_for;
use crate::support::workload::{self, Kind, Learns, Testimony, Watch, Workload};

const LIMIT: Duration = Duration::from_secs(60);

/// Every kind of writer, and every way to learn of the new database: the first three write single entries.
fn everybody() -> Vec<(Kind, Learns)> {
    let kinds = [Kind::Journal, Kind::Journal].into_iter();
    let kinds = kinds.chain(Kind::all()).enumerate();
    kinds
        .map(|(number, kind)| (kind, Learns::ALL[number % 3]))
        .collect()
}

/// Moves a pair under all writers. Returns it with their testimony, and when the source was last seen in charge
/// and the destination first.
fn moved() -> (Pair, Testimony, Vec<workload::Seen>, [Instant; 2]) {
    let pair = Pair::new(15, 18);
    pair.on_source(workload::SCHEMA);
    let (source, destination) = (pair.source.uri(DATABASE), pair.destination.uri(DATABASE));
    let pause = Duration::from_millis(8);
    let writers = Workload::start_learning(&source, &destination, &everybody(), pause);
    let watch = Watch::start(&destination);
    let run = |args: &[&str]| pair.run(args).expect(0);
    run(&["init"]);
    run(&["copy", "--create-schema"]);
    for options in [["--max-pending=2", "-j2"], ["--max-pending=10000", "-j1"]] {
        for _ in 0..3 {
            writers.wait_for_more(40);
            run(&["sync", options[0], options[1]]);
        }
    }
    run(&["verify"]);
    let before = Instant::now();
    run(&["switch"]);
    let after = Instant::now();
    writers.wait_until_moved();
    writers.wait_for_more(150);
    let testimony = writers.stop();
    (pair, testimony, watch.stop(), [before, after])
}

/// What the judge finds where a database lies in one way. The lie is taken back.
fn found_after(
    lie: &str,
    on: &mut Client,
    truth: &mut dyn FnMut(&mut Client) -> Vec<String>,
) -> String {
    on.batch_execute("BEGIN").unwrap();
    on.batch_execute(lie).unwrap();
    let found = truth(on).join("\n");
    on.batch_execute("ROLLBACK").unwrap();
    found
}

#[test]
fn every_writer_is_believed_after_a_switchover_and_no_lie_is() {
    let (pair, testimony, seen, [before, after]) = moved();
    let (mut source, mut destination) = (pair.source_client(), pair.destination_client());
    testimony.check_both(&mut source, &mut destination);
    testimony.demand_none(&testimony.contradictions_of_flip(before, after));
    testimony.demand_none(&testimony.contradictions_of_watch(&seen, &mut destination));
    assert!(seen.len() > 10, "{} snapshots were seen", seen.len());
    assert_eq!(testimony.unknown(), 0);

    let in_charge: &mut dyn FnMut(&mut Client) -> Vec<String> =
        &mut |client| testimony.contradictions(client);
    // Refused at the source, and never sent to the destination: by one that never learns.
    let refused = testimony.refused_ids("journal")[0].clone();
    for (lie, expected) in [
        (
            "DELETE FROM workload.journal WHERE entry = (SELECT max(entry) FROM workload.journal)",
            "was acknowledged and is lost",
        ),
        (
            "INSERT INTO workload.journal (id) SELECT id FROM workload.journal LIMIT 1",
            "is there 2 times",
        ),
        (
            "INSERT INTO workload.journal (id) VALUES ('nobody')",
            "journal nobody is there, but nobody committed it",
        ),
        (
            &format!("INSERT INTO workload.journal (id) VALUES ('{refused}')"),
            "was refused and is there",
        ),
        (
            "DELETE FROM workload.transfer WHERE id = (SELECT max(id) FROM workload.transfer)",
            "its transfers say",
        ),
        (
            "UPDATE workload.account SET balance = balance + 1 WHERE id = 1",
            "the balances add up to 50001",
        ),
        (
            "UPDATE workload.account SET balance = balance + CASE id WHEN 1 THEN 1 ELSE -1 END WHERE id < 3",
            "account 2 has",
        ),
        (
            "UPDATE workload.counter SET n = n - 1 WHERE id = 2",
            "counter 2 is",
        ),
        ("DELETE FROM workload.slot", "holds None"),
        (
            "UPDATE workload.slot SET content = 'stale' WHERE number = 0",
            "holds Some(\"stale\")",
        ),
    ] {
        let found = found_after(lie, &mut destination, in_charge);
        assert!(
            found.contains(expected),
            "{lie}: no \"{expected}\" in:\n{found}"
        );
    }

    let mut there = pair.destination_client();
    let left: &mut dyn FnMut(&mut Client) -> Vec<String> =
        &mut |client| testimony.contradictions_of_source(client, &mut there);
    let unfenced = "SET LOCAL session_replication_role = replica; ALTER TABLE workload.journal DISABLE TRIGGER ALL;";
    for (lie, expected) in [
        (
            "DELETE FROM workload.journal WHERE entry = (SELECT max(entry) FROM workload.journal)",
            "was carried over and is not on the source",
        ),
        (
            &format!("INSERT INTO workload.journal (id) VALUES ('{refused}')"),
            "was refused and is there",
        ),
    ] {
        let found = found_after(&format!("{unfenced} {lie}"), &mut source, left);
        assert!(
            found.contains(expected),
            "{lie}: no \"{expected}\" in:\n{found}"
        );
    }

    // Had the flip been seen at the other end of the test, everybody would have been served by the wrong server.
    let late = testimony.contradictions_of_flip(Instant::now(), Instant::now());
    assert!(late[0].contains("before the flip"), "{}", late[0]);
    let early = testimony.contradictions_of_flip(before, before - LIMIT);
    assert!(early[0].contains("after the flip"), "{}", early[0]);

    a_reader_notices(&pair, &testimony);
}

/// What a reader sees while a database lies for a moment.
fn a_reader_notices(pair: &Pair, testimony: &Testimony) {
    let uri = pair.destination.uri(DATABASE);
    for (lie, expected) in [
        (
            "UPDATE workload.account SET balance = balance + 1 WHERE id = 1",
            "the balances add up to 50001",
        ),
        (
            "UPDATE workload.account SET balance = balance + CASE id WHEN 1 THEN 1 ELSE -1 END WHERE id < 3",
            "account 2 has",
        ),
        // A hole; and one writer's end missing, after which others have written.
        (
            "DELETE FROM workload.journal WHERE id IN (SELECT id FROM workload.journal WHERE id LIKE '0-%' LIMIT 1)",
            "of writer 0 up to turn",
        ),
        (
            "DELETE FROM workload.journal WHERE entry IN (SELECT entry FROM workload.journal WHERE id LIKE '0-%' ORDER BY entry DESC LIMIT 60)",
            "before that was sent",
        ),
    ] {
        let mut client = pair.destination_client();
        let watch = Watch::start(&uri);
        std::thread::sleep(Duration::from_millis(100));
        client.batch_execute(&format!("CREATE SCHEMA kept; CREATE TABLE kept.journal AS TABLE workload.journal; CREATE TABLE kept.account AS TABLE workload.account; {lie}")).unwrap();
        let looks = watch.looks();
        wait_for("a look at the lie", LIMIT, || watch.looks() > looks + 1);
        client.batch_execute("BEGIN; DELETE FROM workload.journal; INSERT INTO workload.journal OVERRIDING SYSTEM VALUE TABLE kept.journal;
            UPDATE workload.account a SET balance = k.balance FROM kept.account k WHERE a.id = k.id; DROP SCHEMA kept CASCADE; COMMIT").unwrap();
        let found = testimony.contradictions_of_watch(&watch.stop(), &mut client);
        assert!(
            found.iter().any(|line| line.contains(expected)),
            "{lie}: no \"{expected}\" in {found:?}"
        );
    }
    testimony.check(&mut pair.destination_client());
}
