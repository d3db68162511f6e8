//! Promise 8: every wait has a bound and says what it waits for.
//!
//! A wire in front of a server loses what is said on one connection, or falls silent altogether, while it
//! keeps every connection open; nobody's kernel notices anything. The program has to end by itself, say
//! what it has waited for, and go on when it is run again.

mod cut;
mod encrypted;
mod ended;
mod settings;
mod silence;
mod sockets;
mod standby;

use crate::support::pair::{DATABASE, Pair};
use crate::support::program::{Outcome, Program};
use crate::support::proxy::{Action, Proxy};
use crate::support::stage::{LIMIT, Stage};
use crate::support::{thorough, wait_for};

/// One second without a sign of life will do here.
const HURRY: &str = "?tcp_user_timeout=1000&connect_timeout=1";

/// Three tables: with a key, with another, without any.
const TABLES: &str = "CREATE TABLE a (id int PRIMARY KEY, t text); CREATE TABLE b (id int PRIMARY KEY, t text); CREATE TABLE c (t text)";
const ROWS: &str = "INSERT INTO a SELECT i, md5(i::text) FROM generate_series(1, 2000) i; INSERT INTO b SELECT i, md5(i::text) FROM generate_series(1, 2000) i; INSERT INTO c SELECT md5(i::text) FROM generate_series(1, 100) i";

/// A wire of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Source,
    Destination,
}

use Side::{Destination, Source};

/// What happens to the connections when the statement has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silent {
    /// The one connection; new ones work.
    Connection,
    /// All connections with that server, new ones as well.
    Server,
    /// All connections with either server.
    Both,
    /// Those with that server are cut; new ones work.
    Reset,
    /// Those with either server are cut, and so are new ones.
    Cut,
}

use Silent::{Both, Connection, Cut, Reset, Server};

/// When, and how much.
type Silence = (Side, &'static str, Action, Silent);

fn wire(stage: &Stage, side: Side) -> &Proxy {
    match side {
        Source => &stage.source_wire,
        Destination => &stage.destination_wire,
    }
}

/// The program, with little patience.
fn hurried(stage: &Stage, args: &[&str]) -> Program {
    let uri = |side| format!("{}{HURRY}", wire(stage, side).uri(DATABASE));
    stage
        .pair
        .program(args)
        .source(&uri(Source))
        .destination(&uri(Destination))
}

/// Runs a command into a silence, and mends the wires when it has ended.
fn run_into(stage: &Stage, args: &[&str], silence: Silence) -> Outcome {
    let (side, text, action, silent) = silence;
    let stalled: &[Side] = match silent {
        Connection | Reset | Cut => &[],
        Server => &[side][..],
        Both => &[Source, Destination],
    };
    let hits = wire(stage, side).hits();
    wire(stage, side).at(text, action);
    let mut running = hurried(stage, args).spawn();
    wait_for(&format!("{silence:?} of {args:?}"), LIMIT, || {
        wire(stage, side).hits() > hits || !running.is_running()
    });
    if wire(stage, side).hits() == hits {
        panic!("{silence:?} was not met: {}", running.wait(LIMIT).report());
    }
    for side in stalled {
        wire(stage, *side).stall();
    }
    match silent {
        Reset => wire(stage, side).reset(),
        Cut => [Source, Destination]
            .map(|side| wire(stage, side).cut())
            .into_iter()
            .collect(),
        _ => {}
    }
    let outcome = running.wait(LIMIT);
    for side in [Source, Destination] {
        wire(stage, side).mend();
        wire(stage, side).resume();
        wire(stage, side).release();
    }
    println!(
        "{args:?} {silence:?}: {:?}\n{}",
        outcome.elapsed, outcome.stderr
    );
    outcome
}

/// Demands that a command that ran into a silence said so, and that it ends well when it is run again.
fn fails_and_goes_on(stage: &Stage, args: &[&str], silence: Silence) {
    expect_silence(run_into(stage, args, silence));
    stage.pair.run(args).expect(0);
}

/// Demands that a command ended because of a silence, in one line.
fn expect_silence(outcome: Outcome) -> Outcome {
    let outcome = outcome.expect(1);
    let lines: Vec<&str> = outcome
        .stderr
        .lines()
        .filter(|line| line.contains("error: "))
        .collect();
    assert!(
        lines.len() == 1 && lines[0].contains("no answer for ") && lines[0].contains("; run "),
        "{}",
        outcome.report()
    );
    outcome
}

/// Some of the cases, or all where time matters less.
fn some<T>(cases: &[T], few: usize) -> &[T] {
    if thorough() { cases } else { &cases[..few] }
}

/// Changes rows of every table: few, or more than one message may bring.
fn change(pair: &Pair, rows: usize) {
    pair.on_source(&format!(
        "UPDATE a SET t = t || 'x' WHERE id <= {rows}; UPDATE b SET t = t || 'y' WHERE id <= {rows}; INSERT INTO c VALUES ('z')"
    ));
}

/// A pair that is copied, behind wires.
fn copied() -> Stage {
    Stage::copied(TABLES, ROWS)
}
