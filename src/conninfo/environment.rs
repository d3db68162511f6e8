//! What surrounds the process: the PG* variables, the operating system's user, the default socket.
//!
//! All of it is reached through [`Surroundings`], so that the tests bring their own.

use std::io;
use std::path::{Path, PathBuf};

use super::keyword::{self, KEYWORDS, Parameters, Treatment};

/// Where Debian, Red Hat and upstream servers put their sockets, in the order we look.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// A file as far as a connection is concerned.
pub(super) struct File {
    /// Its content; need not be UTF-8.
    pub content: Vec<u8>,
    /// True for a plain file: not a directory, device or pipe.
    pub is_plain: bool,
    /// The permission bits, as in `stat`.
    pub mode: u32,
}

/// What a connection takes from outside of its connection string.
pub(super) trait Surroundings {
    /// Returns an environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// Reads a file.
    fn file(&self, path: &Path) -> io::Result<File>;
    /// Returns true if there is something at `path`.
    fn exists(&self, path: &Path) -> bool;
}

/// The real surroundings of this process.
pub(super) struct Process;

impl Surroundings for Process {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> io::Result<File> {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(path)?;
        // A pipe is not opened: that would wait for a writer.
        let is_plain = metadata.is_file();
        let content = if is_plain {
            std::fs::read(path)?
        } else {
            Vec::new()
        };
        Ok(File {
            content,
            is_plain,
            mode: metadata.permissions().mode(),
        })
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// Fills what is missing from the PG* variables. A variable that is set but empty counts as set,
/// as in libpq: it means the default.
pub(super) fn fill_from_variables(parameters: &mut Parameters, around: &dyn Surroundings) {
    for keyword in KEYWORDS {
        let Some(name) = keyword.variable else {
            continue;
        };
        if keyword.treatment == Treatment::LeftAside {
            continue;
        }
        if let Some(text) = around.variable(name) {
            parameters.fill(keyword, &text, name);
        }
    }
    // The variable of the years before sslmode; libpq still knows it.
    if let (Some("1"), Some(sslmode)) = (
        around.variable("PGREQUIRESSL").as_deref(),
        keyword::find("sslmode"),
    ) {
        parameters.fill(sslmode, "require", "PGREQUIRESSL");
    }
}

/// Returns the home directory, where .pgpass, .pg_service.conf and .postgresql are.
pub(super) fn home(around: &dyn Surroundings) -> Option<PathBuf> {
    around
        .variable("HOME")
        .filter(|home| !home.is_empty())
        .or_else(|| passwd_fields(around).and_then(|fields| fields.get(5).cloned()))
        .map(PathBuf::from)
}

/// Returns the name of the user the process runs as: the owner of its effective uid, as libpq
/// takes it (USER may be of another, after `sudo` or `setpriv`), else USER or LOGNAME, where a
/// directory service keeps the users.
pub(super) fn os_user(around: &dyn Surroundings) -> Option<String> {
    passwd_fields(around)
        .and_then(|fields| fields.into_iter().next())
        .or_else(|| around.variable("USER"))
        .or_else(|| around.variable("LOGNAME"))
        .filter(|name| !name.is_empty())
}

/// Returns the fields of our own line of /etc/passwd (passwd(5)).
fn passwd_fields(around: &dyn Surroundings) -> Option<Vec<String>> {
    let status = text_of(around, "/proc/self/status")?;
    // "Uid:" real, effective, saved, file system (proc_pid_status(5)).
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let effective = uids.split_whitespace().nth(1)?;
    text_of(around, "/etc/passwd")?
        .lines()
        .map(|line| line.split(':').map(String::from).collect::<Vec<_>>())
        .find(|fields| fields.get(2).is_some_and(|uid| uid == effective))
}

fn text_of(around: &dyn Surroundings, path: &str) -> Option<String> {
    let file = around.file(Path::new(path)).ok()?;
    Some(String::from_utf8_lossy(&file.content).into_owned())
}

/// Returns the host where none is given: the directory that holds a socket for `port`, else
/// Debian's, else TCP to this machine.
pub(super) fn default_host(around: &dyn Surroundings, port: u16) -> String {
    let socket = format!(".s.PGSQL.{port}");
    SOCKET_DIRECTORIES
        .into_iter()
        .find(|directory| around.exists(&Path::new(directory).join(&socket)))
        .or_else(|| Some(SOCKET_DIRECTORIES[0]).filter(|first| around.exists(Path::new(first))))
        .unwrap_or("localhost")
        .to_string()
}

/// Returns true for a directory that some libpq is built to look into when no host is given.
pub(super) fn is_default_socket_directory(host: &str) -> bool {
    SOCKET_DIRECTORIES.contains(&host)
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Surroundings made of maps.
    #[derive(Default)]
    pub(in super::super) struct Fake {
        variables: HashMap<String, String>,
        files: HashMap<PathBuf, (String, u32)>,
    }

    impl Fake {
        pub fn variable(mut self, name: &str, value: &str) -> Fake {
            self.variables.insert(name.into(), value.into());
            self
        }

        pub fn file(mut self, path: &str, mode: u32, content: &str) -> Fake {
            self.files.insert(path.into(), (content.into(), mode));
            self
        }
    }

    impl Surroundings for Fake {
        fn variable(&self, name: &str) -> Option<String> {
            self.variables.get(name).cloned()
        }

        fn file(&self, path: &Path) -> io::Result<File> {
            let (content, mode) = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
            Ok(File {
                content: content.clone().into_bytes(),
                is_plain: true,
                mode: *mode,
            })
        }

        fn exists(&self, path: &Path) -> bool {
            self.files.keys().any(|file| file.starts_with(path))
        }
    }

    pub(in super::super) fn fake() -> Fake {
        Fake::default()
            .file("/proc/self/status", 0o444, "Name:\tx\nUid:\t0\t7\t7\t7\n")
            .file(
                "/etc/passwd",
                0o644,
                "root:x:0:0::/root:/bin/sh\nann:x:7:7::/home/ann:/bin/sh\n",
            )
    }

    #[test]
    fn variables_fill_only_what_is_missing() {
        let around = fake()
            .variable("PGHOST", "db")
            .variable("PGPORT", "5433")
            .variable("PGAPPNAME", "psql");
        let mut parameters = Parameters::default();
        for (name, text) in [("port", "1"), ("user", "")] {
            parameters.set(keyword::find(name).unwrap(), text, "--source");
        }
        fill_from_variables(&mut parameters, &around.variable("PGUSER", "bob"));
        assert_eq!(parameters.get("host"), Some("db"));
        assert_eq!(parameters.get("port"), Some("1"));
        // An explicitly empty user means the default, not PGUSER.
        assert_eq!(parameters.get("user"), None);
        assert!(!parameters.is_set("application_name"));
    }

    #[test]
    fn the_user_is_the_owner_of_the_effective_uid() {
        assert_eq!(
            os_user(&fake().variable("USER", "root")).as_deref(),
            Some("ann")
        );
        assert_eq!(home(&fake()), Some(PathBuf::from("/home/ann")));
        let without_passwd = Fake::default().variable("LOGNAME", "carl");
        assert_eq!(os_user(&without_passwd).as_deref(), Some("carl"));
        assert_eq!(os_user(&Fake::default()), None);
    }

    #[test]
    fn the_default_host_is_where_a_socket_is() {
        assert_eq!(default_host(&fake(), 5432), "localhost");
        let debian = fake().file("/var/run/postgresql/.s.PGSQL.5433", 0o777, "");
        assert_eq!(default_host(&debian, 5432), "/var/run/postgresql");
        let both = debian.file("/tmp/.s.PGSQL.5432", 0o777, "");
        assert_eq!(default_host(&both, 5432), "/tmp");
    }

    #[test]
    fn the_old_variable_for_tls_is_known() {
        let mut parameters = Parameters::default();
        fill_from_variables(&mut parameters, &fake().variable("PGREQUIRESSL", "1"));
        assert_eq!(parameters.get("sslmode"), Some("require"));
    }
}
