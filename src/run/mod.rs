//! The verbs, each a list of steps.

mod check;
mod copy;
mod drop;
mod init;
mod move_all;
mod objects;
mod open;
mod prepare;
mod status;
mod switch;
mod sync;
mod verify;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use open::Both;

use crate::capture;
use crate::cli::{Command, Options};
use crate::conninfo::Conninfo;
use crate::error::{Class, Error, Result, Side};
use crate::stop::Stop;
use crate::watch;

/// How long a program that cannot be ended otherwise takes for its last word.
const LAST_WORD: Duration = Duration::from_secs(60);

/// Does what the command line asks for.
///
/// # Errors
/// The error decides the exit status.
pub fn run(options: Options) -> Result<()> {
    warn_of_passwords(&options);
    let stop = Stop::on_signals()?;
    let for_watch = options.clone();
    watch::last_resort(move |error| end_without_an_answer(&for_watch, error));
    let result = dispatch(&options, &stop);
    if let (Err(error), Command::Switch | Command::Run) = (&result, options.command)
        && error.class != Class::Usage
    {
        crate::report::error(error);
        say_who_is_in_charge(&options, error);
        return Err(Error::printed(error.class));
    }
    result
}

/// Says that everybody on this machine can read the command line.
fn warn_of_passwords(options: &Options) {
    let given = [&options.source, &options.destination];
    if given
        .into_iter()
        .flatten()
        .any(|text| Conninfo::holds_password(text))
    {
        log::warn!(
            "the password on the command line can be seen by every user of this machine (ps): put it into ~/.pgpass or ~/.pg_service.conf, or the connection string into PG_SWITCHOVER_SOURCE or PG_SWITCHOVER_DEST"
        );
    }
}

/// Ends the program where a server does not answer, and the call that waits for it cannot be ended: on a
/// Unix socket. What that call would still have done is as safe as after a kill. But it may wake up and go
/// on as long as we are here, so who is in charge is asked when nothing of ours can flip any more.
fn end_without_an_answer(options: &Options, error: Error) {
    static ENDING: AtomicBool = AtomicBool::new(false);
    if ENDING.swap(true, Ordering::SeqCst) {
        // Another call that cannot be ended, either. Whoever came first is about to say how it ends, unless its
        // own question is that call.
        std::thread::sleep(LAST_WORD);
        std::process::exit(Class::OutcomeUnknown.exit_status().into());
    }
    let mut class = error.class;
    crate::report::error(&error);
    if matches!(options.command, Command::Switch | Command::Run) {
        if watch::end_sessions(Side::Source).is_err() || in_charge(options).is_err() {
            class = Class::OutcomeUnknown;
        }
        say_who_is_in_charge(options, &Error { class, ..error });
    }
    std::process::exit(class.exit_status().into());
}

fn dispatch(options: &Options, stop: &Stop) -> Result<()> {
    match options.command {
        Command::Check => check::check(options),
        Command::Init => init::init(options, &mut Both::open(options)?, stop),
        Command::Copy => copy::command(options, Both::open(options)?, stop),
        Command::Sync => {
            let mut both = Both::open(options)?;
            let state = both.state()?;
            sync::sync(
                options,
                &mut prepare::prepare(options, both, state, stop)?,
                stop,
            )
        }
        Command::Run => move_all::run(options, stop),
        Command::Switch => switch::command(options, Both::open(options)?, stop),
        Command::Status => status::status(options),
        Command::Verify => {
            let mut both = Both::open(options)?;
            let state = both.state()?;
            verify::verify(
                options,
                &mut prepare::prepare(options, both, state, stop)?,
                stop,
            )
        }
        Command::Drop => drop::drop(options, &mut Both::open(options)?, stop),
    }
}

/// The last line of a `switch` or `run` that did not end well.
fn say_who_is_in_charge(options: &Options, error: &Error) {
    let line = match error.class {
        Class::OutcomeUnknown => {
            "which database is in charge is unknown until the source answers".to_string()
        }
        _ => match in_charge(options) {
            Ok(true) => "the destination is in charge".to_string(),
            Ok(false) => "the source is in charge".to_string(),
            // Without an answer: only a flip that was sent can have changed it, and that is class unknown.
            Err(_) => "the source is in charge as far as this run has seen; it cannot be asked now"
                .to_string(),
        },
    };
    crate::report::line_to_stderr(&line);
}

fn in_charge(options: &Options) -> Result<bool> {
    let mut session = open::open_to_ask(options, Side::Source)?;
    let switched = capture::read_state(&mut session)?.is_some_and(|state| state.use_next_db);
    if !switched && session.in_recovery() {
        return Err(Error::failed("a standby may not have heard of it yet"));
    }
    Ok(switched)
}

/// Prints a number and its noun: `1 table`, `2 tables`.
pub fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        other => format!("{other} {noun}s"),
    }
}
