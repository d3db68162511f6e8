//! Finds pg_dump and pg_restore of a version that both servers accept, and runs them.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::conninfo::Conninfo;
use crate::error::{Error, GivenUp, Result, Side};
use crate::stop::Stop;
use crate::watch;

/// Where Debian and the RPM packages keep each version's programs, with the version in the middle.
const INSTALLED: [(&str, &str); 2] = [("/usr/lib/postgresql", "bin"), ("/usr", "bin")];

/// The two programs, of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// pg_dump.
    pub dump: PathBuf,
    /// pg_restore.
    pub restore: PathBuf,
    /// Their major version.
    pub version: u32,
}

/// Finds the programs in `bindir` if it is given; else those on PATH or, where they are too old or
/// missing, those where packages put them. `needed` is the newer server's major version: pg_dump
/// refuses a newer source, and what it writes is for its own version or newer ones. Of several, the
/// oldest that will do is taken, because a newer one may write what the destination does not know.
///
/// # Errors
/// None will do; names the nearest one.
pub fn find(bindir: Option<&Path>, needed: u32) -> Result<Tools> {
    let directories = match bindir {
        Some(directory) => vec![directory.to_path_buf()],
        None => on_path().into_iter().chain(installed()).collect(),
    };
    let mut found = Vec::new();
    for directory in &directories {
        found.extend(look(directory));
        // None is better. Asking for the version may take longer than it seems: Debian's pg_dump is a script.
        if found.last().is_some_and(|last| last.version == needed) {
            break;
        }
    }
    choose(&found, needed).ok_or_else(|| complaint(bindir, &found, needed))
}

/// Picks the oldest version that is new enough; the first of several equal ones.
fn choose(found: &[Tools], needed: u32) -> Option<Tools> {
    found
        .iter()
        .filter(|tools| tools.version >= needed)
        .min_by_key(|tools| tools.version)
        .cloned()
}

fn complaint(bindir: Option<&Path>, found: &[Tools], needed: u32) -> Error {
    let place = match bindir {
        Some(directory) => format!("in {}", directory.display()),
        None => "on PATH".to_string(),
    };
    let what = match found.iter().max_by_key(|tools| tools.version) {
        Some(newest) => format!("pg_dump {place} is of version {}", newest.version),
        None => format!("there is no pg_dump with its pg_restore {place}"),
    };
    Error::failed(format!("{what}, and --create-schema needs version {needed}")).mend(format!(
        "install the client programs of PostgreSQL {needed}, or name their directory with --pg-bindir"
    ))
}

fn on_path() -> Vec<PathBuf> {
    std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// Lists `/usr/lib/postgresql/*/bin` and `/usr/pgsql-*/bin`.
fn installed() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for (root, bin) in INSTALLED {
        let Ok(entries) = std::fs::read_dir(root) else {
            continue;
        };
        let named = |name: &str| root != "/usr" || name.starts_with("pgsql-");
        directories.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_name().to_str().is_some_and(named))
                .map(|entry| entry.path().join(bin)),
        );
    }
    directories.sort();
    directories
}

fn look(directory: &Path) -> Option<Tools> {
    let (dump, restore) = (directory.join("pg_dump"), directory.join("pg_restore"));
    if !dump.is_file() || !restore.is_file() {
        return None;
    }
    let output = Command::new(&dump)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let version = major_version(&String::from_utf8_lossy(&output.stdout))?;
    Some(Tools {
        dump,
        restore,
        version,
    })
}

/// Reads `pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `… 19beta1`, `… 9.6.24`.
fn major_version(text: &str) -> Option<u32> {
    let (_, behind) = text.split_once("(PostgreSQL)")?;
    let number = behind.trim_start();
    let end = number
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(number.len());
    number[..end].parse().ok()
}

/// Runs a program to its end, or ends it when a signal comes. `said` is a file that takes its
/// standard error.
///
/// # Errors
/// It cannot be started; it fails, with what it said in one line; a signal.
pub fn run(command: &mut Command, what: &str, said: &Path, stop: &Stop) -> Result<()> {
    run_while(command, what, said, stop, || Ok(()))
}

/// Runs a program that was prepared to connect to one of the servers under `name`: [`run`] with a watch
/// over it.
///
/// # Errors
/// As [`run`]; the server cannot be reached any more, or the program does nothing there for too long.
pub fn run_on(
    (conninfo, side, name): (&Conninfo, Side, &str),
    command: &mut Command,
    what: &str,
    said: &Path,
    stop: &Stop,
) -> Result<()> {
    let wire = Arc::default();
    let _watched = watch::over_program(conninfo, side, name, &wire, what)?;
    run_while(command, what, said, stop, || wire.check())
}

fn run_while(
    command: &mut Command,
    what: &str,
    said: &Path,
    stop: &Stop,
    alive: impl Fn() -> std::io::Result<()>,
) -> Result<()> {
    let failed = |error: std::io::Error| {
        let told = Error::failed(format!("could not {what}: {error}"));
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(GivenUp { mend, .. }) => told.mend(mend),
            None => told,
        }
    };
    let stderr = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(said)
        .map_err(failed)?;
    let mut child = command
        // They may hold passwords, and are nothing to others.
        .env_remove("PG_SWITCHOVER_SOURCE")
        .env_remove("PG_SWITCHOVER_DEST")
        .stdin(Stdio::null())
        // It has nothing to say there; and a worker of pg_restore may outlive it for some time, if its
        // server is silent.
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .map_err(|error| {
            let program = command.get_program().to_string_lossy().into_owned();
            Error::failed(format!("could not run {program}: {error}"))
        })?;
    let succeeded = wait(&mut child, stop, alive).map_err(failed)?;
    stop.check()?;
    if succeeded {
        return Ok(());
    }
    let text = std::fs::read(said).unwrap_or_default();
    let text = complaint_of(&String::from_utf8_lossy(&text));
    Err(Error::failed(format!("could not {what}: {text}")))
}

fn wait(
    child: &mut Child,
    stop: &Stop,
    alive: impl Fn() -> std::io::Result<()>,
) -> std::io::Result<bool> {
    // Short, for most runs are.
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        let alive = alive();
        if alive.is_err() || !stop.sleep(pause) {
            child.kill()?;
            child.wait()?;
            return alive.map(|()| false);
        }
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// Returns the first error among what pg_dump or pg_restore said, with DETAIL and HINT, in one line.
fn complaint_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_error = |line: &&str| line.contains("error: ") || line.contains("fatal: ");
    let Some(first) = lines.iter().position(&is_error) else {
        return lines
            .last()
            .unwrap_or(&"it said nothing")
            .trim()
            .to_string();
    };
    let mut parts = vec![lines[first]];
    parts.extend(
        lines[first + 1..]
            .iter()
            .take_while(|line| !is_error(line) && !line.starts_with("Command was:"))
            .filter(|line| {
                let line = line.trim_start_matches("pg_restore: ").trim_start();
                line.starts_with("DETAIL:")
                    || line.starts_with("HINT:")
                    || line.starts_with("detail:")
            }),
    );
    let joined = parts.join(" ");
    joined.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        let read = |number| major_version(&format!("pg_dump (PostgreSQL) {number}\n"));
        assert_eq!(read("15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(read("18.4"), Some(18));
        assert_eq!(read("19beta1"), Some(19));
        assert_eq!(read("9.6.24"), Some(9));
        assert_eq!(major_version("busybox"), None);
        assert_eq!(read("devel"), None);
    }

    fn tools(version: u32, place: &str) -> Tools {
        Tools {
            dump: PathBuf::from(place).join("pg_dump"),
            restore: PathBuf::from(place).join("pg_restore"),
            version,
        }
    }

    #[test]
    fn the_oldest_version_that_will_do_is_taken_and_path_before_others() {
        let found = [
            tools(19, "/a"),
            tools(15, "/b"),
            tools(17, "/c"),
            tools(17, "/d"),
        ];
        assert_eq!(choose(&found, 16), Some(tools(17, "/c")));
        assert_eq!(choose(&found, 18), Some(tools(19, "/a")));
        assert_eq!(choose(&found, 20), None);
    }

    #[test]
    fn the_complaint_names_what_is_there_and_what_is_needed() {
        let text = complaint(None, &[tools(15, "/b")], 18).to_string();
        assert!(text.starts_with(
            "pg_dump on PATH is of version 15, and --create-schema needs version 18;"
        ));
        let text = complaint(Some(Path::new("/x")), &[], 18).to_string();
        assert!(text.starts_with("there is no pg_dump with its pg_restore in /x"));
    }

    #[test]
    fn the_first_error_is_told_in_one_line() {
        let said = "pg_restore: while PROCESSING TOC:\n\
                    pg_restore: from TOC entry 5; 1259 1 INDEX a x\n\
                    pg_restore: error: could not execute query: ERROR:  could not create index\n\
                    DETAIL:  Key is duplicated.\n\
                    Command was: CREATE INDEX\n\
                    pg_restore: error: a worker process died unexpectedly\n";
        assert_eq!(
            complaint_of(said),
            "pg_restore: error: could not execute query: ERROR: could not create index DETAIL: Key is duplicated."
        );
        assert_eq!(complaint_of(""), "it said nothing");
    }
}
