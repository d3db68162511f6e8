//! Servers that crash under writers, and answers that are lost.

use super::{SWITCH, Wire, assert_moved, stage_for_switch, wire};
use crate::support::cluster::Cluster;
use crate::support::pair::Pair;
use crate::support::program::Outcome;
use crate::support::proxy::Action;
use crate::support::stage::{APPLY, FLIP, LIMIT, Stage, expect_source_in_charge};

#[test]
fn a_flip_whose_answer_was_lost_is_found_by_looking() {
    let (stage, writers) = stage_for_switch();
    stage.source_wire.at(FLIP, Action::DropReply);
    stage
        .pair
        .run(SWITCH)
        .expect(0)
        .expect_stderr("the flip has committed, though its answer was lost")
        .expect_stderr("the destination is in charge");
    assert_moved(&stage.pair, writers);
}

#[test]
fn a_flip_that_never_arrived_is_found_by_looking() {
    let (stage, writers) = stage_for_switch();
    stage.source_wire.at(FLIP, Action::CutBefore);
    expect_source_in_charge(stage.pair.run(SWITCH), 1);
    writers.wait_for_more(50);
    stage.pair.run(SWITCH).expect(0);
    assert_moved(&stage.pair, writers);
}

/// Loses the source's answer to the flip, and the source with it.
fn flip_and_lose_the_source(stage: &Stage) -> Outcome {
    stage.source_wire.at(FLIP, Action::HoldReply);
    let running = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=1000", "--lock-attempts=3"]].concat());
    stage.source_wire.wait_until_hit(LIMIT);
    stage.source_wire.cut();
    running.wait(LIMIT)
}

#[test]
fn a_flip_that_cannot_be_asked_about_is_called_unknown_until_it_can() {
    let (stage, writers) = stage_for_switch();
    let outcome = flip_and_lose_the_source(&stage).expect(6);
    assert_eq!(
        outcome.last_line(),
        "pg_switchover: which database is in charge is unknown until the source answers"
    );
    stage.source_wire.mend();
    let status = stage.pair.run(&["status", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["in_charge"], "destination");
    stage
        .pair
        .run(SWITCH)
        .expect(0)
        .expect_stderr("the destination is in charge");
    assert_moved(&stage.pair, writers);
}

/// Stops a server at some point of a switch, starts it, and switches again.
fn server_crash_in_the_window(point: (Wire, &str), action: Action, which: fn(&Pair) -> &Cluster) {
    let (stage, writers) = stage_for_switch();
    let wire = wire(&stage, point.0);
    wire.at(point.1, action);
    let running = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=20000"]].concat());
    wire.wait_until_hit(LIMIT);
    which(&stage.pair).stop_immediate();
    wire.release();
    which(&stage.pair).start_again();
    let outcome = running.wait(LIMIT);
    if stage.flipped() {
        outcome.expect(0);
    } else {
        expect_source_in_charge(outcome, 1);
        writers.wait_for_more(50);
        stage.pair.run(SWITCH).expect(0);
    }
    assert_moved(&stage.pair, writers);
}

fn source(pair: &Pair) -> &Cluster {
    &pair.source
}

fn destination(pair: &Pair) -> &Cluster {
    &pair.destination
}

#[test]
fn a_source_that_crashes_with_the_lock_held_stays_in_charge() {
    server_crash_in_the_window((Wire::Destination, APPLY), Action::HoldReply, source);
}

#[test]
fn a_source_that_crashes_before_the_flip_arrives_stays_in_charge() {
    server_crash_in_the_window((Wire::Source, FLIP), Action::HoldBefore, source);
}

#[test]
fn a_source_that_crashes_after_the_flip_is_not_in_charge() {
    server_crash_in_the_window((Wire::Source, FLIP), Action::HoldReply, source);
}

#[test]
fn a_destination_that_crashes_after_its_commit_keeps_it() {
    server_crash_in_the_window((Wire::Source, FLIP), Action::HoldBefore, destination);
}

#[test]
fn a_server_that_crashes_during_sync_is_synchronized_again() {
    let (stage, writers) = stage_for_switch();
    for server in [source, destination] {
        let mut running = stage.pair.spawn(&["sync", "--follow", "--interval=0.01"]);
        running.wait_for_stderr("cycle ", LIMIT);
        server(&stage.pair).stop_immediate();
        let outcome = running.wait(LIMIT).expect(1);
        assert_eq!(outcome.stdout, "");
        server(&stage.pair).start_again();
        writers.wait_for_more(50);
        stage.pair.run(&["sync", "-q"]).expect(0);
    }
    stage.pair.run(SWITCH).expect(0);
    assert_moved(&stage.pair, writers);
}
