//! What can happen at a point of the protocol.

use std::time::{Duration, Instant};

use postgres::Client;

use super::super::wire;
use super::{Point, Wire};
use crate::support::cluster::Cluster;
use crate::support::pair::DATABASE;
use crate::support::program::{Outcome, Running};
use crate::support::proxy::Action;
use crate::support::stage::{LIMIT, Stage, freeze, go_on};
use crate::support::wait_for;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KilledBefore,
    KilledOnItsWay,
    KilledAfter,
    Asked,
    Overtaken,
    CutBefore,
    ReplyLost,
    Terminated,
    Cancelled,
    ServerStopped,
    ServerStoppedAfter,
    OtherServerStopped,
}

/// All of them, neighbours as unlike as can be.
pub const FAULTS: [Fault; 12] = [
    Fault::KilledBefore,
    Fault::Terminated,
    Fault::KilledAfter,
    Fault::ServerStopped,
    Fault::ReplyLost,
    Fault::Overtaken,
    Fault::CutBefore,
    Fault::Cancelled,
    Fault::Asked,
    Fault::ServerStoppedAfter,
    Fault::KilledOnItsWay,
    Fault::OtherServerStopped,
];

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::KilledBefore => "SIGKILL before the message arrives",
            Fault::KilledOnItsWay => "SIGKILL, and the message arrives",
            Fault::KilledAfter => "SIGKILL before the reply arrives",
            Fault::Asked => "SIGTERM before the reply arrives",
            Fault::Overtaken => "SIGSTOP, another run does the work, SIGCONT",
            Fault::CutBefore => "connection cut before the message arrives",
            Fault::ReplyLost => "reply lost",
            Fault::Terminated => "pg_terminate_backend",
            Fault::Cancelled => "pg_cancel_backend",
            Fault::ServerStopped => "crash of the server before the message arrives",
            Fault::ServerStoppedAfter => "crash of the server before the reply arrives",
            Fault::OtherServerStopped => "crash of the other server",
        }
    }

    fn action(self) -> Action {
        match self {
            Fault::CutBefore => Action::CutBefore,
            Fault::ReplyLost => Action::DropReply,
            Fault::KilledAfter | Fault::Asked | Fault::ServerStoppedAfter => Action::HoldReply,
            _ => Action::HoldBefore,
        }
    }
}

/// What came of it.
pub struct Struck {
    /// The command has come by the point.
    pub met: bool,
    /// How it ended, unless it was killed.
    pub outcome: Option<Outcome>,
}

/// Runs the point's command, and lets the fault happen when it comes by.
pub fn strike(stage: &Stage, point: &Point, fault: Fault) -> Struck {
    let wire = wire(stage, point.side);
    let hits = wire.hits();
    wire.at(point.text, fault.action());
    let mut running = stage.pair.spawn(point.command);
    wait_for("the point, or the end", LIMIT, || {
        wire.hits() > hits || !running.is_running()
    });
    let met = wire.hits() > hits;
    if !met {
        // It must not meet somebody else.
        wire.at("nothing has this text", Action::CutBefore);
    }
    let outcome = if met {
        happen(stage, point, fault, running)
    } else {
        Some(running.wait(LIMIT))
    };
    Struck { met, outcome }
}

fn happen(stage: &Stage, point: &Point, fault: Fault, running: Running) -> Option<Outcome> {
    let wire = wire(stage, point.side);
    let (own, other) = match point.side {
        Wire::Source => (&stage.pair.source, &stage.pair.destination),
        Wire::Destination => (&stage.pair.destination, &stage.pair.source),
    };
    match fault {
        Fault::KilledBefore | Fault::KilledAfter => {
            assert_killed(&stage.kill(running));
            return None;
        }
        Fault::KilledOnItsWay => {
            assert_killed(&stage.kill_with_a_message_on_its_way(running));
            return None;
        }
        Fault::Asked => {
            running.signal("TERM");
            wire.release();
        }
        Fault::Overtaken => return Some(overtake(stage, point, running)),
        Fault::CutBefore | Fault::ReplyLost => {}
        Fault::Terminated => interrupt(stage, point, own, "pg_terminate_backend"),
        Fault::Cancelled => interrupt(stage, point, own, "pg_cancel_backend"),
        Fault::ServerStopped => {
            own.stop_immediate();
            wire.release();
            own.start_again();
        }
        Fault::ServerStoppedAfter => {
            own.stop_immediate();
            // The reply dies with its server.
            wire.reset();
            wire.release();
            own.start_again();
        }
        Fault::OtherServerStopped => {
            other.stop_immediate();
            wire.release();
            other.start_again();
        }
    }
    Some(running.wait(LIMIT))
}

fn assert_killed(outcome: &Outcome) {
    assert_eq!(outcome.signal(), Some(9), "{}", outcome.report());
}

/// The run stands still, its connection with the source is lost, another one takes its place; then it wakes up.
fn overtake(stage: &Stage, point: &Point, first: Running) -> Outcome {
    freeze(&first);
    stage.source_wire.reset();
    stage.pair.run(point.command).expect(0);
    for wire in [&stage.source_wire, &stage.destination_wire] {
        wire.release();
    }
    go_on(&first);
    first.wait(LIMIT)
}

/// Calls a function for the backend while it works. Where nothing keeps it from working, for whatever the tool
/// has there, for some time.
fn interrupt(stage: &Stage, point: &Point, server: &Cluster, function: &str) {
    let mut observer = server.connect("postgres");
    let wire = wire(stage, point.side);
    if let Some(block) = point.block {
        let mut blocker = server.connect(DATABASE);
        blocker
            .batch_execute(&format!("BEGIN; {block}"))
            .expect("the block");
        wire.release();
        wait_for("the statement to wait", LIMIT, || {
            call(&mut observer, function, "a.wait_event_type = 'Lock'") > 0
        });
        // It may be tried again; that is not to wait as well.
        blocker.batch_execute("ROLLBACK").expect("the end");
        return;
    }
    if function == "pg_terminate_backend" {
        call(&mut observer, function, "true");
        wire.release();
        return;
    }
    wire.release();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(100) {
        call(&mut observer, function, "a.state = 'active'");
    }
}

fn call(observer: &mut Client, function: &str, which: &str) -> usize {
    let sql = format!(
        "SELECT {function}(a.pid) FROM pg_stat_activity a
          WHERE a.application_name LIKE 'pg_switchover%' AND {which}"
    );
    observer.query(&sql, &[]).expect("the interruption").len()
}
