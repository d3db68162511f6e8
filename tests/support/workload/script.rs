//! What a transaction of a writer sends, and what it does to the tables.

use std::time::{Duration, Instant};

use postgres::{Client, SimpleQueryMessage};

use super::{Effect, Isolation, Kind};

/// Statements with the pauses between them.
pub(super) struct Script {
    /// `None`: a single statement, its own transaction.
    pub(super) begin: Option<Isolation>,
    pub(super) steps: Vec<Step>,
    pub(super) effect: Effect,
}

pub(super) enum Step {
    Sql(String),
    Pause(Duration),
}

/// How a transaction that was sent has got on, for when it does not end well.
#[derive(Default)]
pub(super) struct Progress {
    /// What the source said when it was asked; `None` where nobody has asked, or `init` has not come by.
    pub(super) use_next_db: Option<bool>,
    /// When the statement that commits was sent.
    pub(super) committing: Option<Instant>,
}

/// How a transaction ended that did not fail.
pub(super) enum End {
    Committed,
    /// It committed, and has changed no row: a database that takes no writes may let it pass.
    NothingWritten,
    /// The source, asked first, has named the other database.
    Elsewhere,
}

impl Script {
    /// Decides what transaction `turn` of writer `number` does.
    pub(super) fn new(kind: Kind, number: i32, turn: u64) -> Script {
        let id = format!("{number}-{turn}");
        let insert = |id: &str| {
            Step::Sql(format!(
                "INSERT INTO workload.journal (id, note) VALUES ('{id}', repeat('n', {}))",
                turn % 100
            ))
        };
        match kind {
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

    /// Sends the transaction, and tells how it ended where it did not fail.
    pub(super) fn send(
        &self,
        client: &mut Client,
        ask: bool,
        progress: &mut Progress,
    ) -> Result<End, postgres::Error> {
        // Who asks does so in the same transaction, or the answer would be old when it writes.
        let begin = self.begin.or(ask.then_some(Isolation::ReadCommitted));
        if let Some(isolation) = begin {
            let begin = format!("BEGIN ISOLATION LEVEL {}", isolation.sql());
            client.batch_execute(&begin)?;
            if ask {
                progress.use_next_db = self.ask(client, &begin)?;
                if progress.use_next_db == Some(true) {
                    client.batch_execute("ROLLBACK")?;
                    return Ok(End::Elsewhere);
                }
            }
        } else {
            progress.committing = Some(Instant::now());
        }
        let mut rows = 0;
        for step in &self.steps {
            match step {
                Step::Sql(sql) => rows += rows_written(client, sql)?,
                Step::Pause(pause) => std::thread::sleep(*pause),
            }
        }
        if begin.is_some() {
            progress.committing = Some(Instant::now());
            client.batch_execute("COMMIT")?;
        }
        Ok(match rows {
            0 => End::NothingWritten,
            _ => End::Committed,
        })
    }

    /// Asks which database to use. Before `init` there is nothing to ask: `None`, in a new transaction.
    fn ask(&self, client: &mut Client, begin: &str) -> Result<Option<bool>, postgres::Error> {
        match client.query_one("SELECT switchover.use_next_db()", &[]) {
            Ok(row) => Ok(Some(row.get(0))),
            Err(error)
                if error
                    .code()
                    .is_some_and(|code| ["3F000", "42883"].contains(&code.code())) =>
            {
                client.batch_execute(&format!("ROLLBACK; {begin}"))?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn rows_written(client: &mut Client, sql: &str) -> Result<u64, postgres::Error> {
    let messages = client.simple_query(sql)?;
    let counts = messages.iter().map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) if !sql.starts_with("SELECT") => *rows,
        _ => 0,
    });
    Ok(counts.sum())
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
