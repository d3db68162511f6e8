//! The last section of the dumped schema: indexes, constraints, triggers, rules. Indexes and most constraints are
//! made while other tables are still copied, see `indexes`; the rest in one transaction if it takes no time, else, or
//! where that fails, by `pg_restore -j`, entry by entry. What exists by then, or was made by an interrupted attempt, is
//! looked up and left out.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use super::archive::{Filter, Step, listed};
use super::contents;
use super::postponed::Postponed;
use super::schema::Schema;
use super::tools;
use crate::catalog::{Oid, Relation};
use crate::destination;
use crate::error::{Error, Result, Side};
use crate::session::{Session, text};

/// What `pg_stat_activity` calls our pg_restore.
const RESTORE_NAME: &str = "pg_switchover: pg_restore";

/// Where libpq finds settings for its sessions.
const OPTIONS: &str = "PGOPTIONS";

/// How long a session that was told to end may take.
const RESTORE_ENDS: Duration = Duration::from_secs(30);

impl Schema<'_> {
    /// Creates what comes after the data, all but what is there or postponed, with `jobs` connections.
    ///
    /// # Errors
    /// As pg_restore says; run again, it goes on where it ended.
    pub fn finish(
        &self,
        destination: &mut Session,
        relations: &[Relation],
        jobs: usize,
    ) -> Result<()> {
        end_restore(destination)?;
        let mut filter = Filter {
            existing: existing(destination)?,
            postponed: self
                .postponed
                .iter()
                .map(Postponed::listed_comment)
                .collect(),
            step: Step::Create,
        };
        let lists = [(Step::Create, jobs), (Step::Attach, 1)].map(|(step, jobs)| {
            filter.step = step;
            (filter.apply(self.listing()), jobs)
        });
        let all: String = lists.iter().map(|(list, _)| list.as_str()).collect();
        let note = "UPDATE switchover.state SET schema_finished_at = pg_catalog.clock_timestamp();";
        if !all.is_empty() && reads_no_rows(&all, self.listing(), relations) {
            match self.execute(destination, &all, "post-data", note) {
                Err(error) if !error.connection_lost => log::debug!("{error}"),
                other => return other,
            }
            // Nothing of it is there: pg_restore makes what can be made, and tells what cannot.
        }
        for (list, jobs) in lists {
            if list.is_empty() {
                continue;
            }
            let list = self.directory.write("post-data.list", &list)?;
            let mut command = self.restore();
            self.prepare(&mut command, &self.destination, RESTORE_NAME)?;
            add_setting(&mut command, "synchronous_commit=off");
            command
                .args(["--section=post-data", "--exit-on-error"])
                .arg(format!("--jobs={jobs}"))
                .arg("--use-list")
                .arg(list)
                .arg(self.archive());
            let what = "create the indexes and constraints on the destination";
            let server = (&self.destination, Side::Destination, RESTORE_NAME);
            let said = self.said();
            if let Err(error) = tools::run_on(server, &mut command, what, &said, self.stop) {
                // Its sessions do not notice that it is gone before their statements end. Where that
                // cannot be done now, the next run does it.
                if let Err(also) = end_restore(destination) {
                    log::debug!("{also}");
                }
                return Err(error);
            }
        }
        let sql = format!("BEGIN; {note} {} COMMIT;", destination::hold(self.run));
        destination.execute("note that the schema is complete", &sql)
    }
}

/// Returns true if no index among the entries is of a table that has rows itself. All of it takes less time than
/// pg_restore does to connect, and is made in one transaction.
fn reads_no_rows(list: &str, listing: &str, relations: &[Relation]) -> bool {
    let roots = relations.iter().filter(|one| one.partitioned);
    let parts = relations.iter().flat_map(|one| &one.partitions);
    let without_rows: BTreeSet<Oid> = roots
        .map(|one| one.oid)
        .chain(parts.filter(|one| !one.leaf).map(|one| one.oid))
        .collect();
    let lines: BTreeSet<&str> = list.lines().collect();
    contents::indexes(listing)
        .iter()
        .filter(|index| lines.contains(index.line))
        .all(|index| without_rows.contains(&index.table))
}

impl Postponed {
    /// Returns the comment's entry in the archive, which has to wait with its foreign key.
    fn listed_comment(&self) -> String {
        let tag = self.comment_tag.as_deref().unwrap_or_default();
        format!("COMMENT {} {}", listed(&self.schema), listed(tag))
    }
}

/// Adds a setting to those that the connection string asks for. Where pg_restore's commits may reach the disk later,
/// what a crash takes back is not there when the next run looks; the note that the schema is complete waits.
fn add_setting(command: &mut Command, setting: &str) {
    let given = command.get_envs().find(|(name, _)| *name == OPTIONS);
    let mut options = given
        .and_then(|(_, options)| options.map(OsString::from))
        .unwrap_or_default();
    options.push(format!(" -c {setting}"));
    command.env(OPTIONS, options);
}

/// Ends the sessions of a pg_restore that is no more, or that has outlived the pg_switchover that
/// started it: a killed process cannot take its children with it. Nobody else's is touched, because
/// this runs under the source's advisory lock, on a destination that is bound to this source.
fn end_restore(destination: &mut Session) -> Result<()> {
    let sql = format!(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
          WHERE application_name = '{RESTORE_NAME}'
            AND datname = pg_catalog.current_database() AND usename = current_user"
    );
    let what = "end the pg_restore of an earlier attempt";
    let began = Instant::now();
    while !destination.simple(what, &sql)?.is_empty() {
        if began.elapsed() > RESTORE_ENDS {
            return Err(Error::failed(format!(
                "could not {what} on the destination"
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Lists what exists of the last section, in the words of `pg_restore -l`.
fn existing(destination: &mut Session) -> Result<BTreeSet<String>> {
    let sql = include_str!("existing.sql");
    let rows = destination.simple("list keys and indexes", sql)?;
    Ok(rows.iter().map(|row| listed(text(row, 0))).collect())
}
