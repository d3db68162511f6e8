//! Somebody ends what one of the program's connections runs, or the connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Destination, ROWS, Side, Source, TABLES, change, copied, some, wire};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::program::Outcome;
use crate::support::proxy::Action::{self, HoldBefore, HoldReply};
use crate::support::stage::{APPLY, CONFIRM, FLIP, LIMIT, LOCK, Stage, expect_source_in_charge};
use crate::support::wait_for;

/// Where the program is held.
type Point = (Side, &'static str, Action);

/// Holds a command at a point, ends the session `number` of those that it has, and lets it go on.
/// `None` if it has fewer.
fn end_one(
    stage: &Stage,
    args: &[&str],
    (side, text, action): Point,
    number: usize,
) -> Option<Outcome> {
    let wire = wire(stage, side);
    let hits = wire.hits();
    wire.at(text, action);
    let mut running = stage.pair.spawn(args);
    wait_for("the point", LIMIT, || {
        wire.hits() > hits || !running.is_running()
    });
    assert!(
        wire.hits() > hits,
        "{text} was not met: {}",
        running.wait(LIMIT).report()
    );
    let sessions = sessions(&stage.pair);
    let ended = sessions.get(number).cloned();
    if let Some((side, name, pid)) = &ended {
        println!("{args:?} at {text}: ending {name} on the {side:?}");
        let sql = format!("SELECT pg_terminate_backend({pid})");
        match side {
            Source => stage.pair.on_source(&sql),
            Destination => stage.pair.on_destination(&sql),
        };
    }
    wire.release();
    let outcome = running.wait(LIMIT);
    println!("{:?} {}", outcome.code(), outcome.stderr);
    ended.map(|_| outcome)
}

/// The program's sessions: side, name, pid.
fn sessions(pair: &Pair) -> Vec<(Side, String, String)> {
    let sql = "SELECT application_name || '|' || pid FROM pg_stat_activity WHERE application_name LIKE 'pg_switchover: %' ORDER BY 1";
    [
        (Source, pair.on_source(sql)),
        (Destination, pair.on_destination(sql)),
    ]
    .iter()
    .flat_map(|(side, lines)| {
        lines.lines().map(|line| {
            let (name, pid) = line.split_once('|').unwrap();
            (*side, name.to_owned(), pid.to_owned())
        })
    })
    .collect()
}

/// Ends each session in turn; every time the command fails in one line, or does not need the session any
/// more, and it ends well when it is run again.
fn end_each(stage: &Stage, args: &[&str], point: Point) {
    let mut number = 0;
    loop {
        change(&stage.pair, 300);
        let Some(outcome) = end_one(stage, args, point, number) else {
            break;
        };
        if outcome.code() != Some(0) {
            assert_ended(&outcome.expect(1));
        }
        stage.pair.run(args).expect(0);
        number += 1;
    }
    assert!(number > 2, "only {number} sessions");
    compare::assert_equal(&stage.pair);
}

fn assert_ended(outcome: &Outcome) {
    let told = |line: &&str| {
        line.contains("error: ")
            && [
                "terminating connection",
                "connection closed",
                "Broken pipe",
                "Connection reset",
            ]
            .iter()
            .any(|words| line.contains(words))
    };
    assert_eq!(
        outcome.stderr.lines().filter(told).count(),
        1,
        "{}",
        outcome.report()
    );
}

#[test]
fn a_copy_that_lost_a_session_goes_on_where_it_ended() {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(TABLES);
    stage.pair.on_source(ROWS);
    stage.pair.run(&["init"]).expect(0);
    let mut number = 0;
    while let Some(outcome) = end_one(&stage, &["copy"], (Source, "COPY ", HoldReply), number) {
        if outcome.code() != Some(0) {
            assert_ended(&outcome.expect(1));
        }
        stage.pair.run(&["copy"]).expect(0);
        compare::assert_equal(&stage.pair);
        stage.pair.run(&["drop"]).expect(0);
        stage.pair.on_destination("TRUNCATE a, b, c");
        stage.pair.run(&["init"]).expect(0);
        number += 1;
    }
    assert!(number > 2, "only {number} sessions");
}

#[test]
fn a_cycle_that_lost_a_session_is_run_again() {
    let stage = copied();
    for action in some(&[HoldBefore, HoldReply], 1) {
        end_each(&stage, &["sync"], (Destination, CONFIRM, *action));
    }
}

#[test]
fn a_large_cycle_that_lost_a_session_is_run_again() {
    let stage = copied();
    end_each(
        &stage,
        &["sync", "--max-pending=100", "--jobs=2"],
        (Source, "COPY ", HoldReply),
    );
}

#[test]
fn a_verify_that_lost_a_session_passes_when_it_is_run_again() {
    let stage = copied();
    end_each(
        &stage,
        &["verify", "--jobs=2"],
        (Destination, super::silence::A, HoldReply),
    );
}

#[test]
fn a_switch_that_lost_a_session_leaves_one_database_in_charge() {
    let mut stage = copied();
    let switch = &[
        "switch",
        "--unverified",
        "--lock-timeout=5000",
        "--interval=0.05",
    ];
    let points = [
        (Source, FLIP, HoldBefore),
        (Source, LOCK, HoldReply),
        (Destination, APPLY, HoldReply),
    ];
    for point in some(&points, 1) {
        for number in 0.. {
            if stage.flipped() {
                // Such a session was not needed any more.
                compare::assert_equal(&stage.pair);
                stage = copied();
            }
            change(&stage.pair, 5);
            let Some(outcome) = end_one(&stage, switch, *point, number) else {
                break;
            };
            if stage.flipped() {
                outcome
                    .expect(0)
                    .expect_stderr("the destination is in charge");
            } else {
                expect_source_in_charge(outcome, 1);
            }
        }
    }
    stage.pair.run(switch).expect(0);
    compare::assert_equal(&stage.pair);
}

/// Runs a command while somebody cancels whatever its connections run, again and again.
fn under_cancels(pair: &Pair, args: &[&str]) -> Outcome {
    let over = AtomicBool::new(false);
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pg_switchover: %' AND state = 'active'";
    std::thread::scope(|scope| {
        for mut client in [pair.source_client(), pair.destination_client()] {
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    client.batch_execute(cancel).unwrap();
                    std::thread::sleep(Duration::from_millis(3));
                }
            });
        }
        let outcome = pair.spawn(args).wait(LIMIT);
        over.store(true, Ordering::Relaxed);
        outcome
    })
}

#[test]
fn cancelled_statements_are_tried_again_or_end_the_command_in_one_line() {
    let stage = copied();
    let pair = &stage.pair;
    let commands: [&[&str]; 4] = [
        &["sync", "--max-pending=100"],
        &["sync"],
        &["verify"],
        &[
            "switch",
            "--unverified",
            "--lock-attempts=3",
            "--interval=0.05",
        ],
    ];
    for args in commands {
        for _ in 0..3 {
            change(pair, 500);
            let outcome = under_cancels(pair, args);
            println!("{args:?}: {:?} {}", outcome.code(), outcome.stderr);
            match outcome.code() {
                Some(0) => {}
                Some(1 | 4) => assert!(
                    outcome.stderr.contains("SQLSTATE 57014"),
                    "{}",
                    outcome.report()
                ),
                _ => panic!("{}", outcome.report()),
            }
            pair.run(if stage.flipped() { &["status"] } else { args })
                .expect(0);
            if stage.flipped() {
                break;
            }
        }
    }
    assert!(stage.flipped());
}

/// Deterministic: the applier waits for a lock when it is cancelled.
#[test]
fn a_cancelled_apply_is_tried_again() {
    let stage = copied();
    change(&stage.pair, 5);
    let mut client = stage.pair.destination_client();
    client.batch_execute("BEGIN; LOCK TABLE a").unwrap();
    let running = stage.pair.spawn(&["sync"]);
    let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'pg_switchover: %' AND wait_event_type = 'Lock'";
    for _ in 0..2 {
        wait_for("the applier to wait for the lock", LIMIT, || {
            stage.pair.on_destination(cancel) == "1"
        });
    }
    client.batch_execute("ROLLBACK").unwrap();
    running.wait(LIMIT).expect(0);
    compare::assert_equal(&stage.pair);
}
