//! One database, held against what some of the transactions have done to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use postgres::Client;

use super::super::{Acknowledged, Effect, Unknown};

/// The transactions that a database is to hold.
pub(super) struct View<'a> {
    pub(super) acknowledged: Vec<&'a Acknowledged>,
    pub(super) unknown: Vec<&'a Unknown>,
    pub(super) refused: Vec<&'a Effect>,
}

/// How often each id is in a table.
pub(super) fn ids_in(client: &mut Client, table: &str) -> BTreeMap<String, i64> {
    let sql = format!("SELECT id, count(*) FROM workload.{table} GROUP BY id");
    let rows = client.query(&sql, &[]).expect("ids");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

impl View<'_> {
    /// Everything that was or may have been done.
    pub(super) fn effects(&self) -> impl Iterator<Item = &Effect> {
        let known = self.acknowledged.iter().map(|one| &one.effect);
        known.chain(self.unknown.iter().map(|one| &one.effect))
    }

    /// Lists what cannot be true at once.
    pub(super) fn check(&self, client: &mut Client) -> Vec<String> {
        let mut found = Vec::new();
        self.check_ids(client, "journal", &mut found);
        self.check_ids(client, "transfer", &mut found);
        check_accounts(client, &mut found);
        self.check_counters(client, &mut found);
        self.check_slots(client, &mut found);
        found
    }

    /// Every acknowledged id once, no refused one, the unknown ones at most once, and no others.
    fn check_ids(&self, client: &mut Client, table: &str, found: &mut Vec<String>) {
        let present = ids_in(client, table);
        let acknowledged: BTreeSet<&str> = self
            .acknowledged
            .iter()
            .flat_map(|one| one.effect.ids(table))
            .collect();
        let refused: BTreeSet<&str> = self
            .refused
            .iter()
            .flat_map(|effect| effect.ids(table))
            .collect();
        let unknown: BTreeSet<&str> = self
            .unknown
            .iter()
            .flat_map(|one| one.effect.ids(table))
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

    fn check_counters(&self, client: &mut Client, found: &mut Vec<String>) {
        let count = |effect: &Effect, id: i32| i64::from(*effect == Effect::Counter(id));
        for row in client
            .query("SELECT id, n FROM workload.counter", &[])
            .expect("counters")
        {
            let (id, n): (i32, i64) = (row.get(0), row.get(1));
            let known = self.acknowledged.iter();
            let least: i64 = known.map(|one| count(&one.effect, id)).sum();
            let unknown = self.unknown.iter();
            let most = least + unknown.map(|one| count(&one.effect, id)).sum::<i64>();
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
        let known = self.acknowledged.iter();
        let known = known.map(|one| (one.sent, true, &one.effect));
        let unknown = self.unknown.iter();
        let unknown = unknown.map(|one| (one.sent, false, &one.effect));
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

fn check_accounts(client: &mut Client, found: &mut Vec<String>) {
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
