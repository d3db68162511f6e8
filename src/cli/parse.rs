//! Words → [`Options`]. No side effects; every mistake is one line that says what to type instead.
//! No message shows a word that could be a connection string: it may hold a password.

use std::ffi::OsString;
use std::fmt::Display;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use getopts::{Fail, HasArg, Matches, Occur};

use super::flags::{FLAGS, Flag};
use super::suggest::nearest;
use super::{Command, Invocation, Options, Patterns, Progress};
use crate::error::{Error, Result};

const INTERVAL: f64 = 1.0;
const MAX_PENDING: u64 = 10_000;
const LOCK_TIMEOUT_MS: u64 = 1_000;
const LOCK_ATTEMPTS: u32 = 30;
/// More workers than this have never made a copy faster, and each costs a connection per side.
const DEFAULT_JOBS_AT_MOST: usize = 4;

/// Reads the words that follow the program's name.
pub fn parse<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Invocation> {
    let words = decoded(words)?;
    let command = words.iter().find_map(|word| Command::from_name(word));
    read(&words, command).map_err(|error| pointing_at_help(error, command))
}

fn decoded<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Vec<String>> {
    words
        .into_iter()
        .enumerate()
        .map(|(i, word)| word.into().into_string().map_err(|_| i + 1))
        .collect::<std::result::Result<_, _>>()
        .map_err(|i| {
            pointing_at_help(
                Error::usage(format!("argument {i} is not valid UTF-8")),
                None,
            )
        })
}

/// Reads the words; `likely_command` serves the messages only.
fn read(words: &[String], likely_command: Option<Command>) -> Result<Invocation> {
    refuse_long_names_behind_one_dash(words)?;
    let matches = option_parser()
        .parse(words)
        .map_err(|fail| explained(&fail, likely_command))?;
    if matches.opt_present("version") && !matches.opt_present("help") {
        return Ok(Invocation::Version);
    }
    let command = matches
        .free
        .first()
        .map(|word| command_named(word))
        .transpose()?;
    if matches.opt_present("help") || matches.opt_present("?") {
        return Ok(Invocation::Help(command));
    }
    let command = command.ok_or_else(|| Error::usage("no command given"))?;
    if let Some(word) = matches.free.get(1) {
        return Err(surplus(word, command));
    }
    refuse_foreign_options(&matches, command)?;
    Ok(Invocation::Run(options(command, &matches)?))
}

fn option_parser() -> getopts::Options {
    let mut parser = getopts::Options::new();
    for flag in FLAGS {
        let short = flag.short.map(String::from).unwrap_or_default();
        let has_argument = if flag.argument.is_some() {
            HasArg::Yes
        } else {
            HasArg::No
        };
        let occur = if flag.repeatable {
            Occur::Multi
        } else {
            Occur::Optional
        };
        parser.opt(&short, flag.long, "", "", has_argument, occur);
    }
    // The other name of --help in PostgreSQL's own tools.
    parser.optflagmulti("?", "", "");
    parser
}

/// Makes `-source x` an error: to getopts it is `-s ource`, and `x` the command.
fn refuse_long_names_behind_one_dash(words: &[String]) -> Result<()> {
    for word in words.iter().take_while(|word| *word != "--") {
        let Some(rest) = word.strip_prefix('-') else {
            continue;
        };
        let name = rest.split('=').next().unwrap_or(rest);
        if FLAGS.iter().any(|flag| flag.long == name) {
            return Err(Error::usage(format!("unknown option -{name}"))
                .mend(format!("did you mean --{name}?")));
        }
    }
    Ok(())
}

/// Puts what getopts found into our words.
fn explained(fail: &Fail, command: Option<Command>) -> Error {
    match fail {
        Fail::UnrecognizedOption(name) => unknown_option(name, command),
        Fail::ArgumentMissing(name) => {
            let argument = find(name).and_then(|flag| flag.argument).unwrap_or("value");
            Error::usage(format!(
                "option {} needs a value ({argument})",
                dashed(name)
            ))
        }
        Fail::OptionDuplicated(name) => {
            Error::usage(format!("option {} is given more than once", dashed(name)))
        }
        Fail::UnexpectedArgument(name) => {
            Error::usage(format!("option {} takes no value", dashed(name)))
        }
        // No option is required, so getopts has nothing else to say.
        Fail::OptionMissing(name) => Error::usage(format!("option {} is missing", dashed(name))),
    }
}

fn unknown_option(name: &str, command: Option<Command>) -> Error {
    const CONNECTING: &[&str] = &[
        "host",
        "port",
        "username",
        "password",
        "no-password",
        "dbname",
        "p",
        "U",
        "W",
        "w",
    ];
    let error = Error::usage(format!("unknown option {}", printable(&dashed(name))));
    if CONNECTING.contains(&name) {
        return error.mend("name the two databases with --source and --dest.");
    }
    let taken = |flag: &&Flag| command.is_none_or(|command| flag.commands.contains(&command));
    let own: Vec<&str> = FLAGS.iter().filter(taken).map(|flag| flag.long).collect();
    let all: Vec<&str> = FLAGS.iter().map(|flag| flag.long).collect();
    let meant = if name.chars().count() > 1 {
        nearest(name, &own).or_else(|| nearest(name, &all))
    } else {
        None
    };
    match meant {
        Some(meant) => error.mend(format!("did you mean --{meant}?")),
        None => error,
    }
}

fn command_named(word: &str) -> Result<Command> {
    Command::from_name(word).ok_or_else(|| {
        let names = Command::ALL.map(Command::name);
        let error = Error::usage(format!("unknown command {}", shown(word)));
        match nearest(word, &names) {
            Some(meant) => error.mend(format!("did you mean \"{meant}\"?")),
            None if is_typographic(word) => error.mend(TYPOGRAPHIC),
            None => error.mend(format!("the commands are {}.", listed(&names))),
        }
    })
}

fn surplus(word: &str, command: Command) -> Error {
    let error = Error::usage(format!("unexpected argument {}", shown(word)));
    if is_typographic(word) {
        error.mend(TYPOGRAPHIC)
    } else if Command::from_name(word).is_some() {
        error.mend(format!(
            "the command is \"{command}\" already, and there can be only one."
        ))
    } else if is_like_conninfo(word) {
        error.mend("put quotes around each connection string, behind --source or --dest.")
    } else {
        error
    }
}

/// What documents make of two hyphens.
const TYPOGRAPHIC: &str = "it begins with a typographic dash: type two hyphens.";

fn is_typographic(word: &str) -> bool {
    word.starts_with([
        '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}',
    ])
}

fn refuse_foreign_options(matches: &Matches, command: Command) -> Result<()> {
    for flag in FLAGS {
        if matches.opt_present(flag.long) && !flag.commands.contains(&command) {
            let names: Vec<&str> = flag.commands.iter().map(|command| command.name()).collect();
            return Err(Error::usage(format!(
                "{command} does not take option --{} (only {} {})",
                flag.long,
                listed(&names),
                if names.len() == 1 { "does" } else { "do" },
            )));
        }
    }
    Ok(())
}

fn options(command: Command, matches: &Matches) -> Result<Options> {
    let values = Values(matches);
    let options = Options {
        command,
        source: values.conninfo("source")?,
        destination: values.conninfo("dest")?,
        quiet: matches.opt_present("quiet"),
        verbose: u8::try_from(matches.opt_count("verbose")).unwrap_or(u8::MAX),
        patterns: Patterns {
            schemas: values.patterns("schema")?,
            exclude_schemas: values.patterns("exclude-schema")?,
            tables: values.patterns("table")?,
            exclude_tables: values.patterns("exclude-table")?,
        },
        allow_downgrade: matches.opt_present("allow-downgrade"),
        create_schema: matches.opt_present("create-schema"),
        pg_bindir: values.text("pg-bindir")?.map(PathBuf::from),
        no_owner: matches.opt_present("no-owner"),
        no_privileges: matches.opt_present("no-privileges"),
        truncate: matches.opt_present("truncate"),
        jobs: values
            .number("jobs", "a whole number", 1..=64)?
            .unwrap_or_else(default_jobs),
        progress: values.progress()?,
        follow: matches.opt_present("follow"),
        interval: values.interval()?,
        max_pending: values
            .number("max-pending", "a whole number", 1..=1_000_000)?
            .unwrap_or(MAX_PENDING),
        lock_timeout: Duration::from_millis(
            values
                .number(
                    "lock-timeout",
                    "a whole number of milliseconds",
                    1..=600_000,
                )?
                .unwrap_or(LOCK_TIMEOUT_MS),
        ),
        lock_attempts: values
            .number("lock-attempts", "a whole number", 1..=100_000)?
            .unwrap_or(LOCK_ATTEMPTS),
        terminate_blockers: matches.opt_present("terminate-blockers"),
        unverified: matches.opt_present("unverified"),
        json: matches.opt_present("json"),
        force: matches.opt_present("force"),
    };
    refuse_contradictions(&options, matches)?;
    Ok(options)
}

/// Refuses what would otherwise be left out without a word.
fn refuse_contradictions(options: &Options, matches: &Matches) -> Result<()> {
    if options.quiet && options.verbose > 0 {
        return Err(Error::usage(
            "options --quiet and --verbose exclude each other",
        ));
    }
    for name in ["pg-bindir", "no-owner", "no-privileges"] {
        if matches.opt_present(name) && !options.create_schema {
            return Err(Error::usage(format!(
                "option --{name} needs --create-schema"
            )));
        }
    }
    if options.command == Command::Sync && matches.opt_present("interval") && !options.follow {
        return Err(Error::usage("option --interval needs --follow"));
    }
    Ok(())
}

/// The values of options, checked one by one.
struct Values<'a>(&'a Matches);

impl Values<'_> {
    fn text(&self, name: &str) -> Result<Option<String>> {
        self.0
            .opt_str(name)
            .map(|value| checked_text(name, value))
            .transpose()
    }

    fn patterns(&self, name: &str) -> Result<Vec<String>> {
        self.0
            .opt_strs(name)
            .into_iter()
            .map(|value| checked_text(name, value))
            .collect()
    }

    fn conninfo(&self, name: &str) -> Result<Option<String>> {
        let value = self.text(name)?;
        if value.as_ref().is_some_and(|value| !is_like_conninfo(value)) {
            return Err(Error::usage(format!(
                "the value of option --{name} is no connection string"
            ))
            .mend("write postgresql://user@host:5432/dbname or \"host=HOST dbname=NAME\"."));
        }
        Ok(value)
    }

    fn number<T>(&self, name: &str, kind: &str, range: RangeInclusive<T>) -> Result<Option<T>>
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
    fn interval(&self) -> Result<Duration> {
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

    fn progress(&self) -> Result<Progress> {
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

fn default_jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    cores.min(DEFAULT_JOBS_AT_MOST)
}

fn invalid(name: &str, value: &str, expected: &str) -> Error {
    Error::usage(format!(
        "invalid value {} for option --{name}: expected {expected}",
        shown(value)
    ))
}

/// Ends every usage error with the way to the help.
fn pointing_at_help(error: Error, command: Option<Command>) -> Error {
    let of = command
        .map(|command| format!(" {command}"))
        .unwrap_or_default();
    let help = format!("\"pg_switchover{of} --help\" for more information");
    let mend = match &error.mend {
        Some(mend) => format!("{mend} Try {help}"),
        None => format!("try {help}"),
    };
    error.mend(mend)
}

fn find(name: &str) -> Option<&'static Flag> {
    FLAGS
        .iter()
        .find(|flag| flag.long == name || flag.short.is_some_and(|c| name == c.to_string()))
}

/// Writes an option as the user types it.
fn dashed(name: &str) -> String {
    match find(name) {
        Some(flag) => format!("--{}", flag.long),
        None if name.chars().count() == 1 => format!("-{name}"),
        None => format!("--{name}"),
    }
}

fn is_like_conninfo(word: &str) -> bool {
    word.contains("://") || word.trim_start().find('=').is_some_and(|at| at > 0)
}

/// Quotes a word for a message.
fn shown(word: &str) -> String {
    if is_like_conninfo(word) {
        "(not shown, it may hold a password)".to_string()
    } else {
        format!("\"{}\"", printable(word))
    }
}

/// Keeps a message on one line, and a terminal from being steered.
fn printable(word: &str) -> String {
    const AT_MOST: usize = 60;
    let cut = if word.chars().count() > AT_MOST {
        "…"
    } else {
        ""
    };
    let start: String = word.chars().take(AT_MOST).collect();
    format!(
        "{}{cut}",
        start
            .replace('\\', "\\\\")
            .chars()
            .flat_map(escaped)
            .collect::<String>()
    )
}

fn escaped(c: char) -> Vec<char> {
    if c.is_control() {
        c.escape_default().collect()
    } else {
        vec![c]
    }
}

fn listed(names: &[&str]) -> String {
    match names {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.concat(),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
