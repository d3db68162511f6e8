//! Measures how long plain sessions have to wait: several writers and a reader, each with single statements
//! in autocommit, and a look from outside at whom a writer waits for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::{Client, Config, NoTls};

/// What the writers and the reader call themselves.
const PLAIN: &str = "plain session";

/// Writers that wait, with the session of the program that they wait for: directly, behind it in a queue, or
/// behind others who wait for it.
const HELD: &str = "
    WITH RECURSIVE chain (writer, pid) AS (
        SELECT a.pid, b.pid
          FROM pg_stat_activity a, unnest(pg_blocking_pids(a.pid)) AS b (pid)
         WHERE a.application_name = 'plain session' AND a.wait_event_type = 'Lock'
        UNION
        SELECT c.writer, b.pid FROM chain c, unnest(pg_blocking_pids(c.pid)) AS b (pid))
    SELECT DISTINCT ON (c.writer) c.writer, o.application_name
      FROM chain c JOIN pg_stat_activity o ON o.pid = c.pid
     WHERE o.application_name LIKE 'pg\\_switchover: %'";

/// The longest waits since the last lap.
#[derive(Debug, Clone, Default)]
pub struct Stall {
    /// From a plain writer's statement to its answer.
    pub writer: Duration,
    /// From a plain reader's statement to its answer.
    pub reader: Duration,
    /// For how long some writer was seen to wait for the program, without a break.
    pub held: Duration,
    /// The session that it waited for then.
    pub holder: String,
    /// Statements that were answered.
    pub statements: u64,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "longest stall of a plain writer: {} ms ({} ms of it held up by us{}), of a reader: {} ms, in {} statements",
            self.writer.as_millis(),
            self.held.as_millis(),
            match self.holder.as_str() {
                "" => String::new(),
                holder => format!(": {holder}"),
            },
            self.reader.as_millis(),
            self.statements,
        )
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    stall: Mutex<Stall>,
    /// When the statements that are under way were sent, by the session's number.
    sent: Mutex<BTreeMap<usize, (bool, Instant)>>,
}

/// Plain sessions at work. Dropping it ends them.
pub struct Meter {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Meter {
    /// Starts two writers for each table, a busy and a rare one, and a reader. The tables have columns `id`, the
    /// key, and `n`, and rows with the ids 1 and 2.
    pub fn start(uri: &str, tables: &[&str]) -> Meter {
        let mut meter = Meter {
            shared: Arc::default(),
            threads: Vec::new(),
        };
        for table in tables {
            let busy = format!("UPDATE {table} SET n = n + 1 WHERE id = 1");
            let rare = format!("UPDATE {table} SET n = n + 1 WHERE id = 2");
            meter.spawn(uri, true, busy, Duration::from_millis(10));
            meter.spawn(uri, true, rare, Duration::from_millis(150));
        }
        let all = tables
            .iter()
            .map(|table| format!("SELECT n FROM {table} WHERE id = 1"));
        let all = all.collect::<Vec<_>>().join(" UNION ALL ");
        meter.spawn(uri, false, all, Duration::from_millis(20));
        let (shared, mut looker) = (Arc::clone(&meter.shared), connect(uri, "stall meter"));
        meter
            .threads
            .push(std::thread::spawn(move || look(&shared, &mut looker)));
        meter
    }

    fn spawn(&mut self, uri: &str, writes: bool, sql: String, pause: Duration) {
        let (shared, number) = (Arc::clone(&self.shared), self.threads.len());
        let mut client = connect(uri, PLAIN);
        self.threads.push(std::thread::spawn(move || {
            while !shared.stop.load(Ordering::Relaxed) {
                let sent = Instant::now();
                shared.sent.lock().unwrap().insert(number, (writes, sent));
                // Refused after the flip, or the table is gone: an answer as well.
                let _ = client.batch_execute(&sql);
                shared.sent.lock().unwrap().remove(&number);
                let mut stall = shared.stall.lock().unwrap();
                note(&mut stall, writes, sent);
                stall.statements += 1;
                drop(stall);
                std::thread::sleep(pause);
            }
        }));
    }

    /// Returns the longest waits since the last lap, those that still last included, and begins a new lap.
    pub fn lap(&self) -> Stall {
        let mut stall = self.shared.stall.lock().unwrap();
        for (writes, sent) in self.shared.sent.lock().unwrap().values_mut() {
            note(&mut stall, *writes, *sent);
        }
        std::mem::take(&mut stall)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn note(stall: &mut Stall, writes: bool, sent: Instant) {
    let longest = match writes {
        true => &mut stall.writer,
        false => &mut stall.reader,
    };
    *longest = (*longest).max(sent.elapsed());
}

fn look(shared: &Shared, looker: &mut Client) {
    let mut since: BTreeMap<i32, Instant> = BTreeMap::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok(rows) = looker.query(HELD, &[]) else {
            return;
        };
        let now = Instant::now();
        let held: BTreeMap<i32, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        since.retain(|writer, _| held.contains_key(writer));
        for (writer, holder) in held {
            let time = now - *since.entry(writer).or_insert(now);
            let mut stall = shared.stall.lock().unwrap();
            if time >= stall.held {
                (stall.held, stall.holder) = (time, holder);
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn connect(uri: &str, name: &str) -> Client {
    let mut config: Config = uri.parse().unwrap();
    config.application_name(name).connect(NoTls).unwrap()
}
