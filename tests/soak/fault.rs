//! The faults: what they are called, which there are, and how each is done and undone.

use std::fmt;
use std::time::Duration;

use crate::support::chance::Chance;
use crate::support::program::Running;
use crate::support::proxy::{Action, Proxy};
use crate::support::stage::{APPLY, CONFIRM, FLIP, LOCK};

use super::scene::Scene;

/// One server or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    Source,
    Destination,
    Both,
}

impl Sides {
    const ALL: [Sides; 3] = [Sides::Source, Sides::Destination, Sides::Both];

    /// Whether the source is one of them.
    pub fn source(self) -> bool {
        self != Sides::Destination
    }

    /// Whether the destination is one of them.
    pub fn destination(self) -> bool {
        self != Sides::Source
    }
}

/// A message by which the protocol can be told: its name, whose it is, and part of its text.
type Point = (&'static str, Sides, &'static str);

const POINTS: [Point; 9] = [
    (
        "install",
        Sides::Source,
        "CREATE SCHEMA IF NOT EXISTS switchover",
    ),
    ("trigger", Sides::Source, "pg_switchover_capture"),
    ("copy out", Sides::Source, "COPY "),
    ("copied", Sides::Destination, "UPDATE switchover.copied"),
    ("confirm", Sides::Destination, CONFIRM),
    (
        "log deletion",
        Sides::Source,
        "DELETE FROM switchover.change_log_1",
    ),
    ("lock", Sides::Source, LOCK),
    ("apply", Sides::Destination, APPLY),
    ("flip", Sides::Source, FLIP),
];

/// What happens while a message, or its answer, is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Nothing, for milliseconds.
    Time(u64),
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Term,
    /// A server crashes, and comes back.
    Crash(Sides),
    /// All connections are cut for milliseconds.
    Cut(u64),
    /// Nothing comes on this connection any more; new ones work.
    HalfOpen,
}

/// One fault. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// A signal, by its name without SIG.
    Signal(&'static str),
    /// SIGSTOP, and SIGCONT later.
    Freeze(u64),
    /// An immediate stop, and a start later.
    Crash(Sides, u64),
    /// Connections are cut, and work again at once.
    Reset(Sides),
    /// Connections are cut, and cannot be made for a while.
    Cut(Sides, u64),
    /// Nothing travels for a while.
    Stall(Sides, u64),
    /// Nothing travels any more, and nobody says so.
    Silence(Sides),
    /// Each round trip takes longer for a while: by how much, for how long.
    Delay(Sides, u64, u64),
    /// A message is lost, before or after the server has got it.
    Lose(usize, Action),
    /// A message, or its answer, is held, and something happens meanwhile.
    Hold(usize, Action, Meanwhile),
    /// `pg_cancel_backend` of one of the tool's sessions.
    Cancel(Sides),
    /// `pg_terminate_backend` of one of them.
    Terminate(Sides),
    /// Somebody holds a lock, of `LOCKS`, for a while.
    Lock(Sides, usize, u64),
    /// Somebody runs a statement of `STATEMENTS` on the source.
    Statement(usize),
}

/// What somebody locks.
pub const LOCKS: [&str; 6] = [
    "workload.journal IN ACCESS SHARE MODE",
    "workload.account IN SHARE MODE",
    "workload.counter IN ACCESS EXCLUSIVE MODE",
    "still IN ROW EXCLUSIVE MODE",
    "still IN ACCESS EXCLUSIVE MODE",
    "switchover.change_log_1 IN ROW EXCLUSIVE MODE",
];

/// What somebody does on the source that is no reason to stop.
pub const STATEMENTS: [&str; 9] = [
    "ANALYZE",
    "VACUUM workload.journal",
    "VACUUM FULL still",
    "CREATE INDEX CONCURRENTLY ON workload.journal (note)",
    "REINDEX TABLE CONCURRENTLY workload.slot",
    "ALTER TABLE still SET (fillfactor = 70)",
    "ALTER TABLE still ALTER COLUMN t SET STATISTICS 50",
    "BEGIN; TRUNCATE somebody; INSERT INTO somebody SELECT i, 'again' FROM generate_series(1, 50) i; COMMIT",
    "BEGIN; UPDATE still SET t = t || '.' WHERE id % 7 = 0; SELECT pg_sleep(0.4); COMMIT",
];

impl Fault {
    /// One that can happen to a command.
    pub fn for_verb(chance: &mut Chance, verb: &str) -> Fault {
        let points: &[usize] = match verb {
            "init" | "drop" => &[0, 1],
            "copy" => &[2, 3, 3, 4, 5],
            "sync" => &[2, 4, 4, 5, 5],
            "verify" => &[2, 4, 5],
            "switch" => &[4, 5, 6, 6, 7, 7, 7, 8, 8, 8],
            _ => &[0, 1, 2, 3, 4, 5, 6, 7, 8],
        };
        let sides = *chance.one_of(&Sides::ALL);
        let one = if chance.percent(50) {
            Sides::Source
        } else {
            Sides::Destination
        };
        match chance.below(20) {
            0..2 => Fault::Signal("KILL"),
            2 => Fault::Signal(if chance.percent(50) { "TERM" } else { "INT" }),
            3 => Fault::Freeze(chance.between(50, 2500)),
            4..6 => Fault::Crash(sides, chance.between(0, 800)),
            6 => Fault::Reset(sides),
            7 => Fault::Cut(sides, chance.between(20, 1500)),
            8 if chance.percent(40) => Fault::Silence(sides),
            8 => Fault::Stall(sides, chance.between(50, 2500)),
            9 => Fault::Delay(sides, chance.between(5, 80), chance.between(200, 1500)),
            10..12 => {
                let lost = [Action::CutBefore, Action::DropReply, Action::DropReply];
                Fault::Lose(*chance.one_of(points), *chance.one_of(&lost))
            }
            12..16 => {
                let held = [Action::HoldBefore, Action::HoldReply];
                let action = *chance.one_of(&held);
                Fault::Hold(*chance.one_of(points), action, Meanwhile::any(chance, one))
            }
            16 => Fault::Cancel(one),
            17 => Fault::Terminate(one),
            18 => Fault::Lock(one, chance.below(LOCKS.len()), chance.between(100, 1500)),
            _ => Fault::Statement(chance.below(STATEMENTS.len())),
        }
    }

    /// Whether it waits for a message of the protocol.
    pub fn waits(&self) -> bool {
        matches!(self, Fault::Lose(..) | Fault::Hold(..))
    }

    /// Whether it can make the source unreachable.
    pub fn hides_source(&self) -> bool {
        match self {
            Fault::Crash(sides, _)
            | Fault::Cut(sides, _)
            | Fault::Stall(sides, _)
            | Fault::Silence(sides) => sides.source(),
            Fault::Hold(_, _, meanwhile) => match meanwhile {
                Meanwhile::Crash(sides) => sides.source(),
                Meanwhile::Cut(_) => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// The signal that the program may die of.
    pub fn signal(&self) -> Option<i32> {
        match self {
            Fault::Signal("KILL") | Fault::Hold(_, _, Meanwhile::Kill) => Some(9),
            // One that comes before the program is listening.
            Fault::Signal("TERM") | Fault::Hold(_, _, Meanwhile::Term) => Some(15),
            Fault::Signal("INT") => Some(2),
            _ => None,
        }
    }

    /// Does it, and undoes what can be undone. Returns whether it has met its moment.
    pub fn happen(&self, scene: &Scene, running: &mut Running) -> bool {
        let sleep = |ms: u64| std::thread::sleep(Duration::from_millis(ms));
        let wires = |sides| scene.wires(sides);
        match *self {
            Fault::Signal(name) => running.signal(name),
            Fault::Freeze(ms) => {
                running.signal("STOP");
                sleep(ms);
                running.signal("CONT");
            }
            Fault::Crash(sides, ms) => scene.crash(sides, ms),
            Fault::Reset(sides) => wires(sides).iter().for_each(|wire| wire.reset()),
            Fault::Cut(sides, ms) => {
                wires(sides).iter().for_each(|wire| wire.cut());
                sleep(ms);
                wires(sides).iter().for_each(|wire| wire.mend());
            }
            Fault::Stall(sides, ms) => {
                wires(sides).iter().for_each(|wire| wire.stall());
                sleep(ms);
                wires(sides).iter().for_each(|wire| wire.resume());
            }
            Fault::Silence(sides) => {
                wires(sides).iter().for_each(|wire| wire.stall());
                scene.expect_end(running);
                wires(sides).iter().for_each(|wire| wire.resume());
            }
            Fault::Delay(sides, delay, ms) => {
                let set = |delay: Duration| {
                    wires(sides).iter().for_each(|wire| wire.set_delay(delay));
                };
                set(Duration::from_millis(delay));
                sleep(ms);
                set(Duration::ZERO);
            }
            Fault::Lose(point, action) => {
                let (_, sides, text) = POINTS[point];
                return meet(wires(sides)[0], text, action, running);
            }
            Fault::Hold(point, action, meanwhile) => {
                let (_, sides, text) = POINTS[point];
                let wire = wires(sides)[0];
                let met = meet(wire, text, action, running);
                if met {
                    meanwhile.happen(scene, running);
                }
                wire.release();
                return met;
            }
            Fault::Cancel(side) => return scene.signal_backend(side, "pg_cancel_backend"),
            Fault::Terminate(side) => return scene.signal_backend(side, "pg_terminate_backend"),
            Fault::Lock(side, lock, ms) => return scene.hold_lock(side, LOCKS[lock], ms),
            Fault::Statement(number) => return scene.on_source_by_somebody(STATEMENTS[number]),
        }
        true
    }
}

/// Waits until a planned action has happened, the program has ended, or neither for too long.
fn meet(wire: &Proxy, text: &str, action: Action, running: &mut Running) -> bool {
    let hits = wire.hits();
    wire.at(text, action);
    for _ in 0..600 {
        if wire.hits() > hits || !running.is_running() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    wire.hits() > hits
}

impl Meanwhile {
    fn any(chance: &mut Chance, side: Sides) -> Meanwhile {
        match chance.below(7) {
            6 => Meanwhile::HalfOpen,
            0..2 => Meanwhile::Time(chance.between(20, 2500)),
            2 => Meanwhile::Kill,
            3 => Meanwhile::Term,
            4 => Meanwhile::Crash(side),
            _ => Meanwhile::Cut(chance.between(20, 1500)),
        }
    }

    fn happen(self, scene: &Scene, running: &mut Running) {
        match self {
            Meanwhile::Time(ms) => std::thread::sleep(Duration::from_millis(ms)),
            Meanwhile::Kill => running.signal("KILL"),
            Meanwhile::Term => running.signal("TERM"),
            Meanwhile::Crash(sides) => scene.crash(sides, 0),
            Meanwhile::HalfOpen => scene.expect_end(running),
            Meanwhile::Cut(ms) => {
                let wires = scene.wires(Sides::Both);
                wires.iter().for_each(|wire| wire.cut());
                std::thread::sleep(Duration::from_millis(ms));
                wires.iter().for_each(|wire| wire.mend());
            }
        }
    }
}

/// The kind of a fault, by which it is counted.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Signal(name) => write!(f, "SIG{name}"),
            Fault::Freeze(_) => write!(f, "SIGSTOP and SIGCONT"),
            Fault::Crash(sides, _) => write!(f, "crash: {sides:?}"),
            Fault::Reset(sides) => write!(f, "connections reset: {sides:?}"),
            Fault::Cut(sides, _) => write!(f, "network cut: {sides:?}"),
            Fault::Stall(sides, _) => write!(f, "network stalled: {sides:?}"),
            Fault::Silence(sides) => write!(f, "network silent for ever: {sides:?}"),
            Fault::Delay(sides, ..) => write!(f, "network slow: {sides:?}"),
            Fault::Lose(point, Action::CutBefore) => {
                write!(f, "message lost: {}", POINTS[*point].0)
            }
            Fault::Lose(point, _) => write!(f, "answer lost: {}", POINTS[*point].0),
            Fault::Hold(point, action, meanwhile) => {
                let what = if *action == Action::HoldBefore {
                    "message"
                } else {
                    "answer"
                };
                let name = POINTS[*point].0;
                match meanwhile {
                    Meanwhile::Time(_) => write!(f, "{what} late: {name}"),
                    Meanwhile::Kill => write!(f, "SIGKILL before {what}: {name}"),
                    Meanwhile::Term => write!(f, "SIGTERM before {what}: {name}"),
                    Meanwhile::Crash(_) => write!(f, "crash before {what}: {name}"),
                    Meanwhile::HalfOpen => write!(f, "half-open since {what}: {name}"),
                    Meanwhile::Cut(_) => write!(f, "network cut before {what}: {name}"),
                }
            }
            Fault::Cancel(side) => write!(f, "pg_cancel_backend: {side:?}"),
            Fault::Terminate(side) => write!(f, "pg_terminate_backend: {side:?}"),
            Fault::Lock(side, ..) => write!(f, "lock held: {side:?}"),
            Fault::Statement(_) => write!(f, "statement by somebody"),
        }
    }
}
