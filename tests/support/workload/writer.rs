//! One writer: a connection, a kind of transaction, and a record of what happened.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::script::{End, Progress, Script};
use super::{Acknowledged, Effect, Kind, Learns, Server, Shared, Unknown};

/// What one writer knows in the end. Within each list the order is that of time.
pub(super) struct Record {
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Refused, or failed before the commit was asked for: must not be in the database.
    pub(super) refused: Vec<Effect>,
    /// The answer to the commit was lost: may be in the database.
    pub(super) unknown: Vec<Unknown>,
    /// When a refusal with SQLSTATE 25006 by the source, or its word to go elsewhere, arrived.
    pub(super) refusals: Vec<Instant>,
    /// Errors that nobody should get.
    pub(super) unexpected: Vec<String>,
}

pub(super) fn start(
    shared: Arc<Shared>,
    number: usize,
    kind: Kind,
    learns: Learns,
) -> JoinHandle<Record> {
    std::thread::Builder::new()
        .name(format!("writer-{number}"))
        .spawn(move || Writer::new(shared, number, kind, learns).run())
        .expect("cannot start a thread")
}

struct Writer {
    shared: Arc<Shared>,
    number: i32,
    kind: Kind,
    learns: Learns,
    server: Server,
    client: Option<Client>,
    turn: u64,
    record: Record,
}

impl Writer {
    fn new(shared: Arc<Shared>, number: usize, kind: Kind, learns: Learns) -> Writer {
        Writer {
            shared,
            number: number as i32,
            kind,
            learns,
            server: Server::Source,
            client: None,
            turn: 0,
            record: Record {
                acknowledged: Vec::new(),
                refused: Vec::new(),
                unknown: Vec::new(),
                refusals: Vec::new(),
                unexpected: Vec::new(),
            },
        }
    }

    fn run(mut self) -> Record {
        while !self.stopped() {
            self.turn += 1;
            let script = Script::new(self.kind, self.number, self.turn);
            // A serialization failure is tried again as the same transaction.
            while !self.attempt(&script) && !self.stopped() {
                std::thread::yield_now();
            }
            std::thread::sleep(self.shared.pause);
        }
        self.record
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Runs a transaction once and records its end. False: it left no trace and may be tried again.
    fn attempt(&mut self, script: &Script) -> bool {
        let Some(mut client) = self.client.take().or_else(|| self.connect()) else {
            // The server is down, or ends our connection: an application tries again.
            std::thread::sleep(Duration::from_millis(20));
            return false;
        };
        let ask = self.learns == Learns::ByAsking && self.server == Server::Source;
        let mut progress = Progress::default();
        match script.send(&mut client, ask, &mut progress) {
            Ok(End::Committed) => {
                self.record.acknowledged.push(Acknowledged {
                    effect: script.effect.clone(),
                    server: self.server,
                    sent: progress.committing.unwrap_or_else(Instant::now),
                    answered: Instant::now(),
                });
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.client = Some(client);
                true
            }
            Ok(End::NothingWritten) => {
                self.client = Some(client);
                true
            }
            Ok(End::Elsewhere) => {
                self.learn();
                false
            }
            Err(error) => self.note_failure(client, script, &error, &progress),
        }
    }

    fn note_failure(
        &mut self,
        client: Client,
        script: &Script,
        error: &postgres::Error,
        progress: &Progress,
    ) -> bool {
        let code = error.code();
        if code.is_none() || client.is_closed() || code.is_some_and(is_shutdown) {
            // The connection is gone. Only a commit that was asked for can have happened.
            return match progress.committing {
                Some(sent) => {
                    // The old session may still be at its commit; the next transaction is not to race with it.
                    std::thread::sleep(Duration::from_millis(100));
                    self.record.unknown.push(Unknown {
                        effect: script.effect.clone(),
                        server: self.server,
                        sent,
                    });
                    true
                }
                None => false,
            };
        }
        if is_retryable(code) {
            self.keep(client);
            return false;
        }
        self.record.refused.push(script.effect.clone());
        let read_only = code == Some(&SqlState::READ_ONLY_SQL_TRANSACTION);
        if read_only && self.server == Server::Source && progress.use_next_db != Some(false) {
            self.learn();
            if self.learns == Learns::Never {
                self.keep(client);
                // It will be refused for ever; nobody learns more from a hundred times in a second.
                std::thread::sleep(Duration::from_millis(20));
            }
        } else {
            // Who has asked and been told to stay must not be refused; nor whoever was sent to the destination.
            self.record.unexpected.push(format!(
                "{:?} (writer {}, {:?}, told {:?}) on {:?}: {error:?}",
                self.kind, self.number, self.learns, progress.use_next_db, self.server
            ));
            self.keep(client);
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// The source has said that it is not in charge.
    fn learn(&mut self) {
        if self.record.refusals.is_empty() {
            self.shared.moved.fetch_add(1, Ordering::Relaxed);
        }
        self.record.refusals.push(Instant::now());
        if self.learns != Learns::Never {
            self.server = Server::Destination;
        }
    }

    /// Ends a failed transaction and keeps the connection, if it still works.
    fn keep(&mut self, mut client: Client) {
        if client.batch_execute("ROLLBACK").is_ok() {
            self.client = Some(client);
        }
    }

    fn connect(&self) -> Option<Client> {
        let uri = match self.server {
            Server::Source => &self.shared.source,
            Server::Destination => &self.shared.destination,
        };
        let mut config: postgres::Config = uri.parse().expect("a URI for the writers");
        config
            .application_name("writer")
            .connect_timeout(Duration::from_secs(5));
        config.connect(NoTls).ok()
    }
}

fn is_retryable(code: Option<&SqlState>) -> bool {
    [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .map(Some)
    .contains(&code)
}

/// The server ends the session; whether a commit came before is not known.
fn is_shutdown(code: &SqlState) -> bool {
    [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
    ]
    .contains(code)
}
