//! Brings the schema with pg_dump and pg_restore: tables before the data, keys and indexes after it.
//!
//! The first section is executed here, in one transaction with the note that it is done, so that it
//! is there as a whole or not at all. The last one is executed by `pg_restore -j`, entry by entry;
//! what an interrupted attempt made of it is looked up and left out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use postgres::error::SqlState;

use super::archive::{Filter, Step, for_server, listed};
use super::contents::{self, Wish};
use super::directory::{Directory, file_error};
use super::postponed::Postponed;
use super::tools::{self, Tools};
use crate::conninfo::Conninfo;
use crate::destination;
use crate::error::{Error, Result, Side};
use crate::ident::literal;
use crate::lock;
use crate::session::{Session, text};
use crate::stop::Stop;

/// How `--create-schema` goes about it.
#[derive(Debug, Clone, Default)]
pub struct SchemaOptions {
    /// Where pg_dump and pg_restore are; `None` looks on PATH and where packages put them.
    pub pg_bindir: Option<PathBuf>,
    /// Everything belongs to the connecting role.
    pub no_owner: bool,
    /// Without GRANT and REVOKE.
    pub no_privileges: bool,
}

impl SchemaOptions {
    /// Reads what `copy --create-schema` was told when it made the schema.
    ///
    /// # Errors
    /// As the server says.
    pub fn noted(destination: &mut Session) -> Result<SchemaOptions> {
        let sql = "SELECT COALESCE(schema_options, '{}') FROM switchover.state";
        let noted: Vec<String> = destination
            .query_one("read how the schema was made", sql, &[])?
            .get(0);
        let is = |word: &str| noted.iter().any(|one| one == word);
        Ok(SchemaOptions {
            pg_bindir: noted
                .iter()
                .find_map(|one| one.strip_prefix(BINDIR))
                .map(PathBuf::from),
            no_owner: is(NO_OWNER),
            no_privileges: is(NO_PRIVILEGES),
        })
    }

    /// Returns it as an array for SQL.
    fn note(&self) -> String {
        let mut words = Vec::new();
        if self.no_owner {
            words.push(literal(NO_OWNER));
        }
        if self.no_privileges {
            words.push(literal(NO_PRIVILEGES));
        }
        if let Some(directory) = self.pg_bindir.as_ref().and_then(|one| one.to_str()) {
            words.push(literal(&format!("{BINDIR}{directory}")));
        }
        format!("ARRAY[{}]::text[]", words.join(", "))
    }
}

/// The name of the archive in its directory.
const ARCHIVE: &str = "schema.dump";

const NO_OWNER: &str = "no-owner";
const NO_PRIVILEGES: &str = "no-privileges";
const BINDIR: &str = "pg-bindir=";

/// The first version whose pg_dump attaches a partition by a statement of its own, which has to wait for
/// the partition's indexes where the parent has some.
const OWN_ATTACHMENT: u32 = 14;

/// An archive of the source's schema, in a directory of its own that goes with it.
pub struct Schema<'a> {
    tools: Tools,
    options: &'a SchemaOptions,
    destination: Conninfo,
    pub(super) postponed: Vec<Postponed>,
    directory: Directory,
    run: &'a str,
    stop: &'a Stop,
}

/// What `server_version_num` is divided by to get the major version.
const MAJOR: i32 = 10_000;

/// The application_name of our pg_dump.
const DUMP_NAME: &str = "pg_switchover: pg_dump";

/// What `pg_stat_activity` calls our pg_restore.
const RESTORE_NAME: &str = "pg_switchover: pg_restore";

/// Where libpq finds settings for its sessions.
const OPTIONS: &str = "PGOPTIONS";

/// How long a session that was told to end may take.
const RESTORE_ENDS: Duration = Duration::from_secs(30);

impl<'a> Schema<'a> {
    /// Dumps the schema of the source: all of it, whatever tables were selected, because a table may
    /// need any of the types, functions and extensions.
    ///
    /// # Errors
    /// No pg_dump will do; it fails.
    pub fn dump(
        source: &mut Session,
        destination: &Session,
        captured: &[u32],
        options: &'a SchemaOptions,
        run: &'a str,
        stop: &'a Stop,
    ) -> Result<Schema<'a>> {
        let newer = source.version().max(destination.version()) / MAJOR;
        let needed = newer.unsigned_abs();
        let tools = tools::find(options.pg_bindir.as_deref(), needed.max(OWN_ATTACHMENT))
            .or_else(|_| tools::find(options.pg_bindir.as_deref(), needed))?;
        log::info!("copying the schema with {}", tools.dump.display());
        let schema = Schema {
            tools,
            options,
            destination: destination.conninfo().clone(),
            postponed: Postponed::list(source, captured)?,
            directory: Directory::new()?,
            run,
            stop,
        };
        let mut command = Command::new(&schema.tools.dump);
        schema.prepare(&mut command, source.conninfo(), DUMP_NAME)?;
        command
            .args([
                "--format=custom",
                "--schema-only",
                "--exclude-schema=switchover",
            ])
            .args(["--no-publications", "--no-subscriptions"])
            .arg("--lock-wait-timeout=60000")
            .arg("--file")
            .arg(schema.directory.file(ARCHIVE)?);
        schema.add_options(&mut command);
        schema.run_dump(source.conninfo(), &mut command)?;
        Ok(schema)
    }

    /// It locks all tables at once, and others may want one of them.
    fn run_dump(&self, source: &Conninfo, command: &mut Command) -> Result<()> {
        let mut attempt = 1;
        loop {
            let given_way = lock::times();
            let what = "dump the schema of the source";
            let server = (source, Side::Source, DUMP_NAME);
            match tools::run_on(server, command, what, &self.said(), self.stop) {
                Err(error) if attempt < lock::GIVE_WAY && lock::times() > given_way => {
                    log::info!("pg_dump gave way, and begins again: {error}");
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    /// Returns what is made after the first cycle.
    pub fn postponed(&self) -> &[Postponed] {
        &self.postponed
    }

    /// Creates what comes before the data, and notes it, in one transaction.
    ///
    /// # Errors
    /// As the server says; nothing is there then.
    pub fn create_tables(&self, destination: &Session, wish: &Wish) -> Result<()> {
        Postponed::warn_left_out(&self.postponed);
        let notes = format!(
            "{}
             UPDATE switchover.state SET schema_created_at = pg_catalog.clock_timestamp(),
                                         schema_options = {};",
            Postponed::note(&self.postponed),
            self.options.note()
        );
        let list = contents::choose(&self.listing()?, wish).list;
        self.execute(destination, &list, "pre-data", &notes)
    }

    /// Returns the table of contents, with what each entry needs.
    ///
    /// # Errors
    /// pg_restore fails.
    pub fn listing(&self) -> Result<String> {
        let all = self.directory.file("all")?;
        let mut command = self.restore();
        command.args(["--list", "--verbose", "--file"]);
        command.arg(&all).arg(self.archive());
        let what = "list the dumped schema";
        tools::run(&mut command, what, &self.said(), self.stop)?;
        self.read(&all)
    }

    /// Executes the listed entries, of one section if it is one, and `notes`, in one transaction.
    ///
    /// # Errors
    /// As the server says; nothing has been done then.
    pub fn execute(
        &self,
        destination: &Session,
        list: &str,
        section: &str,
        notes: &str,
    ) -> Result<()> {
        let wanted = self.directory.write(&format!("{section}.list"), list)?;
        let file = self.directory.file(&format!("{section}.sql"))?;
        let mut command = self.restore();
        if section.ends_with("-data") {
            command.arg(format!("--section={section}"));
        }
        command.arg("--use-list").arg(wanted).arg("--file");
        command.arg(&file).arg(self.archive());
        let what = "read the dumped schema";
        tools::run(&mut command, what, &self.said(), self.stop)?;
        let script = for_server(&self.read(&file)?, destination.version()).replacen(
            "SET lock_timeout = 0;",
            destination::LOCK_TIMEOUT,
            1,
        );
        // The script changes settings of its session.
        let mut session = destination.another("copy schema")?;
        // Event triggers of the application are not meant for what we do; where the role may not say so,
        // they fire.
        let quiet = "SET session_replication_role = replica";
        let _ = session.execute("switch off event triggers", quiet);
        let sql = format!(
            "BEGIN;\n{script}\nSET search_path = '';\n{notes}\n{}\nCOMMIT;",
            destination::hold(self.run)
        );
        session
            .execute("create the schema", &sql)
            .map_err(|error| mended(error, self.options))
    }

    /// Creates what comes after the data, all but what is postponed, with `jobs` connections.
    ///
    /// # Errors
    /// As pg_restore says; run again, it goes on where it ended.
    pub fn finish(&self, destination: &mut Session, jobs: usize) -> Result<()> {
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
        for (step, jobs) in [(Step::Create, jobs), (Step::Attach, 1)] {
            filter.step = step;
            let list = self.list("post-data", &filter)?;
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
        let sql = format!(
            "BEGIN; UPDATE switchover.state SET schema_finished_at = pg_catalog.clock_timestamp(); {} COMMIT;",
            destination::hold(self.run)
        );
        destination.execute("note that the schema is complete", &sql)
    }

    /// Writes the list of the entries of a section that are wanted; returns the file.
    fn list(&self, section: &str, filter: &Filter) -> Result<PathBuf> {
        let all = self.directory.file(&format!("{section}.all"))?;
        let mut command = self.restore();
        command
            .arg("--list")
            .arg(format!("--section={section}"))
            .arg("--file")
            .arg(&all)
            .arg(self.archive());
        let what = "list the dumped schema";
        tools::run(&mut command, what, &self.said(), self.stop)?;
        let wanted = filter.apply(&self.read(&all)?);
        self.directory.write(&format!("{section}.list"), &wanted)
    }

    fn restore(&self) -> Command {
        let mut command = Command::new(&self.tools.restore);
        // Unless it connects, it needs none.
        command.env_remove("PGPASSWORD");
        self.add_options(&mut command);
        command
    }

    fn add_options(&self, command: &mut Command) {
        if self.options.no_owner {
            command.arg("--no-owner");
        }
        if self.options.no_privileges {
            command.arg("--no-privileges");
        }
    }

    fn archive(&self) -> PathBuf {
        self.directory.path(ARCHIVE)
    }

    fn said(&self) -> PathBuf {
        self.directory.path("stderr")
    }

    /// Makes a program connect as we do. A password goes to it through a file: an environment is shown to more
    /// than its owner here and there, and goes into dumps of a process.
    fn prepare(&self, command: &mut Command, conninfo: &Conninfo, name: &str) -> Result<()> {
        let passfile = match conninfo.passfile() {
            Some(text) => Some(self.directory.write("passfile", &text)?),
            None => None,
        };
        conninfo.prepare_command(command, name, passfile.as_deref());
        Ok(())
    }

    fn read(&self, path: &Path) -> Result<String> {
        std::fs::read_to_string(path).map_err(|error| file_error(path, &error))
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

/// Says what can be done about the usual reasons why a schema cannot be created.
fn mended(error: Error, options: &SchemaOptions) -> Error {
    let exists = [
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_SCHEMA,
        SqlState::DUPLICATE_OBJECT,
        SqlState::DUPLICATE_FUNCTION,
    ];
    if exists.iter().any(|state| error.is(state)) {
        return error.mend(
            "rename there what was renamed on the source, or leave out --create-schema if the schema is complete there",
        );
    }
    if error.is(&SqlState::UNDEFINED_OBJECT) && error.message.contains("role \"") {
        let owners = if options.no_owner {
            ""
        } else {
            "--no-owner or "
        };
        return error.mend(format!(
            "create the role there (pg_dumpall --roles-only), or use {owners}--no-privileges"
        ));
    }
    if error.is(&SqlState::OUT_OF_MEMORY) || error.message.contains("out of shared memory") {
        return error.mend("raise max_locks_per_transaction on the destination");
    }
    error
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
fn existing(destination: &mut Session) -> Result<std::collections::BTreeSet<String>> {
    let sql = include_str!("existing.sql");
    let rows = destination.simple("list keys and indexes", sql)?;
    Ok(rows.iter().map(|row| listed(text(row, 0))).collect())
}

/// Refuses to go on without the rest of a schema that an earlier `copy --create-schema` began.
///
/// # Errors
/// It is not complete.
pub fn refuse_half_a_schema(claim: &destination::Claim) -> Result<()> {
    if claim.schema_created && !claim.schema_finished {
        return Err(Error::failed(format!(
            "the {} has tables from copy --create-schema, but not their keys and indexes",
            Side::Destination
        ))
        .mend("run copy with --create-schema again"));
    }
    Ok(())
}

impl Postponed {
    /// Returns the comment's entry in the archive, which has to wait with its foreign key.
    fn listed_comment(&self) -> String {
        let tag = self.comment_tag.as_deref().unwrap_or_default();
        format!("COMMENT {} {}", listed(&self.schema), listed(tag))
    }

    /// Returns the statements that note what is postponed.
    fn note(postponed: &[Postponed]) -> String {
        let optional = |text: &Option<String>| match text {
            Some(text) => literal(text),
            None => "NULL".to_string(),
        };
        let mut sql = String::from("DELETE FROM switchover.postponed WHERE NOT taken;\n");
        let next = "(SELECT COALESCE(pg_catalog.max(position), 0) + 1 FROM switchover.postponed)";
        for one in postponed.iter().filter(|one| one.captured) {
            sql.push_str(&format!(
                "INSERT INTO switchover.postponed VALUES ({}, {}, {}, {}, {}, {}, {}, {}, {}, {});\n",
                next,
                literal(&one.kind),
                literal(&one.name),
                literal(&one.schema),
                literal(&one.table),
                optional(&one.constraint),
                literal(&one.statement),
                optional(&one.comment),
                one.validated,
                one.partitioned
            ));
        }
        sql
    }
}
