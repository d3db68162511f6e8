//! The command line: one table of options, the parser that is fed from it, and the help that is
//! printed from it. Nothing here opens anything or reads the environment; `main` is the caller.
//! `tests/cli.rs` fails when table, help and manual page disagree.

mod command;
mod complaint;
mod flags;
mod help;
mod parse;
mod suggest;
mod values;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

pub use command::Command;
pub use help::help;
pub use parse::parse;

/// What the user asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Print the general help, or that of one command.
    Help(Option<Command>),
    /// Print the version.
    Version,
    /// Do the work.
    Run(Box<Options>),
}

/// Everything that the command line says, checked. An option that the command does not take has
/// its default.
#[derive(Clone, PartialEq)]
pub struct Options {
    /// The verb.
    pub command: Command,
    /// `--source`, as typed; may hold a password.
    pub source: Option<String>,
    /// `--dest`, as typed; may hold a password.
    pub destination: Option<String>,
    /// `--quiet`: only warnings and errors.
    pub quiet: bool,
    /// How often `--verbose` was given.
    pub verbose: u8,
    /// Which tables take part.
    pub patterns: Patterns,
    /// `--allow-downgrade`: the destination may be older than the source.
    pub allow_downgrade: bool,
    /// `--create-schema`: bring the schema with pg_dump and pg_restore.
    pub create_schema: bool,
    /// `--pg-bindir`: where pg_dump and pg_restore are; `None` means `PATH`.
    pub pg_bindir: Option<PathBuf>,
    /// `--no-owner`, for `--create-schema`.
    pub no_owner: bool,
    /// `--no-privileges`, for `--create-schema`.
    pub no_privileges: bool,
    /// `--truncate`: empty destination tables that hold rows this tool did not put there.
    pub truncate: bool,
    /// `--jobs`: connections at work in parallel, 1 to 64.
    pub jobs: usize,
    /// `--progress`: when to draw progress bars.
    pub progress: Progress,
    /// `--follow`: go on until interrupted.
    pub follow: bool,
    /// `--interval`: the pause between two cycles.
    pub interval: Duration,
    /// `--max-pending`: rows that a cycle applies directly. Above it goes through staging, and no
    /// window is opened.
    pub max_pending: u64,
    /// `--lock-timeout`: the longest that any writer may be held up, in whole milliseconds.
    pub lock_timeout: Duration,
    /// `--lock-attempts`: attempts to get a lock before giving up with exit status 4.
    pub lock_attempts: u32,
    /// `--terminate-blockers`: end the sessions that hold the lock up.
    pub terminate_blockers: bool,
    /// `--after-switch`: what becomes of the source's sessions.
    pub after_switch: AfterSwitch,
    /// `--unverified`: switch without a passed `verify`; `run` leaves it out.
    pub unverified: bool,
    /// `--json`: print the result as JSON.
    pub json: bool,
    /// `--force`: `drop` removes the fence as well.
    pub force: bool,
}

/// Which tables take part: patterns as pg_dump reads them, as typed, none of them empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns {
    /// `--schema`.
    pub schemas: Vec<String>,
    /// `--exclude-schema`.
    pub exclude_schemas: Vec<String>,
    /// `--table`.
    pub tables: Vec<String>,
    /// `--exclude-table`.
    pub exclude_tables: Vec<String>,
}

/// What is done to the source once the destination is in charge, in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AfterSwitch {
    /// `readonly`: new sessions are read-only, by a setting of the database.
    pub readonly: bool,
    /// `terminate`: the sessions that clients have are ended.
    pub terminate: bool,
}

/// When to draw progress bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// If standard error is a terminal and `--quiet` was not given.
    Auto,
    /// In any case.
    Always,
    /// Plain lines only.
    Never,
}

/// Shows the command only: a conninfo may hold a password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("command", &self.command)
            .finish_non_exhaustive()
    }
}
