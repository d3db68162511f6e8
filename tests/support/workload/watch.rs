//! A reader of the destination, whose every snapshot must be one of the source (promise 3).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postgres::{Client, IsolationLevel, NoTls};

use super::Acknowledged;

const PAUSE: Duration = Duration::from_millis(50);

/// Whether what a snapshot shows is complete: a cycle has followed the copy of the last table.
const COMPLETE: &str = "
    SELECT pg_catalog.pg_current_snapshot()::text, max(c.cycle), coalesce(max(c.applied_at) > min(s.copied_at), false)
      FROM switchover.state s LEFT JOIN switchover.confirmation c ON c.applied_at > s.copied_at";

/// Of each writer, how far its entries and transfers go and how many there are.
const ENTRIES: &str = "
    SELECT 'journal', split_part(id, '-', 1)::int, max(split_part(id, '-', 2)::int), count(*)
      FROM workload.journal GROUP BY 2
     UNION ALL
    SELECT 'transfer', split_part(id, '-', 1)::int, max(split_part(id, '-', 2)::int), count(*)
      FROM workload.transfer GROUP BY 2";

/// What is wrong with the money, in words.
const MONEY: &str = "
    SELECT pg_catalog.format('the balances add up to %s', sum(balance)) FROM workload.account HAVING sum(balance) <> 50000
     UNION ALL
    SELECT pg_catalog.format('account %s has %s, its transfers say %s', a.id, a.balance, 1000 + t.sum)
      FROM workload.account a, LATERAL (
          SELECT coalesce(sum(CASE a.id WHEN payee THEN amount ELSE 0 END - CASE a.id WHEN payer THEN amount ELSE 0 END), 0) AS sum
            FROM workload.transfer WHERE a.id IN (payer, payee)) t
     WHERE a.balance <> 1000 + t.sum";

/// What one snapshot of the destination showed.
#[derive(Clone, Debug)]
pub struct Seen {
    snapshot: String,
    cycle: i64,
    /// By table and writer: the highest turn, and the number of ids.
    entries: BTreeMap<(String, i32), (i32, i64)>,
    money: Vec<String>,
}

/// A reader at work. Dropping it stops it.
pub struct Watch {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    reader: Option<JoinHandle<Vec<Seen>>>,
}

impl Watch {
    /// Starts to read. What is not complete yet, or cannot be reached, is passed over.
    pub fn start(destination_uri: &str) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let uri = destination_uri.to_owned();
        let stopped = Arc::clone(&stop);
        let looks = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&looks);
        let reader = std::thread::spawn(move || {
            let mut seen = Vec::new();
            let mut client = None;
            while !stopped.load(Ordering::Relaxed) {
                match look(&mut client, &uri) {
                    Ok(one) => seen.extend(one),
                    // The server is down, or the tables are not there yet.
                    Err(_) => client = None,
                }
                counter.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
            seen
        });
        Watch {
            stop,
            looks,
            reader: Some(reader),
        }
    }

    /// How often it has looked so far, whatever came of it.
    pub fn looks(&self) -> usize {
        self.looks.load(Ordering::Relaxed)
    }

    /// Stops, and returns what was seen, in the order of time.
    pub fn stop(mut self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let reader = self.reader.take().expect("it is stopped once");
        reader.join().expect("a reader panicked")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn look(client: &mut Option<Client>, uri: &str) -> Result<Option<Seen>, postgres::Error> {
    if client.is_none() {
        let mut config: postgres::Config = uri.parse()?;
        config
            .application_name("watch")
            .connect_timeout(Duration::from_secs(5));
        *client = Some(config.connect(NoTls)?);
    }
    let client = client.as_mut().expect("it was connected just now");
    let mut transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()?;
    let there = "SELECT to_regclass('switchover.confirmation') IS NOT NULL";
    if !transaction.query_one(there, &[])?.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = transaction.query_one(COMPLETE, &[])?;
    if !row.get::<_, bool>(2) {
        return Ok(None);
    }
    let (snapshot, cycle) = (row.get(0), row.get(1));
    let entries = transaction.query(ENTRIES, &[])?;
    let money = transaction.query(MONEY, &[])?;
    Ok(Some(Seen {
        snapshot,
        cycle,
        entries: entries
            .iter()
            .map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3))))
            .collect(),
        money: money.iter().map(|row| row.get(0)).collect(),
    }))
}

/// A table, a writer and its turn.
fn place(table: &str, id: &str) -> ((String, i32), i32) {
    let mut parts = id.split('-').map(|part| part.parse().unwrap_or_default());
    let mut part = || parts.next().unwrap_or_default();
    ((table.to_owned(), part()), part())
}

type Writer = (String, i32);

/// What a writer did to a table, in the order of its turns, which is that of time.
#[derive(Default)]
struct History {
    /// Turn, and when its commit was sent and answered.
    acknowledged: Vec<(i32, Instant, Instant)>,
    /// The turns of what is in the database in charge in the end.
    committed: Vec<i32>,
}

/// Lists what is wrong with each snapshot. Given all that was acknowledged, and the ids that are in the
/// database in charge in the end.
pub(super) fn contradictions<'a>(
    seen: &[Seen],
    acknowledged: impl Iterator<Item = &'a Acknowledged>,
    committed: &[(&str, String)],
) -> Vec<String> {
    let mut histories: BTreeMap<Writer, History> = BTreeMap::new();
    for one in acknowledged {
        for table in ["journal", "transfer"] {
            for id in one.effect.ids(table) {
                let (writer, turn) = place(table, id);
                let history = histories.entry(writer).or_default();
                history.acknowledged.push((turn, one.sent, one.answered));
            }
        }
    }
    for (table, id) in committed {
        let (writer, turn) = place(table, id);
        histories.entry(writer).or_default().committed.push(turn);
    }
    for history in histories.values_mut() {
        history.acknowledged.sort();
        history.committed.sort_unstable();
    }
    let mut found = Vec::new();
    let mut before: Option<&Seen> = None;
    for one in seen {
        let mut wrong = one.money.clone();
        wrong.extend(gaps(one, &histories));
        wrong.extend(out_of_order(one, &histories));
        wrong.extend(before.and_then(|before| goes_back(before, one)));
        before = Some(one);
        found.extend(wrong.into_iter().map(|wrong| {
            format!(
                "after cycle {}, snapshot {} of the destination: {wrong}",
                one.cycle, one.snapshot
            )
        }));
    }
    found
}

/// Each writer's ids up to the highest that is there are all there.
fn gaps(seen: &Seen, histories: &BTreeMap<Writer, History>) -> Vec<String> {
    let nothing = History::default();
    let wrong = seen.entries.iter().filter_map(|(writer, (last, count))| {
        let history = histories.get(writer).unwrap_or(&nothing);
        let least = history.acknowledged.partition_point(|one| one.0 <= *last);
        let most = history.committed.partition_point(|turn| turn <= last);
        let (least, most) = (least as i64, most as i64);
        (*count < least || *count > most).then(|| {
            format!(
                "{count} in {} of writer {} up to turn {last}, where {least} to {most} were committed",
                writer.0, writer.1
            )
        })
    });
    wrong.collect()
}

/// What was acknowledged before something that is there was sent is there, too.
fn out_of_order(seen: &Seen, histories: &BTreeMap<Writer, History>) -> Option<String> {
    let split = histories.iter().map(|(writer, history)| {
        let last = seen.entries.get(writer).map_or(0, |(last, _)| *last);
        let at = history.acknowledged.partition_point(|one| one.0 <= last);
        (writer, history.acknowledged.split_at(at))
    });
    let split: Vec<_> = split.collect();
    let there = split.iter().filter_map(|(writer, (there, _))| {
        let (turn, sent, _) = there.last()?;
        Some((*sent, *writer, *turn))
    });
    let missing = split.iter().filter_map(|(writer, (_, missing))| {
        let (turn, _, answered) = missing.first()?;
        Some((*answered, *writer, *turn))
    });
    let (sent, last, last_turn) = there.max()?;
    let (answered, first, first_turn) = missing.min()?;
    (answered < sent).then(|| {
        format!(
            "turn {last_turn} of {last:?} is there, and turn {first_turn} of {first:?} is not, which was acknowledged {:?} before that was sent",
            sent - answered
        )
    })
}

fn goes_back(before: &Seen, now: &Seen) -> Option<String> {
    let lost = before
        .entries
        .iter()
        .find(|(writer, (last, _))| now.entries.get(*writer).is_none_or(|(now, _)| now < last));
    lost.map(|(writer, (last, _))| {
        format!(
            "{writer:?} went back from turn {last} to {:?}",
            now.entries.get(writer)
        )
    })
}
