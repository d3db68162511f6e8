//! What `check` says: findings, worst first, as lines for people or as JSON for programs.

use std::io::{self, Write};

use postgres::Row;
use serde_json::{Value, json};

use crate::error::{Class, Error, Result, Side};
use crate::ident::{QualifiedName, visible};

/// How bad a finding is, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The switchover cannot be done, or would lose something.
    Stops,
    /// It can be done, and something will be slow, wait, or be missing afterwards.
    Spoils,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// Returns the word that begins a line, and the value of `severity` in the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Stops => "stops",
            Severity::Spoils => "spoils",
            Severity::Note => "note",
        }
    }
}

/// One thing that `check` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; `None` when it is between the two.
    pub side: Option<Side>,
    /// What it is, with the names it is about; one line, no full stop.
    pub message: String,
    /// What the operator can do about it; empty if there is nothing to do.
    pub mend: String,
    /// True if it is no more than a connection that was lost on the way: run again, check may find nothing.
    pub lost: bool,
}

impl Finding {
    /// Makes a finding.
    pub fn new(
        severity: Severity,
        side: impl Into<Option<Side>>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding {
            severity,
            side: side.into(),
            message: message.into(),
            mend: mend.into(),
            lost: false,
        }
    }

    /// Makes a finding that stops the switchover.
    pub fn stops(
        side: impl Into<Option<Side>>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding::new(Severity::Stops, side, message, mend)
    }

    /// Makes a finding that spoils the switchover.
    pub fn spoils(
        side: impl Into<Option<Side>>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding::new(Severity::Spoils, side, message, mend)
    }

    /// Makes a finding that is good to know.
    pub fn note(
        side: impl Into<Option<Side>>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Finding {
        Finding::new(Severity::Note, side, message, mend)
    }

    /// Makes a finding that stops out of what kept us from looking.
    pub fn failure(side: impl Into<Option<Side>>, error: Error) -> Finding {
        Finding::stops(side, error.message, error.mend.unwrap_or_default())
    }

    fn line(&self) -> String {
        let text = if self.mend.is_empty() {
            format!("{}: {}", self.severity.word(), self.message)
        } else {
            format!("{}: {}; {}", self.severity.word(), self.message, self.mend)
        };
        visible(&text)
    }

    fn json(&self) -> Value {
        json!({
            "severity": self.severity.word(),
            "side": self.side.map(|side| side.to_string()),
            "message": self.message,
            "mend": self.mend,
        })
    }
}

/// Puts the worst first; what is equally bad keeps its order.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| finding.severity);
}

/// Returns how many findings are that bad.
pub fn count(findings: &[Finding], severity: Severity) -> usize {
    findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .count()
}

/// Writes the findings to standard output. `quiet` leaves out the notes, and the summary where nothing
/// worse than a note was found: then nothing at all is printed. JSON is always whole.
///
/// # Errors
/// Standard output cannot be written; that its reader has gone is none.
pub fn print(findings: &[Finding], json: bool, quiet: bool) -> Result<()> {
    let text = if json {
        format!("{:#}\n", as_json(findings))
    } else {
        as_text(findings, quiet)
    };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::failed(format!(
            "could not write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Turns what was found into the outcome of the command.
///
/// # Errors
/// [`Class::Found`] if anything stops the switchover; failed if a connection was lost while it looked.
pub fn outcome(findings: &[Finding]) -> Result<()> {
    if let Some(lost) = findings.iter().find(|finding| finding.lost) {
        return Err(
            Error::failed(format!("check is not complete: {}", lost.message)).mend("run it again"),
        );
    }
    match count(findings, Severity::Stops) {
        0 => Ok(()),
        1 => Err(Error::new(
            Class::Found,
            "check found something that stops a switchover",
        )),
        stops => Err(Error::new(
            Class::Found,
            format!("check found {stops} things that stop a switchover"),
        )),
    }
}

fn as_text(findings: &[Finding], quiet: bool) -> String {
    let shown = findings
        .iter()
        .filter(|finding| !quiet || finding.severity != Severity::Note);
    let mut text: String = shown.map(|finding| finding.line() + "\n").collect();
    if !quiet || !text.is_empty() {
        text.push_str(&summary(findings));
        text.push('\n');
    }
    text
}

fn as_json(findings: &[Finding]) -> Value {
    json!({
        "stops": count(findings, Severity::Stops),
        "spoils": count(findings, Severity::Spoils),
        "notes": count(findings, Severity::Note),
        "findings": findings.iter().map(Finding::json).collect::<Vec<_>>(),
    })
}

fn summary(findings: &[Finding]) -> String {
    let stops = count(findings, Severity::Stops);
    let spoils = count(findings, Severity::Spoils);
    let notes = count(findings, Severity::Note);
    let verdict = match (stops, spoils) {
        (0, 0) => "nothing stands in the way of a switchover",
        (0, _) => "nothing stops a switchover",
        _ => "a switchover cannot be done yet",
    };
    format!("{verdict} ({stops} that stop it, {spoils} that spoil it, {notes} to note)")
}

/// Reads the columns `schema` and `name` of a row.
pub(super) fn relation_name(row: &Row) -> QualifiedName {
    QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name"))
}

/// The most names that one finding lists.
const MOST_NAMES: usize = 8;

/// Joins names, of many only the first few.
pub(super) fn names<T: ToString>(names: &[T]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(MOST_NAMES)
        .map(ToString::to_string)
        .collect();
    let shown = shown.join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Puts a number before a noun: "1 table", "3 tables".
pub(super) fn counted(number: i64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Puts the noun before its names: "table a", "tables a, b".
pub(super) fn named<T: ToString>(noun: &str, items: &[T]) -> String {
    format!(
        "{noun}{} {}",
        if items.len() == 1 { "" } else { "s" },
        names(items)
    )
}

/// Prints bytes as `pg_size_pretty` does, in units of 1024.
pub(super) fn size(bytes: i64) -> String {
    let mut number = bytes;
    for unit in ["bytes", "kB", "MB", "GB", "TB"] {
        if number < 10_240 || unit == "TB" {
            return format!("{number} {unit}");
        }
        number /= 1024;
    }
    format!("{bytes} bytes")
}

/// Prints seconds as `1 d 02:03:04`, without days where there are none.
pub(super) fn age(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let time = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days == 0 {
        time
    } else {
        format!("{days} d {time}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn some() -> Vec<Finding> {
        let mut findings = vec![
            Finding::note(None, "a note", ""),
            Finding::spoils(Side::Source, "slow", "hurry"),
            Finding::stops(Side::Destination, "first\nwall", "climb"),
            Finding::stops(None, "second wall", ""),
        ];
        sort(&mut findings);
        findings
    }

    #[test]
    fn the_worst_comes_first_one_line_each_and_a_summary_last() {
        assert_eq!(
            as_text(&some(), false),
            "stops: first\\nwall; climb\nstops: second wall\nspoils: slow; hurry\nnote: a note\n\
             a switchover cannot be done yet (2 that stop it, 1 that spoil it, 1 to note)\n"
        );
    }

    #[test]
    fn quiet_prints_nothing_where_there_is_nothing_to_report() {
        assert_eq!(as_text(&[Finding::note(None, "a note", "")], true), "");
        assert!(!as_text(&some(), true).contains("a note"));
        assert!(as_text(&[], false).starts_with("nothing stands in the way"));
    }

    #[test]
    fn json_is_whole() {
        let json = as_json(&some());
        assert_eq!(json["stops"], 2);
        assert_eq!(json["findings"][0]["side"], "destination");
        assert_eq!(json["findings"][0]["message"], "first\nwall");
        assert_eq!(json["findings"][1]["side"], Value::Null);
        assert_eq!(json["findings"][3]["severity"], "note");
    }

    #[test]
    fn only_what_stops_makes_the_command_fail() {
        assert_eq!(outcome(&some()).unwrap_err().class, Class::Found);
        assert!(outcome(&[Finding::spoils(None, "slow", "")]).is_ok());
    }

    #[test]
    fn a_check_that_lost_a_server_has_failed_and_found_nothing() {
        let mut findings = some();
        findings[0].lost = true;
        assert_eq!(outcome(&findings).unwrap_err().class, Class::Failed);
    }

    #[test]
    fn names_sizes_and_ages_are_short() {
        let many: Vec<u8> = (0..10).collect();
        assert_eq!(
            named("table", &many),
            "tables 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
        );
        assert_eq!(named("table", &["a"]), "table a");
        assert_eq!(size(10_239), "10239 bytes");
        assert_eq!(size(50 << 20), "50 MB");
        assert_eq!(age(93_784.9), "1 d 02:03:04");
        assert_eq!(counted(1, "key"), "1 key");
    }
}
