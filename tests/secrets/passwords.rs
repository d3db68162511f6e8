//! A password shows nowhere but where its owner has put it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Scratch, with_passwords};
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Program;
use crate::support::servers;
use crate::support::stage::LIMIT;
use crate::support::wait_for;

const PASSWORD: &str = "hun:ter2";

fn conninfo(pair: &Pair, port: u16) -> String {
    let _ = pair;
    format!("host=127.0.0.1 port={port} dbname={DATABASE} user=mover password={PASSWORD}")
}

/// Programs in the place of pg_dump and pg_restore that write down what they are told, and how the files around
/// them may be read.
fn watched_programs(scratch: &Path) -> PathBuf {
    let bin = scratch.join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["pg_dump", "pg_restore"] {
        let script = format!(
            "#!/bin/sh
             if [ \"$1\" != --version ]; then
                 echo \"$@\" >>'{log}/arguments'
                 tr '\\0' '\\n' </proc/$$/environ >>'{log}/environment'
                 find \"$TMPDIR\" -mindepth 1 -printf '%m %y\\n' >>'{log}/modes'
                 if [ -e '{log}/hang' ]; then echo >'{log}/hanging'; exec sleep 5; fi
             fi
             exec '{real}' \"$@\"\n",
            log = scratch.display(),
            real = servers::client(name).display()
        );
        let path = bin.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

struct Watched {
    pair: Pair,
    scratch: Scratch,
    bin: PathBuf,
}

impl Watched {
    fn new() -> Watched {
        let pair = with_passwords(PASSWORD);
        let scratch = Scratch::new();
        let bin = watched_programs(&scratch.path);
        fs::create_dir(scratch.path.join("tmp")).unwrap();
        pair.on_source(
            "CREATE TABLE t (id int PRIMARY KEY, n int); CREATE INDEX ON t (n);
             INSERT INTO t SELECT i, i FROM generate_series(1, 100) i",
        );
        Watched { pair, scratch, bin }
    }

    fn tmp(&self) -> PathBuf {
        self.scratch.path.join("tmp")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.scratch.path.join(name)).unwrap()
    }

    fn program(&self, args: &[&str]) -> Program {
        let pair = &self.pair;
        pair.program(args)
            .source(&conninfo(pair, pair.source.port()))
            .destination(&conninfo(pair, pair.destination.port()))
            .env("TMPDIR", self.tmp())
    }

    fn left_in_tmp(&self) -> usize {
        fs::read_dir(self.tmp()).unwrap().count()
    }
}

#[test]
fn no_password_is_logged_stored_or_handed_on_where_others_see_it() {
    let watched = Watched::new();
    let pair = &watched.pair;
    let bindir = format!("--pg-bindir={}", watched.bin.display());
    let mut running = watched
        .program(&[
            "run",
            "-vv",
            "--create-schema",
            &bindir,
            "--after-switch=readonly",
        ])
        .env("RUST_LOG", "trace")
        .spawn();
    let mut observers = [&pair.source, &pair.destination].map(|one| one.connect("postgres"));
    let mut seen = BTreeSet::new();
    while running.is_running() {
        for observer in &mut observers {
            let sql = "SELECT concat(application_name, ': ', query) FROM pg_stat_activity";
            let rows = observer.query(sql, &[]).unwrap();
            seen.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let outcome = running.wait(LIMIT).expect(0);
    assert!(outcome.stderr.contains("trace"), "{}", outcome.report());
    let mut places = vec![
        ("standard error", outcome.stderr.clone()),
        ("standard output", outcome.stdout.clone()),
        ("pg_stat_activity", seen.into_iter().collect()),
        ("arguments", watched.read("arguments")),
        ("environment", watched.read("environment")),
        ("the source's log", pair.source.log()),
        ("the destination's log", pair.destination.log()),
    ];
    for (cluster, name) in [(&pair.source, "source"), (&pair.destination, "destination")] {
        let uri = cluster.uri(DATABASE);
        let dump = servers::output_of(
            std::process::Command::new(servers::client("pg_dump")).args(["-n", "switchover", &uri]),
        );
        assert!(dump.contains("COPY switchover.state"), "{dump}");
        places.push((name, dump));
    }
    let status = watched
        .program(&["status", "-vv", "--json"])
        .run()
        .expect(0);
    places.push(("status", status.stdout.clone() + &status.stderr));
    for (place, text) in places {
        for secret in [PASSWORD, "hun\\:ter2", "ter2"] {
            assert!(!text.contains(secret), "{secret} is in {place}: {text}");
        }
    }
    assert!(watched.read("environment").contains("PGPASSFILE="));
    let open: Vec<String> = watched
        .read("modes")
        .lines()
        .filter(|line| !["600 f", "700 d"].contains(line))
        .map(String::from)
        .collect();
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(watched.left_in_tmp(), 0);
}

#[test]
fn what_a_killed_run_has_left_in_tmpdir_goes_with_the_next() {
    let watched = Watched::new();
    let bindir = format!("--pg-bindir={}", watched.bin.display());
    watched.program(&["init"]).run().expect(0);
    fs::write(watched.scratch.path.join("hang"), "").unwrap();
    let copy = ["copy", "-q", "--create-schema", &bindir];
    let running = watched.program(&copy).spawn();
    wait_for("pg_dump", LIMIT, || {
        watched.scratch.path.join("hanging").exists()
    });
    running.kill();
    assert_eq!(watched.left_in_tmp(), 1);
    fs::remove_file(watched.scratch.path.join("hang")).unwrap();
    // What is not ours, or not left behind, stays.
    let other = watched.tmp().join("pg_switchover-other");
    fs::create_dir(&other).unwrap();
    watched.program(&copy).run().expect(0);
    assert_eq!(watched.left_in_tmp(), 1);
    assert!(other.exists());
}

#[test]
fn a_password_on_the_command_line_is_warned_of_once() {
    let pair = with_passwords(PASSWORD);
    let [source, destination] =
        [&pair.source, &pair.destination].map(|one| conninfo(&pair, one.port()));
    let warning = "can be seen by every user of this machine (ps)";
    let outcome = Program::new(&["status", "-s", &source, "-d", &destination])
        .run()
        .expect(0);
    assert_eq!(
        outcome.stderr.matches(warning).count(),
        1,
        "{}",
        outcome.report()
    );
    assert!(!outcome.stderr.contains("ter2"), "{}", outcome.report());
    let outcome = Program::new(&["status"])
        .source(&source)
        .destination(&destination)
        .run()
        .expect(0);
    assert!(!outcome.stderr.contains(warning), "{}", outcome.report());
}
