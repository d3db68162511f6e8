//! What the writers know, held against what a database says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use postgres::Client;

use super::writer::Record;
use super::{Acknowledged, Effect, Server};

/// What all writers know after their end.
pub struct Testimony {
    records: Vec<Record>,
}

impl Testimony {
    pub(super) fn new(records: Vec<Record>) -> Testimony {
        Testimony { records }
    }

    fn acknowledged(&self) -> impl Iterator<Item = &Acknowledged> {
        self.records.iter().flat_map(|record| &record.acknowledged)
    }

    /// How many transactions were acknowledged by a server.
    pub fn acknowledged_by(&self, server: Server) -> usize {
        self.acknowledged()
            .filter(|one| one.server == server)
            .count()
    }

    /// How many writers the source refused.
    pub fn refusals(&self) -> usize {
        self.records
            .iter()
            .map(|record| record.refusals.len())
            .sum()
    }

    /// How many transactions have an unknown fate.
    pub fn unknown(&self) -> usize {
        self.records.iter().map(|record| record.unknown.len()).sum()
    }

    /// The longest time during which no writer at all got an acknowledgement.
    pub fn longest_gap(&self) -> Duration {
        longest_gap(self.acknowledged().map(|one| one.answered).collect())
    }

    /// The longest time between two acknowledgements of the same writer: what one application felt.
    pub fn longest_gap_of_a_writer(&self) -> Duration {
        self.records
            .iter()
            .map(|record| longest_gap(record.acknowledged.iter().map(|one| one.answered).collect()))
            .max()
            .unwrap_or_default()
    }

    /// Holds the testimony against the database in charge.
    ///
    /// # Panics
    /// With every contradiction.
    pub fn check(&self, client: &mut Client) {
        let found = self.contradictions(client);
        assert!(
            found.is_empty(),
            "the database contradicts the writers ({} acknowledged by the source, {} by the destination, {} refusals, {} unknown):\n{}",
            self.acknowledged_by(Server::Source),
            self.acknowledged_by(Server::Destination),
            self.refusals(),
            self.unknown(),
            found.join("\n")
        );
    }

    /// Lists what cannot be true at once: lost, doubled or resurrected writes, broken invariants, writes that
    /// the source acknowledged after it had refused one, and errors that no writer should have got.
    pub fn contradictions(&self, client: &mut Client) -> Vec<String> {
        let mut found: Vec<String> = self
            .records
            .iter()
            .flat_map(|record| record.unexpected.clone())
            .collect();
        self.check_refusal_is_final(&mut found);
        self.check_ids(client, "journal", &mut found);
        self.check_ids(client, "transfer", &mut found);
        self.check_accounts(client, &mut found);
        self.check_counters(client, &mut found);
        self.check_slots(client, &mut found);
        found
    }

    /// A commit that was sent after some refusal had arrived must not be acknowledged by the source.
    fn check_refusal_is_final(&self, found: &mut Vec<String>) {
        let first = self
            .records
            .iter()
            .flat_map(|record| &record.refusals)
            .min();
        let Some(first) = first else { return };
        for one in self.acknowledged() {
            if one.server == Server::Source && one.sent > *first {
                found.push(format!(
                    "the source acknowledged {:?}, sent {:?} after its first refusal",
                    one.effect,
                    one.sent - *first
                ));
            }
        }
    }

    /// Every acknowledged id once, no refused one, the unknown ones at most once, and no others.
    fn check_ids(&self, client: &mut Client, table: &str, found: &mut Vec<String>) {
        let sql = format!("SELECT id, count(*) FROM workload.{table} GROUP BY id");
        let present: BTreeMap<String, i64> = client
            .query(&sql, &[])
            .expect("ids")
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        let acknowledged: BTreeSet<&str> = self
            .acknowledged()
            .flat_map(|one| ids(&one.effect, table))
            .collect();
        let refused: BTreeSet<&str> = self
            .records
            .iter()
            .flat_map(|record| &record.refused)
            .flat_map(|effect| ids(effect, table))
            .collect();
        let unknown: BTreeSet<&str> = self
            .records
            .iter()
            .flat_map(|record| &record.unknown)
            .flat_map(|(effect, _)| ids(effect, table))
            .collect();
        for id in &acknowledged {
            if !present.contains_key(*id) {
                found.push(format!("{table} {id} was acknowledged and is lost"));
            }
        }
        for (id, count) in &present {
            if *count > 1 {
                found.push(format!("{table} {id} is there {count} times"));
            }
            let id = id.as_str();
            if refused.contains(id) {
                found.push(format!("{table} {id} was refused and is there"));
            } else if !acknowledged.contains(id) && !unknown.contains(id) {
                found.push(format!("{table} {id} is there, but nobody committed it"));
            }
        }
    }

    fn check_accounts(&self, client: &mut Client, found: &mut Vec<String>) {
        let sum: i64 = client
            .query_one("SELECT sum(balance)::bigint FROM workload.account", &[])
            .expect("balances")
            .get(0);
        if sum != 50_000 {
            found.push(format!("the balances add up to {sum}, not 50000"));
        }
        let wrong = "
            SELECT a.id, a.balance, 1000
                + (SELECT coalesce(sum(amount), 0)::bigint FROM workload.transfer WHERE payee = a.id)
                - (SELECT coalesce(sum(amount), 0)::bigint FROM workload.transfer WHERE payer = a.id) AS expected
            FROM workload.account a";
        for row in client.query(wrong, &[]).expect("accounts") {
            let (id, balance, expected): (i32, i64, i64) = (row.get(0), row.get(1), row.get(2));
            if balance != expected {
                found.push(format!(
                    "account {id} has {balance}, its transfers say {expected}"
                ));
            }
        }
    }

    fn check_counters(&self, client: &mut Client, found: &mut Vec<String>) {
        let count = |effect: &Effect, id: i32| i64::from(*effect == Effect::Counter(id));
        for row in client
            .query("SELECT id, n FROM workload.counter", &[])
            .expect("counters")
        {
            let (id, n): (i32, i64) = (row.get(0), row.get(1));
            let least: i64 = self.acknowledged().map(|one| count(&one.effect, id)).sum();
            let unknown = self.records.iter().flat_map(|record| &record.unknown);
            let most = least + unknown.map(|(effect, _)| count(effect, id)).sum::<i64>();
            if !(least..=most).contains(&n) {
                found.push(format!(
                    "counter {id} is {n}, {least} to {most} were counted"
                ));
            }
        }
    }

    /// A slot holds what its last acknowledged transaction left, or a later unknown one.
    fn check_slots(&self, client: &mut Client, found: &mut Vec<String>) {
        let mut present: BTreeMap<(i32, i32), String> = client
            .query("SELECT writer, number, content FROM workload.slot", &[])
            .expect("slots")
            .iter()
            .map(|row| ((row.get(0), row.get(1)), row.get(2)))
            .collect();
        for (key, allowed) in self.allowed_slots() {
            let actual = present.remove(&key);
            if !allowed.contains(&actual) {
                found.push(format!("slot {key:?} holds {actual:?}, not {allowed:?}"));
            }
        }
        for (key, content) in present {
            found.push(format!("slot {key:?} holds {content}, nobody wrote it"));
        }
    }

    fn allowed_slots(&self) -> BTreeMap<(i32, i32), Vec<Option<String>>> {
        let known = self.acknowledged().map(|one| (one.sent, true, &one.effect));
        let unknown = self
            .records
            .iter()
            .flat_map(|record| &record.unknown)
            .map(|(effect, sent)| (*sent, false, effect));
        let mut history: Vec<(Instant, bool, &Effect)> = known.chain(unknown).collect();
        history.sort_by_key(|(sent, ..)| *sent);
        let mut allowed: BTreeMap<(i32, i32), Vec<Option<String>>> = BTreeMap::new();
        for (_, certain, effect) in history {
            if let Effect::Slot {
                writer,
                number,
                content,
            } = effect
            {
                let states = allowed
                    .entry((*writer, *number))
                    .or_insert_with(|| vec![None]);
                if certain {
                    states.clear();
                }
                states.push(content.clone());
            }
        }
        allowed
    }
}

fn ids<'a>(effect: &'a Effect, table: &str) -> Vec<&'a str> {
    match (effect, table) {
        (Effect::Journal(ids), "journal") => ids.iter().map(String::as_str).collect(),
        (Effect::Transfer(id), "transfer") => vec![id],
        _ => Vec::new(),
    }
}

fn longest_gap(mut times: Vec<Instant>) -> Duration {
    times.sort();
    times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default()
}
