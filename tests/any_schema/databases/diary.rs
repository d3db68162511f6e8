//! What a writer has met, for whoever waits for it in vain.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use postgres::Error;

/// Kept by a writer. Before its first entry it has not even connected.
#[derive(Default)]
pub struct Diary {
    doing: Doing,
    on_destination: bool,
    done: usize,
    /// How often each SQLSTATE was met, and its last error.
    met: BTreeMap<String, (usize, String)>,
}

#[derive(Default)]
enum Doing {
    #[default]
    Connecting,
    Transaction(Instant),
    Rollback(Instant),
    Nothing,
}

impl Diary {
    /// A transaction begins.
    pub fn begin(&mut self) {
        self.doing = Doing::Transaction(Instant::now());
    }

    /// It went through.
    pub fn succeed(&mut self) {
        self.doing = Doing::Nothing;
        self.done += 1;
    }

    /// It failed, and is to be rolled back.
    pub fn fail(&mut self, state: &str, error: &Error) {
        self.doing = Doing::Rollback(Instant::now());
        let met = self.met.entry(state.to_owned()).or_default();
        let text = match error.as_db_error() {
            Some(error) => error.to_string(),
            None => format!("{error:?}"),
        };
        *met = (met.0 + 1, text);
    }

    /// It was.
    pub fn rolled_back(&mut self) {
        self.doing = Doing::Nothing;
    }

    /// The writer has gone over.
    pub fn moved(&mut self) {
        self.on_destination = true;
    }
}

impl fmt::Display for Diary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.on_destination {
            true => "destination",
            false => "source",
        };
        match self.doing {
            Doing::Connecting => write!(f, "has not begun on the {side}")?,
            Doing::Transaction(since) => write!(
                f,
                "in a transaction on the {side} for {:?}",
                since.elapsed()
            )?,
            Doing::Rollback(since) => {
                write!(f, "in a rollback on the {side} for {:?}", since.elapsed())?
            }
            Doing::Nothing => write!(f, "between two transactions on the {side}")?,
        }
        write!(f, ", {} done", self.done)?;
        for (state, (times, last)) in &self.met {
            let state = if state.is_empty() {
                "no SQLSTATE"
            } else {
                state
            };
            write!(f, "; {state} {times} times, last: {last}")?;
        }
        Ok(())
    }
}
