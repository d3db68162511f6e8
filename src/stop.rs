//! SIGINT and SIGTERM set a flag that is looked at between safe points; a second one ends the
//! program at once. Nothing is lost then either: safety after a kill comes from what the servers
//! hold, never from what this process would still have done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result};

/// The flag that a signal sets. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
}

impl Stop {
    /// Installs the handlers; the first signal sets the flag, the second one ends the process with
    /// the shell's status for it.
    ///
    /// # Errors
    /// Fails if the operating system refuses a handler.
    pub fn on_signals() -> Result<Stop> {
        let stop = Stop::default();
        for signal in [SIGINT, SIGTERM] {
            // The shutdown is registered first, so that it sees the flag of an earlier signal only.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&stop.asked),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop.asked)))
            .map_err(|error| Error::failed(format!("could not handle signals: {error}")))?;
        }
        Ok(stop)
    }

    /// Returns true once a signal has come.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Fails once a signal has come: for loops whose steps are safe points.
    ///
    /// # Errors
    /// "interrupted", class failed.
    pub fn check(&self) -> Result<()> {
        if self.asked() {
            return Err(Error::failed("interrupted").mend("run the same command again to go on"));
        }
        Ok(())
    }

    /// Sleeps, but wakes within 50 ms of a signal. Returns false if one came.
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.asked() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        false
    }
}
