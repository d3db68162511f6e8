//! A comparison that goes on while tables are truncated.

use std::time::Duration;

use super::{ROWS, TABLES};
use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::{Action, Proxy};
use crate::support::stage::LIMIT;
use crate::support::{compare, wait_for};

#[test]
fn a_truncate_waits_for_no_comparison_and_is_no_difference() {
    let mut pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    let wire = Proxy::start(&pair.destination);
    pair.destination_uri = wire.uri(DATABASE);
    // The destination's scans stand still, so the comparison does not end; the source's are through.
    wire.at("record_send", Action::HoldBefore);
    let running = pair.spawn(&["verify"]);
    wire.wait_until_hit(LIMIT);
    let scanned = "SELECT count(*) > 0 FROM pg_stat_activity
                    WHERE application_name = 'pg_switchover: verify' AND state = 'idle in transaction'";
    wait_for("the source to be scanned", LIMIT, || {
        pair.on_source(scanned) == "t"
    });
    std::thread::sleep(Duration::from_millis(300));
    // The bound is against a hang only: the comparison cannot end before this does.
    pair.on_source("SET statement_timeout = '20s'; TRUNCATE a, b");
    wire.release();
    let outcome = running.wait(LIMIT);
    assert!(
        matches!(outcome.code(), Some(0 | 1)),
        "{}",
        outcome.report()
    );
}

#[test]
fn a_table_truncated_under_a_comparison_is_compared_again() {
    let mut pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    let oid = pair.on_source("SELECT 'a'::regclass::oid");
    for (number, difference) in [false, true].into_iter().enumerate() {
        let wire = Proxy::start(&pair.source);
        pair.source_uri = wire.uri(DATABASE);
        wire.at(
            &format!("switchover.lock_unchanged({oid})"),
            Action::HoldBefore,
        );
        if difference {
            pair.past_the_guard("DELETE FROM b");
        }
        let running = pair.spawn(&["verify"]);
        wire.wait_until_hit(LIMIT);
        pair.on_source(&format!("TRUNCATE a; INSERT INTO a VALUES ({number}, 7)"));
        wire.release();
        let outcome = running.wait(LIMIT);
        let outcome = match difference {
            false => outcome.expect(0).expect_stderr("in 2 tables are the same"),
            // What the first comparison has found is not forgotten.
            true => outcome
                .expect(3)
                .expect_stdout("table \"public\".\"b\": 50 missing"),
        };
        outcome.expect_stderr("comparing again");
        compare::assert_equal_except(&pair, &["public.b"]);
    }
}
