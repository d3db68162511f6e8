//! What is going on in the databases right now that we would wait for, or that would go on behind us.

use super::report::{age, named};
use super::{Finding, Looked};
use crate::error::{Result, Side};
use crate::ident::ident;
use crate::session::Session;

/// A transaction that has been open for longer will be met again by whoever waits for locks.
const LONG_SECONDS: f64 = 60.0;

/// Checks what goes on in the source.
pub(super) fn source(source: &mut Looked, findings: &mut Vec<Finding>) {
    transactions(source, findings);
    for question in [subscriptions, consumers, at_work] {
        source.find(findings, question);
    }
}

/// Checks what goes on in the destination.
pub(super) fn destination(destination: &mut Looked, findings: &mut Vec<Finding>) {
    transactions(destination, findings);
    destination.find(findings, subscriptions);
}

fn transactions(looked: &mut Looked, findings: &mut Vec<Finding>) {
    for question in [long_transactions, prepared_transactions] {
        looked.find(findings, question);
    }
}

fn long_transactions(session: &mut Session) -> Result<Vec<Finding>> {
    let side = session.side();
    let sql = include_str!("sql/activity.sql");
    let rows = session.query("list the transactions", sql, &[&LONG_SECONDS])?;
    let mut findings = Vec::new();
    for row in rows {
        let (pid, role, state): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
        // On the destination only the locks matter: nobody waits for its writers there.
        if side == Side::Destination && !row.get::<_, bool>(4) {
            continue;
        }
        let who = if role.is_empty() {
            state
        } else {
            format!("role {}, {state}", ident(&role))
        };
        let seconds: f64 = row.get(3);
        findings.push(Finding::spoils(
            side,
            format!(
                "a transaction of pid {pid} ({who}) on the {side} has been open for {}",
                age(seconds)
            ),
            match side {
                Side::Source => "once it writes, init and switch wait for its end: end it, or wait",
                Side::Destination => "copy waits for its locks: end it, or wait",
            },
        ));
    }
    Ok(findings)
}

fn prepared_transactions(session: &mut Session) -> Result<Vec<Finding>> {
    let side = session.side();
    let sql = include_str!("sql/prepared.sql");
    let rows = session.query("list the prepared transactions", sql, &[])?;
    Ok(rows
        .iter()
        .map(|row| {
            let (gid, owner, seconds): (String, String, f64) = (row.get(0), row.get(1), row.get(2));
            Finding::spoils(
                side,
                format!(
                    "transaction '{gid}' of role {} has been prepared on the {side} for {}",
                    ident(&owner),
                    age(seconds)
                ),
                "its locks stay until COMMIT PREPARED or ROLLBACK PREPARED",
            )
        })
        .collect())
}

fn subscriptions(session: &mut Session) -> Result<Vec<Finding>> {
    let side = session.side();
    let sql = include_str!("sql/subscriptions.sql");
    let rows = session.query("list the subscriptions", sql, &[])?;
    let names: Vec<String> = rows.iter().map(|row| ident(row.get(0))).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let verb = if names.len() == 1 { "writes" } else { "write" };
    let mend = match side {
        Side::Source => {
            "after the switch its writes are refused: subscribe the destination, and disable it here before the switch"
        }
        Side::Destination => {
            "ALTER SUBSCRIPTION … DISABLE there: only pg_switchover may write until the switch"
        }
    };
    Ok(vec![Finding::spoils(
        side,
        format!("{} {verb} on the {side}", named("subscription", &names)),
        mend,
    )])
}

fn consumers(session: &mut Session) -> Result<Vec<Finding>> {
    let sql = include_str!("sql/consumers.sql");
    let rows = session.query("list the publications", sql, &[])?;
    let mut findings = Vec::new();
    for kind in ["publication", "logical replication slot"] {
        let names: Vec<String> = rows
            .iter()
            .filter(|row| row.get::<_, &str>(0) == kind)
            .map(|row| ident(row.get(1)))
            .collect();
        if !names.is_empty() {
            findings.push(Finding::note(
                Side::Source,
                format!("the source has {}", named(kind, &names)),
                "whoever reads from it must move to the destination",
            ));
        }
    }
    Ok(findings)
}

fn at_work(session: &mut Session) -> Result<Vec<Finding>> {
    let sql = include_str!("sql/ours.sql");
    let rows = session.query("look for other pg_switchovers", sql, &[])?;
    Ok(rows
        .iter()
        .take(1)
        .map(|row| {
            let (pid, name): (i32, String) = (row.get(0), row.get(1));
            Finding::note(
                Side::Source,
                format!("another pg_switchover is at work on the source (pid {pid}, {name})"),
                "",
            )
        })
        .collect())
}
