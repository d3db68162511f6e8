//! Help, parser and manual page agree: whoever adds an option to one of them is sent to the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::{error_line, general_help, run, stdout};

const MANUAL: &str = include_str!("../../man/pg_switchover.1");

#[test]
fn help_manual_page_and_parser_name_the_same_commands() {
    let help = general_help();
    let of_help: Vec<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(commands_of_manual(), of_help);

    let refused = error_line(&run(&["xyzzy"]));
    let listed = format!("the commands are {} and run.", of_help[..8].join(", "));
    assert!(refused.contains(&listed), "{refused}");
    for command in of_help {
        let help = stdout(&run(&[command, "--help"]));
        assert!(
            help.starts_with(&format!("Usage: pg_switchover {command} ")),
            "{help}"
        );
    }
}

#[test]
fn help_and_manual_page_tell_the_same_options_of_each_command() {
    let manual = options_of_manual();
    for command in commands_of_manual() {
        let of_manual: BTreeSet<Spelling> = manual
            .iter()
            .filter(|entry| entry.commands.iter().any(|name| name == command))
            .map(|entry| entry.spelling.clone())
            .collect();
        let of_help: BTreeSet<Spelling> = options_of_help(command).into_keys().collect();
        assert_eq!(of_help, of_manual, "options of {command}");
    }
}

#[test]
fn the_parser_takes_the_options_of_the_manual_page_and_refuses_them_elsewhere() {
    for entry in options_of_manual() {
        let long = &entry.spelling.long;
        if long == "help" || long == "version" {
            continue;
        }
        let value = if entry.spelling.argument.is_empty() {
            ""
        } else {
            "=dbname=x"
        };
        let option = match long.as_str() {
            "dest" => "--source=dbname=x".to_string(),
            _ => format!("--{long}{value}"),
        };
        for command in commands_of_manual() {
            // The empty value is found after the options that a command does not take, and before
            // everything else, so nothing is ever begun here.
            let error = error_line(&run(&[command, &option, "--dest="]));
            let expected = if entry.commands.iter().any(|name| name == command) {
                "the value of option --dest is empty".to_string()
            } else {
                format!("{command} does not take option --{long} ")
            };
            assert!(error.contains(&expected), "{command} {option}: {error}");
        }
    }
}

#[test]
fn the_defaults_of_help_are_in_the_manual_page() {
    let manual: BTreeMap<Spelling, String> = options_of_manual()
        .into_iter()
        .map(|entry| (entry.spelling, entry.text))
        .collect();
    for command in commands_of_manual() {
        for (spelling, text) in options_of_help(command) {
            let default = text.split_once("(default: ").map(|(_, rest)| rest);
            let default = default
                .and_then(|rest| rest.split_once(')'))
                .map(|(default, _)| default);
            let in_manual = manual[&spelling]
                .split_once("Default: ")
                .map(|(_, rest)| rest);
            assert_eq!(
                default.is_some(),
                in_manual.is_some(),
                "--{}",
                spelling.long
            );
            if let (Some(default), Some(in_manual)) = (default, in_manual) {
                let (expected, told) = (words(default), words(in_manual));
                let found = told
                    .windows(expected.len())
                    .any(|window| window == expected);
                assert!(
                    found,
                    "--{}: {default} is not in: {in_manual}",
                    spelling.long
                );
            }
        }
    }
}

#[test]
fn help_and_manual_page_know_the_same_exit_statuses() {
    let of_help: BTreeSet<String> = commands_of_manual()
        .into_iter()
        .flat_map(|command| {
            let help = stdout(&run(&[command, "--help"]));
            let line = help.lines().last().unwrap_or("").to_string();
            let list = line
                .strip_prefix("Exit status: ")
                .expect("the last line")
                .to_string();
            list.split("; ")
                .map(|one| one[..1].to_string())
                .collect::<Vec<_>>()
        })
        .collect();
    let of_manual: BTreeSet<String> = items("EXIT STATUS").into_iter().map(String::from).collect();
    assert_eq!(of_help, of_manual);
    assert_eq!(of_manual.into_iter().collect::<String>(), "0123456");
}

#[test]
fn every_environment_variable_that_is_read_is_in_the_manual_page() {
    let documented: BTreeSet<&str> = items("ENVIRONMENT")
        .into_iter()
        .flat_map(|item| item.strip_prefix("Ev ").unwrap_or(item).split(" , "))
        .collect();
    let mut source = String::new();
    read_tree(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        &mut source,
    );
    let read: BTreeSet<&str> = source
        .split('"')
        .map(|text| text.trim_start_matches('$'))
        .filter(|text| text.starts_with("PG") || *text == "RUST_LOG" || *text == "TMPDIR")
        .filter(|text| text.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .collect();
    let missing: Vec<_> = read.difference(&documented).collect();
    assert!(
        missing.is_empty(),
        "not in ENVIRONMENT of the manual page: {missing:?}"
    );

    for word in general_help().split(|c: char| !c.is_ascii_uppercase() && c != '_') {
        assert!(
            !word.starts_with("PG_") || documented.contains(word),
            "{word}"
        );
    }
}

#[test]
fn mandoc_finds_nothing_to_object_to() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/pg_switchover.1");
    let Ok(lint) = Command::new("mandoc").args(["-T", "lint", page]).output() else {
        eprintln!("mandoc is not installed: the manual page was not checked");
        return;
    };
    // Which other manuals this machine has is not the page's fault.
    let report = stdout(&lint);
    let findings: Vec<&str> = report
        .lines()
        .filter(|line| !line.contains("referenced manual not found"))
        .collect();
    assert!(findings.is_empty(), "{findings:#?}");
}

/// An option as it is written: short name or nothing, long name, argument or nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Spelling {
    short: String,
    long: String,
    argument: String,
}

struct Entry {
    spelling: Spelling,
    commands: Vec<String>,
    text: String,
}

/// Reads OPTIONS: `.It Fl s , -source Ar CONNINFO`, a line of commands, and text.
fn options_of_manual() -> Vec<Entry> {
    let text = section("OPTIONS");
    text.split("\n.It Fl ")
        .skip(1)
        .map(|entry| {
            let (head, rest) = entry.split_once('\n').expect("text below .It");
            let (commands, text) = rest.split_once('\n').expect("text below .Pq");
            let (names, argument) = head.split_once(" Ar ").unwrap_or((head, ""));
            let (short, long) = names.split_once(" , ").unwrap_or(("", names));
            Entry {
                spelling: Spelling {
                    short: short.to_string(),
                    long: long.trim_start_matches('-').to_string(),
                    argument: argument.to_string(),
                },
                commands: commands_of_entry(commands),
                text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            }
        })
        .collect()
}

fn commands_of_entry(line: &str) -> Vec<String> {
    match line.strip_prefix(".Pq Cm ") {
        Some(names) => names.split(" , ").map(String::from).collect(),
        None => {
            assert_eq!(line, ".Pq all commands");
            commands_of_manual().into_iter().map(String::from).collect()
        }
    }
}

fn commands_of_manual() -> Vec<&'static str> {
    items("COMMANDS")
        .into_iter()
        .filter_map(|item| item.strip_prefix("Cm "))
        .collect()
}

/// Returns what stands behind each `.It` of a section.
fn items(section_name: &str) -> Vec<&'static str> {
    section(section_name)
        .lines()
        .filter_map(|line| line.strip_prefix(".It "))
        .collect()
}

fn section(name: &str) -> &'static str {
    let (_, rest) = MANUAL
        .split_once(&format!(".Sh {name}\n"))
        .expect("the section is there");
    rest.split("\n.Sh ").next().unwrap_or(rest)
}

/// Reads the options of `COMMAND --help`, each with the text beside it.
fn options_of_help(command: &str) -> BTreeMap<Spelling, String> {
    let help = stdout(&run(&[command, "--help"]));
    let (_, list) = help.split_once("\nOptions:\n").expect("a list of options");
    let (list, _) = list.split_once("\n\n").expect("an end of the list");
    let mut entries: Vec<String> = Vec::new();
    for line in list.lines() {
        if line.trim_start().starts_with('-') {
            entries.push(line.trim_start().to_string());
        } else {
            let entry = entries.last_mut().expect("an option above");
            *entry = format!("{entry} {}", line.trim_start());
        }
    }
    entries.iter().map(|entry| help_entry(entry)).collect()
}

/// Parts `-j, --jobs N  text`.
fn help_entry(entry: &str) -> (Spelling, String) {
    let (term, text) = entry.split_once("  ").expect("two spaces before the text");
    let (short, rest) = match term.split_once(", ") {
        Some((short, rest)) => (short.trim_start_matches('-'), rest),
        None => ("", term),
    };
    let (long, argument) = rest.split_once(' ').unwrap_or((rest, ""));
    let spelling = Spelling {
        short: short.to_string(),
        long: long.trim_start_matches('-').to_string(),
        argument: argument.to_string(),
    };
    (spelling, text.trim_start().to_string())
}

/// Words without the marks of help (`$NAME`), mdoc (`.Ev NAME .`) and sentences.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace()
        .filter(|word| !matches!(*word, ".Ev" | ".Cm"))
        .map(|word| word.trim_matches(['$', '.', ',']))
        .filter(|word| !word.is_empty())
        .collect()
}

fn read_tree(directory: &Path, into: &mut String) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_tree(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("readable"));
        }
    }
}
