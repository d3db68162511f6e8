//! The named points of the protocol: messages that a wire recognises by a part of their text.

use super::Wire;
use crate::support::compare;
use crate::support::proxy::Action;
use crate::support::stage::{APPLY, CONFIRM, FLIP, LOCK, NOTE, Stage};

/// What a point's command begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Nothing is installed.
    Init,
    /// Everything is installed.
    Drop,
    /// Nothing is copied.
    Copy,
    /// The destination is empty.
    Schema,
    /// Some rows have changed.
    SmallCycle,
    /// The same.
    Verify,
    /// More rows have changed than one message may bring.
    LargeCycle,
    /// The change log has grown.
    Rotation,
    /// A final cycle has let others write, and no flip has followed.
    Opened,
    /// Some rows have changed, and nobody writes.
    Switch,
}

/// A message of the protocol.
pub struct Point {
    /// What it is called.
    pub name: &'static str,
    /// What it begins with.
    pub base: Base,
    /// The command that comes by.
    pub command: &'static [&'static str],
    /// The side that it is sent to.
    pub side: Wire,
    /// A part of it.
    pub text: &'static str,
    /// What makes it wait on the server when another session has run it in a transaction.
    pub block: Option<&'static str>,
}

const INIT: &[&str] = &["init"];
const DROP: &[&str] = &["drop", "--force"];
const COPY: &[&str] = &["copy", "--truncate"];
const SCHEMA: &[&str] = &["copy", "--create-schema"];
const SYNC: &[&str] = &["sync", "--max-pending=200"];
const VERIFY: &[&str] = &["verify"];
const SWITCH: &[&str] = &[
    "switch",
    "--unverified",
    "--interval=0.05",
    "--lock-timeout=5000",
];
const FORGET: &str = "DELETE FROM switchover.change_log_1";

const fn point(
    name: &'static str,
    (base, command): (Base, &'static [&'static str]),
    (side, text): (Wire, &'static str),
    block: Option<&'static str>,
) -> Point {
    Point {
        name,
        base,
        command,
        side,
        text,
        block,
    }
}

use Wire::{Destination, Source};

/// In the order in which a switchover comes by.
pub const POINTS: &[Point] = &[
    point(
        "init: schema on the destination",
        (Base::Init, INIT),
        (Destination, "CREATE SCHEMA IF NOT EXISTS switchover"),
        None,
    ),
    point(
        "init: schema on the source",
        (Base::Init, INIT),
        (Source, "CREATE SCHEMA IF NOT EXISTS switchover"),
        None,
    ),
    point(
        "init: triggers of a table",
        (Base::Init, INIT),
        (Source, "AFTER TRUNCATE ON \"workload\".\"journal\""),
        Some("LOCK TABLE workload.journal IN ROW EXCLUSIVE MODE"),
    ),
    point(
        "init: all are captured",
        (Base::Init, INIT),
        (Source, "phase = 'capturing'"),
        Some("LOCK TABLE switchover.state IN SHARE MODE"),
    ),
    point(
        "drop: phase",
        (Base::Drop, DROP),
        (Source, "phase = 'idle'"),
        Some("LOCK TABLE switchover.state IN SHARE MODE"),
    ),
    point(
        "drop: triggers of a table",
        (Base::Drop, DROP),
        (Source, "ON workload.journal"),
        Some("LOCK TABLE workload.journal IN ACCESS SHARE MODE"),
    ),
    point(
        "drop: schema on the source",
        (Base::Drop, DROP),
        (Source, "DROP SCHEMA IF EXISTS switchover"),
        Some("LOCK TABLE switchover.state IN ACCESS SHARE MODE"),
    ),
    point(
        "drop: schema on the destination",
        (Base::Drop, DROP),
        (Destination, "DROP SCHEMA IF EXISTS switchover"),
        Some("LOCK TABLE switchover.state IN ACCESS SHARE MODE"),
    ),
    point(
        "copy: emptying",
        (Base::Copy, COPY),
        (Destination, "TRUNCATE"),
        None,
    ),
    point(
        "copy: snapshot of a table",
        (Base::Copy, COPY),
        (Source, "ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        None,
    ),
    point(
        "copy: COPY from the source",
        (Base::Copy, COPY),
        (Source, "TO STDOUT"),
        None,
    ),
    point(
        "copy: COPY into the destination",
        (Base::Copy, COPY),
        (Destination, "FROM STDIN"),
        None,
    ),
    point(
        "copy: a table is confirmed",
        (Base::Copy, COPY),
        (Destination, "UPDATE switchover.copied"),
        Some("LOCK TABLE switchover.copied IN SHARE MODE"),
    ),
    point(
        "copy: all are copied",
        (Base::Copy, COPY),
        (Source, "phase = 'copied'"),
        Some("LOCK TABLE switchover.state IN SHARE MODE"),
    ),
    point(
        "copy: tables",
        (Base::Schema, SCHEMA),
        (Destination, "CREATE TABLE workload.journal"),
        None,
    ),
    point(
        "copy: indexes and constraints",
        (Base::Schema, SCHEMA),
        (Destination, "ADD CONSTRAINT journal_pkey"),
        Some("LOCK TABLE workload.journal IN ACCESS SHARE MODE"),
    ),
    point(
        "copy: the schema is complete",
        (Base::Schema, SCHEMA),
        (Destination, "schema_finished_at = pg_catalog"),
        Some("LOCK TABLE switchover.state IN SHARE MODE"),
    ),
    point(
        "sync: refuse early writers",
        (Base::Opened, SYNC),
        (Destination, "setval('switchover.entrance', 2)"),
        None,
    ),
    point(
        "sync: shut the entrance behind them",
        (Base::Opened, SYNC),
        (Destination, ", 1, false)"),
        Some("LOCK TABLE switchover.early_write IN ROW EXCLUSIVE MODE"),
    ),
    point(
        "sync: claim",
        (Base::SmallCycle, SYNC),
        (Destination, "INSERT INTO switchover.state"),
        Some("LOCK TABLE switchover.state IN SHARE MODE"),
    ),
    point(
        "sync: begin and read",
        (Base::SmallCycle, SYNC),
        (Source, "switchover.read_changes("),
        Some("LOCK TABLE switchover.captured IN ACCESS EXCLUSIVE MODE"),
    ),
    point(
        "sync: apply and confirm a small cycle",
        (Base::SmallCycle, SYNC),
        (Destination, CONFIRM),
        Some("LOCK TABLE switchover.confirmation IN SHARE MODE"),
    ),
    point(
        "sync: delete the log entries",
        (Base::SmallCycle, SYNC),
        (Source, FORGET),
        Some("LOCK TABLE switchover.change_log_1 IN SHARE MODE"),
    ),
    point(
        "sync: fetch for a large cycle",
        (Base::LargeCycle, SYNC),
        (Source, "TO STDOUT"),
        None,
    ),
    point(
        "sync: stage a large cycle",
        (Base::LargeCycle, SYNC),
        (Destination, "FROM STDIN"),
        None,
    ),
    point(
        "sync: confirm a large cycle",
        (Base::LargeCycle, SYNC),
        (Destination, CONFIRM),
        Some("LOCK TABLE switchover.confirmation IN SHARE MODE"),
    ),
    point(
        "sync: rotate the logs",
        (Base::Rotation, SYNC),
        (Source, "IN ACCESS EXCLUSIVE MODE NOWAIT"),
        None,
    ),
    point(
        "verify: compare on the source",
        (Base::Verify, VERIFY),
        (Source, "pg_catalog.count(*), pg_catalog.sum("),
        None,
    ),
    point(
        "verify: compare on the destination",
        (Base::Verify, VERIFY),
        (Destination, "pg_catalog.count(*), pg_catalog.sum("),
        None,
    ),
    point(
        "verify: note the outcome",
        (Base::Verify, VERIFY),
        (Source, "SET verified_at = pg_catalog.clock_timestamp()"),
        Some("LOCK TABLE switchover.state IN SHARE MODE"),
    ),
    point(
        "switch: the last look",
        (Base::Switch, SWITCH),
        (Source, "switchover.refuse_newer("),
        None,
    ),
    point(
        "switch: lock and read",
        (Base::Switch, SWITCH),
        (Source, LOCK),
        Some("LOCK TABLE switchover.change_log_1 IN ROW EXCLUSIVE MODE"),
    ),
    point(
        "switch: apply the final state",
        (Base::Switch, SWITCH),
        (Destination, APPLY),
        Some("LOCK TABLE switchover.confirmation IN SHARE MODE"),
    ),
    point(
        "switch: flip",
        (Base::Switch, SWITCH),
        (Source, FLIP),
        Some("SELECT FROM switchover.state FOR UPDATE"),
    ),
    point(
        "switch: tell the destination of the flip",
        (Base::Switch, SWITCH),
        (Destination, NOTE),
        Some("SELECT FROM switchover.state FOR UPDATE"),
    ),
    point(
        "switch: clear the log",
        (Base::Switch, SWITCH),
        (Source, "TRUNCATE switchover.change_log_1"),
        None,
    ),
];

/// Makes every captured table one that has not been copied.
const UNCOPIED: [&str; 2] = [
    "UPDATE switchover.state SET phase = 'capturing', copied_at = NULL",
    "UPDATE switchover.state SET copied_at = NULL; UPDATE switchover.copied SET finished_at = NULL",
];

impl Base {
    /// Brings the pair to where the command begins.
    pub fn prepare(self, stage: &Stage) {
        let pair = &stage.pair;
        match self {
            Base::Init => {}
            Base::Drop => {
                pair.run(&["init", "-q"]).expect(0);
            }
            Base::Copy => {
                pair.on_source(UNCOPIED[0]);
                pair.on_destination(UNCOPIED[1]);
            }
            Base::Schema => {
                pair.run(DROP).expect(0);
                pair.on_destination(
                    "DROP SCHEMA IF EXISTS workload CASCADE; DROP TABLE IF EXISTS big",
                );
                pair.run(&["init", "-q"]).expect(0);
            }
            Base::SmallCycle | Base::Verify => {
                pair.on_source("UPDATE big SET n = n + 1 WHERE k < '1'");
            }
            Base::LargeCycle => {
                pair.on_source("UPDATE big SET n = n + 1");
            }
            Base::Rotation => {
                pair.on_source("UPDATE big SET n = n + 1; UPDATE big SET n = n + 1; UPDATE big SET n = n + 1; UPDATE big SET n = n + 1");
            }
            Base::Opened => {
                stage.source_wire.at(FLIP, Action::CutBefore);
                pair.run(SWITCH).expect(1);
                pair.on_source("UPDATE big SET n = n + 1 WHERE k < '1'");
            }
            Base::Switch => {
                if stage.flipped() {
                    pair.run(DROP).expect(0);
                    pair.run(&["init", "-q"]).expect(0);
                    pair.run(&["copy", "-q", "--truncate"]).expect(0);
                }
                pair.on_source("UPDATE big SET n = n + 1 WHERE k < '1'");
            }
        }
    }

    /// What holds after a fault, whatever it was.
    pub fn assert_between(self, stage: &Stage, what: &str) {
        let pair = &stage.pair;
        match self {
            // Half of it is no ground to run cycles on.
            Base::Init | Base::Drop => {
                let outcome = pair.run(&["sync"]);
                assert_eq!(outcome.code(), Some(1), "{what}: {}", outcome.report());
            }
            // In charge: it takes writes.
            Base::Switch if !stage.flipped() => {
                pair.on_source("UPDATE big SET n = n + 1 WHERE k < '2'");
            }
            _ => {}
        }
    }

    /// What holds when the command has ended well.
    pub fn assert_after(self, stage: &Stage, what: &str) {
        let pair = &stage.pair;
        match self {
            Base::Init => {
                pair.run(DROP).expect(0);
                assert_no_trace(stage, what);
            }
            Base::Drop => assert_no_trace(stage, what),
            Base::Copy | Base::Schema => {
                pair.run(&["verify", "-q"]).expect(0);
            }
            Base::SmallCycle | Base::Verify | Base::LargeCycle | Base::Rotation | Base::Opened => {
                let open = pair.on_destination("SELECT switchover.takes_writes()");
                assert_eq!(open, "f", "{what}");
                let big =
                    "SELECT md5(string_agg(k || ' ' || n, ',' ORDER BY k COLLATE \"C\")) FROM big";
                assert_eq!(pair.on_source(big), pair.on_destination(big), "{what}");
            }
            Base::Switch => {
                assert!(stage.flipped(), "{what}");
                compare::assert_equal_except(pair, &["workload.journal_entry_seq"]);
            }
        }
    }
}

fn assert_no_trace(stage: &Stage, what: &str) {
    let trace = "SELECT count(*) FROM pg_namespace WHERE nspname = 'switchover'";
    assert_eq!(stage.pair.on_source(trace), "0", "{what}");
    assert_eq!(stage.pair.on_destination(trace), "0", "{what}");
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pg_switchover%'";
    assert_eq!(stage.pair.on_source(triggers), "0", "{what}");
}
