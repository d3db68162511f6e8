//! How rows will be written on the destination, and what that takes where the role may not set
//! `session_replication_role`.

use super::{Finding, Looked};
use crate::copy;
use crate::destination::{self, Way};
use crate::error::Side;
use crate::ident::{QualifiedName, ident};

/// How rows will be written on the destination.
pub(super) fn way(destination: &mut Looked, findings: &mut Vec<Finding>) -> Option<Way> {
    destination.ask(findings, destination::way_in_transaction)
}

/// What the role has to do without.
pub(super) fn owner_way(destination: &mut Looked, role: &str, findings: &mut Vec<Finding>) {
    if way(destination, findings) != Some(Way::Owner) {
        return;
    }
    let grant = destination::grant(destination.session.version(), role);
    findings.push(Finding::note(
        Side::Destination,
        format!(
            "role {} may not set session_replication_role on the destination: its foreign keys are away from copy until the switch, which checks their rows again, and each transaction of ours switches off the triggers of the tables it writes",
            role
        ),
        format!("{grant} to avoid that"),
    ));
}

/// Foreign keys that would have to be taken away and cannot be; `tables` are the moved ones, `from` the
/// side that has the foreign keys now.
pub(super) fn foreign_keys(
    from: &mut Looked,
    (way, version): (Option<Way>, i32),
    tables: &[&QualifiedName],
    destination_role: &str,
    findings: &mut Vec<Finding>,
) {
    if way != Some(Way::Owner) {
        return;
    }
    let owned_there = from.side() == Side::Destination;
    let found = from.ask(findings, |session| {
        let keys = copy::acting(session, tables)?;
        let mut found: Vec<Finding> = keys
            .iter()
            .filter(|key| key.is_checked_at_once(version))
            .map(|key| {
                Finding::stops(
                    Side::Destination,
                    copy::slow(&key.name, version),
                    destination::grant(version, destination_role),
                )
            })
            .collect();
        for key in keys.iter().filter(|key| owned_there && !key.owned) {
            let owner = ident(&key.owner);
            found.push(Finding::stops(
                Side::Destination,
                format!(
                    "foreign key {} on the destination has to be away until the switch, and only role {owner} may drop it",
                    key.name
                ),
                format!("GRANT {owner} TO {destination_role} there, or {}", destination::grant(version, destination_role)),
            ));
        }
        Ok(found)
    });
    for finding in found.into_iter().flatten() {
        // A table that is on both sides has them twice.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
}
