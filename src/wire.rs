//! Our end of a connection: whether a call waits on it, whether bytes move, and the verdict that ends
//! the call from another thread.
//!
//! The driver has no time-out for an answer, and its calls cannot be interrupted from outside. But the
//! stream that it reads from is ours (`conninfo::stream`), and asks here before it waits: a connection
//! that is given up wakes the waiting call, which fails as if the network had failed.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::error::GivenUp;

/// One connection, shared by the call that uses it, its stream, and who watches over it. Registering a
/// call costs no more than a few memory accesses.
#[derive(Default)]
pub struct Wire {
    /// Odd while a call waits.
    calls: AtomicU64,
    /// Counts reads and writes that got through.
    moved: AtomicU64,
    /// Rows of COPYs that came as messages of their own, less the messages that the driver has seen of them.
    swallowed: AtomicI64,
    condemned: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    what: String,
    /// Beyond this, a commit that waits for a standby is not waited for.
    standby: Option<Duration>,
    waker: Option<Waker>,
    verdict: Option<GivenUp>,
    /// Nobody needs the answer any more.
    closing: bool,
    /// A stream of ours reads and writes here, so the verdict will be heard.
    attached: bool,
}

/// What is to be seen from outside. As long as it stays the same, nothing happens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Glance {
    calls: u64,
    moved: u64,
}

impl Glance {
    /// Returns true while a call waits.
    pub fn waits(self) -> bool {
        self.calls % 2 == 1
    }
}

impl Wire {
    /// Begins a call; `what` is an infinitive, for messages.
    pub fn begin(&self, what: &str) {
        self.name(what);
        self.enter();
    }

    /// Says what the following calls are for.
    pub fn name(&self, what: &str) {
        let mut state = self.lock();
        state.what.clear();
        state.what.push_str(what);
    }

    /// Begins another call for the same.
    pub fn enter(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends a call.
    pub fn leave(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins the last call: closing waits for what still runs.
    pub fn close(&self) {
        self.begin("close a session");
        self.lock().closing = true;
    }

    /// Returns true during the last call.
    pub fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Bounds how long a commit may wait for a synchronous standby, from now on; `None` for the usual.
    pub fn bound_standby(&self, limit: Option<Duration>) {
        self.lock().standby = limit;
    }

    /// Returns that bound.
    pub fn standby_bound(&self) -> Option<Duration> {
        self.lock().standby
    }

    /// Looks from outside.
    pub fn glance(&self) -> Glance {
        Glance {
            calls: self.calls.load(Ordering::Relaxed),
            moved: self.moved.load(Ordering::Relaxed),
        }
    }

    /// Returns what the call is for.
    pub fn what(&self) -> String {
        self.lock().what.clone()
    }

    /// Condemns the connection: from now on whatever happens on it fails with `verdict`. The call that
    /// waits is not woken yet.
    pub fn condemn(&self, verdict: GivenUp) {
        self.lock().verdict.get_or_insert(verdict);
        self.condemned.store(true, Ordering::Release);
    }

    /// Wakes the call that waits on a condemned connection. Returns false if it cannot be reached.
    pub fn wake(&self) -> bool {
        let (waker, attached) = {
            let mut state = self.lock();
            (state.waker.take(), state.attached)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        attached
    }

    /// Says that a stream of ours serves this connection.
    pub fn attach(&self) {
        self.lock().attached = true;
    }

    /// Notes that bytes went through.
    pub fn note_moved(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how many rows of COPYs have come so far, beyond the messages that the driver has got.
    pub fn note_swallowed(&self, rows: i64) {
        self.swallowed.store(rows, Ordering::Relaxed);
    }

    /// Returns that number.
    pub fn swallowed(&self) -> i64 {
        self.swallowed.load(Ordering::Relaxed)
    }

    /// Fails once the connection is condemned.
    ///
    /// # Errors
    /// The verdict, inside.
    pub fn check(&self) -> io::Result<()> {
        if !self.condemned.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(as_io(self.lock().verdict.clone()))
    }

    /// Leaves word whom to wake when the connection is condemned; under the same lock as the verdict, so
    /// that none is missed.
    ///
    /// # Errors
    /// The verdict, inside, if there is one already.
    pub fn park(&self, waker: &Waker) -> io::Result<()> {
        let mut state = self.lock();
        if state.verdict.is_some() {
            return Err(as_io(state.verdict.clone()));
        }
        match &mut state.waker {
            Some(known) if known.will_wake(waker) => {}
            known => *known = Some(waker.clone()),
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn as_io(verdict: Option<GivenUp>) -> io::Error {
    match verdict {
        Some(verdict) => io::Error::new(io::ErrorKind::TimedOut, verdict),
        None => io::ErrorKind::TimedOut.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn verdict() -> GivenUp {
        GivenUp {
            message: "no answer".to_string(),
            mend: "run it again".to_string(),
        }
    }

    #[test]
    fn a_verdict_wakes_who_waits_and_fails_every_later_call() {
        let (wire, bell) = (Wire::default(), Arc::new(Bell::default()));
        wire.attach();
        wire.park(&Arc::clone(&bell).into())
            .expect("no verdict yet");
        wire.check().expect("no verdict yet");
        wire.condemn(verdict());
        assert_eq!(bell.0.load(Ordering::SeqCst), 0);
        assert!(wire.wake());
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        let told = wire.check().expect_err("given up").to_string();
        assert_eq!(told, "no answer");
        assert!(wire.park(&Arc::clone(&bell).into()).is_err());
    }

    #[test]
    fn a_call_is_seen_while_it_waits_and_by_its_number() {
        let wire = Wire::default();
        assert!(!wire.glance().waits());
        wire.begin("read table x");
        let first = wire.glance();
        assert!(first.waits() && first == wire.glance());
        wire.note_moved();
        assert_ne!(first, wire.glance());
        wire.leave();
        wire.enter();
        assert!(wire.glance().waits() && wire.what() == "read table x");
        assert_ne!(first, wire.glance());
    }
}
