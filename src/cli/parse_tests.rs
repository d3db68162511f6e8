use crate::cli::flags::Flag;
use crate::cli::{AfterSwitch, Progress};

use super::*;

fn options_of(line: &str) -> Options {
    match parse(line.split_whitespace()) {
        Ok(Invocation::Run(options)) => *options,
        other => panic!("{line}: {other:?}"),
    }
}

fn error_of(words: &[&str]) -> String {
    match parse(words) {
        Err(error) => error.to_string(),
        Ok(invocation) => panic!("{words:?}: {invocation:?}"),
    }
}

/// A value that the option accepts.
fn value_of(flag: &Flag) -> &'static str {
    match flag.argument {
        Some("CONNINFO") => "dbname=x",
        Some("WHEN") => "never",
        Some("WHAT") => "readonly,terminate",
        Some("N" | "SECONDS" | "ROWS" | "MS") => "7",
        _ => "x",
    }
}

/// What help tells as the default, as the parser knows it.
fn default_of(flag: &Flag, options: &Options) -> String {
    match flag.long {
        "source" => "$PG_SWITCHOVER_SOURCE".into(),
        "dest" => "$PG_SWITCHOVER_DEST".into(),
        "pg-bindir" => "$PATH".into(),
        "jobs" => format!("number of cores, at most {DEFAULT_JOBS_AT_MOST}"),
        "progress" => format!("{:?}", options.progress).to_lowercase(),
        "interval" => options.interval.as_secs_f64().to_string(),
        "max-pending" => options.max_pending.to_string(),
        "lock-timeout" => options.lock_timeout.as_millis().to_string(),
        "lock-attempts" => options.lock_attempts.to_string(),
        other => panic!("--{other} has a default that this test does not know"),
    }
}

#[test]
fn every_option_is_taken_by_its_commands_and_refused_by_the_others() {
    for flag in FLAGS
        .iter()
        .filter(|flag| !["help", "version"].contains(&flag.long))
    {
        for command in Command::ALL {
            let value = flag
                .argument
                .map(|_| format!("={}", value_of(flag)))
                .unwrap_or_default();
            // What some options need beside them.
            let beside = match flag.long {
                "pg-bindir" | "no-owner" | "no-privileges" => "--create-schema",
                "interval" if command == Command::Sync => "--follow",
                _ => "",
            };
            let line = format!("{command} --{}{value} {beside}", flag.long);
            let parsed = parse(line.split_whitespace());
            if flag.commands.contains(&command) {
                assert!(
                    matches!(parsed, Ok(Invocation::Run(_))),
                    "{line}: {parsed:?}"
                );
            } else {
                let error = parsed.unwrap_err().to_string();
                assert!(error.contains("does not take option"), "{line}: {error}");
            }
        }
    }
}

#[test]
fn every_option_without_a_value_changes_something() {
    for flag in FLAGS.iter().filter(|flag| flag.argument.is_none()) {
        let without = match flag.long {
            "no-owner" | "no-privileges" => "copy --create-schema".to_string(),
            _ => flag.commands[0].to_string(),
        };
        match parse(format!("{without} --{}", flag.long).split_whitespace()).unwrap() {
            Invocation::Help(_) => assert_eq!(flag.long, "help"),
            Invocation::Version => assert_eq!(flag.long, "version"),
            Invocation::Run(options) => assert!(*options != options_of(&without), "{}", flag.long),
        }
    }
}

#[test]
fn the_defaults_are_those_that_help_tells() {
    let options = options_of("run");
    for flag in FLAGS {
        if let Some(default) = flag.default {
            assert_eq!(default, default_of(flag, &options), "--{}", flag.long);
        }
    }
    assert!((1..=4).contains(&options.jobs));
    assert_eq!(options.patterns, Patterns::default());
}

#[test]
fn values_arrive_in_their_fields() {
    let options = options_of(
        "-s dbname=a run --dest=postgres://h/b -n s1 -n s2 -N s3 -t t1 -T t2 -T t3 -j8 -vv \
         --create-schema --pg-bindir /opt/bin -Ox --truncate --allow-downgrade --progress never \
         --interval 0.25 --max-pending 5 --lock-timeout 200 --lock-attempts 3 \
         --terminate-blockers --unverified",
    );
    assert_eq!(options.command, Command::Run);
    assert_eq!(options.source.as_deref(), Some("dbname=a"));
    assert_eq!(options.destination.as_deref(), Some("postgres://h/b"));
    assert_eq!(options.patterns.schemas, ["s1", "s2"]);
    assert_eq!(options.patterns.exclude_schemas, ["s3"]);
    assert_eq!(options.patterns.tables, ["t1"]);
    assert_eq!(options.patterns.exclude_tables, ["t2", "t3"]);
    assert_eq!((options.jobs, options.verbose), (8, 2));
    assert_eq!(options.pg_bindir, Some(PathBuf::from("/opt/bin")));
    assert!(options.create_schema && options.no_owner && options.no_privileges);
    assert!(options.truncate && options.allow_downgrade);
    assert_eq!(options.progress, Progress::Never);
    assert_eq!(options.interval, Duration::from_millis(250));
    assert_eq!(options.max_pending, 5);
    assert_eq!(options.lock_timeout, Duration::from_millis(200));
    assert_eq!(options.lock_attempts, 3);
    assert!(options.terminate_blockers && options.unverified);
}

#[test]
fn both_that_can_come_after_the_switch_may_be_asked_for_together() {
    let both = AfterSwitch {
        readonly: true,
        terminate: true,
    };
    for line in [
        "switch --after-switch=readonly,terminate",
        "run --after-switch terminate,readonly",
        "check --after-switch=terminate --after-switch=readonly",
    ] {
        assert_eq!(options_of(line).after_switch, both, "{line}");
    }
    let one = options_of("switch --after-switch=readonly").after_switch;
    assert!(one.readonly && !one.terminate);
    assert_eq!(options_of("switch").after_switch, AfterSwitch::default());
    for value in ["", "read-only", "readonly,", "readonly;terminate"] {
        let error = error_of(&["switch", &format!("--after-switch={value}")]);
        let expected = format!(
            "invalid value \"{value}\" for option --after-switch: expected readonly, terminate"
        );
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn ranges_end_where_they_are_said_to() {
    for (option, inside, outside) in [
        ("jobs", ["1", "64"], ["0", "65"]),
        ("interval", ["0.01", "86400"], ["0.009", "86400.1"]),
        ("max-pending", ["1", "1000000"], ["0", "1000001"]),
        ("lock-timeout", ["1", "600000"], ["0", "600001"]),
        ("lock-attempts", ["1", "100000"], ["0", "100001"]),
    ] {
        for value in inside {
            options_of(&format!("run --{option}={value}"));
        }
        for value in outside
            .into_iter()
            .chain(["", "x", "-1", "1e3", "nan", "inf", "1s"])
        {
            let error = error_of(&["run", &format!("--{option}={value}")]);
            assert!(error.contains(&format!("invalid value \"{value}\" for option --{option}")));
        }
    }
}

#[test]
fn help_and_version_need_nothing_else() {
    for line in ["--help", "-h", "-?", "-h -?"] {
        let parsed = parse(line.split_whitespace());
        assert!(matches!(parsed, Ok(Invocation::Help(None))), "{line}");
    }
    for line in [
        "copy --help",
        "--help copy",
        "copy -?",
        "-h copy --json extra",
    ] {
        let parsed = parse(line.split_whitespace());
        assert!(
            matches!(parsed, Ok(Invocation::Help(Some(Command::Copy)))),
            "{line}"
        );
    }
    for line in ["--version", "-V", "copy -V"] {
        assert!(
            matches!(parse(line.split_whitespace()), Ok(Invocation::Version)),
            "{line}"
        );
    }
}

#[test]
fn two_hyphens_end_the_options() {
    assert_eq!(options_of("-q -- copy").command, Command::Copy);
    assert!(error_of(&["copy", "--", "--quiet"]).starts_with("unexpected argument \"--quiet\""));
}

#[test]
fn no_message_and_no_debug_output_shows_a_password() {
    let uri = "postgres://u:secret@h/d";
    for words in [
        vec![uri],
        vec!["copy", uri],
        vec!["copy", "-s", "host=h", "password=secret"],
        vec!["copy", &format!("--sorce={uri}")],
        vec!["copy", &format!("-source={uri}")],
        vec!["copy", &format!("-s={uri}")],
        vec!["copy", "-j", uri],
        vec!["copy", "--progress", uri],
        vec!["copy", &format!("--quiet={uri}")],
        vec!["copy", &format!("--json={uri}")],
        vec!["copy", "-s", uri, "-s", uri],
        vec!["copy", "-s", "-d", uri],
    ] {
        assert!(
            !error_of(&words).contains("secret"),
            "{words:?}: {}",
            error_of(&words)
        );
    }
    let options = options_of(&format!("copy -s {uri} -d {uri}"));
    assert!(!format!("{options:?}").contains("secret"));
}

#[test]
fn a_mistyped_word_is_guessed() {
    for (words, guess) in [
        (["swtich", "-q"], "did you mean \"switch\"?"),
        (["verfy", "-q"], "did you mean \"verify\"?"),
        (["copy", "--jbos"], "did you mean --jobs?"),
        (["copy", "--destination"], "did you mean --dest?"),
        (["copy", "-jobs"], "did you mean --jobs?"),
        (["copy", "\u{2014}jobs"], "typographic dash"),
        (["copy", "--host"], "with --source and --dest."),
        (["copy", "-U"], "with --source and --dest."),
        (["migrate", "-q"], "the commands are check, init, copy"),
    ] {
        let error = error_of(&words);
        assert!(error.contains(guess), "{words:?}: {error}");
    }
}

#[test]
fn a_message_stays_on_one_line() {
    let error = error_of(&["copy", "a\nb\u{1b}[31m"]);
    assert!(
        error.starts_with("unexpected argument \"a\\nb\\u{1b}[31m\"; try "),
        "{error}"
    );
}
