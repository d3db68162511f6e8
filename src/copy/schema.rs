//! Brings the schema with pg_dump and pg_restore: tables before the data, keys and indexes after it.
//!
//! The first section is executed here, in one transaction with the note that it is done, so that it
//! is there as a whole or not at all. The last one is in `last_section`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use postgres::error::SqlState;

use super::archive::for_server;
use super::contents::{self, Wish};
use super::crew::lock;
use super::directory::{Directory, file_error};
use super::postponed::Postponed;
use super::tools::{self, Tools};
use crate::conninfo::Conninfo;
use crate::destination;
use crate::error::{Error, Result, Side};
use crate::ident::literal;
use crate::lock as courtesy;
use crate::session::{Session, side_by_side};
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
    pub(super) destination: Conninfo,
    pub(super) postponed: Vec<Postponed>,
    pub(super) directory: Directory,
    /// The table of contents, with what each entry needs.
    listing: String,
    /// What was asked for ahead, by its list.
    scripts: Mutex<BTreeMap<String, String>>,
    pub(super) run: &'a str,
    pub(super) stop: &'a Stop,
}

/// What `server_version_num` is divided by to get the major version.
const MAJOR: i32 = 10_000;

/// The application_name of our pg_dump.
const DUMP_NAME: &str = "pg_switchover: pg_dump";

impl<'a> Schema<'a> {
    /// Dumps the schema of the source: all of it, whatever tables were selected, because a table may
    /// need any of the types, functions and extensions. Beside that it reads what else is wanted.
    ///
    /// What is made or dropped on the source meanwhile may be in the one and not in the other, as it may where one
    /// comes after the other: it is as if it had come later. Captured tables are compared once they are there.
    ///
    /// # Errors
    /// No pg_dump will do; it fails; as the reading.
    pub fn dump<T>(
        source: &mut Session,
        destination: &mut Session,
        captured: &[u32],
        options: &'a SchemaOptions,
        (run, stop): (&'a str, &'a Stop),
        read: impl FnOnce(&mut Session, &mut Session) -> Result<T>,
    ) -> Result<(Schema<'a>, T)> {
        let newer = source.version().max(destination.version()) / MAJOR;
        let needed = newer.unsigned_abs();
        let tools = tools::find(options.pg_bindir.as_deref(), needed.max(OWN_ATTACHMENT))
            .or_else(|_| tools::find(options.pg_bindir.as_deref(), needed))?;
        log::info!("copying the schema with {}", tools.dump.display());
        let mut schema = Schema {
            tools,
            options,
            destination: destination.conninfo().clone(),
            postponed: Vec::new(),
            directory: Directory::new()?,
            listing: String::new(),
            scripts: Mutex::default(),
            run,
            stop,
        };
        let conninfo = source.conninfo().clone();
        let (seen, listing) = side_by_side(
            || {
                Ok((
                    Postponed::list(source, captured)?,
                    read(source, destination)?,
                ))
            },
            || schema.write_archive(&conninfo),
        );
        schema.listing = listing?;
        let (postponed, seen) = seen?;
        schema.postponed = postponed;
        Ok((schema, seen))
    }

    /// Runs pg_dump; returns the table of contents.
    fn write_archive(&self, source: &Conninfo) -> Result<String> {
        let mut command = Command::new(&self.tools.dump);
        self.prepare(&mut command, source, DUMP_NAME)?;
        command
            .args([
                "--format=custom",
                "--schema-only",
                "--exclude-schema=switchover",
            ])
            .args(["--no-publications", "--no-subscriptions"])
            .arg("--lock-wait-timeout=60000")
            .arg("--file")
            .arg(self.directory.file(ARCHIVE)?);
        self.add_options(&mut command);
        self.run_dump(source, &mut command)?;
        self.list()
    }

    /// It locks all tables at once, and others may want one of them.
    fn run_dump(&self, source: &Conninfo, command: &mut Command) -> Result<()> {
        let mut attempt = 1;
        loop {
            let given_way = courtesy::times();
            let what = "dump the schema of the source";
            let server = (source, Side::Source, DUMP_NAME);
            match tools::run_on(server, command, what, &self.said(), self.stop) {
                Err(error) if attempt < courtesy::GIVE_WAY && courtesy::times() > given_way => {
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
        let list = contents::choose(&self.listing, wish).list;
        self.execute(destination, &list, "pre-data", &notes)
    }

    /// Returns the table of contents, with what each entry needs.
    pub fn listing(&self) -> &str {
        &self.listing
    }

    fn list(&self) -> Result<String> {
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
        let script = self.script(list, section, destination.version())?;
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

    /// Asks for scripts before they are needed, while `wanted`; what fails is asked for again, and told, then.
    pub fn read_ahead(&self, lists: &[String], version: i32, wanted: impl Fn() -> bool) {
        for list in lists.iter().take_while(|_| wanted()) {
            match self.script(list, &contents::first(list), version) {
                Ok(script) => {
                    let _ = lock(&self.scripts).insert(list.clone(), script);
                }
                Err(error) => log::debug!("{error}"),
            }
        }
    }

    /// As [`Schema::script`], from what was asked for ahead if it is there.
    ///
    /// # Errors
    /// pg_restore fails.
    pub fn script_once(&self, list: &str, version: i32) -> Result<String> {
        let ahead = lock(&self.scripts).remove(list);
        match ahead {
            Some(script) => Ok(script),
            None => self.script(list, &contents::first(list), version),
        }
    }

    /// Returns the SQL of the listed entries, of one section if `name` is that of one. Other names are of files, so
    /// that threads that work side by side do not meet.
    ///
    /// # Errors
    /// pg_restore fails.
    pub(super) fn script(&self, list: &str, name: &str, version: i32) -> Result<String> {
        let wanted = self.directory.write(&format!("{name}.list"), list)?;
        let file = self.directory.file(&format!("{name}.sql"))?;
        let mut command = self.restore();
        if name.ends_with("-data") {
            command.arg(format!("--section={name}"));
        }
        command.arg("--use-list").arg(wanted).arg("--file");
        command.arg(&file).arg(self.archive());
        let said = self.directory.path(&format!("{name}.stderr"));
        tools::run(&mut command, "read the dumped schema", &said, self.stop)?;
        let script = for_server(&self.read(&file)?, version);
        Ok(script.replacen("SET lock_timeout = 0;", destination::LOCK_TIMEOUT, 1))
    }

    pub(super) fn restore(&self) -> Command {
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

    pub(super) fn archive(&self) -> PathBuf {
        self.directory.path(ARCHIVE)
    }

    pub(super) fn said(&self) -> PathBuf {
        self.directory.path("stderr")
    }

    /// Makes a program connect as we do. A password goes to it through a file: an environment is shown to more
    /// than its owner here and there, and goes into dumps of a process.
    pub(super) fn prepare(
        &self,
        command: &mut Command,
        conninfo: &Conninfo,
        name: &str,
    ) -> Result<()> {
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
    error
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
