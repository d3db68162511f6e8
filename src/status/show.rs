//! The status as text for people and as JSON for programs. The JSON's keys are documented in the manual
//! page and stable.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::ident::visible;

use super::{Cycle, Destination, Source, Status};

/// Returns the JSON document, with a newline.
pub fn json(status: &Status) -> String {
    let source = status.source();
    let destination = status.destination();
    let document = json!({
        "phase": source.map(|source| &source.phase),
        "in_charge": status.in_charge(),
        "use_next_db": source.and_then(|source| source.use_next_db),
        "pending_changes": source.and_then(|source| source.pending),
        "oldest_pending_seconds": source.and_then(|source| source.oldest_pending),
        "switched_at": source.and_then(|source| source.switched_at.as_ref()),
        "verified_at": source.and_then(|source| source.verified_at.as_ref()),
        "at_work": source.and_then(|source| source.at_work.as_ref()),
        "tables": source.map(|source| tables(source, destination)),
        "writers": source.map(writers),
        "last_cycles": destination.map(|there| there.cycles.iter().map(cycle).collect::<Vec<_>>()),
        "destination_takes_writes": destination.and_then(|there| there.takes_writes),
        "foreign_keys_left": destination.map(|there| there.foreign_keys),
        "destination_has_lost": status.lost(),
        "source": reachable(&status.source),
        "destination": reachable(&status.destination),
    });
    format!("{document:#}\n")
}

fn reachable<T>(side: &Option<std::result::Result<T, String>>) -> Value {
    match side {
        Some(Ok(_)) => json!({ "reachable": true, "error": null }),
        Some(Err(error)) => json!({ "reachable": false, "error": error }),
        None => json!({ "reachable": null, "error": null }),
    }
}

fn tables(source: &Source, destination: Option<&Destination>) -> Vec<Value> {
    let one = |table: &super::PendingTable| {
        let copied =
            destination.map(|there| there.copied.iter().find(|copied| copied.name == table.name));
        json!({
            "schema": table.name.schema,
            "table": table.name.name,
            "pending_changes": table.entries,
            "whole_table_pending": table.whole,
            "copied": copied.map(|copied| copied.is_some_and(|copied| copied.finished)),
            "copied_rows": copied.flatten().and_then(|copied| copied.rows),
            "copied_bytes": copied.flatten().and_then(|copied| copied.bytes),
        })
    };
    source.tables.iter().map(one).collect()
}

fn writers(source: &Source) -> Vec<Value> {
    let one = |writer: &super::Writer| {
        json!({
            "pid": writer.pid,
            "user": writer.user,
            "state": writer.state,
            "seconds": writer.seconds,
        })
    };
    source.writers.iter().map(one).collect()
}

fn cycle(cycle: &Cycle) -> Value {
    json!({
        "cycle": cycle.number,
        "final": cycle.is_final,
        "tables": cycle.tables,
        "keys": cycle.keys,
        "rows": cycle.rows,
        "read_ms": cycle.read_ms,
        "apply_ms": cycle.apply_ms,
        "applied_at": cycle.applied_at,
    })
}

/// Returns the text, a few lines that end with a newline.
pub fn text(status: &Status) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<16}{}", visible(&value));
    };
    let unknown = || "unknown".to_string();
    line(
        "phase",
        status
            .source()
            .map_or_else(unknown, |source| source.phase.clone()),
    );
    line(
        "in charge",
        status
            .in_charge()
            .map_or_else(unknown, |side| in_charge(status, side)),
    );
    match &status.source {
        Some(Ok(source)) => source_lines(source, &mut line),
        Some(Err(error)) => line("source", error.clone()),
        None => {}
    }
    match &status.destination {
        Some(Ok(there)) => destination_lines(there, status.source(), &mut line),
        Some(Err(error)) => line("destination", error.clone()),
        None => {}
    }
    if let Some(lost) = status.lost() {
        line(
            "lost there",
            format!(
                "what was committed {lost}: a replica that lagged behind, or a backup, has taken its place"
            ),
        );
    }
    out
}

fn in_charge(status: &Status, side: &str) -> String {
    let there = status.destination();
    if let ("both", Some(when)) = (side, there.and_then(|there| there.switched_at.as_ref())) {
        return format!("both: the source has lost the flip of {when}, and takes writes");
    }
    match status
        .source()
        .and_then(|source| source.switched_at.as_ref())
    {
        Some(when) => format!("{side}, since {when}"),
        None => side.to_string(),
    }
}

fn source_lines(source: &Source, line: &mut impl FnMut(&str, String)) {
    if let Some(name) = &source.destination_name {
        line("moving to", name.clone());
    }
    if let (Some(pending), Some(captured)) = (source.pending, source.captured) {
        let changed = source
            .tables
            .iter()
            .filter(|table| table.entries > 0)
            .count();
        let age = source
            .oldest_pending
            .map_or_else(String::new, |age| format!(", the oldest {age:.1} s old"));
        line(
            "pending",
            format!("{pending} in {changed} of {captured} tables{age}"),
        );
    }
    if let Some(when) = &source.verified_at {
        line("verified", when.clone());
    }
    if let Some(holder) = &source.at_work {
        line("at work", holder.clone());
    }
    for writer in &source.writers {
        let text = format!(
            "pid {} (user {}, {}) for {:.0} s",
            writer.pid, writer.user, writer.state, writer.seconds
        );
        line("open writer", text);
    }
}

fn destination_lines(
    there: &Destination,
    source: Option<&Source>,
    line: &mut impl FnMut(&str, String),
) {
    if !there.prepared {
        line("destination", "no bookkeeping".to_string());
        return;
    }
    let finished = there.copied.iter().filter(|table| table.finished).count();
    let of = source
        .and_then(|source| source.captured)
        .map_or_else(String::new, |captured| format!(" of {captured}"));
    line("copied", format!("{finished}{of} tables"));
    let switched = source.is_some_and(|source| source.use_next_db == Some(true));
    let known = switched || there.switched_at.is_some();
    if let Some(open) = there.takes_writes.filter(|_| !known) {
        line(
            "writes there",
            match (open, source) {
                (false, _) => "refused until the switch",
                (true, Some(_)) => {
                    "let in by a switch that did not come about: run sync to refuse them"
                }
                (true, None) => "let in by a final cycle; only the source knows of a flip",
            }
            .to_string(),
        );
    }
    if there.foreign_keys > 0 {
        line(
            "foreign keys",
            match switched {
                true => format!(
                    "{} are NOT VALID: run switch again to check their rows",
                    there.foreign_keys
                ),
                false => format!("{} are made at the switch", there.foreign_keys),
            },
        );
    }
    for cycle in there.cycles.iter().take(5) {
        let text = format!(
            "{}{}: {} rows in {} tables, read {:.1} ms, apply {:.1} ms, at {}",
            cycle.number,
            if cycle.is_final { " (final)" } else { "" },
            cycle.rows,
            cycle.tables,
            cycle.read_ms,
            cycle.apply_ms,
            cycle.applied_at,
        );
        line("cycle", text);
    }
}
