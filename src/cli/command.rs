//! The commands and what help says about each.

use std::fmt;

/// A verb of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Report everything that would stop or spoil a switchover.
    Check,
    /// Install change capture and bookkeeping.
    Init,
    /// Load every table.
    Copy,
    /// Bring the destination up to date.
    Sync,
    /// Compare both databases.
    Verify,
    /// Put the destination in charge.
    Switch,
    /// Show how far things are.
    Status,
    /// Remove what `init` installed.
    Drop,
    /// Everything from `check` to `switch`.
    Run,
}

use Command::*;

impl Command {
    /// All commands, in the order in which a switchover uses them.
    pub const ALL: [Command; 9] = [Check, Init, Copy, Sync, Verify, Switch, Status, Drop, Run];

    /// Finds the command of that name.
    pub fn from_name(name: &str) -> Option<Command> {
        Command::ALL
            .into_iter()
            .find(|command| command.name() == name)
    }

    /// Returns the word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Check => "check",
            Init => "init",
            Copy => "copy",
            Sync => "sync",
            Verify => "verify",
            Switch => "switch",
            Status => "status",
            Drop => "drop",
            Run => "run",
        }
    }

    /// Returns the line of the general help.
    pub fn summary(self) -> &'static str {
        match self {
            Check => "report everything that would stop or spoil a switchover",
            Init => "install change capture on the source, bookkeeping on the destination",
            Copy => "load every table, in parallel; started again, it resumes",
            Sync => "bring the destination up to date, once or with --follow",
            Verify => "compare both databases row by row, while writes go on",
            Switch => "hold writers for milliseconds, and put the destination in charge",
            Status => "show phase, pending changes, and which database is in charge",
            Drop => "remove everything that init installed, on both sides",
            Run => "check, init, copy, sync, verify and switch in one go",
        }
    }

    /// Returns the paragraph above the options of `COMMAND --help`.
    pub(super) fn description(self) -> &'static str {
        match self {
            Check => {
                "Looks at both databases and lists every problem with its mend, worst first. \
                 Changes nothing, and can be run at any time. Give it the options that the \
                 switchover will have."
            }
            Init => {
                "Installs triggers on the source that log the key of every row that changes, and \
                 bookkeeping on the destination, both in the schema \"switchover\". Run again, it \
                 completes what is missing."
            }
            Copy => {
                "Loads every table that init captured into the destination. Run again, it goes on \
                 with the tables that are not finished. --create-schema brings tables, indexes \
                 and everything else; without it they must exist on the destination."
            }
            Sync => {
                "Brings the rows that changed since the last cycle to the destination. Runs as \
                 often as you like, from cron for instance, or without end with --follow."
            }
            Verify => {
                "Compares both databases row by row, as of one moment, while writes go on; prints \
                 the keys and columns that differ. switch wants one passed since the copy."
            }
            Switch => {
                "Syncs until little is pending, holds all writers, brings the last changes, and \
                 puts the destination in charge. The source then refuses writes. Without the \
                 lock in time it gives up, and the source stays in charge."
            }
            Status => {
                "Shows the phase, pending changes and their age, the last cycles, who holds \
                 locks, and which database is in charge. Changes nothing, and works when one of \
                 the two servers is down."
            }
            Drop => {
                "Removes everything that init installed, on both sides. After the switch the \
                 fence stays, so that the source refuses writes; --force removes that too."
            }
            Run => {
                "Does check, init, copy, sync, verify and switch, one after the other. Run again \
                 after a failure, it goes on where it was. drop comes later, when you are sure."
            }
        }
    }

    /// Returns the exit statuses that the command can end with.
    pub(super) fn exit_statuses(self) -> &'static [u8] {
        match self {
            Check => &[0, 1, 2, 3],
            Init | Copy | Sync | Drop => &[0, 1, 2, 4, 5],
            Verify => &[0, 1, 2, 3, 4, 5],
            Status => &[0, 1, 2],
            Switch | Run => &[0, 1, 2, 3, 4, 5, 6],
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
