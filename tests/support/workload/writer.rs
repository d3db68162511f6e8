//! One writer: a connection, a kind of transaction, and a record of what happened.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::{Acknowledged, Effect, Isolation, Kind, Server, Shared};

/// What one writer knows in the end. Within each list the order is that of time.
pub(super) struct Record {
    pub(super) kind: Kind,
    pub(super) acknowledged: Vec<Acknowledged>,
    /// Refused, or failed before the commit was asked for: must not be in the database.
    pub(super) refused: Vec<Effect>,
    /// The answer to the commit was lost, and when it had been sent: may be in the database.
    pub(super) unknown: Vec<(Effect, Instant)>,
    /// When a refusal with SQLSTATE 25006 by the source arrived.
    pub(super) refusals: Vec<Instant>,
    /// Errors that nobody should get.
    pub(super) unexpected: Vec<String>,
}

pub(super) fn start(shared: Arc<Shared>, number: usize, kind: Kind) -> JoinHandle<Record> {
    std::thread::Builder::new()
        .name(format!("writer-{number}"))
        .spawn(move || Writer::new(shared, number, kind).run())
        .expect("cannot start a thread")
}

struct Writer {
    shared: Arc<Shared>,
    number: i32,
    kind: Kind,
    server: Server,
    client: Option<Client>,
    turn: u64,
    record: Record,
}

/// What a transaction is about to send: statements with the pauses between them.
struct Script {
    begin: Option<Isolation>,
    steps: Vec<Step>,
    effect: Effect,
}

enum Step {
    Sql(String),
    Pause(Duration),
}

impl Writer {
    fn new(shared: Arc<Shared>, number: usize, kind: Kind) -> Writer {
        Writer {
            shared,
            number: number as i32,
            kind,
            server: Server::Source,
            client: None,
            turn: 0,
            record: Record {
                kind,
                acknowledged: Vec::new(),
                refused: Vec::new(),
                unknown: Vec::new(),
                refusals: Vec::new(),
                unexpected: Vec::new(),
            },
        }
    }

    fn run(mut self) -> Record {
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.turn += 1;
            let script = self.script();
            // A serialization failure is tried again as the same transaction.
            while !self.attempt(&script) && !self.shared.stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            std::thread::sleep(self.shared.pause);
        }
        self.record
    }

    /// Runs a transaction once and records its end. False: it left no trace and may be tried again.
    fn attempt(&mut self, script: &Script) -> bool {
        let Some(mut client) = self.client.take().or_else(|| self.connect()) else {
            // The server is down, or ends our connection: an application tries again.
            std::thread::sleep(Duration::from_millis(20));
            return false;
        };
        let mut committing = None;
        let result = execute(&mut client, script, &mut committing);
        match result {
            Ok(()) => {
                self.record.acknowledged.push(Acknowledged {
                    effect: script.effect.clone(),
                    server: self.server,
                    sent: committing.unwrap_or_else(Instant::now),
                    answered: Instant::now(),
                });
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.client = Some(client);
                true
            }
            Err(error) => self.note_failure(client, script, &error, committing),
        }
    }

    fn note_failure(
        &mut self,
        client: Client,
        script: &Script,
        error: &postgres::Error,
        committing: Option<Instant>,
    ) -> bool {
        let code = error.code();
        if code.is_none() || client.is_closed() || code.is_some_and(is_shutdown) {
            // The connection is gone. Only a commit that was asked for can have happened.
            return match committing {
                Some(sent) => {
                    // The old session may still be at its commit; the next transaction is not to race with it.
                    std::thread::sleep(Duration::from_millis(100));
                    self.record.unknown.push((script.effect.clone(), sent));
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
        if code == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) && self.server == Server::Source {
            self.record.refusals.push(Instant::now());
            self.server = Server::Destination;
            self.shared.moved.fetch_add(1, Ordering::Relaxed);
        } else {
            self.record
                .unexpected
                .push(format!("{:?} on {:?}: {error:?}", self.kind, self.server));
            self.keep(client);
        }
        true
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

    /// Decides what the next transaction does.
    fn script(&self) -> Script {
        let (number, turn) = (self.number, self.turn);
        let id = format!("{number}-{turn}");
        let insert = |id: &str| {
            Step::Sql(format!(
                "INSERT INTO workload.journal (id, note) VALUES ('{id}', repeat('n', {}))",
                turn % 100
            ))
        };
        match self.kind {
            Kind::Journal => Script {
                begin: None,
                steps: vec![insert(&id)],
                effect: Effect::Journal(vec![id]),
            },
            Kind::LongJournal(isolation) => {
                let ids: Vec<String> = (0..3).map(|part| format!("{id}-{part}")).collect();
                let pause = || Step::Pause(Duration::from_millis(turn % 30));
                let steps = ids.iter().flat_map(|id| [insert(id), pause()]).collect();
                Script {
                    begin: Some(isolation),
                    steps,
                    effect: Effect::Journal(ids),
                }
            }
            Kind::Straddler(isolation) => Script {
                begin: Some(isolation),
                steps: vec![
                    Step::Sql("SELECT count(*) FROM workload.counter".to_owned()),
                    Step::Pause(Duration::from_millis(100 + turn * 37 % 400)),
                    insert(&id),
                ],
                effect: Effect::Journal(vec![id]),
            },
            Kind::Transfer(isolation) => transfer(id, turn * 31 + number as u64 * 7, isolation),
            Kind::Counter => {
                let counter = (1 + turn % 3) as i32;
                Script {
                    begin: None,
                    steps: vec![Step::Sql(format!(
                        "UPDATE workload.counter SET n = n + 1 WHERE id = {counter}"
                    ))],
                    effect: Effect::Counter(counter),
                }
            }
            Kind::Slot => slot(number, turn),
        }
    }
}

fn transfer(id: String, seed: u64, isolation: Isolation) -> Script {
    let payer = 1 + seed % 50;
    let payee = 1 + (seed / 50 + payer) % 50;
    let amount = 1 + seed % 9;
    let statements = [
        format!("UPDATE workload.account SET balance = balance - {amount} WHERE id = {payer}"),
        format!("UPDATE workload.account SET balance = balance + {amount} WHERE id = {payee}"),
        format!("INSERT INTO workload.transfer VALUES ('{id}', {payer}, {payee}, {amount})"),
    ];
    Script {
        begin: Some(isolation),
        steps: statements.map(Step::Sql).into_iter().collect(),
        effect: Effect::Transfer(id),
    }
}

/// Odd turns write a slot (deleting it first), even ones delete the slot that was written before.
fn slot(writer: i32, turn: u64) -> Script {
    let number = (turn.div_ceil(2) % 7) as i32;
    let delete = format!("DELETE FROM workload.slot WHERE writer = {writer} AND number = {number}");
    let keep = turn % 2 == 1 || turn.is_multiple_of(4);
    let content = keep.then(|| format!("{writer}-{turn}"));
    let mut steps = vec![Step::Sql(delete)];
    if let Some(content) = &content {
        steps.push(Step::Sql(format!(
            "INSERT INTO workload.slot VALUES ({writer}, {number}, '{content}')"
        )));
    }
    Script {
        begin: Some(Isolation::ReadCommitted),
        steps,
        effect: Effect::Slot {
            writer,
            number,
            content,
        },
    }
}

/// Sends a transaction. `committing` is set when the statement that commits is about to be sent.
fn execute(
    client: &mut Client,
    script: &Script,
    committing: &mut Option<Instant>,
) -> Result<(), postgres::Error> {
    if let Some(isolation) = script.begin {
        client.batch_execute(&format!("BEGIN ISOLATION LEVEL {}", isolation.sql()))?;
    } else {
        *committing = Some(Instant::now());
    }
    for step in &script.steps {
        match step {
            Step::Sql(sql) => client.batch_execute(sql)?,
            Step::Pause(pause) => std::thread::sleep(*pause),
        }
    }
    if script.begin.is_some() {
        *committing = Some(Instant::now());
        client.batch_execute("COMMIT")?;
    }
    Ok(())
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
