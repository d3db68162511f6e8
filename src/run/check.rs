//! `check`: everything that would stop or spoil a switchover. Takes no lock and changes nothing.

use super::open::open;
use crate::capture;
use crate::catalog::Selection;
use crate::check::{self, CheckOptions};
use crate::cli::Options;
use crate::conninfo::Conninfo;
use crate::error::{Result, Side};
use crate::session::Session;

/// Looks at both sides and prints what it finds.
///
/// # Errors
/// [`crate::error::Class::Found`] if anything stops a switchover; usage. A side that cannot be reached
/// is a finding.
pub fn check(options: &Options) -> Result<()> {
    // A side that is not named is a matter of usage, before the other one is opened.
    Conninfo::resolve(Side::Source, options.source.as_deref())?;
    Conninfo::resolve(Side::Destination, options.destination.as_deref())?;
    let mut source = open(options, Side::Source);
    let asked = CheckOptions {
        selection: selection(options, &mut source)?,
        create_schema: options.create_schema,
        allow_downgrade: options.allow_downgrade,
        no_owner: options.no_owner,
        no_privileges: options.no_privileges,
        truncate: options.truncate,
        jobs: options.jobs,
        after_switch: options.after_switch,
    };
    let findings = check::check(source, open(options, Side::Destination), &asked);
    check::print(&findings, options.json, options.quiet)?;
    check::outcome(&findings)
}

/// What an earlier `init` selected stands unless the command line says otherwise.
fn selection(options: &Options, source: &mut Result<Session>) -> Result<Selection> {
    let patterns = &options.patterns;
    let asked = Selection::parse(
        &patterns.schemas,
        &patterns.exclude_schemas,
        &patterns.tables,
        &patterns.exclude_tables,
    )?;
    if let (true, Ok(session)) = (asked.takes_all(), source) {
        // What is wrong with a schema switchover there, check finds by itself.
        if let Ok(Some(state)) = capture::read_state(session) {
            return Ok(state.selection);
        }
    }
    Ok(asked)
}
