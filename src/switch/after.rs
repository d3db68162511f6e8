//! `--after-switch`: what becomes of the source's clients once the destination is in charge. The fence refuses
//! their writes in any case; this makes them look for the new database by themselves. Out of the window, and
//! nothing of it can undo the switch: what fails is told with what to run by hand.

use std::time::{Duration, Instant};

use crate::cli::AfterSwitch;
use crate::error::{Error, Result};
use crate::ident::ident;
use crate::session::Session;
use crate::stop::Stop;

/// How long ended sessions may take to go.
const GOING: Duration = Duration::from_secs(5);
/// Pause between two looks at them.
const PAUSE: Duration = Duration::from_millis(20);

/// A session of a client.
#[derive(Debug, Clone)]
struct Client {
    pid: i32,
    role: String,
    application: String,
    since: String,
    may_end: bool,
    superuser: bool,
}

impl Client {
    fn list(session: &mut Session) -> Result<Vec<Client>> {
        let sql = include_str!("after_sessions.sql");
        let rows = session.query("list the sessions", sql, &[])?;
        Ok(rows
            .iter()
            .map(|row| Client {
                pid: row.get(0),
                role: row.get(1),
                application: row.get(2),
                since: row.get(3),
                may_end: row.get(4),
                superuser: row.get(5),
            })
            .collect())
    }

    fn is(&self, other: &Client) -> bool {
        self.pid == other.pid && self.since == other.since
    }

    fn describe(&self) -> String {
        let role = ident(&self.role);
        match self.application.as_str() {
            "" => format!("pid {} (role {role})", self.pid),
            name => format!("pid {} (role {role}, {name})", self.pid),
        }
    }
}

/// Returns what our role lacks for what is asked for. The source is only looked at.
///
/// # Errors
/// As the server says.
pub fn lacking(source: &mut Session, after: AfterSwitch) -> Result<Vec<Error>> {
    if after == AfterSwitch::default() {
        return Ok(Vec::new());
    }
    let sql = include_str!("after_rights.sql");
    let row = source.query_one("look at our rights", sql, &[])?;
    let may_set: bool = row.get(0);
    let (role, database, owner): (String, String, String) = (row.get(1), row.get(2), row.get(3));
    let (role, database, owner) = (ident(&role), ident(&database), ident(&owner));
    let mut lacking = Vec::new();
    if after.readonly && !may_set {
        lacking.push(
            Error::failed(format!(
                "--after-switch=readonly wants the owner of database {database} on the source, or a superuser, and role {role} is neither"
            ))
            .mend(format!("GRANT {owner} TO {role} there, or leave that option out")),
        );
    }
    if after.terminate {
        // A superuser's session can be ended by superusers only, which no GRANT changes: it is named then.
        let barred = Client::list(source)?;
        let mut roles: Vec<String> = barred
            .iter()
            .filter(|client| !client.may_end && !client.superuser)
            .map(|client| ident(&client.role))
            .collect();
        roles.sort();
        roles.dedup();
        if !roles.is_empty() {
            lacking.push(
                Error::failed(format!(
                    "--after-switch=terminate: role {role} may not end the sessions of {} on the source",
                    roles.join(", ")
                ))
                .mend(format!(
                    "GRANT pg_signal_backend, pg_read_all_stats TO {role} there, or leave that option out"
                )),
            );
        }
    }
    Ok(lacking)
}

/// Refuses to begin what could not be finished.
///
/// # Errors
/// Our role lacks a right that is needed after the flip.
pub fn refuse_unable(source: &mut Session, after: AfterSwitch) -> Result<()> {
    match lacking(source, after)?.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Does what is asked for. Read-only comes first, so that a client whose session is ended does not come back to
/// one in which it could write.
pub fn act(like: &Session, after: AfterSwitch, stop: &Stop) {
    if after == AfterSwitch::default() {
        return;
    }
    let mut session = match like.another("after the switch") {
        Ok(session) => session,
        Err(error) => {
            log::warn!("{error}; switch with the same --after-switch does it again");
            return;
        }
    };
    let database = ident(session.conninfo().database());
    if after.readonly {
        match make_read_only(&mut session) {
            Ok(()) => log::info!("new sessions of the source database {database} are read-only"),
            Err(error) => log::warn!(
                "{error}; run there ALTER DATABASE {database} SET default_transaction_read_only = on, or switch --after-switch=readonly again"
            ),
        }
    }
    if after.terminate
        && let Err(error) = end_sessions(&mut session, stop)
    {
        log::warn!(
            "{error}; run there pg_terminate_backend(pid) for them, or switch --after-switch=terminate again"
        );
    }
}

fn make_read_only(session: &mut Session) -> Result<()> {
    let sql = include_str!("after_readonly.sql");
    session.transaction("make the database read-only", sql)?;
    let sql = include_str!("after_exempt.sql");
    let rows = session.query("look for roles with settings of their own", sql, &[])?;
    let roles: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if !roles.is_empty() {
        log::warn!(
            "default_transaction_read_only is off for {} by settings of their own; their writes are refused, but libpq does not send them on",
            roles.join(", ")
        );
    }
    Ok(())
}

fn end_sessions(session: &mut Session, stop: &Stop) -> Result<()> {
    let clients = Client::list(session)?;
    let (ours, barred): (Vec<Client>, Vec<Client>) =
        clients.into_iter().partition(|client| client.may_end);
    let pids: Vec<i32> = ours.iter().map(|client| client.pid).collect();
    let sql =
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.unnest($1::int4[]) AS p (pid)";
    session.query("end the sessions", sql, &[&pids])?;
    let left = wait(session, &ours, stop)?;
    let ended = ours.len() - left.len();
    log::info!(
        "ended {ended} {} of the source database",
        if ended == 1 { "session" } else { "sessions" }
    );
    for client in left {
        log::warn!("{} was told to end and has not yet", client.describe());
    }
    for client in barred {
        log::warn!(
            "our role may not end {}; a superuser can: SELECT pg_terminate_backend({})",
            client.describe(),
            client.pid
        );
    }
    Ok(())
}

/// Waits until sessions that were told to end have done so; returns those that have not in time.
fn wait(session: &mut Session, ended: &[Client], stop: &Stop) -> Result<Vec<Client>> {
    let started = Instant::now();
    loop {
        let now = Client::list(session)?;
        let left: Vec<Client> = ended
            .iter()
            .filter(|client| now.iter().any(|other| other.is(client)))
            .cloned()
            .collect();
        if left.is_empty() || started.elapsed() >= GOING || !stop.sleep(PAUSE) {
            return Ok(left);
        }
    }
}

/// Takes back what `readonly` has set, unless somebody has changed it since.
///
/// # Errors
/// As the server says: our role does not own the database any more, for one.
pub fn undo(source: &mut Session) -> Result<()> {
    let what = "take back what --after-switch=readonly has set";
    source.transaction(what, include_str!("after_undo.sql")).map_err(|error| {
        let database = ident(source.conninfo().database());
        error.mend(format!(
            "connect as the owner of the database, or run there ALTER DATABASE {database} RESET default_transaction_read_only"
        ))
    })
}
