//! Every command, with a silence at each of its steps.

use super::{
    Both, Connection, Destination, ROWS, Server, Silence, Source, TABLES, change, copied,
    expect_silence, fails_and_goes_on, hurried, run_into, some, wire,
};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::proxy::Action::{HoldBefore, HoldReply};
use crate::support::stage::{
    APPLY, CONFIRM, FLIP, LIMIT, LOCK, SOURCE_IN_CHARGE, Stage, expect_source_in_charge,
};

#[test]
fn init_and_drop_end_when_a_server_falls_silent() {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(TABLES);
    stage.pair.on_source(ROWS);
    let silences: [Silence; 4] = [
        (
            Source,
            "CREATE SCHEMA IF NOT EXISTS switchover",
            HoldBefore,
            Connection,
        ),
        (Source, "pg_switchover_capture", HoldReply, Server),
        (
            Destination,
            "CREATE SCHEMA IF NOT EXISTS switchover",
            HoldReply,
            Connection,
        ),
        (Destination, "switchover.state", HoldBefore, Both),
    ];
    for silence in some(&silences, 3) {
        fails_and_goes_on(&stage, &["init"], *silence);
        stage.pair.run(&["drop"]).expect(0);
    }
    let silences: [Silence; 3] = [
        (Source, "DROP SCHEMA", HoldReply, Connection),
        (Destination, "DROP SCHEMA", HoldReply, Server),
        (Source, "DROP SCHEMA", HoldBefore, Both),
    ];
    for silence in some(&silences, 2) {
        stage.pair.run(&["init"]).expect(0);
        fails_and_goes_on(&stage, &["drop"], *silence);
    }
}

#[test]
fn copy_ends_when_a_server_falls_silent_and_goes_on() {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(TABLES);
    stage.pair.on_source(ROWS);
    stage.pair.run(&["init"]).expect(0);
    let silences: [Silence; 6] = [
        (Source, "COPY ", HoldReply, Connection),
        (Source, "COPY ", HoldBefore, Server),
        (Destination, "COPY ", HoldReply, Connection),
        (Destination, "COPY ", HoldReply, Server),
        (Source, "COPY ", HoldReply, Both),
        (Destination, "UPDATE switchover.copied", HoldReply, Both),
    ];
    for silence in some(&silences, 4) {
        expect_silence(run_into(&stage, &["copy"], *silence));
    }
    stage.pair.run(&["copy"]).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn programs_of_postgresql_end_when_a_server_falls_silent() {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_source(TABLES);
    stage.pair.on_source(ROWS);
    stage.pair.run(&["init"]).expect(0);
    let silences: [Silence; 2] = [
        (Source, "SET DATESTYLE = ISO", HoldReply, Server),
        (Destination, "ADD CONSTRAINT a_pkey", HoldReply, Server),
    ];
    let copy = &["copy", "--create-schema"];
    for silence in &silences {
        let outcome = run_into(&stage, copy, *silence).expect(1);
        let told = outcome
            .stderr
            .lines()
            .filter(|line| line.contains("error: "));
        assert_eq!(told.count(), 1, "{}", outcome.report());
    }
    stage.pair.run(copy).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn sync_ends_when_a_server_falls_silent_and_goes_on() {
    let stage = copied();
    let large: &[&str] = &["sync", "--max-pending=100", "--jobs=2"];
    let small: &[&str] = &["sync"];
    let silences: [(&[&str], Silence); 9] = [
        (small, (Destination, CONFIRM, HoldReply, Connection)),
        (small, (Destination, CONFIRM, HoldBefore, Server)),
        (
            small,
            (
                Source,
                "DELETE FROM switchover.change_log_1",
                HoldReply,
                Connection,
            ),
        ),
        (
            small,
            (
                Source,
                "DELETE FROM switchover.change_log_1",
                HoldBefore,
                Both,
            ),
        ),
        (large, (Source, "COPY ", HoldReply, Connection)),
        (small, (Source, "read_changes", HoldReply, Connection)),
        (large, (Source, "COPY ", HoldBefore, Server)),
        (large, (Destination, "COPY ", HoldReply, Server)),
        (large, (Destination, CONFIRM, HoldReply, Both)),
    ];
    for (args, silence) in some(&silences, 5) {
        change(&stage.pair, 500);
        fails_and_goes_on(&stage, args, *silence);
        compare::assert_equal(&stage.pair);
    }
}

pub const A: &str = "\"public\".\"a\"";
pub const B: &str = "\"public\".\"b\"";

/// The wire still holds what it holds, so the server has not heard that the connection is gone.
#[test]
fn what_a_lost_session_has_held_is_free_for_the_next_run() {
    let stage = copied();
    change(&stage.pair, 5);
    stage
        .source_wire
        .at("DELETE FROM switchover.change_log_1", HoldBefore);
    stage.destination_wire.at(CONFIRM, HoldBefore);
    let running = hurried(&stage, &["sync"]).spawn();
    stage.destination_wire.wait_until_hit(LIMIT);
    expect_silence(running.wait(LIMIT));
    let running = hurried(&stage, &["sync"]).spawn();
    stage.source_wire.wait_until_hit(LIMIT);
    expect_silence(running.wait(LIMIT));
    stage.pair.run(&["sync"]).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn verify_ends_when_a_server_falls_silent_and_passes_then() {
    let stage = copied();
    let silences: [Silence; 4] = [
        (Source, A, HoldReply, Connection),
        (Source, A, HoldBefore, Server),
        (Destination, B, HoldReply, Connection),
        (Destination, B, HoldBefore, Both),
    ];
    for silence in some(&silences, 2) {
        change(&stage.pair, 5);
        fails_and_goes_on(&stage, &["verify"], *silence);
    }
}

const SWITCH: &[&str] = &[
    "switch",
    "--unverified",
    "--lock-timeout=4000",
    "--lock-attempts=2",
    "--interval=0.05",
];

#[test]
fn switch_ends_when_a_server_falls_silent_before_the_flip_and_switches_then() {
    let stage = copied();
    let silences: [Silence; 6] = [
        (Source, "read_changes", HoldReply, Server),
        (Source, LOCK, HoldReply, Connection),
        (Source, LOCK, HoldBefore, Server),
        (Destination, APPLY, HoldBefore, Connection),
        (Destination, APPLY, HoldReply, Server),
        (Destination, APPLY, HoldReply, Both),
    ];
    for silence in some(&silences, 4) {
        change(&stage.pair, 5);
        let outcome = run_into(&stage, SWITCH, *silence).expect(1);
        let last = outcome.last_line().to_string();
        assert!(last.starts_with(SOURCE_IN_CHARGE), "{}", outcome.report());
        assert!(
            outcome.stderr.contains("no answer for "),
            "{}",
            outcome.report()
        );
        assert!(!stage.flipped());
        // Nobody is held up by what is left behind.
        change(&stage.pair, 3);
    }
    stage.pair.run(SWITCH).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_flip_that_is_lost_in_a_silence_is_settled_by_looking() {
    let stage = copied();
    // It never arrived.
    let outcome = run_into(&stage, SWITCH, (Source, FLIP, HoldBefore, Connection));
    expect_source_in_charge(outcome, 1).expect_stderr("no answer for ");
    assert!(!stage.flipped());
    // Nobody can be asked.
    let outcome = run_into(&stage, SWITCH, (Source, FLIP, HoldBefore, Both)).expect(6);
    assert_eq!(
        outcome.last_line(),
        "pg_switchover: which database is in charge is unknown until the source answers"
    );
    stage.wait_until_free();
    if !stage.flipped() {
        change(&stage.pair, 3);
        // Its answer is lost.
        run_into(&stage, SWITCH, (Source, FLIP, HoldReply, Connection))
            .expect(0)
            .expect_stderr("the flip has committed, though its answer was lost");
    }
    assert!(stage.flipped());
    stage.pair.run(SWITCH).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn status_waits_for_nobody() {
    let stage = copied();
    for sides in [&[Source][..], &[Destination], &[Source, Destination]] {
        for side in sides {
            wire(&stage, *side).stall();
        }
        let outcome = hurried(&stage, &["status"]).run();
        let outcome = outcome.expect(i32::from(sides.len() == 2));
        let told = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(
            told.contains("connection timed out"),
            "{}",
            outcome.report()
        );
        for side in sides {
            wire(&stage, *side).resume();
        }
    }
    // Connected, and then nothing more.
    let outcome = run_into(
        &stage,
        &["status"],
        (Destination, "switchover.copied", HoldReply, Connection),
    );
    outcome.expect(0).expect_stdout("no answer for ");
    let outcome = run_into(
        &stage,
        &["status"],
        (Source, "switchover.state", HoldReply, Server),
    );
    outcome.expect(0).expect_stdout("no answer for ");
    // A lock that somebody holds on our own tables.
    let mut client = stage.pair.destination_client();
    client
        .batch_execute("BEGIN; LOCK TABLE switchover.state, switchover.copied")
        .unwrap();
    let outcome = hurried(&stage, &["status"]).spawn().wait(LIMIT);
    outcome.expect(0).expect_stdout("lock timeout");
    let mut client = stage.pair.source_client();
    client
        .batch_execute("BEGIN; LOCK TABLE switchover.state")
        .unwrap();
    let outcome = hurried(&stage, &["status"]).spawn().wait(LIMIT);
    outcome.expect(0).expect_stdout("lock timeout");
}
