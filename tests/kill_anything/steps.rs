//! A run that is killed, or asked to stop, at each of its steps.

use super::{RUN, SWITCH, Wire, assert_moved, stage_for_run, stage_for_switch, wire};
use crate::support::program::Running;
use crate::support::proxy::Action;
use crate::support::stage::{APPLY, CONFIRM, FLIP, LIMIT, LOCK, Stage, expect_source_in_charge};
use crate::support::wait_for;

/// Where the wire stops the program, in the order in which a run comes by.
const POINTS: &[(Wire, &str)] = &[
    (Wire::Source, "CREATE SCHEMA IF NOT EXISTS switchover"),
    (Wire::Source, "pg_switchover_capture"),
    (Wire::Source, "COPY "),
    (Wire::Destination, "UPDATE switchover.copied"),
    (Wire::Destination, CONFIRM),
    (Wire::Source, "DELETE FROM switchover.change_log_1"),
    (Wire::Source, LOCK),
    (Wire::Destination, APPLY),
    (Wire::Source, FLIP),
];

/// Starts the program and waits until the wire has stopped it; `None` if it ended without coming by.
fn run_up_to(stage: &Stage, (side, text): (Wire, &str), action: Action) -> Option<Running> {
    let wire = wire(stage, side);
    let hits = wire.hits();
    wire.at(text, action);
    let mut running = stage.pair.spawn(RUN);
    wait_for("the wire to stop the program", LIMIT, || {
        wire.hits() > hits || !running.is_running()
    });
    (wire.hits() > hits).then_some(running)
}

fn killed_everywhere(action: Action) {
    let (stage, writers) = stage_for_run();
    let mut stopped = 0;
    for point in POINTS {
        if let Some(running) = run_up_to(&stage, *point, action) {
            stopped += 1;
            let killed = stage.kill(running);
            assert_eq!(killed.signal(), Some(9));
        }
        if !stage.flipped_if_there() {
            // Whatever the dead one has left, writers go on.
            writers.wait_for_more(5);
        }
    }
    assert!(
        stopped >= POINTS.len() - 1,
        "only {stopped} points were met"
    );
    stage.pair.run(RUN).expect(0);
    assert_moved(&stage.pair, writers);
}

#[test]
fn a_run_that_is_killed_before_each_step_goes_on_where_it_ended() {
    killed_everywhere(Action::HoldBefore);
}

#[test]
fn a_run_that_is_killed_after_each_step_goes_on_where_it_ended() {
    killed_everywhere(Action::HoldReply);
}

#[test]
fn a_run_that_is_asked_to_stop_does_so_between_two_safe_points() {
    let (stage, writers) = stage_for_run();
    for (point, signal) in POINTS.iter().zip(["TERM", "INT"].into_iter().cycle()) {
        let Some(running) = run_up_to(&stage, *point, Action::HoldReply) else {
            continue;
        };
        running.signal(signal);
        wire(&stage, point.0).release();
        let outcome = running.wait(LIMIT);
        if stage.flipped() {
            outcome.expect(0);
        } else {
            expect_source_in_charge(outcome, 1).expect_stderr("interrupted");
            writers.wait_for_more(5);
        }
    }
    stage.pair.run(RUN).expect(0);
    assert_moved(&stage.pair, writers);
}

#[test]
fn sync_that_follows_ends_well_on_a_signal_and_goes_on_after_a_kill() {
    let (stage, writers) = stage_for_switch();
    for signal in ["INT", "TERM", "KILL"] {
        let mut running = stage.pair.spawn(&["sync", "--follow", "--interval=0.01"]);
        running.wait_for_stderr("cycle ", LIMIT);
        writers.wait_for_more(100);
        if signal == "KILL" {
            stage.kill(running);
        } else {
            running.signal(signal);
            running.wait(LIMIT).expect(0).expect_stderr("stopped");
        }
    }
    stage.pair.run(SWITCH).expect(0);
    assert_moved(&stage.pair, writers);
}
