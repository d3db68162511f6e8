//! `check`: everything that would stop or spoil a switchover, with the mend of each; run by `check`
//! and at the start of `run`.
//!
//! It changes nothing: every transaction is READ ONLY and rolled back. It never waits: locks for
//! [`LOCK_TIMEOUT_MS`], statements for [`STATEMENT_TIMEOUT_MS`]. It goes on as far as it can: what
//! keeps it from looking at one thing is a finding, and the next thing is looked at.

mod activity;
mod creating;
mod leftovers;
mod locale;
mod objects;
mod privileges;
mod relations;
mod report;
mod roles;
mod servers;
mod stricter;
mod tables;
mod unlike;
mod writing;

pub use report::{Finding, outcome, print, sort};

use crate::catalog::{self, Catalog, Oid, Selection};
use crate::cli::AfterSwitch;
use crate::error::{Class, Error, Result, Side};
use crate::session::Session;
use crate::switch::after;

/// Long enough for the lock of a quick ALTER TABLE to pass, and no burden on those who queue behind us.
const LOCK_TIMEOUT_MS: u32 = 500;

/// The slowest question is whether a table full of dead rows has a live one.
const STATEMENT_TIMEOUT_MS: u32 = 20_000;

/// What is going to be done, as far as `check` needs to know.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// The tables to move.
    pub selection: Selection,
    /// `copy` will create the schema on the destination.
    pub create_schema: bool,
    /// The destination may be of an older major version.
    pub allow_downgrade: bool,
    /// With `create_schema`: objects will belong to our role.
    pub no_owner: bool,
    /// With `create_schema`: grants are left out.
    pub no_privileges: bool,
    /// Rows that are in the destination's tables may go.
    pub truncate: bool,
    /// The number of parallel workers.
    pub jobs: usize,
    /// What is done to the source after the flip.
    pub after_switch: AfterSwitch,
}

/// One side, as far as it could be reached and read.
struct Looked {
    session: Session,
    catalog: Option<Catalog>,
}

/// Looks at both sides and returns what it found, the worst first. A side that could not be reached
/// is given as the error that says so. What another module checks, such as the presence of `pg_dump`,
/// the caller adds before it calls [`sort`] again.
pub fn check(
    source: Result<Session>,
    destination: Result<Session>,
    options: &CheckOptions,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut source = look_at(Side::Source, source, &options.selection, &mut findings);
    // Compared by name with what the source has: a pattern need not match anything there yet.
    let everything = Selection::default();
    let mut destination = look_at(Side::Destination, destination, &everything, &mut findings);
    if let (Some(source), Some(destination)) = (&mut source, &mut destination) {
        if same_database(source, destination, &mut findings) {
            sort(&mut findings);
            return findings;
        }
        servers::compare(source, destination, options, &mut findings);
        objects::compare(source, destination, options, &mut findings);
        relations::compare(source, destination, options, &mut findings);
    }
    if let Some(source) = &mut source {
        check_source(source, options, &mut findings);
    }
    if let Some(destination) = &mut destination {
        check_destination(destination, options, &mut findings);
    }
    sort(&mut findings);
    findings
}

fn check_source(source: &mut Looked, options: &CheckOptions, findings: &mut Vec<Finding>) {
    servers::one(source, options, findings);
    privileges::source(source, findings);
    tables::source(source, options, findings);
    activity::source(source, findings);
    objects::event_triggers(source, findings);
    let lacking = |session: &mut Session| {
        let errors = after::lacking(session, options.after_switch)?;
        Ok(errors
            .into_iter()
            .map(|error| Finding::failure(Side::Source, error))
            .collect())
    };
    source.find(findings, lacking);
}

fn check_destination(side: &mut Looked, options: &CheckOptions, findings: &mut Vec<Finding>) {
    servers::one(side, options, findings);
    privileges::destination_role(side, findings);
    activity::destination(side, findings);
    objects::event_triggers(side, findings);
}

/// Reads the catalog of a side that could be reached.
fn look_at(
    side: Side,
    session: Result<Session>,
    selection: &Selection,
    findings: &mut Vec<Finding>,
) -> Option<Looked> {
    match session {
        Ok(session) => {
            let mut looked = Looked {
                session,
                catalog: None,
            };
            looked.catalog = looked.ask(findings, |session| {
                let mut catalog = Catalog::read(session, selection)?;
                if side == Side::Source {
                    catalog.read_sizes(session)?;
                }
                Ok(catalog)
            });
            Some(looked)
        }
        Err(error) => {
            findings.push(Finding::failure(side, error));
            None
        }
    }
}

/// Two names of one database make every other finding nonsense.
fn same_database(
    source: &mut Looked,
    destination: &mut Looked,
    findings: &mut Vec<Finding>,
) -> bool {
    // Read anew: the catalog may be missing for another reason.
    let (Some(one), Some(other)) = (
        source.ask(findings, catalog::read_database),
        destination.ask(findings, catalog::read_database),
    ) else {
        return false;
    };
    match catalog::refuse_same_database(&one, &other) {
        Ok(()) => false,
        Err(error) => {
            findings.push(Finding::failure(None, error));
            true
        }
    }
}

impl Looked {
    fn side(&self) -> Side {
        self.session.side()
    }

    /// Asks something in a transaction of its own that can neither change anything nor wait for
    /// long. What goes wrong becomes a finding; once the connection is gone, nothing more is asked.
    fn ask<T>(
        &mut self,
        findings: &mut Vec<Finding>,
        question: impl FnOnce(&mut Session) -> Result<T>,
    ) -> Option<T> {
        if self.session.is_closed() {
            return None;
        }
        match self.try_ask(question) {
            Ok(answer) => Some(answer),
            Err(error) => {
                let lost = error.connection_lost;
                let mut finding = Finding::failure(self.side(), with_mend(error));
                finding.lost = lost;
                // The same trouble, met again by the next question, is said once.
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
                None
            }
        }
    }

    /// As [`Looked::ask`], for a question whose answer is findings.
    fn find(
        &mut self,
        findings: &mut Vec<Finding>,
        question: impl FnOnce(&mut Session) -> Result<Vec<Finding>>,
    ) {
        let found = self.ask(findings, question);
        findings.extend(found.into_iter().flatten());
    }

    /// As [`Looked::ask`], for callers to whom a refusal is an answer.
    fn try_ask<T>(&mut self, question: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        self.session.execute(
            "begin a transaction",
            &format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
                 SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
                 SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS};"
            ),
        )?;
        let answer = question(&mut self.session);
        let ended = self.session.execute("end a transaction", "ROLLBACK");
        let answer = answer?;
        ended.map(|()| answer)
    }

    /// Returns the number of the sequences.
    fn sequences(&self) -> usize {
        let catalog = self.catalog.as_ref();
        catalog.map_or(0, |catalog| catalog.sequences.len())
    }

    /// Returns the oids of the selected tables; with `partitions`, of their partitions too.
    fn table_oids(&self, partitions: bool) -> Vec<Oid> {
        let Some(catalog) = &self.catalog else {
            return Vec::new();
        };
        let mut oids = Vec::new();
        for relation in &catalog.relations {
            oids.push(relation.oid);
            if partitions {
                oids.extend(relation.partitions.iter().map(|partition| partition.oid));
            }
        }
        oids
    }
}

fn with_mend(error: Error) -> Error {
    if error.mend.is_some() || error.class == Class::Usage {
        return error;
    }
    let code = error
        .sqlstate
        .as_ref()
        .map(|state| state.code().to_string());
    match code.as_deref() {
        Some("55P03" | "57014") => {
            error.mend("run check again when nothing holds a strong lock on a table there")
        }
        Some("42501") => error.mend("connect with a role that may, or grant it"),
        _ => error,
    }
}
