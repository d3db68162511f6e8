//! Promise 6: kill anything at any instant; afterwards either the source is in charge and the same command
//! can be run again, or the destination is in charge and complete.

use crate::support::cluster::Cluster;
use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::{Outcome, Running};
use crate::support::proxy::{Action, Proxy};
use crate::support::stage::{
    APPLY, CONFIRM, FLIP, LIMIT, LOCK, SOURCE_IN_CHARGE, Stage, expect_source_in_charge, flipped,
    freeze, go_on,
};
use crate::support::workload::{self, Isolation, Kind, Workload};
use crate::support::{VARIED, version_pairs, wait_for};

const RUN: &[&str] = &["run", "--create-schema", "--interval=0.05"];
const SWITCH: &[&str] = &["switch", "--unverified", "--interval=0.05"];

/// The writers' tables go on changing on the destination; and so do their sequences.
const WRITTEN: &[&str] = &[
    "workload.account",
    "workload.transfer",
    "workload.journal",
    "workload.journal_entry_seq",
    "workload.counter",
    "workload.slot",
];

fn start_writers(pair: &Pair, kinds: &[Kind]) -> Workload {
    let (source, destination) = (&pair.source, &pair.destination);
    Workload::start(&source.uri(DATABASE), &destination.uri(DATABASE), kinds)
}

/// Demands that the destination is in charge and complete.
fn assert_moved(pair: &Pair, writers: Workload) {
    assert!(flipped(pair));
    writers.wait_until_moved();
    writers.wait_for_more(50);
    writers.stop().check(&mut pair.destination_client());
    compare::assert_equal_except(pair, WRITTEN);
}

fn move_under_load(source: u32, destination: u32) {
    let pair = Pair::new(source, destination);
    pair.on_source(VARIED);
    pair.on_source(workload::SCHEMA);
    let writers = start_writers(&pair, &Kind::all());
    writers.wait_for_more(100);
    pair.run(RUN).expect(0).expect_stderr("window ");
    assert_moved(&pair, writers);
}

#[test]
fn everything_acknowledged_arrives_whatever_the_versions() {
    for (source, destination) in version_pairs() {
        move_under_load(source, destination);
    }
}

/// Writers, and their tables on the source alone: what `run --create-schema` begins with.
fn stage_for_run() -> (Stage, Workload) {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_source(workload::SCHEMA);
    stage
        .pair
        .on_source("CREATE TABLE still AS SELECT i AS id, md5(i::text) AS t FROM generate_series(1, 20000) i; ALTER TABLE still ADD PRIMARY KEY (id)");
    let writers = start_writers(&stage.pair, &Kind::all());
    (stage, writers)
}

/// Writers, and their tables copied: what `sync` and `switch` begin with.
fn stage_for_switch() -> (Stage, Workload) {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(workload::SCHEMA);
    let kinds = [
        Kind::Journal,
        Kind::LongJournal(Isolation::Serializable),
        Kind::Transfer(Isolation::RepeatableRead),
        Kind::Counter,
        Kind::Slot,
    ];
    let writers = start_writers(&stage.pair, &kinds);
    stage.pair.run(&["init", "-q"]).expect(0);
    stage.pair.run(&["copy", "-q", "--truncate"]).expect(0);
    (stage, writers)
}

/// Where the wire stops the program, in the order in which a run comes by.
#[derive(Clone, Copy)]
enum Wire {
    Source,
    Destination,
}

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

fn wire(stage: &Stage, wire: Wire) -> &Proxy {
    match wire {
        Wire::Source => &stage.source_wire,
        Wire::Destination => &stage.destination_wire,
    }
}

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

#[test]
fn a_tool_that_stands_still_in_the_window_loses_the_lock_to_the_writers() {
    let (stage, writers) = stage_for_switch();
    stage.destination_wire.at(APPLY, Action::HoldBefore);
    let running = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=700"]].concat());
    stage.destination_wire.wait_until_hit(LIMIT);
    freeze(&running);
    stage.destination_wire.release();
    // They wait for nothing but the server's own clock.
    writers.wait_for_more(100);
    assert!(!stage.flipped());
    go_on(&running);
    expect_source_in_charge(running.wait(LIMIT), 1);
    assert!(!stage.flipped());
    writers.wait_for_more(20);
    stage.pair.run(SWITCH).expect(0);
    assert_moved(&stage.pair, writers);
}

/// While one stands still, another one is run; the first must not spoil what the second has done.
#[test]
fn a_tool_that_wakes_up_after_another_ones_switch_changes_nothing() {
    let (stage, writers) = stage_for_switch();
    stage.destination_wire.at(APPLY, Action::HoldBefore);
    let first = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=700"]].concat());
    stage.destination_wire.wait_until_hit(LIMIT);
    freeze(&first);
    stage.wait_until_free();
    writers.wait_for_more(50);
    stage.pair.run(SWITCH).expect(0);
    writers.wait_until_moved();
    writers.wait_for_more(50);
    // The first one's final state is older than what the destination has got since.
    stage.destination_wire.release();
    go_on(&first);
    first
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("the destination is in charge: another run has switched");
    assert_moved(&stage.pair, writers);
}

#[test]
fn a_second_tool_is_turned_away_at_once_and_told_who_is_at_work() {
    let stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY)", "");
    let mut first = stage.pair.spawn(&["sync", "--follow", "-v"]);
    first.wait_for_stderr("nothing has changed", LIMIT);
    freeze(&first);
    let pid = stage
        .pair
        .on_source("SELECT pid FROM pg_locks WHERE locktype = 'advisory'");
    for command in ["init", "copy", "sync", "switch", "verify", "drop", "run"] {
        let outcome = stage.pair.run(&[command]).expect(5);
        let named =
            format!("another pg_switchover is at work on the source: pid {pid}, user postgres");
        assert!(outcome.stderr.contains(&named), "{}", outcome.report());
        if ["switch", "run"].contains(&command) {
            assert_eq!(outcome.last_line(), SOURCE_IN_CHARGE);
        }
    }
    stage.pair.run(&["status"]).expect(0);
    stage.pair.run(&["--help"]).expect(0);
    go_on(&first);
    first.signal("INT");
    first.wait(LIMIT).expect(0);
    stage.pair.run(&["sync"]).expect(0);
}

/// Starts a `sync` that loses the source, and with it the advisory lock, while its last message to the
/// destination is on its way; then changes the same rows again.
fn zombie(stage: &Stage, rows: usize) -> Running {
    let insert = format!("INSERT INTO t SELECT i, 1 FROM generate_series(1, {rows}) i");
    stage.pair.on_source(&insert);
    stage.destination_wire.at(CONFIRM, Action::HoldBefore);
    let zombie = stage.pair.spawn(&["sync", "--max-pending=100"]);
    stage.destination_wire.wait_until_hit(LIMIT);
    stage.source_wire.reset();
    stage.wait_until_free();
    stage.pair.on_source("UPDATE t SET n = 2");
    zombie
}

const SMALL: usize = 10;
const LARGE: usize = 1000;

fn assert_next_run_prevails(rows: usize) {
    let stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY, n int)", "");
    let zombie = zombie(&stage, rows);
    // What the zombie has locked on the destination is no obstacle.
    stage.pair.spawn(&["sync"]).wait(LIMIT).expect(0);
    compare::assert_equal(&stage.pair);
    stage.destination_wire.release();
    zombie.wait(LIMIT).expect(1);
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_run_that_lost_its_source_is_ended_by_the_next_one() {
    assert_next_run_prevails(SMALL);
}

#[test]
fn a_large_cycle_that_lost_its_source_is_ended_by_the_next_run() {
    assert_next_run_prevails(LARGE);
}

/// As another role, whose sessions the next run does not end.
#[test]
fn a_run_that_lost_its_source_cannot_write_old_rows_over_newer_ones() {
    let mut stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY, n int)", "");
    stage
        .pair
        .on_destination("CREATE ROLE zombie LOGIN SUPERUSER");
    let own = stage.pair.destination_uri.clone();
    stage.pair.destination_uri = own.replace("postgres@", "zombie@");
    let zombie = zombie(&stage, SMALL);
    stage.pair.destination_uri = own;
    stage.pair.run(&["sync"]).expect(0);
    compare::assert_equal(&stage.pair);
    stage.destination_wire.release();
    zombie
        .wait(LIMIT)
        .expect(1)
        .expect_stderr("another pg_switchover has taken over");
    compare::assert_equal(&stage.pair);
}
