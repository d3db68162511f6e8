//! Moves a live PostgreSQL database to another server while applications keep writing.

mod capture;
mod catalog;
mod check;
mod cli;
mod conninfo;
mod copy;
mod cycle;
mod destination;
mod error;
mod follow;
mod guard;
mod ident;
mod lock;
mod plan;
mod report;
mod run;
mod sequences;
mod session;
mod status;
mod stop;
mod switch;
mod verify;
mod watch;
mod wire;

use std::process::ExitCode;

use cli::Invocation;

/// Which program this is. What one version installs on the servers, another one may not know how to call.
const VERSION: &str = concat!("pg_switchover ", env!("CARGO_PKG_VERSION"));

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().skip(1)).and_then(invoke) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.message.is_empty() {
                report::error(&error);
            }
            ExitCode::from(error.class.exit_status())
        }
    }
}

fn invoke(invocation: Invocation) -> error::Result<()> {
    match invocation {
        Invocation::Help(command) => report::print(&cli::help(command)),
        Invocation::Version => report::print(&format!("{VERSION}\n")),
        Invocation::Run(options) => {
            report::begin(options.quiet, options.verbose);
            run::run(*options)
        }
    }
}
