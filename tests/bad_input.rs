//! What a tired operator gets: wrong addresses, wrong order, a database that changed under the tool, a
//! role without rights, a server without room. Each gets one line, the right exit status, a way out, and
//! finds both databases as they were. (The command line by itself is `cli`'s.)

mod addresses;
mod changes;
mod differences;
mod order;
mod resources;
mod rights;

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Outcome;
use crate::support::servers;

/// Two tables, a foreign key and a sequence, without rows.
const TABLES: &str = "
CREATE TABLE public.account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE public.entry (id bigserial PRIMARY KEY, account int REFERENCES public.account, note text);
";

/// Their rows.
const ROWS: &str = "
INSERT INTO public.account SELECT i, 100 * i FROM generate_series(1, 20) i;
INSERT INTO public.entry (account, note) SELECT 1 + i % 20, 'note ' || i FROM generate_series(1, 50) i;
";

/// What no message may show.
const PASSWORD: &str = "hunter2";

/// A pair whose source has rows, and whose destination has the same tables, empty.
fn pair() -> Pair {
    let pair = Pair::new(15, 18);
    fill(&pair);
    pair
}

fn fill(pair: &Pair) {
    pair.on_both(TABLES);
    pair.on_source(ROWS);
}

/// A pair after `init` and `copy`.
fn copied() -> Pair {
    let pair = pair();
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair
}

/// Demands a refusal: the exit status, nothing on standard output, one line on standard error that holds
/// all of the texts, and for `switch` and `run` a second one that says who is in charge. Returns the first.
#[track_caller]
fn refused(outcome: Outcome, status: i32, texts: &[&str]) -> String {
    let outcome = outcome.expect(status);
    assert_eq!(outcome.stdout, "", "{}", outcome.report());
    let moves = ["pg_switchover switch", "pg_switchover run"]
        .iter()
        .any(|command| outcome.command.starts_with(command));
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let expected = if moves && status != 2 { 2 } else { 1 };
    assert_eq!(lines.len(), expected, "lines\n{}", outcome.report());
    if expected == 2 {
        assert!(lines[1].contains("in charge"), "{}", outcome.report());
    }
    let line = lines[0].strip_prefix("pg_switchover: error: ");
    let line = line.unwrap_or_else(|| panic!("no error\n{}", outcome.report()));
    for text in texts {
        assert!(
            line.contains(text),
            "expected \"{text}\"\n{}",
            outcome.report()
        );
    }
    // Words of the program's inside that have come through.
    for slip in [PASSWORD, "db error", "Error {", "Some(", "  ", "panicked"] {
        assert!(
            !line.contains(slip),
            "shows \"{slip}\"\n{}",
            outcome.report()
        );
    }
    // For whoever reads all messages: cargo test bad_input -- --nocapture
    println!("{status}: {line}");
    line.to_owned()
}

/// What both databases held before something went wrong.
struct Untouched<'a> {
    pair: &'a Pair,
    before: [String; 2],
}

impl<'a> Untouched<'a> {
    fn note(pair: &'a Pair) -> Untouched<'a> {
        Untouched {
            pair,
            before: everything(pair),
        }
    }

    /// Demands that both still hold it.
    #[track_caller]
    fn check(&self) {
        let after = everything(self.pair);
        same("source", &self.before[0], &after[0]);
        same("destination", &self.before[1], &after[1]);
    }

    /// Demands that the source still holds it.
    #[track_caller]
    fn check_source(&self) {
        same(
            "source",
            &self.before[0],
            &dump(&self.pair.source, DATABASE),
        );
    }
}

#[track_caller]
fn same(side: &str, before: &str, after: &str) {
    let old: BTreeSet<&str> = before.lines().collect();
    let new: Vec<&str> = after.lines().filter(|line| !old.contains(line)).collect();
    assert!(
        before == after,
        "the {side} has changed; new lines:\n{}",
        new.join("\n")
    );
}

fn everything(pair: &Pair) -> [String; 2] {
    [&pair.source, &pair.destination].map(|cluster| dump(cluster, DATABASE))
}

/// Schema and rows of a database, schema switchover among them. The token of the last run on the
/// destination is no content: whoever may write next takes a new one.
fn dump(cluster: &Cluster, database: &str) -> String {
    let mut command = Command::new(servers::client("pg_dump"));
    servers::without_libpq_variables(&mut command);
    command.arg("--column-inserts").arg("-d");
    let text = servers::output_of(command.arg(cluster.uri(database)));
    text.lines()
        // pg_dump writes a random word of its own into these.
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        // Every run that opens the source says that it was there.
        .filter(|line| !line.starts_with("INSERT INTO switchover.heartbeat "))
        .map(without_run)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Blanks the value of column `run`, the third one of the destination's state.
fn without_run(line: &str) -> String {
    let start = "INSERT INTO switchover.state (singleton, source_identity, run, ";
    if !line.starts_with(start) {
        return line.to_owned();
    }
    let mut parts: Vec<&str> = line.split('\'').collect();
    if let Some(run) = parts.get_mut(3) {
        *run = "";
    }
    parts.join("'")
}
