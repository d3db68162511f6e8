//! The password file (libpq manual 34.16): `hostname:port:database:username:password` lines.
//!
//! The first line that fits wins; `*` fits everything; `\` stands before a `:` or `\` that belongs
//! to a field. A file that others may read is not used, and a warning says so.

use std::path::{Path, PathBuf};

use super::environment::{Surroundings, is_default_socket_directory};

/// Permissions of group and others, none of which a password file may have.
const GROUP_AND_OTHERS: u32 = 0o077;

/// The lines of a password file. Has no `Debug`: it holds passwords.
pub(super) struct Passfile {
    /// Where it was read.
    pub path: PathBuf,
    content: Vec<u8>,
}

impl Passfile {
    /// Reads a password file; None if there is none, or it must not be used.
    pub fn read(path: &Path, around: &dyn Surroundings) -> Option<Passfile> {
        let file = around.file(path).ok()?;
        if !file.is_plain {
            log::warn!(
                "password file \"{}\" is not a plain file, not used",
                path.display()
            );
            return None;
        }
        if file.mode & GROUP_AND_OTHERS != 0 {
            log::warn!(
                "password file \"{}\" has group or world access, not used; \
                 permissions should be u=rw (0600) or less",
                path.display()
            );
            return None;
        }
        Some(Passfile {
            path: path.to_path_buf(),
            content: file.content,
        })
    }

    /// Returns the password for a connection. `host` is the name, address or socket directory as
    /// it was given.
    pub fn password(&self, host: &str, port: u16, dbname: &str, user: &str) -> Option<Vec<u8>> {
        // A socket where libpq would look by itself goes by the name of this machine.
        let host = if is_default_socket_directory(host) {
            "localhost"
        } else {
            host
        };
        let port = port.to_string();
        let wanted = [host, &port, dbname, user];
        self.content
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
            .filter(|line| !line.starts_with(b"#"))
            .find_map(|line| password_of(line, &wanted))
            .filter(|password| !password.is_empty())
    }
}

/// Returns the password of a line whose first four fields fit.
fn password_of(line: &[u8], wanted: &[&str; 4]) -> Option<Vec<u8>> {
    let mut rest = line;
    for wanted in wanted {
        let (field, raw_length) = field(rest);
        // Only a bare * is a wildcard; \* is a name.
        let fits = &rest[..raw_length] == b"*" || field == wanted.as_bytes();
        if !fits {
            return None;
        }
        rest = rest.get(raw_length + 1..)?;
    }
    Some(field(rest).0)
}

/// Reads up to the next bare `:`; returns the field without its backslashes and its raw length.
fn field(text: &[u8]) -> (Vec<u8>, usize) {
    let mut value = Vec::new();
    let mut at = 0;
    while at < text.len() && text[at] != b':' {
        if text[at] == b'\\' && at + 1 < text.len() {
            at += 1;
        }
        value.push(text[at]);
        at += 1;
    }
    (value, at)
}

#[cfg(test)]
mod tests {
    use super::super::environment::tests::fake;
    use super::*;

    fn looked_up(content: &str, host: &str, dbname: &str, user: &str) -> Option<String> {
        let around = fake().file("/p", 0o600, content);
        let file = Passfile::read(Path::new("/p"), &around)?;
        let password = file.password(host, 5432, dbname, user)?;
        Some(String::from_utf8_lossy(&password).into_owned())
    }

    #[test]
    fn the_first_line_that_fits_wins() {
        let content = "db:5433:app:ann:no\n# db:5432:app:ann:no\ndb:5432:app:bob:no\n\
                       db:*:app:ann:yes\n*:*:*:*:late\n";
        assert_eq!(
            looked_up(content, "db", "app", "ann").as_deref(),
            Some("yes")
        );
        assert_eq!(
            looked_up(content, "db2", "app", "ann").as_deref(),
            Some("late")
        );
        assert_eq!(looked_up("db:5432:app:ann:x", "db", "other", "ann"), None);
    }

    #[test]
    fn backslashes_protect_colons_backslashes_and_stars() {
        let content = "\\:\\:1:5432:a\\\\b:\\*:p\\:w\\\\d:rest\r\n";
        assert_eq!(
            looked_up(content, "::1", "a\\b", "*").as_deref(),
            Some("p:w\\d")
        );
        assert_eq!(looked_up(content, "::1", "a\\b", "ann"), None);
    }

    #[test]
    fn the_default_socket_goes_by_localhost() {
        let content = "localhost:5432:app:ann:x\n/srv/pg:5432:app:ann:y\n";
        assert_eq!(
            looked_up(content, "/var/run/postgresql", "app", "ann").as_deref(),
            Some("x")
        );
        assert_eq!(
            looked_up(content, "/srv/pg", "app", "ann").as_deref(),
            Some("y")
        );
        assert_eq!(looked_up(content, "/elsewhere", "app", "ann"), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        for (mode, used) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            let around = fake().file("/p", mode, "*:*:*:*:x\n");
            assert_eq!(
                Passfile::read(Path::new("/p"), &around).is_some(),
                used,
                "{mode:o}"
            );
        }
        assert!(Passfile::read(Path::new("/none"), &fake()).is_none());
    }

    #[test]
    fn short_lines_and_empty_passwords_are_no_password() {
        assert_eq!(
            looked_up("db:5432:app\n\n:\n*:*:*:*:\n", "db", "app", "ann"),
            None
        );
    }
}
