//! What differs between types of one name: their labels, attributes, or what they are over. Values travel
//! as text or as labels, so a type that is made otherwise would refuse them, or take them for others.

use super::compare::Difference;
use super::{Catalog, Spelled, UserType};
use crate::ident::{QualifiedName, ident, literal};

/// Compares the types that users made and both sides have. One that is missing on the destination shows
/// as the type of a column, or of a part of a type.
pub fn compare_types(source: &Catalog, destination: &Catalog) -> Vec<Difference> {
    source
        .types
        .iter()
        .filter_map(|(name, here)| {
            let (what, mend) = difference(name, here, destination.types.get(name)?)?;
            Some(Difference {
                name: name.clone(),
                what,
                mend,
            })
        })
        .collect()
}

fn difference(name: &QualifiedName, here: &UserType, there: &UserType) -> Option<(String, String)> {
    match (here, there) {
        (UserType::Enum(here), UserType::Enum(there)) => labels(name, here, there),
        (
            UserType::Composite {
                attributes: here,
                of_table,
            },
            UserType::Composite {
                attributes: there, ..
            },
        ) => attributes(name, here, there, *of_table),
        (UserType::Domain(here), UserType::Domain(there)) => over(name, "domain", here, there),
        (UserType::Range(here), UserType::Range(there)) => over(name, "range type", here, there),
        _ => Some((
            format!(
                "type {name} is {} on the source and {} on the destination",
                kind(here),
                kind(there)
            ),
            "make it alike on both sides".to_string(),
        )),
    }
}

fn kind(type_: &UserType) -> &'static str {
    match type_ {
        UserType::Enum(_) => "an enum",
        UserType::Composite { .. } => "a composite",
        UserType::Domain(_) => "a domain",
        UserType::Range(_) => "a range type",
    }
}

fn over(
    name: &QualifiedName,
    kind: &str,
    here: &Spelled,
    there: &Spelled,
) -> Option<(String, String)> {
    (here != there).then(|| {
        (
            format!(
                "{kind} {name} is over {} on the source and {} on the destination",
                here.sql, there.sql
            ),
            format!("drop it there and create it over {}", here.sql),
        )
    })
}

/// Between the labels that both sides have there are gaps; what stands in the same gap on both sides, in
/// equal number, was renamed. Labels that only the destination has would do no harm, but for a renamed one,
/// which its rows may still have: so both must be the same.
fn labels(name: &QualifiedName, here: &[String], there: &[String]) -> Option<(String, String)> {
    if here == there {
        return None;
    }
    let (ours, shared) = gaps(here, there);
    let (theirs, also) = gaps(there, here);
    if shared != also {
        return Some((
            format!("the values of enum {name} stand in another order on the destination"),
            format!("on the source they are {}", list(here)),
        ));
    }
    let (mut there_mends, mut here_mends) = (Vec::new(), Vec::new());
    let mut unclear = false;
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        // New labels go before the next one that is there; several before the same one in their order.
        let next = shared.get(number);
        let place = next.map_or_else(String::new, |next| format!(" BEFORE {}", literal(next)));
        let add = |label: &&str| format!("ALTER TYPE {name} ADD VALUE {}{place}", literal(label));
        match (ours.len(), theirs.len()) {
            (_, 0) => there_mends.extend(ours.iter().map(add)),
            (0, _) => here_mends.extend(theirs.iter().map(add)),
            (a, b) if a == b => there_mends.extend(ours.iter().zip(theirs).map(|(new, old)| {
                let (old, new) = (literal(old), literal(new));
                format!("ALTER TYPE {name} RENAME VALUE {old} TO {new}")
            })),
            _ => unclear = true,
        }
    }
    let (missing, extra) = (list(&ours.concat()), list(&theirs.concat()));
    let what = match (missing.is_empty(), extra.is_empty()) {
        (false, true) => format!("enum {name} has no value {missing} on the destination"),
        (true, _) => format!("enum {name} has value {extra} on the destination only"),
        _ => format!("enum {name} has {missing} on the source and {extra} on the destination"),
    };
    let on = |mends: &[String], place| match mends {
        [] => None,
        some => Some(format!("{} {place}", some.join("; "))),
    };
    let mend = match unclear {
        true => format!(
            "rename or add values, so that they are {} there",
            list(here)
        ),
        false => [on(&there_mends, "there"), on(&here_mends, "on the source")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", and "),
    };
    Some((what, mend))
}

/// Returns the labels that the other side lacks, by the gaps between those that it has, and the latter.
fn gaps<'a>(labels: &'a [String], other: &[String]) -> (Vec<Vec<&'a str>>, Vec<&'a str>) {
    let (mut gaps, mut shared) = (vec![Vec::new()], Vec::new());
    for label in labels {
        if other.contains(label) {
            shared.push(label.as_str());
            gaps.push(Vec::new());
        } else if let Some(gap) = gaps.last_mut() {
            gap.push(label.as_str());
        }
    }
    (gaps, shared)
}

fn list(labels: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = labels.iter().map(|label| literal(label.as_ref())).collect();
    quoted.join(", ")
}

fn attributes(
    name: &QualifiedName,
    here: &[(String, Spelled)],
    there: &[(String, Spelled)],
    of_table: bool,
) -> Option<(String, String)> {
    if here == there {
        return None;
    }
    if of_table {
        return Some((
            format!(
                "the columns of table {name}, whose rows are values of another column, are not the same in the same order on the destination"
            ),
            "make them alike there".to_string(),
        ));
    }
    let find = |list: &[(String, Spelled)], attribute: &str| {
        list.iter().find(|(name, _)| name == attribute).cloned()
    };
    let alter = |what: String| format!("ALTER TYPE {name} {what} CASCADE there");
    for (attribute, type_) in here {
        let quoted = ident(attribute);
        match find(there, attribute) {
            None => {
                return Some((
                    format!("composite type {name} lacks {quoted} on the destination"),
                    alter(format!("ADD ATTRIBUTE {quoted} {}", type_.sql)),
                ));
            }
            Some((_, other)) if other != *type_ => {
                return Some((
                    format!(
                        "{quoted} of composite type {name} is of type {} on the source and {} on the destination",
                        type_.sql, other.sql
                    ),
                    alter(format!("ALTER ATTRIBUTE {quoted} TYPE {}", type_.sql)),
                ));
            }
            Some(_) => {}
        }
    }
    let extra = there
        .iter()
        .find(|(attribute, _)| find(here, attribute).is_none());
    Some(match extra {
        Some((attribute, _)) => (
            format!(
                "composite type {name} has {} on the destination only",
                ident(attribute)
            ),
            alter(format!("DROP ATTRIBUTE {}", ident(attribute))),
        ),
        None => (
            format!(
                "the attributes of composite type {name} stand in another order on the destination"
            ),
            "create it there as it is on the source".to_string(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelled(here: &[&str], there: &[&str]) -> String {
        let list =
            |labels: &[&str]| UserType::Enum(labels.iter().map(ToString::to_string).collect());
        let name = QualifiedName::new("s", "e");
        difference(&name, &list(here), &list(there)).map_or_else(String::new, |(_, mend)| mend)
    }

    #[test]
    fn the_mend_of_an_enum_makes_it_alike() {
        assert_eq!(labelled(&["a", "b"], &["a", "b"]), "");
        assert_eq!(
            labelled(&["a", "n'", "m", "b", "z"], &["a", "b"]),
            "ALTER TYPE \"s\".\"e\" ADD VALUE 'n''' BEFORE 'b'; ALTER TYPE \"s\".\"e\" ADD VALUE 'm' BEFORE 'b'; \
             ALTER TYPE \"s\".\"e\" ADD VALUE 'z' there"
        );
        assert_eq!(
            labelled(&["a", "b"], &["a", "x", "b"]),
            "ALTER TYPE \"s\".\"e\" ADD VALUE 'x' BEFORE 'b' on the source"
        );
        assert_eq!(
            labelled(&["new", "b", "c"], &["old", "b"]),
            "ALTER TYPE \"s\".\"e\" RENAME VALUE 'old' TO 'new'; ALTER TYPE \"s\".\"e\" ADD VALUE 'c' there"
        );
        assert_eq!(
            labelled(&["a", "new", "newer"], &["a", "old"]),
            "rename or add values, so that they are 'a', 'new', 'newer' there"
        );
        assert_eq!(
            labelled(&["a", "b"], &["b", "a"]),
            "on the source they are 'a', 'b'"
        );
    }
}
