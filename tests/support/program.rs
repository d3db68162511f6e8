//! Runs the built program: to its end, or in the background where it can be signalled and killed.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{cluster, servers};

/// How long a run may take before the test fails; generous, because a hanging program is a finding.
const LIMIT: Duration = Duration::from_secs(180);

/// One invocation of `pg_switchover`, described step by step.
///
/// Of the caller's environment the program sees neither `PG*` nor `PG_SWITCHOVER_*`; it finds the newest
/// `pg_dump` first on PATH and an empty home directory.
pub struct Program {
    args: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    logs: Vec<LogTail>,
}

/// Gives the tail of a server's log for the report of a failure.
type LogTail = Arc<dyn Fn() -> String + Send + Sync>;

impl Program {
    /// Begins an invocation with arguments.
    pub fn new(args: &[&str]) -> Program {
        Program {
            args: args.iter().map(OsString::from).collect(),
            environment: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// Sets an environment variable; the last value counts.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Names the source in the environment.
    pub fn source(self, conninfo: &str) -> Self {
        self.env("PG_SWITCHOVER_SOURCE", conninfo)
    }

    /// Names the destination in the environment.
    pub fn destination(self, conninfo: &str) -> Self {
        self.env("PG_SWITCHOVER_DEST", conninfo)
    }

    /// Adds a server's log to what a failure shows.
    pub fn log(mut self, tail: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.logs.push(Arc::new(tail));
        self
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// When it does not end in three minutes.
    pub fn run(self) -> Outcome {
        self.spawn().wait(LIMIT)
    }

    /// Starts the program in the background.
    pub fn spawn(self) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg_switchover"));
        servers::without_libpq_variables(&mut command);
        let mut path = OsString::from(servers::bin(servers::NEWEST));
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        command
            .args(&self.args)
            .env("PATH", path)
            .env("HOME", "/nonexistent")
            .env_remove("RUST_LOG")
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let text = format!("pg_switchover {}", display_args(&self.args));
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {text}: {error}"));
        let stdout = Collector::start(child.stdout.take().expect("stdout is piped"));
        let stderr = Collector::start(child.stderr.take().expect("stderr is piped"));
        Running {
            command: text,
            child,
            stdout,
            stderr,
            logs: self.logs,
        }
    }
}

fn display_args(args: &[OsString]) -> String {
    let words: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    words.join(" ")
}

/// Reads a stream to its end in a thread, so that the text so far can be looked at.
struct Collector {
    text: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn start(mut stream: impl Read + Send + 'static) -> Collector {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                sink.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Collector {
            text,
            thread: Some(thread),
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }

    fn finish(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the collector panicked");
        }
        self.so_far()
    }
}

/// A program that runs in the background. Dropping it kills it.
pub struct Running {
    command: String,
    child: Child,
    stdout: Collector,
    stderr: Collector,
    logs: Vec<LogTail>,
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the program has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("cannot wait").is_none()
    }

    /// Sends a signal by its name without SIG, such as "INT".
    pub fn signal(&self, name: &str) {
        cluster::send_signal(self.child.id(), name);
    }

    /// Ends the program as a power cut would (SIGKILL) and returns what it had said.
    pub fn kill(mut self) -> Outcome {
        self.child.kill().expect("cannot kill");
        self.wait(LIMIT)
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until standard error contains a text.
    ///
    /// # Panics
    /// When the program ends before, or `limit` passes.
    pub fn wait_for_stderr(&mut self, text: &str, limit: Duration) {
        let start = Instant::now();
        loop {
            let running = self.is_running();
            if self.stderr().contains(text) {
                return;
            }
            assert!(
                running && start.elapsed() < limit,
                "{} did not print \"{text}\"; it printed:\n{}\n{}",
                self.command,
                self.stderr(),
                self.log_tails()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When the program does not end within `limit`; it is killed then.
    pub fn wait(mut self, limit: Duration) -> Outcome {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("cannot wait") {
                break status;
            }
            if start.elapsed() > limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                panic!(
                    "{} did not end within {limit:?}\n--- stdout\n{}\n--- stderr\n{}\n{}",
                    self.command,
                    self.stdout.so_far(),
                    self.stderr.so_far(),
                    self.log_tails()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Outcome {
            command: self.command.clone(),
            status,
            elapsed: start.elapsed(),
            stdout: self.stdout.finish(),
            stderr: self.stderr.finish(),
            logs: std::mem::take(&mut self.logs),
        }
    }

    fn log_tails(&self) -> String {
        self.logs.iter().map(|tail| tail()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when the program has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended.
pub struct Outcome {
    /// The command line, for messages.
    pub command: String,
    /// Exit status or signal.
    pub status: ExitStatus,
    /// How long [`Running::wait`] (or the whole of [`Program::run`]) took.
    pub elapsed: Duration,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
    logs: Vec<LogTail>,
}

impl Outcome {
    /// The exit status; `None` when a signal ended the program.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The signal that ended the program, if one did.
    pub fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Demands an exit status.
    ///
    /// # Panics
    /// With everything that is known, when the program ended in another way.
    pub fn expect(self, status: i32) -> Self {
        assert!(
            self.code() == Some(status),
            "expected exit status {status}\n{}",
            self.report()
        );
        self
    }

    /// Demands a text on standard error.
    pub fn expect_stderr(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "expected \"{text}\" on standard error\n{}",
            self.report()
        );
        self
    }

    /// Demands a text on standard output.
    pub fn expect_stdout(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "expected \"{text}\" on standard output\n{}",
            self.report()
        );
        self
    }

    /// The last line on standard error, empty when there is none.
    pub fn last_line(&self) -> &str {
        self.stderr.lines().last().unwrap_or_default()
    }

    /// Command, status, both streams and the tails of the servers' logs.
    pub fn report(&self) -> String {
        let logs: String = self.logs.iter().map(|tail| tail()).collect();
        format!(
            "--- {}\n{} after {:?}\n--- stdout\n{}\n--- stderr\n{}\n{logs}",
            self.command, self.status, self.elapsed, self.stdout, self.stderr
        )
    }
}
