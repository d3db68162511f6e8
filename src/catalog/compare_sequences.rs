//! What differs between the sequences of the two sides. Where they stand is carried over; how they go on
//! from there belongs to their definitions.

use std::collections::HashMap;

use super::compare::Difference;
use super::{Catalog, Sequence, SequenceType};
use crate::ident::QualifiedName;

/// Compares what the destination must not have otherwise: it would give out other values than the source
/// after the switch, or end earlier, or could not even be set to where the source stands.
pub(super) fn compare_sequences(source: &Catalog, destination: &Catalog) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (sequence, other) in pairs(source, destination) {
        match other {
            None => differences.push(missing(sequence)),
            Some(other) => differ(&sequence.name, &sequence.how, &other.how, &mut differences),
        }
    }
    differences
}

fn missing(Sequence { name, how, .. }: &Sequence) -> Difference {
    Difference {
        name: name.clone(),
        what: format!("sequence {name} is missing on the destination"),
        mend: format!(
            "there: CREATE SEQUENCE {name} AS {} INCREMENT {} MINVALUE {} MAXVALUE {} START {} CACHE {}{}",
            how.type_name,
            how.increment,
            how.lowest,
            how.highest,
            how.start,
            how.cache,
            if how.cycles { " CYCLE" } else { "" }
        ),
    }
}

/// Compares what may be otherwise, and ought to be known.
pub fn looser_sequences(source: &Catalog, destination: &Catalog) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (sequence, other) in pairs(source, destination) {
        let Some(other) = other else { continue };
        let (name, here, there) = (&sequence.name, &sequence.how, &other.how);
        let mut found = Vec::new();
        differ(name, here, there, &mut found);
        if found.is_empty() && here != there {
            differences.push(Difference {
                name: name.clone(),
                what: format!(
                    "sequence {name} is not quite the same on the destination: {}",
                    loosely(here, there)
                ),
                mend: String::new(),
            });
        }
    }
    differences
}

fn pairs<'a>(
    source: &'a Catalog,
    destination: &'a Catalog,
) -> impl Iterator<Item = (&'a Sequence, Option<&'a Sequence>)> {
    let there: HashMap<&QualifiedName, &Sequence> = destination
        .sequences
        .iter()
        .map(|sequence| (&sequence.name, sequence))
        .collect();
    source
        .sequences
        .iter()
        .map(move |sequence| (sequence, there.get(&sequence.name).copied()))
}

fn differ(
    name: &QualifiedName,
    here: &SequenceType,
    there: &SequenceType,
    differences: &mut Vec<Difference>,
) {
    let mut push = |what: String, mend: String| {
        differences.push(Difference {
            name: name.clone(),
            what: format!("sequence {name} {what}"),
            mend: format!("ALTER SEQUENCE {name} {mend} there"),
        });
    };
    let both =
        |here: i64, there: i64| format!("{here} on the source and at {there} on the destination");
    if here.increment != there.increment {
        push(
            format!(
                "counts by {} on the source and by {} on the destination",
                here.increment, there.increment
            ),
            format!("INCREMENT BY {}", here.increment),
        );
    }
    if here.cycles != there.cycles {
        let (side, no) = if here.cycles {
            ("source", "")
        } else {
            ("destination", "NO ")
        };
        push(
            format!("begins again after its last value on the {side} only"),
            format!("{no}CYCLE"),
        );
    }
    // Wider bounds do no harm, unless the sequence begins again at them.
    if there.highest < here.highest || here.cycles && there.highest != here.highest {
        push(
            format!("ends at {}", both(here.highest, there.highest)),
            format!("AS {} MAXVALUE {}", here.type_name, here.highest),
        );
    }
    if there.lowest > here.lowest || here.cycles && there.lowest != here.lowest {
        push(
            format!(
                "has its lowest value at {}",
                both(here.lowest, there.lowest)
            ),
            format!("AS {} MINVALUE {}", here.type_name, here.lowest),
        );
    }
}

fn loosely(here: &SequenceType, there: &SequenceType) -> String {
    let mut parts = Vec::new();
    let mut part = |what: &str, here: String, there: String| {
        if here != there {
            parts.push(format!("{what} {there} instead of {here}"));
        }
    };
    part("type", here.type_name.clone(), there.type_name.clone());
    part("start", here.start.to_string(), there.start.to_string());
    part("minimum", here.lowest.to_string(), there.lowest.to_string());
    part(
        "maximum",
        here.highest.to_string(),
        there.highest.to_string(),
    );
    part("cache", here.cache.to_string(), there.cache.to_string());
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(change: impl Fn(&mut SequenceType)) -> Vec<String> {
        let here = SequenceType {
            type_name: "bigint".to_string(),
            start: 1,
            increment: 1,
            lowest: 1,
            highest: 100,
            cache: 1,
            cycles: false,
        };
        let mut there = here.clone();
        change(&mut there);
        let mut differences = Vec::new();
        let name = QualifiedName::new("s", "q");
        differ(&name, &here, &there, &mut differences);
        differences
            .into_iter()
            .map(|difference| difference.what)
            .collect()
    }

    #[test]
    fn only_what_changes_the_values_counts() {
        assert!(whats(|there| there.highest = 1000).is_empty());
        assert!(whats(|there| there.cache = 50).is_empty());
        assert_eq!(
            whats(|there| there.highest = 10),
            [r#"sequence "s"."q" ends at 100 on the source and at 10 on the destination"#]
        );
        assert_eq!(
            whats(|there| there.cycles = true),
            [r#"sequence "s"."q" begins again after its last value on the destination only"#]
        );
    }
}
