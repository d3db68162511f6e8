//! Encodings, collations and the versions of the libraries that sort.

use super::Finding;
use super::report::{named, relation_name};
use super::servers::Facts;
use crate::error::{Result, Side};
use crate::ident::QualifiedName;
use crate::session::Session;

/// Compares the encodings of the two databases.
pub(super) fn encodings(from: &Facts, to: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if from.encoding == "SQL_ASCII" {
        findings.push(Finding::spoils(
            Side::Source,
            "the source's encoding is SQL_ASCII: text that is not UTF-8 cannot be moved",
            "convert such text first",
        ));
    }
    if from.encoding != to.encoding {
        let message = format!(
            "the encoding is {} on the source and {} on the destination",
            from.encoding, to.encoding
        );
        findings.push(if to.encoding == "UTF8" {
            Finding::note(None, message, "every character has a place in UTF8")
        } else {
            Finding::spoils(
                None,
                message,
                "text that has no place there cannot be moved; create the destination database with ENCODING 'UTF8' TEMPLATE template0",
            )
        });
    }
    findings
}

/// Compares the databases' own collations.
pub(super) fn collations(from: &Facts, to: &Facts) -> Vec<Finding> {
    let provider = |facts: &Facts| match facts.provider.as_str() {
        "i" => "icu".to_string(),
        "b" => "builtin".to_string(),
        _ => "libc".to_string(),
    };
    [
        ("collation provider", provider(from), provider(to)),
        ("locale", from.locale.clone(), to.locale.clone()),
        ("collation", from.collate.clone(), to.collate.clone()),
        ("character type", from.ctype.clone(), to.ctype.clone()),
    ]
    .into_iter()
    .filter(|(_, here, there)| here != there)
    .map(|(what, here, there)| {
        let show = |text: String| {
            if text.is_empty() {
                "none".to_string()
            } else {
                text
            }
        };
        Finding::note(
            None,
            format!(
                "the database's {what} is {} on the source and {} on the destination",
                show(here),
                show(there)
            ),
            "text may be ordered, folded and range-partitioned differently there",
        )
    })
    .collect()
}

/// Looks for collations whose library has changed since indexes were built with them.
pub(super) fn versions(session: &mut Session, version: i32) -> Result<Vec<Finding>> {
    let side = session.side();
    let mut findings = Vec::new();
    let mend = "reindex what is sorted by it there, then ALTER … REFRESH VERSION";
    if version >= 150_000 {
        let sql = include_str!("sql/collation_version.sql");
        for row in session.query("read the collation's version", sql, &[])? {
            let (made, now): (String, String) = (row.get(0), row.get(1));
            findings.push(Finding::spoils(
                side,
                format!(
                    "the {side} database was created with version {made} of its collation, and the library has {now}"
                ),
                mend,
            ));
        }
    }
    let sql = include_str!("sql/collations.sql");
    let rows = session.query("read the collations' versions", sql, &[])?;
    let names: Vec<QualifiedName> = rows.iter().map(relation_name).collect();
    if !names.is_empty() {
        findings.push(Finding::spoils(
            side,
            format!(
                "{} on the {side} changed since indexes were built",
                named("collation", &names)
            ),
            mend,
        ));
    }
    Ok(findings)
}
