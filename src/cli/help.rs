//! What `--help` and `--version` print: text made from the table of options, 80 columns wide.

use super::Command;
use super::flags::{FLAGS, Flag};

const WIDTH: usize = 80;

/// A space that no line ends at.
const UNBROKEN: &str = "\u{a0}";

/// The options that the general help names.
const GENERAL: &[&str] = &["source", "dest", "quiet", "verbose", "help", "version"];

/// Returns the general help, which fits a screen of 24 lines, or the help of one command.
pub fn help(command: Option<Command>) -> String {
    match command {
        Some(command) => command_help(command),
        None => general_help(),
    }
}

fn general_help() -> String {
    let mut text = String::from(
        "Usage: pg_switchover COMMAND [OPTION]...\n\
         Moves a live PostgreSQL database to another server while applications go on.\n\n\
         Commands, in the order of their use:\n",
    );
    for command in Command::ALL {
        text.push_str(&format!("  {:<8}{}\n", command.name(), command.summary()));
    }
    text.push_str("\nOptions of every command (CONNINFO is a URI or key=value pairs):\n");
    let general = FLAGS.iter().filter(|flag| GENERAL.contains(&flag.long));
    text.push_str(&option_list(general.collect()));
    text.push_str(
        "\nTry \"pg_switchover COMMAND --help\" for its options, or \"man pg_switchover\".\n",
    );
    text
}

fn command_help(command: Command) -> String {
    let flags = FLAGS.iter().filter(|flag| flag.commands.contains(&command));
    format!(
        "Usage: pg_switchover {command} [OPTION]...\n\n{}\n\nOptions:\n{}\n{}\n",
        wrapped(command.description(), 0),
        option_list(flags.collect()),
        exit_statuses(command),
    )
}

fn option_list(flags: Vec<&Flag>) -> String {
    let terms: Vec<String> = flags.iter().map(|flag| term(flag)).collect();
    let column = terms.iter().map(String::len).max().unwrap_or(0) + 2;
    terms
        .iter()
        .zip(&flags)
        .map(|(term, flag)| format!("{term:<column$}{}\n", wrapped(&explanation(flag), column)))
        .collect()
}

/// Writes the left column: `  -j, --jobs N`.
fn term(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or_else(|| "    ".to_string(), |short| format!("-{short}, "));
    let argument = flag
        .argument
        .map(|argument| format!(" {argument}"))
        .unwrap_or_default();
    format!("  {short}--{}{argument}", flag.long)
}

/// Writes the right column: what it does, and its default.
fn explanation(flag: &Flag) -> String {
    let mut text = flag.help.to_string();
    if let Some(default) = flag.default {
        let default = format!("(default: {default})").replace(' ', UNBROKEN);
        text.push_str(&format!(" {default}"));
    }
    if flag.repeatable && flag.argument.is_some() {
        text.push_str("; may be repeated");
    }
    text
}

/// Writes the exit statuses of a command, one word or two each, on one line.
fn exit_statuses(command: Command) -> String {
    let told = |status: &u8| match status {
        0 => "0 done",
        1 => "1 failed",
        2 => "2 usage",
        3 => "3 findings",
        4 => "4 no lock",
        5 => "5 busy",
        _ => "6 unknown",
    };
    let list: Vec<&str> = command.exit_statuses().iter().map(told).collect();
    format!("Exit status: {}", list.join("; "))
}

/// Breaks text into lines that fit, all but the first indented; never at [`UNBROKEN`].
fn wrapped(text: &str, indent: usize) -> String {
    let mut result = String::new();
    let mut column = indent;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            result.push_str(&format!("\n{:indent$}", ""));
            column = indent;
        } else if column > indent {
            result.push(' ');
            column += 1;
        }
        result.push_str(word);
        column += length;
    }
    result.replace(UNBROKEN, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widest(text: &str) -> usize {
        text.lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
    }

    #[test]
    fn the_general_help_fits_a_screen_and_names_every_command() {
        let text = help(None);
        assert!(
            text.lines().count() <= 24,
            "{} lines:\n{text}",
            text.lines().count()
        );
        assert!(widest(&text) <= WIDTH, "{text}");
        for command in Command::ALL {
            assert!(
                text.contains(&format!("\n  {:<8}", command.name())),
                "{command}"
            );
        }
    }

    #[test]
    fn the_help_of_a_command_shows_its_options_and_no_others() {
        for command in Command::ALL {
            let text = help(Some(command));
            assert!(widest(&text) <= WIDTH, "{text}");
            for flag in FLAGS {
                let line = text.lines().find(|line| line.starts_with(&term(flag)));
                assert_eq!(
                    line.is_some(),
                    flag.commands.contains(&command),
                    "--{}",
                    flag.long
                );
                let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                if let (true, Some(default)) = (line.is_some(), flag.default) {
                    assert!(
                        words.contains(&format!("(default: {default})")),
                        "--{}",
                        flag.long
                    );
                }
            }
        }
    }

    #[test]
    fn exit_statuses_stand_on_one_line() {
        for command in Command::ALL {
            let line = exit_statuses(command);
            assert!(line.chars().count() <= WIDTH, "{line}");
            assert!(help(Some(command)).ends_with(&format!("\n{line}\n")));
        }
    }

    #[test]
    fn long_text_is_broken_between_words() {
        let text = wrapped("word ".repeat(40).trim(), 10);
        assert!(widest(&text) <= WIDTH);
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("          word"))
        );
    }
}
