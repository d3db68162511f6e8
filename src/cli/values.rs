//! The values of options: each is checked, and refused with what would be right instead.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use getopts::Matches;

use super::complaint::{is_like_conninfo, shown};
use super::{AfterSwitch, Progress};
use crate::error::{Error, Result};

const INTERVAL: f64 = 1.0;

/// The values of options, checked one by one.
pub(super) struct Values<'a>(pub &'a Matches);

impl Values<'_> {
    pub(super) fn text(&self, name: &str) -> Result<Option<String>> {
        self.0
            .opt_str(name)
            .map(|value| checked_text(name, value))
            .transpose()
    }

    pub(super) fn patterns(&self, name: &str) -> Result<Vec<String>> {
        self.0
            .opt_strs(name)
            .into_iter()
            .map(|value| checked_text(name, value))
            .collect()
    }

    pub(super) fn conninfo(&self, name: &str) -> Result<Option<String>> {
        let value = self.text(name)?;
        if value.as_ref().is_some_and(|value| !is_like_conninfo(value)) {
            return Err(Error::usage(format!(
                "the value of option --{name} is no connection string"
            ))
            .mend("write postgresql://user@host:5432/dbname or \"host=HOST dbname=NAME\"."));
        }
        Ok(value)
    }

    pub(super) fn number<T>(
        &self,
        name: &str,
        kind: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>>
    where
        T: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.0.opt_str(name) else {
            return Ok(None);
        };
        match value.parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = format!("{kind} from {} to {}", range.start(), range.end());
                Err(invalid(name, &value, &expected))
            }
        }
    }

    /// Reads the interval: a number such as 2 or 0.25, not the 1e3, inf and nan of Rust's parser.
    pub(super) fn interval(&self) -> Result<Duration> {
        let seconds = self.number("interval", "a number of seconds", 0.01..=86_400.0)?;
        if let (Some(value), Some(_)) = (self.0.opt_str("interval"), seconds)
            && !value.chars().all(|c| c.is_ascii_digit() || c == '.')
        {
            return Err(invalid(
                "interval",
                &value,
                "digits with or without a decimal point",
            ));
        }
        Ok(Duration::from_secs_f64(seconds.unwrap_or(INTERVAL)))
    }

    /// Reads a list; the order of its words means nothing, because only one is sensible.
    pub(super) fn after_switch(&self) -> Result<AfterSwitch> {
        let mut after = AfterSwitch::default();
        for value in self.0.opt_strs("after-switch") {
            for word in value.split(',') {
                match word.trim() {
                    "readonly" => after.readonly = true,
                    "terminate" => after.terminate = true,
                    _ => {
                        let expected = "readonly, terminate, or both with a comma";
                        return Err(invalid("after-switch", &value, expected));
                    }
                }
            }
        }
        Ok(after)
    }

    pub(super) fn progress(&self) -> Result<Progress> {
        match self.0.opt_str("progress").as_deref() {
            None | Some("auto") => Ok(Progress::Auto),
            Some("always") => Ok(Progress::Always),
            Some("never") => Ok(Progress::Never),
            Some(other) => Err(invalid("progress", other, "auto, always or never")),
        }
    }
}

/// Refuses what a shell variable that is not set, or `-n=x`, makes of a value.
fn checked_text(name: &str, value: String) -> Result<String> {
    if value.trim().is_empty() {
        return Err(Error::usage(format!(
            "the value of option --{name} is empty"
        )));
    }
    if value.contains('\0') {
        return Err(Error::usage(format!(
            "the value of option --{name} holds a NUL character"
        )));
    }
    if value.starts_with('-') {
        return Err(
            Error::usage(format!("the value of option --{name} begins with a hyphen"))
                .mend("is there a value at all? A pattern can stand in double quotes."),
        );
    }
    if value.starts_with('=') {
        return Err(
            Error::usage(format!("the value of option --{name} begins with \"=\"")).mend(format!(
                "write --{name}=VALUE, or a space behind the one-letter option."
            )),
        );
    }
    Ok(value)
}

fn invalid(name: &str, value: &str, expected: &str) -> Error {
    Error::usage(format!(
        "invalid value {} for option --{name}: expected {expected}",
        shown(value)
    ))
}
