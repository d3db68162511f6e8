//! The one table of options. The parser, the help and the test of the manual page read it; an
//! option exists where it has a line here and a field in [`super::Options`].

use super::Command::{self, *};

/// One option.
pub(super) struct Flag {
    /// The long name, without dashes; as in pg_dump where it has one.
    pub long: &'static str,
    /// The one-letter name.
    pub short: Option<char>,
    /// What the value is called in help; `None` for an option without one.
    pub argument: Option<&'static str>,
    /// The default as help tells it.
    pub default: Option<&'static str>,
    /// True if it may be given more than once.
    pub repeatable: bool,
    /// The commands that take it.
    pub commands: &'static [Command],
    /// What help says.
    pub help: &'static str,
}

impl Flag {
    const fn new(long: &'static str, commands: &'static [Command], help: &'static str) -> Flag {
        Flag {
            long,
            short: None,
            argument: None,
            default: None,
            repeatable: false,
            commands,
            help,
        }
    }

    const fn short(mut self, short: char) -> Flag {
        self.short = Some(short);
        self
    }

    const fn takes(mut self, argument: &'static str) -> Flag {
        self.argument = Some(argument);
        self
    }

    const fn default(mut self, default: &'static str) -> Flag {
        self.default = Some(default);
        self
    }

    const fn repeatable(mut self) -> Flag {
        self.repeatable = true;
        self
    }
}

const EVERY: &[Command] = &Command::ALL;
const SELECTING: &[Command] = &[Check, Init, Run];
const LOADING: &[Command] = &[Check, Copy, Run];
const MOVING: &[Command] = &[Copy, Sync, Verify, Switch, Run];
const CYCLING: &[Command] = &[Sync, Switch, Run];
const LOCKING: &[Command] = &[Init, Copy, Sync, Verify, Switch, Drop, Run];

/// Every option, in the order of the help.
pub(super) const FLAGS: &[Flag] = &[
    Flag::new("source", EVERY, "the database to move")
        .short('s')
        .takes("CONNINFO")
        .default("$PG_SWITCHOVER_SOURCE"),
    Flag::new("dest", EVERY, "the database it moves to")
        .short('d')
        .takes("CONNINFO")
        .default("$PG_SWITCHOVER_DEST"),
    Flag::new("schema", SELECTING, "only tables in schemas that match")
        .short('n')
        .takes("PATTERN")
        .repeatable(),
    Flag::new(
        "exclude-schema",
        SELECTING,
        "no tables in schemas that match",
    )
    .short('N')
    .takes("PATTERN")
    .repeatable(),
    Flag::new("table", SELECTING, "only tables that match")
        .short('t')
        .takes("PATTERN")
        .repeatable(),
    Flag::new("exclude-table", SELECTING, "no tables that match")
        .short('T')
        .takes("PATTERN")
        .repeatable(),
    Flag::new(
        "allow-downgrade",
        LOADING,
        "let the destination be older than the source",
    ),
    Flag::new(
        "create-schema",
        LOADING,
        "bring the schema too, with pg_dump and pg_restore",
    ),
    Flag::new("pg-bindir", LOADING, "where pg_dump and pg_restore are")
        .takes("DIR")
        .default("$PATH"),
    Flag::new(
        "no-owner",
        LOADING,
        "everything created belongs to the connecting role",
    )
    .short('O'),
    Flag::new("no-privileges", LOADING, "leave out the privileges (GRANT)").short('x'),
    Flag::new(
        "truncate",
        &[Check, Copy, Run],
        "empty destination tables that hold rows already",
    ),
    Flag::new("jobs", MOVING, "connections at work in parallel; 1 to 64")
        .short('j')
        .takes("N")
        .default("number of cores, at most 4"),
    Flag::new("progress", MOVING, "progress bars: auto, always or never")
        .takes("WHEN")
        .default("auto"),
    Flag::new("follow", &[Sync], "go on until interrupted"),
    Flag::new("interval", CYCLING, "pause between cycles; 0.01 to 86400")
        .takes("SECONDS")
        .default("1"),
    Flag::new(
        "max-pending",
        CYCLING,
        "most rows for a direct apply, and for the window; 1 to 1000000",
    )
    .takes("ROWS")
    .default("10000"),
    Flag::new(
        "lock-timeout",
        LOCKING,
        "longest that a writer is held up; 1 to 600000",
    )
    .takes("MS")
    .default("1000"),
    Flag::new(
        "lock-attempts",
        LOCKING,
        "attempts before giving up with exit status 4; 1 to 100000",
    )
    .takes("N")
    .default("30"),
    Flag::new(
        "terminate-blockers",
        &[Switch, Run],
        "end the sessions that hold the lock up",
    ),
    Flag::new(
        "after-switch",
        &[Check, Switch, Run],
        "afterwards make the source readonly, or terminate its sessions",
    )
    .takes("WHAT")
    .repeatable(),
    Flag::new(
        "unverified",
        &[Switch, Run],
        "switch without a passed verify",
    ),
    Flag::new("json", &[Check, Verify, Status], "print the result as JSON"),
    Flag::new(
        "force",
        &[Drop],
        "after the switch, remove the fence as well",
    ),
    Flag::new("quiet", EVERY, "no messages but warnings and errors").short('q'),
    Flag::new("verbose", EVERY, "more messages")
        .short('v')
        .repeatable(),
    Flag::new("help", EVERY, "show this help")
        .short('h')
        .repeatable(),
    Flag::new("version", EVERY, "show the version")
        .short('V')
        .repeatable(),
];
