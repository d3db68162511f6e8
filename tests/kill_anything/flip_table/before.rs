//! Rows whose end is a source in charge, until the flip commits.

use std::thread::sleep;
use std::time::Duration;

use super::*;

#[test]
fn row_01_the_tool_dies_while_it_waits_for_the_lock() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(LOCK, Action::HoldBefore, 1500);
    let mut writer = crash.stage.pair.source_client();
    writer
        .batch_execute("BEGIN; INSERT INTO t VALUES (500, 'slow')")
        .unwrap();
    // It is deleted by nobody, and arrives.
    crash.stage.source_wire.release();
    wait_for("the tool to wait for the lock", LIMIT, || {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ExclusiveLock' AND locktype = 'relation'";
        crash.stage.pair.on_source(waits) == "1"
    });
    expect_killed(&running.kill());
    // The server gives the request up by itself; whoever has queued behind it goes on.
    crash.write();
    writer.batch_execute("COMMIT").unwrap();
    crash.assert_source_goes_on(Fence::Open, false);
}

#[test]
fn row_02_the_tool_dies_with_the_lock_held() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(APPLY, Action::HoldBefore, 20_000);
    expect_killed(&crash.stage.kill(running));
    crash.assert_source_goes_on(Fence::Open, false);
}

#[test]
fn row_02_the_network_dies_with_the_lock_held() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(APPLY, Action::HoldBefore, 1000);
    // Half-open: nobody hears of anybody any more.
    crash.stage.source_wire.stall();
    crash.stage.destination_wire.stall();
    crash.write();
    expect_killed(&running.kill());
    crash.stage.cut_off();
    crash.stage.source_wire.resume();
    crash.stage.destination_wire.resume();
    crash.assert_source_goes_on(Fence::Open, false);
}

#[test]
fn row_03_the_source_dies_with_the_lock_held() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(APPLY, Action::HoldBefore, 20_000);
    crash.stage.pair.source.stop_immediate();
    // The final state is on its way to the destination, for nothing.
    crash.stage.destination_wire.release();
    crash.stage.pair.source.start_again();
    expect_source_in_charge(running.wait(LIMIT), 1);
    crash.assert_source_goes_on(Fence::Open, true);
}

/// The look at the schema that goes on beside the apply finds it first, and no flip is sent.
#[test]
fn row_03_the_source_dies_before_it_has_been_looked_at_once_more() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(LOOK, Action::HoldBefore, 20_000);
    crash.stage.pair.source.stop_immediate();
    crash.stage.source_wire.release();
    // It can tell nobody who is in charge, and comes back while it is being asked.
    sleep(Duration::from_secs(1));
    crash.stage.pair.source.start_again();
    expect_source_in_charge(running.wait(LIMIT), 1)
        .expect_stderr("look at the schema once more")
        .expect_stderr("waiting for it to say who is in charge");
    crash.assert_source_goes_on(Fence::Open, true);
}

#[test]
fn row_03_source_and_destination_die_before_the_flip() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 20_000);
    crash.stage.pair.source.stop_immediate();
    crash.stage.pair.destination.stop_immediate();
    crash.stage.source_wire.release();
    crash.stage.pair.source.start_again();
    crash.stage.pair.destination.start_again();
    expect_source_in_charge(running.wait(LIMIT), 1);
    crash.assert_source_goes_on(Fence::Open, true);
}

#[test]
fn row_03_the_tool_dies_together_with_the_source_before_the_flip() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 20_000);
    expect_killed(&running.kill());
    crash.stage.pair.source.stop_immediate();
    crash.stage.cut_off();
    crash.stage.pair.source.start_again();
    crash.assert_source_goes_on(Fence::Open, true);
}

#[test]
fn row_04_the_destination_dies_before_it_commits() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(APPLY, Action::HoldBefore, 20_000);
    crash.stage.pair.destination.stop_immediate();
    crash.stage.destination_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1).expect_stderr("on the destination");
    crash.write();
    crash.stage.pair.destination.start_again();
    crash.assert_source_goes_on(Fence::Open, false);
}

#[test]
fn row_05_the_destination_dies_after_its_commit() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(APPLY, Action::HoldReply, 20_000);
    crash.stage.pair.destination.stop_immediate();
    crash.stage.destination_wire.reset();
    expect_source_in_charge(running.wait(LIMIT), 1).expect_stderr("on the destination");
    crash.stage.destination_wire.release();
    crash.write();
    crash.stage.pair.destination.start_again();
    crash.assert_source_goes_on(Fence::Open, true);
}

#[test]
fn row_05_the_network_dies_after_the_destinations_commit() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(APPLY, Action::DropReply, 20_000);
    expect_source_in_charge(running.wait(LIMIT), 1).expect_stderr("on the destination");
    crash.assert_source_goes_on(Fence::Open, true);
}

#[test]
fn row_06_the_tool_dies_before_it_sends_the_flip() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 20_000);
    expect_killed(&crash.stage.kill(running));
    crash.assert_source_goes_on(Fence::Open, true);
}

#[test]
fn row_08_the_flip_never_arrives() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::CutBefore, 20_000);
    expect_source_in_charge(running.wait(LIMIT), 1).expect_stderr("flip the pointer");
    crash.assert_source_goes_on(Fence::Open, true);
}

/// Lets the flip set the fence, and keeps it from its commit: somebody has locked the row that it updates.
fn with_the_fence_set(crash: &mut Crash) -> (Running, postgres::Client) {
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 20_000);
    let mut blocker = crash.stage.pair.source_client();
    blocker
        .batch_execute("BEGIN; SELECT FROM switchover.state FOR UPDATE")
        .unwrap();
    crash.stage.source_wire.release();
    wait_for("the fence", LIMIT, || crash.fence() != Fence::Open);
    (running, blocker)
}

#[test]
fn row_09_the_flips_session_is_ended_between_fence_and_commit() {
    let mut crash = Crash::new();
    let (running, mut blocker) = with_the_fence_set(&mut crash);
    crash
        .stage
        .pair
        .on_source("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    crash.stage.wait_until_free();
    blocker.batch_execute("ROLLBACK").unwrap();
    expect_source_in_charge(running.wait(LIMIT), 1).expect_stderr("looking whether the flip");
    crash.assert_source_goes_on(Fence::Void, true);
}

#[test]
fn row_09_the_flip_is_cancelled_between_fence_and_commit() {
    let mut crash = Crash::new();
    let (running, mut blocker) = with_the_fence_set(&mut crash);
    crash
        .stage
        .pair
        .on_source("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
    blocker.batch_execute("ROLLBACK").unwrap();
    // That is known, and tried again.
    running
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("attempt 1 of 3");
    crash.assert_moved();
}

/// What the fence holds must never become the id of another transaction.
#[test]
fn row_09_the_source_dies_between_fence_and_commit() {
    let mut crash = Crash::new();
    let (running, blocker) = with_the_fence_set(&mut crash);
    // A commit of anybody's takes what the flip has written so far to the disk.
    crash
        .stage
        .pair
        .source
        .psql("postgres", "CREATE TABLE flush (id int)");
    crash.stage.pair.source.stop_immediate();
    drop(blocker);
    crash.stage.pair.source.start_again();
    expect_source_in_charge(running.wait(LIMIT), 1);
    assert_eq!(crash.fence(), Fence::Void);
    let ahead =
        "SELECT pg_current_xact_id()::text::int8 - pg_sequence_last_value('switchover.fence')";
    let ahead: i64 = crash.stage.pair.on_source(ahead).parse().unwrap();
    assert!(ahead > 0, "the flip's id is {} ahead", -ahead);
    let mut client = crash.stage.pair.source_client();
    for id in 2000..2200 {
        client
            .execute("INSERT INTO t VALUES ($1, 'own id')", &[&id])
            .expect("a write is refused");
    }
    crash.assert_source_goes_on(Fence::Void, true);
}

/// A dump restored elsewhere brings the fence of a crashed flip along, and not its transactions.
#[test]
fn row_09_a_fence_that_another_transaction_has_made_true_is_taken_back() {
    let crash = Crash::new();
    crash
        .stage
        .pair
        .on_source("SELECT setval('switchover.fence', pg_current_xact_id()::text::int8)");
    assert_eq!(crash.fence(), Fence::Shut);
    crash.stage.pair.run(&["sync", "-q"]).expect(0);
    crash.assert_source_goes_on(Fence::Open, false);
}
