//! What the writers know, held against what the databases say.

mod judge;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use postgres::Client;

use super::watch::{self, Seen};
use super::writer::Record;
use super::{Acknowledged, Server, Unknown};
use judge::View;

/// What all writers know after their end.
pub struct Testimony {
    records: Vec<Record>,
}

impl Testimony {
    pub(super) fn new(records: Vec<Record>) -> Testimony {
        Testimony { records }
    }

    /// How many transactions were acknowledged.
    pub fn number_acknowledged(&self) -> usize {
        self.acknowledged().count()
    }

    fn acknowledged(&self) -> impl Iterator<Item = &Acknowledged> {
        self.records.iter().flat_map(|record| &record.acknowledged)
    }

    fn unknowns(&self) -> impl Iterator<Item = &Unknown> {
        self.records.iter().flat_map(|record| &record.unknown)
    }

    /// How many transactions were acknowledged by a server.
    pub fn acknowledged_by(&self, server: Server) -> usize {
        self.acknowledged()
            .filter(|one| one.server == server)
            .count()
    }

    /// How often the source refused a writer, or told one to go.
    pub fn refusals(&self) -> usize {
        self.records
            .iter()
            .map(|record| record.refusals.len())
            .sum()
    }

    /// How many transactions have an unknown fate.
    pub fn unknown(&self) -> usize {
        self.unknowns().count()
    }

    /// The ids that were refused, and so must not be in a table.
    pub fn refused_ids(&self, table: &str) -> Vec<String> {
        let refused = self.records.iter().flat_map(|record| &record.refused);
        let ids = refused.flat_map(|effect| effect.ids(table));
        ids.map(str::to_owned).collect()
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
        self.demand_none(&self.contradictions(client));
    }

    /// Holds the testimony against both databases after a switchover: the destination is in charge, and the
    /// source has what it acknowledged and nothing from after the flip.
    ///
    /// # Panics
    /// With every contradiction.
    pub fn check_both(&self, source: &mut Client, destination: &mut Client) {
        let mut found = self.contradictions(destination);
        found.extend(self.contradictions_of_source(source, destination));
        self.demand_none(&found);
    }

    /// Panics with what was found, if anything was.
    pub fn demand_none(&self, found: &[String]) {
        assert!(
            found.is_empty(),
            "the databases contradict the writers ({} acknowledged by the source, {} by the destination, {} refusals, {} unknown):\n{}",
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
        found.extend(
            self.view(&[Server::Source, Server::Destination])
                .check(client),
        );
        found
    }

    /// Lists how the source, after the flip, is not what it had acknowledged, or not what the destination
    /// has been given: what it holds, and only that, was carried over.
    pub fn contradictions_of_source(
        &self,
        source: &mut Client,
        destination: &mut Client,
    ) -> Vec<String> {
        let mut found: Vec<String> = self
            .view(&[Server::Source])
            .check(source)
            .into_iter()
            .map(|line| format!("on the old source, {line}"))
            .collect();
        for table in ["journal", "transfer"] {
            let there = judge::ids_in(destination, table);
            let view = self.view(&[Server::Destination]);
            let sent_there: BTreeSet<&str> = view
                .effects()
                .flat_map(|effect| effect.ids(table))
                .collect();
            let carried: BTreeSet<&String> = there
                .keys()
                .filter(|id| !sent_there.contains(id.as_str()))
                .collect();
            let left = judge::ids_in(source, table);
            let left: BTreeSet<&String> = left.keys().collect();
            for id in left.difference(&carried) {
                found.push(format!(
                    "{table} {id} is on the source and was not carried over"
                ));
            }
            for id in carried.difference(&left) {
                found.push(format!(
                    "{table} {id} was carried over and is not on the source"
                ));
            }
        }
        found
    }

    /// Lists who was acknowledged by the wrong server: by the destination before `not_before`, when the source
    /// was seen in charge, or by the source, though sent after `by`, when the destination was.
    pub fn contradictions_of_flip(&self, not_before: Instant, by: Instant) -> Vec<String> {
        self.acknowledged()
            .filter_map(|one| match one.server {
                Server::Destination if one.answered < not_before => Some(format!(
                    "the destination acknowledged {:?} {:?} before the flip",
                    one.effect,
                    not_before - one.answered
                )),
                Server::Source if one.sent > by => Some(format!(
                    "the source acknowledged {:?}, sent {:?} after the flip",
                    one.effect,
                    one.sent - by
                )),
                _ => None,
            })
            .collect()
    }

    /// Lists which snapshots of the destination were no snapshots of the source. `client` is a session of the
    /// database in charge, which has the last word about transactions whose answer was lost.
    pub fn contradictions_of_watch(&self, seen: &[Seen], client: &mut Client) -> Vec<String> {
        let mut committed = Vec::new();
        for table in ["journal", "transfer"] {
            committed.extend(
                judge::ids_in(client, table)
                    .into_keys()
                    .map(|id| (table, id)),
            );
        }
        watch::contradictions(seen, self.acknowledged(), &committed)
    }

    fn view(&self, servers: &[Server]) -> View<'_> {
        View {
            acknowledged: self
                .acknowledged()
                .filter(|one| servers.contains(&one.server))
                .collect(),
            unknown: self
                .unknowns()
                .filter(|one| servers.contains(&one.server))
                .collect(),
            refused: self
                .records
                .iter()
                .flat_map(|record| &record.refused)
                .collect(),
        }
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
}

fn longest_gap(mut times: Vec<Instant>) -> Duration {
    times.sort();
    times
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default()
}
