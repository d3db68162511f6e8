//! A schema that changes on the source after `init`: followed where that is safe, else refused by name.

mod keys;
mod names;
mod partitions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::wait_for;

const LIMIT: Duration = Duration::from_secs(60);

/// Loads a schema on both sides, rows on the source, and copies them.
fn moved(pair: &Pair, schema: &str, rows: &str) {
    pair.on_both(schema);
    pair.on_source(rows);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    compare::assert_equal(pair);
}

/// Which transactions wrote the rows of a table on the destination: what they are as long as nobody touches them.
fn versions(pair: &Pair, table: &str) -> String {
    pair.on_destination(&format!(
        "SELECT string_agg(xmin::text || ctid::text, ' ' ORDER BY tableoid, ctid) FROM {table}"
    ))
}

/// A thread that runs statements on the source, one after the other and again, until it is told to stop.
struct Writer {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Writer {
    /// `statements` gets the number of the round. Errors with these SQLSTATEs are the schema's fault, and expected.
    fn start(
        pair: &Pair,
        expected: &'static [&'static str],
        statements: impl Fn(usize) -> Vec<String> + Send + 'static,
    ) -> Writer {
        let (stop, rounds) = (Arc::default(), Arc::default());
        let mut client = pair.source_client();
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = std::thread::spawn(move || {
            let mut unexpected = Vec::new();
            while !AtomicBool::load(&stopped, Ordering::Relaxed) {
                let round = AtomicUsize::fetch_add(&counted, 1, Ordering::Relaxed);
                for statement in statements(round) {
                    let Err(error) = client.batch_execute(&statement) else {
                        continue;
                    };
                    let code = error.code().map_or("none", |code| code.code()).to_owned();
                    if code == "25006" {
                        return unexpected;
                    }
                    if !expected.contains(&code.as_str()) {
                        unexpected.push(format!("{statement}: {code} {error:?}"));
                    }
                }
            }
            unexpected
        });
        Writer {
            stop,
            rounds,
            thread: Some(thread),
        }
    }

    /// Waits until it has gone through its statements a few more times.
    fn wait_for_more(&self, rounds: usize) {
        let target = self.rounds.load(Ordering::Relaxed) + rounds;
        wait_for("the writer", LIMIT, || {
            self.rounds.load(Ordering::Relaxed) >= target
                || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
        });
    }

    /// Stops it, and demands that nothing unexpected was said.
    fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let unexpected = self.thread.take().unwrap().join().unwrap();
        assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
