//! One connection through the proxy: a thread for each direction.

use std::io::{self, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::wire::{self, Message, Opening, Statements};
use super::{Action, Shared, Trip};

/// What the two directions of a connection tell each other.
#[derive(Default)]
struct Talk {
    // The client has spoken since the server's last answer.
    client_speaks: bool,
    // Answers that the server has not ended yet. Less than none where it has asked for the data of a COPY before
    // the Sync behind that statement has come by.
    unanswered: isize,
    // What happens to an answer, behind so many earlier ones: a driver does not wait for the answer to Close.
    reply: Option<(Action, isize)>,
    application: String,
}

/// Both ends of a connection and what belongs to it.
struct Relay {
    shared: Arc<Shared>,
    number: usize,
    client: TcpStream,
    server: TcpStream,
    talk: Mutex<Talk>,
}

pub(super) fn start(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    for stream in [&client, &server] {
        // Without it, small messages would wait for each other and spoil every measurement.
        let _ = stream.set_nodelay(true);
    }
    let mut number = 0;
    shared.change(|state| {
        number = state.connections;
        state.connections += 1;
        for stream in [&client, &server] {
            state.streams.extend(stream.try_clone());
        }
    });
    let relay = Arc::new(Relay {
        shared: Arc::clone(shared),
        number,
        client,
        server,
        talk: Mutex::default(),
    });
    std::thread::spawn(move || {
        // An error here is an end of the connection like any other: both sides see it close.
        let _ = relay.run();
        relay.close();
    });
}

impl Relay {
    fn run(self: &Arc<Self>) -> io::Result<()> {
        let mut from_client = BufReader::new(self.client.try_clone()?);
        if !self.open(&mut from_client)? {
            return Ok(());
        }
        let backwards = Arc::clone(self);
        std::thread::spawn(move || {
            let _ = backwards.server_to_client();
            backwards.close();
        });
        self.client_to_server(&mut from_client)
    }

    fn close(&self) {
        // Either may be closed already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    /// Handles what comes before the first typed message. False: no session follows.
    fn open(&self, from_client: &mut BufReader<TcpStream>) -> io::Result<bool> {
        loop {
            let Some(message) = wire::read_message(from_client, false)? else {
                return Ok(false);
            };
            match wire::opening(&message) {
                Opening::Encryption => (&self.client).write_all(b"N")?,
                Opening::Cancel => {
                    (&self.server).write_all(&message.bytes)?;
                    return Ok(false);
                }
                Opening::Session(application) => {
                    self.lock_talk().application = application;
                    self.forward(&message, None)?;
                    return Ok(true);
                }
            }
        }
    }

    fn lock_talk(&self) -> std::sync::MutexGuard<'_, Talk> {
        self.talk
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    fn client_to_server(&self, from_client: &mut BufReader<TcpStream>) -> io::Result<()> {
        let mut statements = Statements::default();
        while let Some(message) = wire::read_message(from_client, true)? {
            let sql = statements.executed(&message);
            self.forward(&message, sql)?;
        }
        Ok(())
    }

    /// Passes a client's message on, when it is time and unless the plan says otherwise.
    fn forward(&self, message: &Message, sql: Option<String>) -> io::Result<()> {
        if Self::is_waited_for(message.kind) {
            self.count(sql.as_deref());
        }
        let action = sql.and_then(|sql| self.planned(&sql));
        match action {
            Some(Action::CutBefore) => {
                self.shared.change(|state| state.hits += 1);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Some(Action::HoldBefore) => {
                self.shared.change(|state| {
                    state.held = true;
                    state.hits += 1;
                });
                self.wait_while(|state| state.held)?;
            }
            Some(reply) => {
                let mut talk = self.lock_talk();
                talk.reply = Some((reply, talk.unanswered));
            }
            None => {}
        }
        if wire::is_answered(message.kind) {
            self.lock_talk().unanswered += 1;
        }
        self.wait_while(|state| state.stalled)?;
        (&self.server).write_all(&message.bytes)
    }

    /// Whether such a message can be the first of what a client waits for. Terminate is not answered; drivers
    /// send Close, with a Sync, when a statement is dropped, and go on; and a Sync ends what other messages
    /// have begun, though a server may answer these, with rows, before it has got here.
    fn is_waited_for(kind: u8) -> bool {
        !matches!(kind, b'X' | b'C' | b'S')
    }

    fn wait_while(&self, blocked: impl FnMut(&super::State) -> bool) -> io::Result<()> {
        if self.shared.wait_while(blocked) {
            Ok(())
        } else {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
    }

    /// Begins a round trip, or adds SQL to the one that goes on. The delay is felt at its beginning.
    fn count(&self, sql: Option<&str>) {
        let (begins, application) = {
            let mut talk = self.lock_talk();
            let begins = !std::mem::replace(&mut talk.client_speaks, true);
            (begins, talk.application.clone())
        };
        let number = self.number;
        let mut delay = std::time::Duration::ZERO;
        self.shared.change(|state| {
            if begins {
                delay = state.delay;
                state.trips.push(Trip {
                    connection: number,
                    application,
                    sql: String::new(),
                    began: Instant::now(),
                });
            }
            let own = state
                .trips
                .iter_mut()
                .rev()
                .find(|trip| trip.connection == number);
            if let (Some(trip), Some(sql)) = (own, sql) {
                if !trip.sql.is_empty() {
                    trip.sql.push('\n');
                }
                trip.sql.push_str(sql);
            }
        });
        std::thread::sleep(delay);
    }

    /// Takes the plan, if this is its statement.
    fn planned(&self, sql: &str) -> Option<Action> {
        let mut state = self.shared.lock();
        let (_, action) = state
            .plan
            .take_if(|(text, _)| sql.contains(text.as_str()))?;
        Some(action)
    }

    fn server_to_client(&self) -> io::Result<()> {
        let mut from_server = BufReader::new(self.server.try_clone()?);
        let mut kept = Vec::new();
        while let Some(message) = wire::read_message(&mut from_server, true)? {
            let reply = {
                let mut talk = self.lock_talk();
                if wire::is_answer(message.kind) {
                    talk.client_speaks = false;
                }
                let ours = talk.reply;
                // A server that wants the data of a COPY passes over the Sync that came with its statement.
                if wire::ends_answer(message.kind) {
                    talk.unanswered -= 1;
                    if let Some((_, before)) = &mut talk.reply {
                        *before -= 1;
                    }
                }
                ours
            };
            if let Some((action, ..=0)) = reply {
                kept.extend_from_slice(&message.bytes);
                if wire::ends_answer(message.kind) {
                    self.act_on_reply(action)?;
                    (&self.client).write_all(&std::mem::take(&mut kept))?;
                }
                continue;
            }
            self.wait_while(|state| state.stalled)?;
            (&self.client).write_all(&message.bytes)?;
        }
        Ok(())
    }

    fn act_on_reply(&self, action: Action) -> io::Result<()> {
        self.lock_talk().reply = None;
        if action == Action::DropReply {
            self.shared.change(|state| state.hits += 1);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.shared.change(|state| {
            state.held = true;
            state.hits += 1;
        });
        self.wait_while(|state| state.held)
    }
}
