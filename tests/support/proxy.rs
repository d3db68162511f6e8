//! A wire that can be watched, slowed down, and cut: a TCP proxy in front of a server.
//!
//! It understands the framing of PostgreSQL's protocol (version 3) well enough to count round trips and to
//! act at a given statement. A round trip begins whenever the client speaks after the server has spoken;
//! what a server says on its own (notices, parameter changes) does not count as speaking, and a prepared
//! statement that is closed counts for nothing, because nobody waits for it.
//! Requests for TLS and GSS encryption are answered with "no" by the proxy itself.

mod relay;
mod wire;

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::cluster::Cluster;

/// What happens to the connection of a statement, once. See [`Proxy::at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Cut before the statement reaches the server.
    CutBefore,
    /// Let the server do it, then cut, without passing any of the answer on.
    DropReply,
    /// Keep the statement back until [`Proxy::release`].
    HoldBefore,
    /// Let the server do it, keep the answer back until [`Proxy::release`].
    HoldReply,
}

/// One round trip that was seen.
#[derive(Clone, Debug)]
pub struct Trip {
    /// Counts the connections through this proxy, from 0.
    pub connection: usize,
    /// The `application_name` that the connection started with.
    pub application: String,
    /// The SQL that was run in this trip: simple queries, and prepared statements that were executed.
    /// Empty for parts of a COPY, for a Parse alone, and for the start of the connection.
    pub sql: String,
    /// When the client began to speak.
    pub began: Instant,
}

/// What the relays look at before they pass something on.
#[derive(Default)]
struct State {
    delay: Duration,
    stalled: bool,
    refusing: bool,
    plan: Option<(String, Action)>,
    held: bool,
    hits: usize,
    trips: Vec<Trip>,
    connections: usize,
    streams: Vec<TcpStream>,
    closed: bool,
}

/// State with a bell that rings at every change.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until the proxy may pass bytes on. False: it is closed.
    fn wait_while(&self, mut blocked: impl FnMut(&State) -> bool) -> bool {
        let guard = self
            .changed
            .wait_while(self.lock(), |state| !state.closed && blocked(state))
            .unwrap_or_else(|broken| broken.into_inner());
        !guard.closed
    }
}

/// A running proxy; dropping it cuts everything.
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// Starts a proxy in front of a server.
    pub fn start(cluster: &Cluster) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("cannot listen");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let port = cluster.port();
        let for_thread = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, port, &for_thread));
        Proxy { shared, address }
    }

    /// A connection URI that leads through the proxy, as user `postgres`.
    pub fn uri(&self, database: &str) -> String {
        format!(
            "postgresql://postgres@127.0.0.1:{}/{database}",
            self.address.port()
        )
    }

    /// The port where the proxy listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds a delay to every round trip, to those of running connections too.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.change(|state| state.delay = delay);
    }

    /// Passes nothing on any more, in neither direction, until [`Proxy::resume`]; connections stay open.
    pub fn stall(&self) {
        self.shared.change(|state| state.stalled = true);
    }

    /// Ends a stall.
    pub fn resume(&self) {
        self.shared.change(|state| state.stalled = false);
    }

    /// Cuts all connections, and every new one at once, until [`Proxy::mend`].
    pub fn cut(&self) {
        self.shared.change(|state| state.refusing = true);
        self.reset();
    }

    /// Ends a cut.
    pub fn mend(&self) {
        self.shared.change(|state| state.refusing = false);
    }

    /// Cuts the connections that are open now; new ones work.
    pub fn reset(&self) {
        self.shared.change(|state| {
            for stream in state.streams.drain(..) {
                // It may have ended by itself.
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    /// Plans what happens to the next statement that contains a text and is executed (not merely prepared),
    /// on whatever connection. It replaces an earlier plan, and happens once.
    pub fn at(&self, text: &str, action: Action) {
        self.shared
            .change(|state| state.plan = Some((text.to_owned(), action)));
    }

    /// Ends everything that goes on, and forgets what was planned: the wire is as new.
    pub fn calm(&self) {
        self.shared.change(|state| {
            state.delay = Duration::ZERO;
            state.stalled = false;
            state.refusing = false;
            state.held = false;
            state.plan = None;
        });
    }

    /// Lets go what an [`Action`] holds.
    pub fn release(&self) {
        self.shared.change(|state| state.held = false);
    }

    /// Waits until the planned statement has come (and, for the reply actions, has been answered).
    ///
    /// # Panics
    /// When it does not come within `limit`.
    pub fn wait_until_hit(&self, limit: Duration) {
        super::wait_for("the statement that the proxy waits for", limit, || {
            self.hits() > 0
        });
    }

    /// How many planned actions have happened.
    pub fn hits(&self) -> usize {
        self.shared.lock().hits
    }

    /// The round trips so far, in the order of their beginnings.
    pub fn trips(&self) -> Vec<Trip> {
        self.shared.lock().trips.clone()
    }

    /// How many round trips there were so far, on all connections.
    pub fn round_trips(&self) -> usize {
        self.shared.lock().trips.len()
    }

    /// Forgets the round trips so far.
    pub fn forget_trips(&self) {
        self.shared.change(|state| state.trips.clear());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| state.closed = true);
        self.reset();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, port: u16, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        {
            let state = shared.lock();
            if state.closed {
                return;
            }
            if state.refusing {
                continue;
            }
        }
        // A server that is down: the client sees its connection end.
        let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
            continue;
        };
        relay::start(client, server, shared);
    }
}
