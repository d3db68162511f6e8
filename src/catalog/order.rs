//! The order that foreign keys ask for: parents before children, with the cycles found.

use std::collections::{BTreeMap, BTreeSet};

use super::{ForeignKey, Oid};

/// Relations in the order in which rows can be inserted; deletes go the other way round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignKeyOrder {
    /// Every relation once, parents first where there is no cycle.
    pub order: Vec<Oid>,
    /// Groups of relations that refer to each other in a circle, self-references left out.
    pub cycles: Vec<Vec<Oid>>,
}

/// Sorts the relations by their foreign keys. Members of a cycle stand next to each other, in the
/// order given; no relation is ever left out.
pub fn order(relations: &[Oid], foreign_keys: &[ForeignKey]) -> ForeignKeyOrder {
    let known: BTreeSet<Oid> = relations.iter().copied().collect();
    let mut parents: BTreeMap<Oid, BTreeSet<Oid>> = BTreeMap::new();
    for key in foreign_keys {
        if key.from != key.to && known.contains(&key.from) && known.contains(&key.to) {
            parents.entry(key.from).or_default().insert(key.to);
        }
    }
    let mut result = ForeignKeyOrder::default();
    let mut left: Vec<Oid> = relations.to_vec();
    while !left.is_empty() {
        let waiting: BTreeSet<Oid> = left.iter().copied().collect();
        let waits = |oid: &Oid| {
            parents
                .get(oid)
                .is_some_and(|parents| !parents.is_disjoint(&waiting))
        };
        let (blocked, ready): (Vec<Oid>, Vec<Oid>) = left.iter().partition(|oid| waits(oid));
        if ready.is_empty() {
            let cycle = first_cycle(&blocked, &parents);
            left.retain(|oid| !cycle.contains(oid));
            result.order.extend(&cycle);
            result.cycles.push(cycle);
        } else {
            result.order.extend(ready);
            left = blocked;
        }
    }
    result
}

/// Returns the strongly connected group that depends on nothing else of those that are blocked:
/// one that reaches the fewest relations reaches only itself.
fn first_cycle(blocked: &[Oid], parents: &BTreeMap<Oid, BTreeSet<Oid>>) -> Vec<Oid> {
    let members: BTreeSet<Oid> = blocked.iter().copied().collect();
    let reach = |start: Oid| {
        let mut seen = BTreeSet::new();
        let mut next = vec![start];
        while let Some(oid) = next.pop() {
            for parent in parents.get(&oid).into_iter().flatten() {
                if members.contains(parent) && seen.insert(*parent) {
                    next.push(*parent);
                }
            }
        }
        seen
    };
    let smallest = blocked
        .iter()
        .map(|oid| reach(*oid))
        .min_by_key(BTreeSet::len)
        .unwrap_or_default();
    blocked
        .iter()
        .copied()
        .filter(|oid| smallest.contains(oid))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(Oid, Oid)]) -> Vec<ForeignKey> {
        pairs
            .iter()
            .map(|&(from, to)| ForeignKey {
                name: format!("{from}_{to}"),
                from,
                to,
            })
            .collect()
    }

    #[test]
    fn parents_come_first() {
        let sorted = order(&[1, 2, 3], &keys(&[(1, 2), (2, 3), (3, 3)]));
        assert_eq!(sorted.order, [3, 2, 1]);
        assert!(sorted.cycles.is_empty());
    }

    #[test]
    fn a_cycle_is_found_and_nothing_that_depends_on_it_is_lost() {
        // 5 → 4 → (1 ⇄ 2) → 3
        let sorted = order(
            &[5, 4, 1, 2, 3],
            &keys(&[(5, 4), (4, 1), (1, 2), (2, 1), (2, 3)]),
        );
        assert_eq!(sorted.order, [3, 1, 2, 4, 5]);
        assert_eq!(sorted.cycles, [[1, 2]]);
    }
}
