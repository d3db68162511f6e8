//! Throwaway PostgreSQL servers.
//!
//! A data directory is made once per version by initdb and then copied for every test. Everything of a
//! server lives in one directory, named after its TCP port, which thereby belongs to this server alone.
//! A keeper outlives the test process and removes server and directory, however the test ended.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

use super::servers;

/// How long a server may take to accept connections, on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Ports outside of the range from which Linux takes the ports of outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Fit for tests: little memory, and a crash of the machine may cost everything.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_permissions = 0777
fsync = off
wal_level = replica
max_connections = 100
max_prepared_transactions = 10
shared_buffers = 32MB
log_destination = stderr
logging_collector = off
log_line_prefix = '%m [%p] %a '
ssl = off
";

/// Waits until its standard input ends, then leaves nothing of the server in directory $1.
const KEEPER: &str = r#"
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
# A number that was left behind may be another process by now.
is_ours() { [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; }
if is_ours "$1"; then kill -QUIT "$pid"; fi
n=0
while is_ours "$1" && [ $n -lt 100 ]; do n=$((n + 1)); sleep 0.1; done
rm -rf "$1"
"#;

/// Makes data directory $1 with initdb $2 and further options, unless another test just did.
const MAKE_TEMPLATE: &str = r#"
target=$1; initdb=$2; shift 2
[ ! -e "$target" ] || exit 0
rm -rf "$target.unfinished"
"$initdb" -U postgres -A trust --no-sync --encoding=UTF8 --locale=C.UTF-8 "$@" -D "$target.unfinished"
mv "$target.unfinished" "$target"
"#;

/// What a server is to be like. Made by [`Cluster::builder`].
#[derive(Clone)]
pub struct Builder {
    version: u32,
    settings: String,
    hba: Option<String>,
    initdb: Vec<String>,
    lineage: &'static str,
}

impl Builder {
    /// Servers of one lineage are copies of one data directory, and share its system identifier.
    /// The two sides of a pair must not, or they count as one database.
    pub fn lineage(mut self, name: &'static str) -> Self {
        self.lineage = name;
        self
    }

    /// Adds a line to postgresql.conf; the last line for a parameter counts.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings
            .push_str(&format!("{name} = '{}'\n", value.replace('\'', "''")));
        self
    }

    /// Replaces pg_hba.conf, which otherwise trusts everybody.
    pub fn hba(mut self, text: &str) -> Self {
        self.hba = Some(text.to_owned());
        self
    }

    /// Adds an option for initdb, such as `--encoding=LATIN1`; the last one counts.
    pub fn initdb(mut self, option: &str) -> Self {
        self.initdb.push(option.to_owned());
        self
    }

    /// Makes and starts the server.
    ///
    /// # Panics
    /// When it does not start, with its log.
    pub fn start(self) -> Cluster {
        Cluster::create(&self)
    }
}

/// A running server with the superuser `postgres`, who needs no password.
pub struct Cluster {
    version: u32,
    port: u16,
    directory: PathBuf,
    postmaster: Mutex<Option<Child>>,
    // Its standard input is open as long as we live.
    keeper: Child,
}

impl Cluster {
    /// Starts a server of a major version with the harness's own settings.
    pub fn start(version: u32) -> Cluster {
        Cluster::builder(version).start()
    }

    /// Starts a server with more lines for postgresql.conf, given as pairs of name and value.
    pub fn with_settings(version: u32, settings: &[(&str, &str)]) -> Cluster {
        let builder = Cluster::builder(version);
        settings
            .iter()
            .fold(builder, |builder, (name, value)| {
                builder.setting(name, value)
            })
            .start()
    }

    /// Begins the description of a server.
    pub fn builder(version: u32) -> Builder {
        Builder {
            version,
            settings: SETTINGS.to_owned(),
            hba: None,
            initdb: Vec::new(),
            lineage: "",
        }
    }

    fn create(builder: &Builder) -> Cluster {
        let template = template(builder);
        let (port, directory) = reserve_port();
        let keeper = start_keeper(&directory);
        let cluster = Cluster {
            version: builder.version,
            port,
            directory,
            postmaster: Mutex::new(None),
            keeper,
        };
        cluster.copy_template(&template, builder);
        cluster.start_again();
        cluster
    }

    fn copy_template(&self, template: &Path, builder: &Builder) {
        let data = self.data();
        servers::output_of(
            servers::as_server_user("cp")
                .args(["-a", "--reflink=auto"])
                .arg(template)
                .arg(&data),
        );
        let sockets = self.directory.display();
        let own = format!(
            "port = {}\nunix_socket_directories = '{sockets}'\n",
            self.port
        );
        append(
            &data.join("postgresql.conf"),
            &format!("{own}{}", builder.settings),
        );
        if let Some(hba) = &builder.hba {
            fs::write(data.join("pg_hba.conf"), hba).expect("cannot write pg_hba.conf");
        }
    }

    /// Starts the server again after one of the stops, and waits until it accepts connections.
    pub fn start_again(&self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("cannot open the log");
        let bin = servers::bin(self.version);
        let child = servers::as_server_user(bin.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .stdout(log.try_clone().expect("cannot duplicate a file"))
            .stderr(log)
            // A Ctrl-C at the terminal is for us; the keeper ends the server afterwards.
            .process_group(0)
            .spawn()
            .expect("cannot start postgres");
        *self.lock_postmaster() = Some(child);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let start = Instant::now();
        loop {
            match self.config("postgres").connect(NoTls) {
                Ok(_) => return,
                // A refusal for a reason of its own, such as a missing password, is an answer too.
                Err(error)
                    if error
                        .code()
                        .is_some_and(|code| *code != SqlState::CANNOT_CONNECT_NOW) =>
                {
                    return;
                }
                Err(_) if self.has_ended() || start.elapsed() > START_LIMIT => panic!(
                    "PostgreSQL {} did not start on port {}:\n{}",
                    self.version,
                    self.port,
                    self.log()
                ),
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn has_ended(&self) -> bool {
        match self.lock_postmaster().as_mut() {
            Some(child) => child
                .try_wait()
                .expect("cannot wait for postgres")
                .is_some(),
            None => true,
        }
    }

    fn lock_postmaster(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.postmaster
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    /// Stops the server as a crash would: no checkpoint, sessions cut.
    pub fn stop_immediate(&self) {
        self.stop("QUIT");
    }

    /// Stops the server in good order: sessions ended, everything written.
    pub fn stop_fast(&self) {
        self.stop("INT");
    }

    /// Stops the server in good order and starts it again.
    pub fn restart(&self) {
        self.stop_fast();
        self.start_again();
    }

    fn stop(&self, signal: &str) {
        let Some(mut child) = self.lock_postmaster().take() else {
            return;
        };
        send_signal(child.id(), signal);
        child.wait().expect("cannot wait for postgres");
    }

    /// The server's major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The TCP port on 127.0.0.1, kept over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The directory of the server's Unix socket.
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// A connection URI for a database of this server, as user `postgres`.
    pub fn uri(&self, database: &str) -> String {
        self.uri_as("postgres", database)
    }

    /// A connection URI for a role and a database of this server.
    pub fn uri_as(&self, role: &str, database: &str) -> String {
        format!("postgresql://{role}@127.0.0.1:{}/{database}", self.port)
    }

    fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .connect_timeout(Duration::from_secs(10));
        config
    }

    /// Opens a session as `postgres`.
    pub fn connect(&self, database: &str) -> Client {
        self.config(database)
            .application_name("test")
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("cannot connect to {}: {error:?}", self.uri(database)))
    }

    /// Creates an empty database; the name is quoted here.
    pub fn create_database(&self, name: &str) {
        let quoted = name.replace('"', "\"\"");
        self.psql(
            "postgres",
            &format!("CREATE DATABASE \"{quoted}\" TEMPLATE template0"),
        );
    }

    /// Runs an SQL script with psql and returns what it printed (unaligned, tuples only), without the
    /// last line break.
    ///
    /// # Panics
    /// At the first statement that fails, with psql's output.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        match self.try_psql(database, sql) {
            Ok(text) => text,
            Err(text) => panic!(
                "psql failed on PostgreSQL {}, database {database}:\n{text}\nSQL was: {}",
                self.version,
                sql.chars().take(2000).collect::<String>()
            ),
        }
    }

    /// Like [`Cluster::psql`], for statements that are expected to fail: `Err` holds both streams.
    pub fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut command = Command::new(servers::client("psql"));
        servers::without_libpq_variables(&mut command);
        let mut child = command
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"])
            .arg(self.uri(database))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("cannot run psql");
        let mut stdin = child.stdin.take().expect("psql has no standard input");
        let sql = sql.to_owned();
        // In a thread: psql may print more than a pipe holds before it has read everything.
        let feeder = std::thread::spawn(move || stdin.write_all(sql.as_bytes()));
        let output = child.wait_with_output().expect("cannot wait for psql");
        // An early end of psql shows in its status.
        let _ = feeder.join();
        let stdout = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            Ok(stdout.trim_end_matches('\n').to_owned())
        } else {
            Err(format!(
                "{stdout}{}",
                String::from_utf8_lossy(&output.stderr)
            ))
        }
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The last lines of the log, headed by the server's version and port.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(30)..].join("\n");
        format!(
            "--- log of PostgreSQL {} on port {}\n{tail}\n",
            self.version, self.port
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop_immediate();
        drop(self.keeper.stdin.take());
        // Without waiting, `cargo test` would pile up zombies.
        let _ = self.keeper.wait();
    }
}

/// Sends a signal (by name, without SIG) to one process.
pub fn send_signal(pid: u32, signal: &str) {
    // A process that is gone already needs no signal.
    let _ = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

fn start_keeper(directory: &Path) -> Child {
    servers::as_server_user("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("cannot start the keeper")
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

/// The directory for templates and servers, owned by the user who runs the servers.
fn base() -> PathBuf {
    let uid = fs::metadata("/proc/self")
        .expect("cannot look at /proc/self")
        .uid();
    let base = std::env::temp_dir().join(format!("pg_switchover-test-{uid}"));
    match fs::create_dir(&base) {
        Ok(()) => {
            fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).expect("chmod");
            give_to_server_user(&base);
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            // The one who made it just now may not have given it away yet.
            super::wait_for(
                "the owner of the tests' directory",
                Duration::from_secs(5),
                || {
                    let owner = fs::metadata(&base).expect("stat").uid();
                    owner == server_uid()
                },
            );
        }
        Err(error) => panic!("cannot make {}: {error}", base.display()),
    }
    base
}

fn server_uid() -> u32 {
    let mut command = servers::as_server_user("id");
    servers::output_of(command.arg("-u"))
        .trim()
        .parse()
        .expect("id -u prints a number")
}

fn give_to_server_user(path: &Path) {
    if servers::is_root() {
        servers::output_of(Command::new("chown").arg("postgres:postgres").arg(path));
    }
}

/// Returns a template data directory for the builder's version and initdb options, making it at first.
fn template(builder: &Builder) -> PathBuf {
    let bin = servers::bin(builder.version);
    let mut hasher = DefaultHasher::new();
    let identity = servers::output_of(servers::as_server_user(bin.join("postgres")).arg("-V"));
    (&bin, identity, &builder.initdb, builder.lineage).hash(&mut hasher);
    let base = base();
    let path = base.join(format!(
        "template-{}-{:016x}",
        builder.version,
        hasher.finish()
    ));
    if !path.exists() {
        servers::output_of(
            servers::as_server_user("flock")
                .arg(path.with_extension("lock"))
                .args(["sh", "-e", "-c", MAKE_TEMPLATE, "initdb"])
                .args([&path, &bin.join("initdb")])
                .args(&builder.initdb),
        );
    }
    path
}

/// Finds a free port and makes the directory that stands for it.
fn reserve_port() -> (u16, PathBuf) {
    let base = base();
    let size = usize::from(PORTS.end - PORTS.start);
    let start = std::process::id() as usize * 37;
    for offset in 0..size {
        let port = PORTS.start + ((start + offset) % size) as u16;
        let directory = base.join(format!("port-{port}"));
        match fs::create_dir(&directory) {
            Ok(()) if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() => {
                give_to_server_user(&directory);
                return (port, directory);
            }
            Ok(()) => fs::remove_dir(&directory).expect("cannot remove a directory"),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => panic!("cannot make {}: {error}", directory.display()),
        }
    }
    panic!("no free port: look at {}", base.display())
}
