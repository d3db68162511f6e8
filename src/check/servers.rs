//! The servers as a whole: versions, replication, limits, settings.

use super::report::{counted, named, size};
use super::{CheckOptions, Finding, Looked, locale};
use crate::error::{Result, Side};
use crate::session::Session;

/// What holds for the whole server and database.
pub(super) struct Facts {
    name: String,
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    pub(super) provider: String,
    pub(super) locale: String,
    bytes: i64,
    role: String,
    superuser: bool,
    synchronous_commit: String,
    read_only: bool,
    fsync: bool,
    full_page_writes: bool,
    lock_table: i64,
    standby_names: String,
    standbys: i64,
    sees_others: bool,
}

fn facts(session: &mut Session) -> Result<Facts> {
    let sql = include_str!("sql/facts.sql");
    let row = session.query_one("read the settings", sql, &[])?;
    Ok(Facts {
        name: row.get("name"),
        encoding: row.get("encoding"),
        collate: row.get("collate"),
        ctype: row.get("ctype"),
        provider: row.get("provider"),
        locale: row.get("locale"),
        bytes: row.get("bytes"),
        role: row.get("role"),
        superuser: row.get("superuser"),
        synchronous_commit: row.get("synchronous_commit"),
        read_only: row.get("read_only"),
        fsync: row.get("fsync"),
        full_page_writes: row.get("full_page_writes"),
        lock_table: row.get("lock_table"),
        standby_names: row.get("standby_names"),
        standbys: row.get("standbys"),
        sees_others: row.get("sees_others"),
    })
}

/// Checks what needs to see both sides.
pub(super) fn compare(
    source: &mut Looked,
    destination: &mut Looked,
    options: &CheckOptions,
    findings: &mut Vec<Finding>,
) {
    findings.extend(versions(
        (source.session.version(), source.session.version_text()),
        (
            destination.session.version(),
            destination.session.version_text(),
        ),
        options.allow_downgrade,
    ));
    let (Some(from), Some(to)) = (
        source.ask(findings, facts),
        destination.ask(findings, facts),
    ) else {
        return;
    };
    findings.extend(locale::encodings(&from, &to));
    findings.extend(locale::collations(&from, &to));
    findings.extend(durability(&to));
    findings.push(Finding::note(
        Side::Source,
        format!(
            "database \"{}\" has {} on the source, which cannot be held against the free disk space of the destination",
            from.name,
            size(from.bytes)
        ),
        "",
    ));
    let settings = |session: &mut Session| database_settings(session);
    if let (Some(here), Some(there)) = (
        source.ask(findings, settings),
        destination.ask(findings, settings),
    ) {
        findings.extend(missing_settings(&here, &there, &to.name));
    }
    let oids = source.table_oids(true);
    let needed = source.ask(findings, |session| {
        let sql = include_str!("sql/lock_needs.sql");
        let row = session.query_one("count the tables and indexes", sql, &[&oids])?;
        Ok(row.get::<_, i64>(0))
    });
    if let Some(needed) = needed {
        // A cycle reads all sequences in one transaction, and the first sets them all in one.
        let sequences = source.sequences() as i64;
        let here = sequences + oids.len() as i64;
        findings.extend(lock_table(Side::Source, here, from.lock_table));
        let there = sequences + needed;
        findings.extend(lock_table(Side::Destination, there, to.lock_table));
    }
}

/// Checks one server by itself.
pub(super) fn one(looked: &mut Looked, options: &CheckOptions, findings: &mut Vec<Finding>) {
    let side = looked.side();
    if looked.session.in_recovery() {
        findings.push(Finding::stops(
            side,
            format!("the {side} is in recovery, so nothing can be written there"),
            "connect to the primary, or promote this server",
        ));
    }
    if let Some(facts) = looked.ask(findings, facts) {
        findings.extend(synchronous_standbys(side, &facts));
        let free = looked.ask(findings, free_connections);
        if let Some(free) = free {
            findings.extend(connections(side, &facts, &free, options.jobs));
        }
    }
    let version = looked.session.version();
    looked.find(findings, |session| locale::versions(session, version));
}

/// Compares the servers' versions, each a number and its text.
fn versions(
    source: (i32, &str),
    destination: (i32, &str),
    allow_downgrade: bool,
) -> Option<Finding> {
    if destination.0 / 10_000 >= source.0 / 10_000 {
        return None;
    }
    let message = format!(
        "the destination is PostgreSQL {}, older than the source's {}",
        first_word(destination.1),
        first_word(source.1)
    );
    Some(if allow_downgrade {
        Finding::spoils(
            None,
            message,
            "it may lack types and functions that the source's schema uses",
        )
    } else {
        Finding::stops(
            None,
            message,
            "check --source and --dest, or add --allow-downgrade",
        )
    })
}

/// Debian's servers put the package's name behind the number.
fn first_word(version: &str) -> &str {
    version.split(' ').next().unwrap_or(version)
}

/// What the destination promises about commits, once it is in charge.
fn durability(to: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !to.fsync || !to.full_page_writes {
        let setting = if to.fsync {
            "full_page_writes"
        } else {
            "fsync"
        };
        findings.push(Finding::spoils(
            Side::Destination,
            format!("{setting} is off on the destination: a crash there can lose what was moved"),
            format!("set {setting} = on before the switch"),
        ));
    }
    if to.synchronous_commit == "off" {
        findings.push(Finding::note(
            Side::Destination,
            "synchronous_commit is off on the destination: applications can lose commits in a crash there (pg_switchover's own commits wait)",
            "",
        ));
    }
    if to.read_only {
        findings.push(Finding::spoils(
            Side::Destination,
            "default_transaction_read_only is on on the destination: applications could not write there",
            "turn it off before the switch",
        ));
    }
    findings
}

fn database_settings(session: &mut Session) -> Result<Vec<(String, String)>> {
    let sql = include_str!("sql/settings.sql");
    let rows = session.query("list the database's settings", sql, &[])?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn missing_settings(
    here: &[(String, String)],
    there: &[(String, String)],
    database: &str,
) -> Option<Finding> {
    // Only the names: a value may be a secret of an extension.
    let missing: Vec<String> = here
        .iter()
        .filter(|setting| !there.contains(setting))
        .map(|(role, setting)| {
            let name = setting.split('=').next().unwrap_or_default();
            if role.is_empty() {
                name.to_string()
            } else {
                format!("{name} (of role \"{role}\")")
            }
        })
        .collect();
    (!missing.is_empty()).then(|| {
        Finding::spoils(
            Side::Destination,
            format!(
                "the source's database has its own {}, and the destination's has not",
                named("setting", &missing)
            ),
            format!(
                "ALTER DATABASE \"{database}\" SET … there; no dump of one database holds these"
            ),
        )
    })
}

fn lock_table(side: Side, needed: i64, holds: i64) -> Option<Finding> {
    // The table is a little larger than this, and others need a part of it.
    (needed * 5 > holds * 4).then(|| {
        Finding::spoils(
            side,
            format!(
                "the {side}'s lock table holds {holds} locks, and to lock every table and sequence at once takes {needed}"
            ),
            "raise max_locks_per_transaction there, and restart it",
        )
    })
}

/// A commit there would wait for a standby that is not there.
fn synchronous_standbys(side: Side, facts: &Facts) -> Option<Finding> {
    if matches!(facts.synchronous_commit.as_str(), "local") && side == Side::Source {
        return None;
    }
    let needed = needed_standbys(&facts.standby_names);
    if needed == 0 || facts.standbys >= needed {
        return None;
    }
    if !facts.sees_others {
        return Some(Finding::note(
            side,
            format!(
                "commits on the {side} wait for synchronous standbys, and role \"{}\" cannot see whether they are there",
                facts.role
            ),
            format!("GRANT pg_read_all_stats TO \"{}\" there", facts.role),
        ));
    }
    Some(Finding::stops(
        side,
        format!(
            "commits on the {side} wait for {}, and {} connected: every commit there would hang",
            counted(needed, "synchronous standby"),
            match facts.standbys {
                0 => "none is".to_string(),
                1 => "only 1 is".to_string(),
                some => format!("only {some} are"),
            }
        ),
        "start the standby, or empty synchronous_standby_names there and reload",
    ))
}

/// Returns how many standbys `synchronous_standby_names` asks for (manual, 19.6.2): `a, b` and
/// `FIRST 1 (a, b)` ask for one, `2 (a, b, c)` and `ANY 2 (a, b, c)` for two.
fn needed_standbys(names: &str) -> i64 {
    let names = names.trim();
    if names.is_empty() {
        return 0;
    }
    let Some((head, _)) = names.split_once('(') else {
        return 1;
    };
    head.split_whitespace()
        .last()
        .and_then(|number| number.parse().ok())
        .unwrap_or(1)
}

/// Free connections by the server's, the database's and the role's limit.
struct Free {
    server: i64,
    database: Option<i64>,
    role: Option<i64>,
}

fn free_connections(session: &mut Session) -> Result<Free> {
    let sql = include_str!("sql/connections.sql");
    let row = session.query_one("count the free connections", sql, &[])?;
    Ok(Free {
        server: row.get(0),
        database: row.get(1),
        role: row.get(2),
    })
}

fn connections(side: Side, facts: &Facts, free: &Free, jobs: usize) -> Option<Finding> {
    // Every worker may hold one connection for reading and one for locks; the rest is for the
    // reader, the applier, the advisory lock, and those who look at blockers, positions and waits.
    let needed = 2 * jobs as i64 + 6;
    let database = format!("the connection limit of database \"{}\"", facts.name);
    let role = format!("the connection limit of role \"{}\"", facts.role);
    let (left, limit) = [
        (Some(free.server), "max_connections"),
        (free.database, database.as_str()),
        (free.role, role.as_str()),
    ]
    .into_iter()
    .filter_map(|(left, limit)| left.map(|left| (left.max(0), limit)))
    .min_by_key(|(left, _)| *left)?;
    if left >= needed {
        return None;
    }
    let superuser = if facts.superuser {
        " (superusers' included)"
    } else {
        ""
    };
    Some(Finding::spoils(
        side,
        format!(
            "{} can be opened on the {side}{superuser}, and {needed} may be needed",
            counted(left, "more connection")
        ),
        format!("lower --jobs, or raise {limit} there"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Severity;

    #[test]
    fn synchronous_standby_names_ask_for_as_many() {
        for (names, needed) in [
            ("", 0),
            ("a", 1),
            ("*", 1),
            ("a, b", 1),
            ("FIRST 1 (a, b)", 1),
            ("ANY 2 (a, b, c)", 2),
            ("3 (a, b, c)", 3),
            ("first 2(a,b)", 2),
        ] {
            assert_eq!(needed_standbys(names), needed, "{names}");
        }
    }

    #[test]
    fn an_older_destination_stops_unless_allowed() {
        let old = (130_023, "13.23");
        let new = (180_000, "18.0");
        assert_eq!(versions(old, new, false), None);
        assert_eq!(versions(new, (180_004, "18.4"), false), None);
        let severity = |allow| versions(new, old, allow).map(|finding| finding.severity);
        assert_eq!(severity(false), Some(Severity::Stops));
        assert_eq!(severity(true), Some(Severity::Spoils));
    }

    #[test]
    fn a_setting_is_named_without_its_value() {
        let here = [
            (String::new(), "search_path=app".to_string()),
            ("joe".to_string(), "x.secret=1".to_string()),
        ];
        let found = missing_settings(&here, &here[..1], "app").map(|finding| finding.message);
        assert!(
            found.is_some_and(|text| text.contains("x.secret (of role \"joe\")")
                && !text.contains("=1")
                && !text.contains("search_path"))
        );
    }

    #[test]
    fn four_fifths_of_the_lock_table_are_ours() {
        assert!(lock_table(Side::Source, 80, 100).is_none());
        assert!(lock_table(Side::Source, 81, 100).is_some());
    }
}
