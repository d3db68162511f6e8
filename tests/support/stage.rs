//! What the tests of a switchover begin with: a pair that is ready for `switch`, with a wire on each side
//! that can be watched and cut.

use std::time::Duration;

use super::cluster::send_signal;
use super::pair::{DATABASE, Pair};
use super::program::{Outcome, Running};
use super::proxy::{Action, Proxy};
use super::wait_for;

/// How long anything may take before a test fails: a guard against hangs, and no measurement.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Part of the message that asks for the stop-the-world lock, on the source, and of no other.
pub const LOCK: &str = " IN EXCLUSIVE MODE";
/// Part of the message that applies and commits the window's changes, on the destination, and of no other.
pub const APPLY: &str = "'switchover.entrance', pg_catalog.pg_current_xact_id()";
/// Part of the message that looks at the schema beside the former, on the source; each rehearsal has it, too.
pub const LOOK: &str = "switchover.refuse_drifted(";
/// Part of the message that flips the pointer, on the source, and of no other.
pub const FLIP: &str = "SET use_next_db = true";
/// Part of every message that commits a cycle, on the destination.
pub const CONFIRM: &str = "kept => ";

/// Part of the message that tells the destination of the flip, and of no other.
pub const NOTE: &str = "SET switched_at";

/// The last line of a `switch` or `run` that failed with the source in charge.
pub const SOURCE_IN_CHARGE: &str = "pg_switchover: the source is in charge";

/// A pair, and the wires between the program and both servers.
pub struct Stage {
    /// The servers. The program reaches them through the wires; everything else goes straight.
    pub pair: Pair,
    /// Between program and source.
    pub source_wire: Proxy,
    /// Between program and destination.
    pub destination_wire: Proxy,
}

impl Stage {
    /// Puts wires before the servers of a pair.
    pub fn new(mut pair: Pair) -> Stage {
        let source_wire = Proxy::start(&pair.source);
        let destination_wire = Proxy::start(&pair.destination);
        pair.source_uri = source_wire.uri(DATABASE);
        pair.destination_uri = destination_wire.uri(DATABASE);
        Stage {
            pair,
            source_wire,
            destination_wire,
        }
    }

    /// Makes a pair of 15 and 18 where `init` and `copy` are done: `tables` on both sides, `rows` on the
    /// source.
    pub fn copied(tables: &str, rows: &str) -> Stage {
        let stage = Stage::new(Pair::new(15, 18));
        stage.pair.on_both(tables);
        stage.pair.on_source(rows);
        stage.pair.run(&["init", "-q"]).expect(0);
        stage.pair.run(&["copy", "-q"]).expect(0);
        stage
    }

    /// What the pointer says: true when the destination is in charge.
    pub fn flipped(&self) -> bool {
        flipped(&self.pair)
    }

    /// Like [`Stage::flipped`], where `init` may not have come to the state row yet.
    pub fn flipped_if_there(&self) -> bool {
        let there = "SELECT to_regclass('switchover.state') IS NOT NULL";
        self.pair.on_source(there) == "t" && self.flipped()
    }

    /// Waits until no backend of the source holds the tool's advisory lock.
    pub fn wait_until_free(&self) {
        wait_for("the advisory lock", LIMIT, || {
            self.pair
                .on_source("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                == "0"
        });
    }

    /// Starts a `switch` and keeps the message back that asks for the lock, until the source's wire is released.
    pub fn switch_up_to_the_lock(&self, arguments: &[&str]) -> Running {
        self.source_wire.at(LOCK, Action::HoldBefore);
        let running = self.pair.spawn(arguments);
        self.source_wire.wait_until_hit(LIMIT);
        running
    }

    /// Kills a running program and lets both servers notice. What a wire holds never arrives.
    pub fn kill(&self, running: Running) -> Outcome {
        let outcome = running.kill();
        self.cut_off();
        self.wait_until_free();
        outcome
    }

    /// Cuts every connection, with what is held on it.
    pub fn cut_off(&self) {
        for wire in [&self.source_wire, &self.destination_wire] {
            wire.reset();
            wire.release();
        }
    }

    /// Kills a running program while a message of its own is held, which arrives all the same: the network
    /// had it already.
    pub fn kill_with_a_message_on_its_way(&self, running: Running) -> Outcome {
        let outcome = running.kill();
        for wire in [&self.source_wire, &self.destination_wire] {
            wire.release();
        }
        self.wait_until_free();
        outcome
    }
}

/// What the pointer says: true when the destination is in charge.
pub fn flipped(pair: &Pair) -> bool {
    pair.on_source("SELECT use_next_db FROM switchover.state") == "t"
}

/// Demands that a `switch` or `run` failed in one way, said so, and that the source is in charge.
pub fn expect_source_in_charge(outcome: Outcome, status: i32) -> Outcome {
    let outcome = outcome.expect(status);
    assert_eq!(
        outcome.last_line(),
        SOURCE_IN_CHARGE,
        "{}",
        outcome.report()
    );
    outcome
}

/// Stops a process (SIGSTOP) until [`go_on`].
pub fn freeze(running: &Running) {
    send_signal(running.pid(), "STOP");
}

/// Lets a stopped process go on.
pub fn go_on(running: &Running) {
    send_signal(running.pid(), "CONT");
}
