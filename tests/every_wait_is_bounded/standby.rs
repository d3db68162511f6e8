//! A synchronous standby that is gone: every commit waits for it, and no time-out of the server ends that.

use super::{Destination, Source, change, copied, hurried, some, wire};
use crate::support::cluster::Cluster;
use crate::support::compare;
use crate::support::proxy::Action::HoldBefore;
use crate::support::stage::{APPLY, FLIP, LIMIT, Stage, expect_source_in_charge};
use crate::support::wait_for;

/// Makes every commit wait, or none.
fn need_standby(cluster: &Cluster, name: &str) {
    cluster.psql(
        "postgres",
        &format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"),
    );
    cluster.psql("postgres", "SELECT pg_reload_conf()");
    wait_for("the setting", LIMIT, || {
        cluster.psql("postgres", "SHOW synchronous_standby_names") == name
    });
}

/// What an application that waits for no standby can write.
fn write_locally(stage: &Stage) -> Result<String, String> {
    let sql = "SET synchronous_commit = local; UPDATE a SET t = t || 'l' WHERE id = 1";
    stage.pair.source.try_psql("app", sql)
}

#[test]
fn a_standby_that_is_gone_is_named_and_sync_goes_on_when_it_is_not_needed_any_more() {
    let stage = copied();
    for cluster in [&stage.pair.destination, &stage.pair.source] {
        for args in some(&[&["sync"][..], &["sync", "--max-pending=100"]], 1) {
            change(&stage.pair, 300);
            need_standby(cluster, "nobody");
            let outcome = hurried(&stage, args).spawn().wait(LIMIT).expect(1);
            println!("{}", outcome.stderr);
            outcome.expect_stderr(
                "for a synchronous standby; bring back what synchronous_standby_names",
            );
            stage.pair.run(&["status"]).expect(0);
            need_standby(cluster, "");
            stage.pair.run(&["sync"]).expect(0);
            compare::assert_equal(&stage.pair);
        }
    }
}

const SWITCH: &[&str] = &[
    "switch",
    "--unverified",
    "--lock-timeout=1500",
    "--lock-attempts=2",
];

#[test]
fn a_standby_of_the_destination_that_goes_in_the_window_holds_up_no_writer() {
    let stage = copied();
    change(&stage.pair, 5);
    wire(&stage, Destination).at(APPLY, HoldBefore);
    let running = hurried(&stage, SWITCH).spawn();
    wire(&stage, Destination).wait_until_hit(LIMIT);
    need_standby(&stage.pair.destination, "nobody");
    wire(&stage, Destination).release();
    // The source's own clock lets it through.
    change(&stage.pair, 3);
    let outcome = running.wait(LIMIT);
    println!("{}", outcome.stderr);
    expect_source_in_charge(outcome, 1).expect_stderr("synchronous standby");
    need_standby(&stage.pair.destination, "");
    stage.pair.run(SWITCH).expect(0);
    compare::assert_equal(&stage.pair);
}

#[test]
fn a_standby_of_the_source_that_goes_at_the_flip_does_not_hold_it_up_for_ever() {
    let stage = copied();
    change(&stage.pair, 5);
    wire(&stage, Source).at(FLIP, HoldBefore);
    let running = stage.pair.spawn(SWITCH);
    wire(&stage, Source).wait_until_hit(LIMIT);
    need_standby(&stage.pair.source, "nobody");
    wire(&stage, Source).release();
    // It waits for the flip, and is refused then.
    let refused = write_locally(&stage).expect_err("refused");
    assert!(refused.contains("switched over"), "{refused}");
    let outcome = running.wait(LIMIT);
    println!("{}", outcome.stderr);
    outcome.expect(0).expect_stderr("synchronous standby");
    assert!(stage.flipped());
    need_standby(&stage.pair.source, "");
    compare::assert_equal(&stage.pair);
}
