//! The crash points around the flip: a test for each row of the table in README.md ("If something dies at
//! the worst moment"). The number of a row is in the name of its tests.

mod after;
mod before;
mod replicas;

use std::collections::BTreeSet;

use postgres::error::SqlState;

use crate::support::compare;
use crate::support::program::{Outcome, Running};
use crate::support::proxy::Action;
use crate::support::stage::{
    APPLY, FLIP, LIMIT, LOCK, LOOK, NOTE, Stage, expect_source_in_charge, flipped,
};
use crate::support::wait_for;

const TABLES: &str = "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE SEQUENCE s";
const ROWS: &str = "INSERT INTO t SELECT i, 'copied' FROM generate_series(1, 20) i";

/// What the source's fence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fence {
    /// Not set.
    Open,
    /// Set by a transaction that has not committed: it refuses nobody.
    Void,
    /// Set by a flip that has committed.
    Shut,
}

/// A stage where `init` and `copy` are done, and rows that the tests write and remember.
struct Crash {
    stage: Stage,
    written: Vec<i32>,
}

impl Crash {
    fn new() -> Crash {
        Crash {
            stage: Stage::copied(TABLES, ROWS),
            written: Vec::new(),
        }
    }

    /// Writes a row on the source, acknowledged, that the final cycle or one before has to carry over.
    fn write(&mut self) {
        let id = 1000 + self.written.len() as i32;
        self.stage.pair.on_source(&format!(
            "INSERT INTO t VALUES ({id}, 'acknowledged'); SELECT nextval('s'); DELETE FROM t WHERE id = {id} - 1000 + 1"
        ));
        self.written.push(id);
    }

    /// Starts `switch` and lets a wire stop it in the window. A row was written just before the lock.
    fn switch_up_to(&mut self, text: &str, action: Action, lock_timeout: u32) -> Running {
        let stage = &self.stage;
        let hits = stage.source_wire.hits() + stage.destination_wire.hits();
        let running = stage.switch_up_to_the_lock(&[
            "switch",
            "--unverified",
            "--interval=0.05",
            "--lock-attempts=3",
            &format!("--lock-timeout={lock_timeout}"),
        ]);
        self.write();
        if text == LOCK {
            return running;
        }
        let stage = &self.stage;
        let wire = if text == APPLY || text == NOTE {
            &stage.destination_wire
        } else {
            &stage.source_wire
        };
        wire.at(text, action);
        stage.source_wire.release();
        wait_for("the window to come to the crash", LIMIT, || {
            stage.source_wire.hits() + stage.destination_wire.hits() == hits + 2
        });
        running
    }

    fn fence(&self) -> Fence {
        let set =
            "SELECT pg_sequence_last_value('switchover.fence') IS NOT NULL, switchover.flipped()";
        match self.stage.pair.on_source(set).as_str() {
            "f|f" => Fence::Open,
            "t|f" => Fence::Void,
            "t|t" => Fence::Shut,
            other => panic!("the fence is {other}"),
        }
    }

    /// Demands that no lock of the tool is left on the source, what its pointer and fence say, and whether the
    /// destination has confirmed a final state, which lets others write there.
    fn assert_left(&self, flipped: bool, fence: Fence, final_state: bool) {
        self.stage.wait_until_free();
        assert_eq!(self.stage.flipped(), flipped, "the pointer");
        assert_eq!(self.fence(), fence, "the fence");
        let locks = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'ExclusiveLock'
                      AND relation::regclass::text LIKE 'switchover.change_log%'";
        assert_eq!(self.stage.pair.on_source(locks), "0", "the lock");
        assert_eq!(self.final_states() > 0, final_state, "the final state");
        let open = self
            .stage
            .pair
            .on_destination("SELECT switchover.takes_writes()");
        assert_eq!(open == "t", final_state, "the entrance");
    }

    fn final_states(&self) -> u32 {
        let sql = "SELECT count(*) FROM switchover.confirmation WHERE final";
        self.stage.pair.on_destination(sql).parse().unwrap()
    }

    /// The source is in charge: it takes writes, and the same command ends well.
    fn assert_source_goes_on(mut self, fence: Fence, final_state: bool) {
        self.assert_left(false, fence, final_state);
        self.write();
        let status = self.stage.pair.run(&["status", "--json"]).expect(0);
        assert!(status.stdout.contains("\"in_charge\": \"source\""));
        self.stage
            .pair
            .run(&["switch", "--unverified", "--interval=0.05"])
            .expect(0)
            .expect_stderr("window ");
        self.assert_moved();
    }

    /// The destination is in charge and complete, the source refuses, and the same command says so, as often as
    /// one likes.
    fn assert_moved(&self) {
        self.assert_left(true, Fence::Shut, true);
        let error = self
            .stage
            .pair
            .source_client()
            .execute("INSERT INTO t VALUES (-1, 'late')", &[])
            .expect_err("the source takes writes");
        assert_eq!(error.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
        for _ in 0..2 {
            self.stage
                .pair
                .run(&["switch"])
                .expect(0)
                .expect_stderr("the destination is in charge");
        }
        // A crash lets a sequence skip what it had written ahead: of no meaning on the source any more.
        compare::assert_equal_except(&self.stage.pair, &["public.s"]);
        let drawn = self.stage.pair.on_destination("SELECT last_value FROM s");
        assert!(drawn.parse::<usize>().unwrap() >= self.written.len());
        for id in &self.written {
            let sql = format!("SELECT count(*) FROM t WHERE id = {id}");
            assert_eq!(self.stage.pair.on_destination(&sql), "1", "row {id}");
        }
        let status = self.stage.pair.run(&["status", "--json"]).expect(0);
        assert!(status.stdout.contains("\"in_charge\": \"destination\""));
        let known = "SELECT switched_at IS NOT NULL FROM switchover.state";
        assert_eq!(self.stage.pair.on_destination(known), "t");
    }
}

fn expect_killed(outcome: &Outcome) {
    assert_eq!(outcome.signal(), Some(9), "{}", outcome.report());
}

fn unknown(outcome: Outcome) -> Outcome {
    let outcome = outcome.expect(6);
    assert_eq!(
        outcome.last_line(),
        "pg_switchover: which database is in charge is unknown until the source answers"
    );
    outcome
}

/// The number behind a prefix, such as that of `row_07_…`.
fn numbers(text: &str, before: &str, after: char) -> BTreeSet<u32> {
    let found = text.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix(before)?;
        let (number, _) = rest.split_once(after)?;
        number.trim().parse().ok()
    });
    found.collect()
}

#[test]
fn every_row_of_the_table_has_a_test_and_every_test_a_row() {
    let readme = include_str!("../../README.md");
    let (_, section) = readme
        .split_once("## If something dies at the worst moment")
        .expect("the section");
    let section = section.split("\n## ").next().unwrap();
    let rows = numbers(section, "| ", '|');
    let tests = [
        include_str!("flip_table/before.rs"),
        include_str!("flip_table/after.rs"),
        include_str!("flip_table/replicas.rs"),
    ];
    let tests = numbers(&tests.concat(), "fn row_", '_');
    assert!(rows.len() >= 12, "{rows:?}");
    assert_eq!(rows, tests);
}
