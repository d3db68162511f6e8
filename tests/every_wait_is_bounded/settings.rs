//! Time-outs that the role or the database brings, and a destination without room.

use super::{Destination, ROWS, Source, TABLES, change, some, wire};
use crate::support::cluster::Cluster;
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::proxy::Action::HoldBefore;
use crate::support::servers;
use crate::support::stage::{LIMIT, Stage, expect_source_in_charge};

/// None of them may end what we do: our own limits do that.
#[test]
fn time_outs_of_the_role_end_nothing_of_ours() {
    let stage = Stage::new(Pair::new(15, 18));
    let pair = &stage.pair;
    pair.on_both(
        "ALTER ROLE postgres SET statement_timeout = '100ms'; ALTER ROLE postgres SET lock_timeout = '50ms';
         ALTER ROLE postgres SET idle_in_transaction_session_timeout = '100ms'; ALTER DATABASE app SET idle_session_timeout = '1s'",
    );
    pair.on_destination("ALTER ROLE postgres SET transaction_timeout = '1s'");
    let patient = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0;";
    pair.on_source(&format!("{patient} {TABLES}; {ROWS}"));
    pair.run(&["init"]).expect(0);
    pair.run(&["copy", "--create-schema"]).expect(0);
    pair.on_source(&format!("{patient} UPDATE a SET t = t || 'x'"));
    // An apply that waits for longer than any of them; and a source that waits for it.
    wire(&stage, Destination).at("switchover.confirmation", HoldBefore);
    let running = pair.spawn(&["sync"]);
    wire(&stage, Destination).wait_until_hit(LIMIT);
    std::thread::sleep(std::time::Duration::from_millis(1200));
    wire(&stage, Destination).release();
    running.wait(LIMIT).expect(0);
    pair.run(&["verify"]).expect(0);
    pair.run(&["status"]).expect(0);
    pair.run(&["switch"]).expect(0);
    pair.on_both("ALTER ROLE postgres RESET ALL; ALTER DATABASE app RESET ALL");
    compare::assert_equal(pair);
}

/// Tables of a few megabytes beside which nothing else fits.
fn filled() -> Stage {
    let stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(&format!("{TABLES}; CREATE TABLE big (id int PRIMARY KEY, filler text); ALTER TABLE big ALTER filler SET STORAGE EXTERNAL"));
    stage.pair.on_source(&format!("{ROWS}; {}", fill(1, 8800)));
    stage.pair.run(&["init"]).expect(0);
    stage.pair.run(&["copy"]).expect(0);
    stage
}

/// Rows of 2 kB.
fn fill(first: u32, last: u32) -> String {
    format!(
        "INSERT INTO big SELECT i, repeat(md5(i::text), 62) FROM generate_series({first}, {last}) i"
    )
}

/// Bounds the size of every file that a server's process writes: as good as a full disk, for those who
/// may not mount a small one. (WAL comes in files of 16 MB, which must fit.)
fn limit_files(pid: &str, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    servers::output_of(servers::as_server_user("prlimit").args(["--pid", pid, &limit]));
}

fn postmaster(cluster: &Cluster) -> String {
    let text = std::fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap();
    text.lines().next().unwrap().to_owned()
}

/// 17.5 MB, less than the rows below need.
const FULL: &str = "18350080";

#[test]
fn a_full_destination_ends_sync_and_verify_is_good_once_there_is_room() {
    let stage = filled();
    let postmaster = postmaster(&stage.pair.destination);
    for args in some(&[&["sync"][..], &["sync", "--max-pending=100"]], 1) {
        limit_files(&postmaster, FULL);
        stage.pair.on_source("DELETE FROM big WHERE id > 8800");
        stage.pair.on_source(&fill(8801, 9800));
        let outcome = stage.pair.run(args).expect(1);
        let told = outcome.expect_stderr("could not extend file");
        assert_eq!(
            told.stderr
                .lines()
                .filter(|line| line.contains("error: "))
                .count(),
            1
        );
        stage.pair.run(&["status"]).expect(0);
        limit_files(&postmaster, "unlimited");
        stage.pair.run(args).expect(0);
        compare::assert_equal(&stage.pair);
        stage.pair.on_source("DELETE FROM big WHERE id > 8800");
        stage.pair.run(args).expect(0);
        stage.pair.on_destination("VACUUM FULL big");
    }
    stage.pair.run(&["verify"]).expect(0);
}

#[test]
fn a_destination_that_is_full_in_the_window_leaves_the_source_in_charge() {
    let stage = filled();
    let switch = &[
        "switch",
        "--unverified",
        "--lock-timeout=5000",
        "--interval=0.05",
    ];
    let running = stage.switch_up_to_the_lock(switch);
    // Behind the last cycle, for the window to carry.
    stage.pair.on_source(&fill(8801, 9400));
    let applier =
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_switchover: switch'";
    limit_files(&stage.pair.on_destination(applier), FULL);
    wire(&stage, Source).release();
    let outcome = running.wait(LIMIT);
    println!("{}", outcome.stderr);
    expect_source_in_charge(outcome, 1).expect_stderr("could not extend file");
    change(&stage.pair, 5);
    stage.pair.run(switch).expect(0);
    compare::assert_equal(&stage.pair);
}
