//! Rows in which a replica, or a backup, takes a server's place.

use std::path::Path;

use super::*;
use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::servers;

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

/// All commands that go on from what the destination has.
const ALL: &[&str] = &["sync", "verify", "switch", "copy", "init", "run"];

/// Demands that commands refuse a destination that has lost something, until it is copied anew.
fn set_back(mut pair: Pair, replica: Cluster, commands: &[&str], lost: &str) {
    pair.destination_uri = replica.uri(DATABASE);
    let status = pair.run(&["status"]).expect(0);
    status.expect_stdout(&format!("what was committed {lost}: "));
    for command in commands {
        let said = format!("the destination has lost what it had committed {lost}: ");
        let unverified = (*command == "switch").then_some("--unverified");
        let arguments: Vec<&str> = [*command].into_iter().chain(unverified).collect();
        pair.run(&arguments).expect(1).expect_stderr(&said);
    }
    assert!(!flipped(&pair));
    for command in [
        &["drop", "-q"][..],
        &["init", "-q"],
        &["copy", "-q", "--truncate"],
        &["switch", "-q", "--unverified"],
    ] {
        pair.run(command).expect(0);
    }
    pair.destination = replica.into();
    compare::assert_equal(&pair);
}

#[test]
fn row_17_the_destination_is_failed_over_to_a_replica_without_the_last_cycle() {
    let mut crash = Crash::new();
    let sync = |crash: &Crash| {
        crash.stage.pair.run(&["sync", "-q"]).expect(0);
    };
    crash.write();
    sync(&crash);
    let replica = replica(&crash.stage.pair.destination, false);
    sync(&crash);
    crash.write();
    sync(&crash);
    set_back(crash.stage.pair, replica, ALL, "from cycle 2 on");
}

#[test]
fn row_17_the_destination_is_restored_as_it_was_before_the_copy() {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(TABLES);
    stage.pair.on_source(ROWS);
    stage.pair.run(&["init", "-q"]).expect(0);
    let replica = replica(&stage.pair.destination, false);
    stage.pair.run(&["copy", "-q"]).expect(0);
    set_back(stage.pair, replica, ALL, "about the last copy");
}

/// No cycle has had anything to carry over since, and the one before this copy is on the replica.
#[test]
fn row_17_the_destination_is_failed_over_to_a_replica_without_a_table_that_was_copied_later() {
    let stage = Stage::copied(TABLES, ROWS);
    let replica = replica(&stage.pair.destination, false);
    let later = "CREATE TABLE later (id int PRIMARY KEY)";
    stage.pair.on_both(later);
    replica.psql(DATABASE, later);
    stage.pair.on_source("INSERT INTO later VALUES (1)");
    for command in ["init", "copy", "verify"] {
        stage.pair.run(&[command, "-q"]).expect(0);
    }
    set_back(stage.pair, replica, ALL, "about the last copy");
}

/// On the replica it is copied, and lacks what nobody has noted.
#[test]
fn row_17_the_destination_is_failed_over_to_a_replica_where_a_table_was_not_yet_due_again() {
    let stage = Stage::copied(TABLES, ROWS);
    let replica = replica(&stage.pair.destination, false);
    stage.pair.on_source(
        "ALTER TABLE t DISABLE TRIGGER pg_switchover_capture; UPDATE t SET v = 'missed'",
    );
    stage.pair.run(&["init", "-q"]).expect(0);
    set_back(
        stage.pair,
        replica,
        &["copy", "init", "run"],
        "about the last copy",
    );
}

#[test]
fn row_18_the_destination_is_failed_over_to_a_replica_without_the_final_state() {
    let mut crash = Crash::new();
    crash.write();
    crash.stage.pair.run(&["sync", "-q"]).expect(0);
    let replica = replica(&crash.stage.pair.destination, false);
    crash.write();
    let switch = ["switch", "--unverified", "-q"];
    crash.stage.pair.run(&switch).expect(0);
    let status = crash.stage.pair.run(&["status", "--json"]).expect(0);
    status.expect_stdout("\"destination_has_lost\": null");
    let pair = &mut crash.stage.pair;
    pair.destination_uri = replica.uri(DATABASE);
    for _ in 0..2 {
        pair.run(&["switch"])
            .expect(1)
            .expect_stderr("the destination has lost what it had committed from cycle 2 on: ");
    }
    let takes_writes = replica.psql(DATABASE, "SELECT switchover.takes_writes()");
    assert_eq!(takes_writes.trim(), "f");
    let status = pair.run(&["status", "--json"]).expect(0);
    status.expect_stdout("\"destination_has_lost\": \"from cycle 2 on\"");
    pair.run(&["drop", "--force", "-q"]).expect(0);
    pair.on_source("INSERT INTO t VALUES (-1, 'goes on')");
}
