//! Words → [`Options`]: which options a command takes, once or repeatedly, and which go together.
//! No side effects.

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use getopts::{HasArg, Matches, Occur};

use super::complaint::{explained, listed, pointing_at_help, surplus, unknown_command};
use super::flags::FLAGS;
use super::values::Values;
use super::{Command, Invocation, Options, Patterns};
use crate::error::{Error, Result};

const MAX_PENDING: u64 = 10_000;
const LOCK_TIMEOUT_MS: u64 = 1_000;
const LOCK_ATTEMPTS: u32 = 30;
/// Every worker costs a connection on each side; who wants more of a busy server says so.
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
    refuse_foreign_options(&matches, command)?;
    let options = options(command, &matches)?;
    // Last, because a value that is missing makes a surplus word of the next one.
    match matches.free.get(1) {
        Some(word) => Err(surplus(word, command)),
        None => Ok(Invocation::Run(Box::new(options))),
    }
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

fn command_named(word: &str) -> Result<Command> {
    Command::from_name(word).ok_or_else(|| unknown_command(word))
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
        after_switch: values.after_switch()?,
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

fn default_jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    cores.min(DEFAULT_JOBS_AT_MOST)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
#[path = "parse_tests.rs"]
mod tests;
