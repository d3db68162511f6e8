//! What is wrong with a word, told so that the next attempt is right: one line, on which no word
//! is shown that could be a connection string, because it may hold a password.

use getopts::Fail;

use super::Command;
use super::flags::{FLAGS, Flag};
use super::suggest::nearest;
use crate::error::Error;

/// Puts what getopts found into our words.
pub(super) fn explained(fail: &Fail, command: Option<Command>) -> Error {
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

/// Says which commands there are, or which was meant.
pub(super) fn unknown_command(word: &str) -> Error {
    let names = Command::ALL.map(Command::name);
    let error = Error::usage(format!("unknown command {}", shown(word)));
    match nearest(word, &names) {
        Some(meant) => error.mend(format!("did you mean \"{meant}\"?")),
        None if is_typographic(word) => error.mend(TYPOGRAPHIC),
        None if is_like_conninfo(word) => error.mend(UNQUOTED),
        None => error.mend(format!("the commands are {}.", listed(&names))),
    }
}

/// Refuses a word that is neither option nor value nor the first command.
pub(super) fn surplus(word: &str, command: Command) -> Error {
    let error = Error::usage(format!("unexpected argument {}", shown(word)));
    if is_typographic(word) {
        error.mend(TYPOGRAPHIC)
    } else if Command::from_name(word).is_some() {
        error.mend(format!(
            "the command is \"{command}\" already, and there can be only one."
        ))
    } else if is_like_conninfo(word) {
        error.mend(UNQUOTED)
    } else {
        error
    }
}

/// What a shell makes of a connection string without quotes, or of a variable that is not set.
const UNQUOTED: &str = "put quotes around each connection string, behind --source or --dest.";

/// What documents make of two hyphens.
const TYPOGRAPHIC: &str = "it begins with a typographic dash: type two hyphens.";

fn is_typographic(word: &str) -> bool {
    word.starts_with([
        '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}',
    ])
}

/// Ends every usage error with the way to the help.
pub(super) fn pointing_at_help(error: Error, command: Option<Command>) -> Error {
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

/// Returns true for what is, or is a piece of, a connection string.
pub(super) fn is_like_conninfo(word: &str) -> bool {
    word.contains("://") || word.trim_start().find('=').is_some_and(|at| at > 0)
}

/// Quotes a word for a message.
pub(super) fn shown(word: &str) -> String {
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

/// Writes `a, b and c`.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [names @ .., last] if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        names => names.concat(),
    }
}
