//! Rows whose end is a destination in charge, and those where it takes a look to know.

use std::path::Path;

use super::*;
use crate::support::cluster::Cluster;
use crate::support::pair::DATABASE;
use crate::support::servers;

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

fn unknown(outcome: Outcome) -> Outcome {
    let outcome = outcome.expect(6);
    assert_eq!(
        outcome.last_line(),
        "pg_switchover: which database is in charge is unknown until the source answers"
    );
    outcome
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

/// Copies a server's data directory into a server of its own, which takes the place of that one's replica.
fn replica(of: &Cluster, standby: bool) -> Cluster {
    let twin = Cluster::start(of.version());
    twin.stop_fast();
    let backup = twin.socket_directory().join("backup");
    let bin = servers::bin(of.version());
    let mut command = servers::as_server_user(bin.join("pg_basebackup"));
    let from = of.uri("postgres");
    servers::output_of(
        command
            .args(["-d", &from, "-X", "stream", "-c", "fast", "--no-sync", "-D"])
            .arg(&backup),
    );
    let own = format!(
        "\nport = {}\nunix_socket_directories = '{}'\n",
        twin.port(),
        twin.socket_directory().display()
    );
    let settings = backup.join("postgresql.conf");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text + &own).unwrap();
    if standby {
        std::fs::write(backup.join("standby.signal"), "").unwrap();
    }
    exchange(&twin.data(), &backup);
    twin.start_again();
    twin
}

fn exchange(data: &Path, backup: &Path) {
    std::fs::remove_dir_all(data).unwrap();
    std::fs::rename(backup, data).unwrap();
}

/// A standby that has not heard of the flip must not be taken for the source.
#[test]
fn row_13_only_a_standby_of_the_source_can_be_asked() {
    let mut crash = Crash::new();
    let standby = replica(&crash.stage.pair.source, true);
    let own = crash.stage.pair.source_uri.clone();
    crash.stage.pair.source_uri = format!(
        "host=127.0.0.1,127.0.0.1 port={},{} user=postgres dbname={DATABASE}",
        crash.stage.source_wire.port(),
        standby.port()
    );
    let running = crash.switch_up_to(FLIP, Action::HoldReply, 1000);
    crash.stage.source_wire.cut();
    unknown(running.wait(LIMIT)).expect_stderr("a standby has answered");
    crash.stage.source_wire.mend();
    crash.stage.pair.source_uri = own;
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

#[test]
fn row_16_the_source_is_failed_over_to_a_replica_without_the_flip() {
    let mut crash = Crash::new();
    let replica = replica(&crash.stage.pair.source, false);
    crash.write();
    crash
        .stage
        .pair
        .run(&["switch", "--unverified", "-q"])
        .expect(0);
    // At once, and not only when it is run again.
    let known = "SELECT switched_at IS NOT NULL FROM switchover.state";
    assert_eq!(crash.stage.pair.on_destination(known), "t");
    crash.assert_moved();
    crash
        .stage
        .pair
        .on_destination("UPDATE t SET v = 'in charge' WHERE id = 20");
    let own = std::mem::replace(&mut crash.stage.pair.source_uri, replica.uri(DATABASE));
    replica.psql(
        DATABASE,
        "UPDATE t SET v = 'taken by mistake' WHERE id = 20",
    );
    let status = crash.stage.pair.run(&["status", "--json"]).expect(0);
    assert!(status.stdout.contains("\"in_charge\": \"both\""));
    crash
        .stage
        .pair
        .run(&["status"])
        .expect(0)
        .expect_stdout("both: the source has lost the flip");
    for command in [
        &["init"][..],
        &["copy"],
        &["sync"],
        &["verify"],
        &["switch", "--unverified"],
        &["run"],
    ] {
        crash
            .stage
            .pair
            .run(command)
            .expect(1)
            .expect_stderr("the source has lost the flip");
    }
    let kept = crash
        .stage
        .pair
        .on_destination("SELECT v FROM t WHERE id = 20");
    assert_eq!(kept, "in charge");
    crash.stage.pair.run(&["drop"]).expect(0);
    crash.stage.pair.source_uri = own;
}
