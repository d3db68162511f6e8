//! Connections that are cut, servers that accept a connection and say nothing, and signals meanwhile.

use super::{
    Cut, Destination, ROWS, Reset, Silence, Source, TABLES, change, copied, hurried, run_into,
    some, wire,
};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::proxy::Action::{HoldBefore, HoldReply};
use crate::support::stage::{CONFIRM, LIMIT, LOCK, SOURCE_IN_CHARGE, Stage};

/// Demands that a cut ends a command in one line, and that it ends well when it is run again.
fn fails_and_goes_on(stage: &Stage, args: &[&str], silence: Silence) {
    let outcome = run_into(stage, args, silence).expect(1);
    let told = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("error: "));
    assert_eq!(told.count(), 1, "{}", outcome.report());
    if args[0] == "switch" {
        assert!(
            outcome.last_line().starts_with(SOURCE_IN_CHARGE),
            "{}",
            outcome.report()
        );
        change(&stage.pair, 3);
    }
    stage.pair.run(args).expect(0);
}

#[test]
fn every_command_goes_on_after_its_connections_were_cut() {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(TABLES);
    stage.pair.on_source(ROWS);
    let schema = "CREATE SCHEMA IF NOT EXISTS switchover";
    fails_and_goes_on(&stage, &["init"], (Source, schema, HoldReply, Reset));
    stage.pair.run(&["drop"]).expect(0);
    fails_and_goes_on(&stage, &["init"], (Destination, schema, HoldReply, Cut));
    fails_and_goes_on(&stage, &["copy"], (Source, "COPY ", HoldReply, Reset));
    let large = &["sync", "--max-pending=100"];
    let cuts: [(&[&str], Silence); 5] = [
        (&["sync"], (Destination, CONFIRM, HoldReply, Reset)),
        (&["sync"], (Destination, CONFIRM, HoldBefore, Cut)),
        (large, (Source, "COPY ", HoldReply, Reset)),
        (large, (Destination, "COPY ", HoldReply, Cut)),
        (
            &["verify"],
            (Destination, super::silence::A, HoldReply, Reset),
        ),
    ];
    for (args, cut) in cuts {
        change(&stage.pair, 300);
        fails_and_goes_on(&stage, args, cut);
        compare::assert_equal(&stage.pair);
    }
    fails_and_goes_on(&stage, &["switch"], (Source, LOCK, HoldReply, Cut));
    compare::assert_equal(&stage.pair);
    fails_and_goes_on(
        &stage,
        &["drop", "--force"],
        (Source, "DROP SCHEMA", HoldReply, Reset),
    );
}

/// What has been read of the other tables waits to be applied, and their readers with it.
#[test]
fn a_large_cycle_that_loses_the_destination_ends_while_other_tables_wait() {
    let stage = Stage::new(Pair::new(15, 18));
    let tables = ["a", "b", "c", "d"];
    for table in tables {
        let create = format!("CREATE TABLE {table} (id int PRIMARY KEY, v text)");
        stage.pair.on_both(&create);
    }
    stage.pair.run(&["init"]).expect(0);
    stage.pair.run(&["copy"]).expect(0);
    for table in tables {
        stage.pair.on_source(&format!(
            "INSERT INTO {table} SELECT i, repeat('x', 2000) FROM generate_series(1, 2000) i"
        ));
    }
    let destination = wire(&stage, Destination);
    destination.at("COPY ", HoldReply);
    let large = ["sync", "--max-pending=100", "--jobs=2"];
    let sync = hurried(&stage, &large).spawn();
    destination.wait_until_hit(LIMIT);
    std::thread::sleep(std::time::Duration::from_millis(500));
    destination.reset();
    sync.wait(LIMIT).expect(1);
    destination.release();
    stage.pair.run(&large).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn no_command_waits_for_a_server_that_accepts_and_says_nothing() {
    let stage = copied();
    let all: &[(&str, i32)] = &[
        ("check", 3),
        ("init", 1),
        ("copy", 1),
        ("sync", 1),
        ("verify", 1),
        ("switch", 1),
        ("run", 1),
        ("drop", 1),
    ];
    for (side, commands) in [(Source, some(all, 8)), (Destination, some(all, 1))] {
        wire(&stage, side).stall();
        for (command, status) in commands {
            let outcome = hurried(&stage, &[command]).run().expect(*status);
            let told = format!("{}{}", outcome.stdout, outcome.stderr);
            assert!(
                told.contains("connection timed out"),
                "{}",
                outcome.report()
            );
        }
        wire(&stage, side).resume();
    }
    stage.pair.run(&["sync"]).expect(0);
}

#[test]
fn a_signal_in_a_silence_ends_the_command_within_the_bound_and_a_second_one_at_once() {
    let stage = copied();
    change(&stage.pair, 5);
    stage.destination_wire.at(CONFIRM, HoldReply);
    let running = hurried(&stage, &["sync", "--follow"]).spawn();
    stage.destination_wire.wait_until_hit(LIMIT);
    stage.destination_wire.stall();
    running.signal("INT");
    running
        .wait(LIMIT)
        .expect(1)
        .expect_stderr("no answer for ");
    stage.destination_wire.resume();
    stage.destination_wire.release();
    // With the usual patience.
    let hits = stage.destination_wire.hits();
    change(&stage.pair, 5);
    stage.destination_wire.at(CONFIRM, HoldReply);
    let running = stage.pair.spawn(&["sync"]);
    crate::support::wait_for("the statement", LIMIT, || {
        stage.destination_wire.hits() > hits
    });
    running.signal("TERM");
    std::thread::sleep(std::time::Duration::from_millis(100));
    running.signal("INT");
    running.wait(LIMIT).expect(128 + 2);
    stage.destination_wire.release();
    stage.pair.run(&["sync"]).expect(0);
    compare::assert_equal(&stage.pair);
}
