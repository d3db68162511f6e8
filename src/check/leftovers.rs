//! A schema `switchover` that is there already: of this very switchover, or in its way.

use super::{Finding, Looked};
use crate::error::{Result, Side};
use crate::ident::ident;
use crate::session::Session;

/// What is in a schema `switchover`.
struct Bookkeeping {
    owner: String,
    ours: bool,
    tables: Vec<String>,
    /// The state row's columns that matter here, where there are any.
    source_identity: Option<String>,
    destination_identity: Option<String>,
    switched: bool,
}

fn bookkeeping(session: &mut Session) -> Result<Option<Bookkeeping>> {
    let sql = include_str!("sql/leftover.sql");
    let Some(row) = session.query("look for schema switchover", sql, &[])?.pop() else {
        return Ok(None);
    };
    let mut found = Bookkeeping {
        owner: row.get(0),
        ours: row.get(1),
        tables: row.get(2),
        source_identity: None,
        destination_identity: None,
        switched: false,
    };
    if !found.ours || !found.tables.iter().any(|table| table == "state") {
        return Ok(Some(found));
    }
    // Through JSON: what another version left may have other columns.
    let state = "SELECT j ->> 'source_identity', j ->> 'destination_identity',
                        COALESCE((j ->> 'use_next_db')::boolean, false)
                   FROM (SELECT pg_catalog.to_jsonb(s) FROM switchover.state s LIMIT 1) AS t (j)";
    if let Some(row) = session.query("read schema switchover", state, &[])?.pop() {
        found.source_identity = row.get(0);
        found.destination_identity = row.get(1);
        found.switched = row.get(2);
    }
    Ok(Some(found))
}

/// A schema `switchover` on either side that is not of this very switchover.
pub(super) fn compare(source: &mut Looked, destination: &mut Looked, findings: &mut Vec<Finding>) {
    for (side, wrong) in [
        (Side::Source, "confirmation"),
        (Side::Destination, "change_log_1"),
    ] {
        let (one, other) = match side {
            Side::Source => (&mut *source, &*destination),
            Side::Destination => (&mut *destination, &*source),
        };
        let Some(Some(found)) = one.ask(findings, bookkeeping) else {
            continue;
        };
        let other = other
            .catalog
            .as_ref()
            .map(|catalog| catalog.database.identity.as_str());
        findings.extend(leftover(side, wrong, &found, other));
    }
}

/// `wrong` is a table that only the bookkeeping of the other side has.
fn leftover(
    side: Side,
    wrong: &str,
    found: &Bookkeeping,
    other_identity: Option<&str>,
) -> Option<Finding> {
    let mend =
        "run pg_switchover drop for that switchover, or DROP SCHEMA switchover CASCADE there";
    let has = |table: &str| found.tables.iter().any(|name| name == table);
    if !found.ours {
        return Some(Finding::stops(
            side,
            format!(
                "schema switchover on the {side} belongs to role {}, which ours does not trust",
                ident(&found.owner)
            ),
            "connect as that role if it ran init, else drop the schema",
        ));
    }
    if has(wrong) {
        let was = match side {
            Side::Source => Side::Destination,
            Side::Destination => Side::Source,
        };
        return Some(Finding::stops(
            side,
            format!(
                "schema switchover on the {side} is of another switchover, in which this database was the {was}"
            ),
            mend,
        ));
    }
    if !has("state") {
        return Some(Finding::stops(
            side,
            format!("schema switchover on the {side} is not pg_switchover's"),
            "rename it, or drop it if nobody needs it",
        ));
    }
    let partner = match side {
        Side::Source => &found.destination_identity,
        Side::Destination => &found.source_identity,
    };
    if let (Some(partner), Some(other)) = (partner, other_identity)
        && partner != other
    {
        return Some(Finding::stops(
            side,
            format!(
                "schema switchover on the {side} is of a switchover with another database ({partner})"
            ),
            mend,
        ));
    }
    found.switched.then(|| {
        Finding::stops(
            side,
            "the switch has been done: the destination is in charge",
            "nothing is left to do but pg_switchover drop",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(tables: &[&str]) -> Bookkeeping {
        Bookkeeping {
            owner: "joe".into(),
            ours: true,
            tables: tables.iter().map(ToString::to_string).collect(),
            source_identity: Some("1/2".into()),
            destination_identity: None,
            switched: false,
        }
    }

    #[test]
    fn only_this_switchover_may_have_left_a_schema() {
        let on_destination = |tables: &[&str], source| {
            leftover(
                Side::Destination,
                "change_log_1",
                &book(tables),
                Some(source),
            )
            .is_some()
        };
        assert!(!on_destination(&["state", "confirmation"], "1/2"));
        assert!(on_destination(&["state", "confirmation"], "3/4"));
        assert!(on_destination(&["state", "change_log_1"], "1/2"));
        assert!(on_destination(&[], "1/2"));
    }
}
