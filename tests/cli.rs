//! The command line, without a server: help, parser and manual page agree, and every mistake gets
//! one line and exit status 2.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::process::{Command, Output, Stdio};

mod agreement;

#[test]
fn wrong_invocations_get_one_line_and_exit_status_2() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "no command given"),
        (&[""], "unknown command \"\""),
        (&["--"], "no command given"),
        (&["-q"], "no command given"),
        (&["swtich"], "did you mean \"switch\"?"),
        (&["COPY"], "did you mean \"copy\"?"),
        (&["switchover"], "did you mean \"switch\"?"),
        (&["help"], "unknown command \"help\""),
        (
            &["copy", "sync"],
            "unexpected argument \"sync\"; the command is \"copy\" already",
        ),
        (&["copy", "public.t"], "unexpected argument \"public.t\""),
        (&["copy", "--", "--jobs"], "unexpected argument \"--jobs\""),
        (
            &["copy", "--jbos=4"],
            "unknown option --jbos; did you mean --jobs?",
        ),
        (
            &["copy", "-jobs", "4"],
            "unknown option -jobs; did you mean --jobs?",
        ),
        (&["copy", "\u{2013}jobs", "4"], "type two hyphens"),
        (&["copy", "-z"], "unknown option -z"),
        (
            &["copy", "--host", "db1"],
            "name the two databases with --source and --dest",
        ),
        (&["--dry-run", "switch"], "unknown option --dry-run"),
        (&["copy", "-j"], "option --jobs needs a value (N)"),
        (
            &["copy", "--source"],
            "option --source needs a value (CONNINFO)",
        ),
        (
            &["copy", "--source="],
            "the value of option --source is empty",
        ),
        (
            &["copy", "-s", "", "-d", "dbname=b"],
            "the value of option --source is empty",
        ),
        (
            &["copy", "-s", "-d", "dbname=b"],
            "the value of option --source begins with a hyphen",
        ),
        (
            &["copy", "-s", "host=a", "dbname=b"],
            "put quotes around each connection string",
        ),
        (
            &["copy", "-s", "app"],
            "the value of option --source is no connection string",
        ),
        (
            &["copy", "-s=dbname=a"],
            "the value of option --source begins with \"=\"",
        ),
        (
            &["check", "-n", ""],
            "the value of option --schema is empty",
        ),
        (
            &["check", "-n", "-q"],
            "the value of option --schema begins with a hyphen",
        ),
        (
            &["copy", "-j", "0"],
            "invalid value \"0\" for option --jobs",
        ),
        (
            &["copy", "-j", "65"],
            "expected a whole number from 1 to 64",
        ),
        (&["copy", "-j4x"], "invalid value \"4x\" for option --jobs"),
        (
            &["copy", "-j", "2", "--jobs=3"],
            "option --jobs is given more than once",
        ),
        (
            &["copy", "-q", "-q"],
            "option --quiet is given more than once",
        ),
        (&["copy", "-qv"], "exclude each other"),
        (&["copy", "--quiet=yes"], "option --quiet takes no value"),
        (
            &["copy", "--progress", "sometimes"],
            "expected auto, always or never",
        ),
        (
            &["copy", "--no-owner"],
            "option --no-owner needs --create-schema",
        ),
        (
            &["copy", "--json"],
            "copy does not take option --json (only check, verify and status do)",
        ),
        (
            &["copy", "-t", "public.t"],
            "copy does not take option --table",
        ),
        (
            &["switch", "--follow"],
            "switch does not take option --follow (only sync does)",
        ),
        (
            &["switch", "--lock-timeout=1s"],
            "expected a whole number of milliseconds",
        ),
        (&["switch", "--lock-timeout=0"], "from 1 to 600000"),
        (&["switch", "--lock-attempts=-1"], "from 1 to 100000"),
        (&["switch", "--max-pending=1e6"], "from 1 to 1000000"),
        (
            &["switch", "--interval", "0"],
            "a number of seconds from 0.01 to 86400",
        ),
        (
            &["switch", "--interval", "1,5"],
            "invalid value \"1,5\" for option --interval",
        ),
        (
            &["sync", "--interval", "5"],
            "option --interval needs --follow",
        ),
        (
            &["status", "--force"],
            "status does not take option --force",
        ),
        (&["drop", "a\nb"], "unexpected argument \"a\\nb\""),
    ];
    for (args, expected) in cases {
        let line = error_line(&run(args));
        assert!(line.contains(expected), "{args:?}: {line}");
        assert!(
            line.ends_with("--help\" for more information"),
            "{args:?}: {line}"
        );
    }
}

#[test]
fn a_usage_error_points_at_the_help_of_the_command() {
    let line = error_line(&run(&["copy", "--bogus"]));
    assert!(
        line.ends_with("try \"pg_switchover copy --help\" for more information"),
        "{line}"
    );
    let line = error_line(&run(&["bogus"]));
    assert!(
        line.ends_with("Try \"pg_switchover --help\" for more information"),
        "{line}"
    );
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_utf_8_is_a_usage_error() {
    use std::os::unix::ffi::OsStrExt;
    let argument = std::ffi::OsStr::from_bytes(b"\xff");
    let line = error_line(&program().arg("copy").arg(argument).output().expect("runs"));
    assert!(line.contains("argument 2 is not valid UTF-8"), "{line}");
}

#[test]
fn no_usage_error_shows_a_password() {
    let uri = "postgresql://mover:secret@old/app";
    for args in [
        vec![uri],
        vec!["copy", uri],
        vec!["copy", "-s", "host=old", "password=secret"],
        vec!["copy", "--sorce=postgresql://mover:secret@old/app"],
        vec!["copy", "-j", uri],
        vec!["copy", "-s", uri, "-s", uri],
        vec!["copy", "-s", "-d", uri],
    ] {
        let line = error_line(&run(&args));
        assert!(!line.contains("secret"), "{args:?}: {line}");
    }
}

#[test]
fn the_general_help_fits_a_screen() {
    let help = general_help();
    assert!(help.lines().count() <= 24, "{help}");
    assert!(
        help.lines().all(|line| line.chars().count() <= 80),
        "{help}"
    );
}

#[test]
fn the_version_is_that_of_the_crate() {
    for option in ["--version", "-V"] {
        assert_eq!(stdout(&run(&[option])), "pg_switchover 0.1.0\n");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = program()
        .arg("--help")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::File::create("/dev/full").expect("opens");
    let output = program().arg("--help").stdout(full).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(
        told.starts_with("pg_switchover: error: could not write to standard output: "),
        "{told}"
    );
}

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_pg_switchover"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") || name == "RUST_LOG" {
            program.env_remove(name);
        }
    }
    program
}

fn run(args: &[&str]) -> Output {
    program()
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("runs")
}

fn general_help() -> String {
    stdout(&run(&["--help"]))
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the one line of a usage error.
fn error_line(output: &Output) -> String {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(stdout(output), "");
    let line = told.strip_suffix('\n').expect("a whole line");
    assert!(!line.contains('\n'), "more than one line: {line}");
    line.strip_prefix("pg_switchover: error: ")
        .expect("the prefix")
        .to_string()
}
