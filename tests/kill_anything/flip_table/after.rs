//! Rows whose end is a destination in charge, and those where it takes a look to know.

use super::*;
use crate::support::pair::DATABASE;

#[test]
fn row_07_the_destination_dies_before_the_flip_is_sent() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 20_000);
    crash.stage.pair.destination.stop_immediate();
    crash.stage.source_wire.release();
    running
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("the destination is in charge");
    crash.stage.pair.destination.start_again();
    crash.assert_moved();
}

#[test]
fn row_10_the_tool_dies_with_the_flip_on_its_way() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 20_000);
    expect_killed(&crash.stage.kill_with_a_message_on_its_way(running));
    crash.assert_moved();
}

/// Makes commits on the source wait for a standby that there is not.
fn lose_the_standby(crash: &Crash, name: &str) {
    let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
    crash.stage.pair.on_source(&set);
    crash.stage.pair.on_source("SELECT pg_reload_conf()");
    wait_for("the setting", LIMIT, || {
        crash.stage.pair.on_source("SHOW synchronous_standby_names") == name
    });
}

#[test]
fn row_11_the_flips_commit_waits_for_a_standby_that_is_gone() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 3000);
    lose_the_standby(&crash, "nobody");
    crash.stage.source_wire.release();
    running
        .wait(LIMIT)
        .expect(0)
        .expect_stderr("no synchronous standby of the source has confirmed the flip")
        .expect_stderr("the destination is in charge");
    lose_the_standby(&crash, "");
    crash.assert_moved();
}

#[test]
fn row_11_the_answer_is_lost_while_the_flips_commit_waits_for_a_standby() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldBefore, 3000);
    lose_the_standby(&crash, "nobody");
    crash.stage.source_wire.release();
    wait_for("the commit to wait", LIMIT, || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        crash.stage.pair.on_source(waits) == "1"
    });
    crash.stage.source_wire.reset();
    found_by_looking(running.wait(LIMIT))
        .expect_stderr("no synchronous standby of the source has confirmed the flip");
    lose_the_standby(&crash, "");
    crash.assert_moved();
}

fn found_by_looking(outcome: Outcome) -> Outcome {
    outcome
        .expect(0)
        .expect_stderr("the flip has committed, though its answer was lost")
}

#[test]
fn row_12_the_flips_answer_is_lost() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::DropReply, 20_000);
    found_by_looking(running.wait(LIMIT));
    crash.assert_moved();
}

/// The source is there, and lets nobody else in; the session that has been looking on all the time can ask.
#[test]
fn row_12_the_flips_answer_is_lost_and_nobody_else_is_let_in() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(APPLY, Action::HoldBefore, 20_000);
    let source = &crash.stage.pair.source;
    let hba = source.data().join("pg_hba.conf");
    let before = std::fs::read_to_string(&hba).unwrap();
    std::fs::write(&hba, "host postgres postgres 127.0.0.1/32 trust\n").unwrap();
    source.psql("postgres", "SELECT pg_reload_conf()");
    wait_for("the door to be shut", LIMIT, || {
        source.try_psql(DATABASE, "SELECT 1").is_err()
    });
    crash.stage.source_wire.at(FLIP, Action::DropReply);
    crash.stage.destination_wire.release();
    found_by_looking(running.wait(LIMIT));
    std::fs::write(&hba, before).unwrap();
    source.psql("postgres", "SELECT pg_reload_conf()");
    wait_for("the door to be open", LIMIT, || {
        source.try_psql(DATABASE, "SELECT 1").is_ok()
    });
    crash.assert_moved();
}

#[test]
fn row_13_the_source_cannot_be_asked() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldReply, 1000);
    crash.stage.source_wire.cut();
    unknown(running.wait(LIMIT));
    crash.stage.source_wire.mend();
    crash.assert_moved();
}

#[test]
fn row_14_the_source_dies_after_the_flip() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldReply, 20_000);
    crash.stage.pair.source.stop_immediate();
    crash.stage.source_wire.reset();
    crash.stage.pair.source.start_again();
    found_by_looking(running.wait(LIMIT));
    crash.assert_moved();
}

#[test]
fn row_14_tool_and_both_servers_die_after_the_flip() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(FLIP, Action::HoldReply, 20_000);
    expect_killed(&running.kill());
    crash.stage.pair.source.stop_immediate();
    crash.stage.pair.destination.stop_immediate();
    crash.stage.cut_off();
    crash.stage.pair.source.start_again();
    crash.stage.pair.destination.start_again();
    crash.assert_moved();
}

#[test]
fn row_15_the_tool_dies_before_it_has_cleared_up() {
    let mut crash = Crash::new();
    let running = crash.switch_up_to(NOTE, Action::HoldBefore, 20_000);
    expect_killed(&crash.stage.kill(running));
    crash.assert_left(true, Fence::Shut, true);
    let unknown = "SELECT switched_at IS NULL FROM switchover.state";
    assert_eq!(crash.stage.pair.on_destination(unknown), "t");
    crash.assert_moved();
    crash.stage.pair.run(&["drop"]).expect(0);
}
