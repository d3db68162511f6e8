//! What the server does for our sessions, asked through a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use postgres::SimpleQueryRow;

use super::judge::Seen;
use super::{Program, Watched, lock};
use crate::error::Error;
use crate::ident::literal;

/// Looks at what the server does for each of these sessions.
pub fn see(waiting: &[&Arc<Watched>], limit: Duration) -> Vec<Seen> {
    let known: Vec<&Watched> = waiting
        .iter()
        .map(|session| &***session)
        .filter(|session| session.is_known())
        .collect();
    let answer = known.first().map(|first| {
        let sql = with_sessions(include_str!("look.sql"), &known);
        first.conninfo.ask(first.side, &sql, limit)
    });
    let seen = |session: &&Arc<Watched>| match (&session.program, &answer) {
        (Some(program), _) => see_program(session, program, limit),
        (None, Some(Ok(rows))) if session.is_known() => of_rows(session, rows),
        (None, Some(Err(error))) if session.is_known() => of_error(error),
        (None, _) => Seen::NoAnswer("the session was only being set up".to_string()),
    };
    waiting.iter().map(seen).collect()
}

/// A program may have work of its own beside what it has the server do, so only what changes there from
/// one look to the next says that it lives.
fn see_program(session: &Watched, program: &Program, limit: Duration) -> Seen {
    let name = literal(&program.application_name);
    let sql = filled(include_str!("look_program.sql"), "$name", &name);
    let rows = match session.conninfo.ask(session.side, &sql, limit) {
        Ok(rows) => rows,
        Err(error) => return of_error(&error),
    };
    let row = rows.last();
    let field = |column: usize| row.and_then(|row| row.try_get(column).ok().flatten());
    let last = field(1).unwrap_or_default();
    let mut known = lock(&program.last);
    if *known != last {
        *known = last.to_string();
        session.wire.note_moved();
    }
    match field(0) {
        Some("t") => Seen::Works(program.application_name.clone()),
        _ => Seen::Idle,
    }
}

/// Finds a session's row in the answer to look.sql.
pub fn of_rows(session: &Watched, rows: &[SimpleQueryRow]) -> Seen {
    if !session.began_is_known() {
        return Seen::CannotTell("the server did not say when its process began".to_string());
    }
    let field = |row: &SimpleQueryRow, column| row.try_get(column).ok().flatten().map(String::from);
    let number = Some(session.number.to_string());
    // The first row is that of set_config().
    let row = rows
        .iter()
        .find(|row| row.len() > 1 && field(row, 0) == number);
    let Some(row) = row else {
        return Seen::CannotTell("the look came back without it".to_string());
    };
    if field(row, 1).as_deref() != Some("t") {
        return Seen::Gone;
    }
    let (kind, event) = (field(row, 2), field(row, 3).unwrap_or_default());
    match (kind.as_deref(), event.as_str()) {
        (Some("Client"), "ClientRead" | "ClientWrite") => Seen::WaitsForUs,
        (_, "SyncRep") => Seen::Standby(field(row, 5).as_deref() == Some("t")),
        (Some("Lock"), _) => Seen::Locked(match field(row, 4).filter(|pids| !pids.is_empty()) {
            Some(pids) => format!("pid {pids}"),
            None => "somebody".to_string(),
        }),
        (Some(kind), event) => Seen::Works(format!("{kind}: {event}")),
        (None, _) => Seen::Works(String::new()),
    }
}

/// A server that answers lives, though it may not let us look: too many connections, shutting down.
fn of_error(error: &Error) -> Seen {
    match error.sqlstate {
        Some(_) => Seen::CannotTell(error.message.clone()),
        None => Seen::NoAnswer(error.message.clone()),
    }
}

/// Puts a list of sessions into a statement.
pub fn with_sessions(sql: &str, sessions: &[&Watched]) -> String {
    let rows: Vec<String> = sessions.iter().map(|session| session.row()).collect();
    filled(sql, "$sessions", &rows.join(", "))
}

/// Replaces a word where it stands last: it also stands in the head of the file.
fn filled(sql: &str, word: &str, text: &str) -> String {
    match sql.rsplit_once(word) {
        Some((before, after)) => format!("{before}{text}{after}"),
        None => sql.to_string(),
    }
}
