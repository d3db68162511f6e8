//! The bookkeeping on the destination, in its schema `switchover`: which run may write, which tables
//! are copied, which cycles are confirmed, and from when on others may write.

mod copied;
mod entrance;
mod guarded;
mod role;

pub use copied::{
    CopiedTable, begin_table, columns, copied_tables, drop_table_note, finish_table, forget_tables,
    rename_table, rename_tables,
};
pub use entrance::{OPEN, before_open, close, note_flip, refuse_written, takes_writes};
pub use guarded::{Unguarded, guard_tables};
pub use role::{
    LOCK_TIMEOUT, Way, grant, restore, silence, silenced, way, way_in_transaction, writer,
};

use crate::capture::Counts;
use crate::catalog;
use crate::error::{Error, Result};
use crate::ident::literal;
use crate::lock::{self, Patience};
use crate::session::Session;
use crate::stop::Stop;

/// What the destination's state row said when this run claimed it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// A token that only this process has; what `switchover.hold()` asks for.
    pub run: String,
    /// What has been committed here.
    pub counts: Counts,
    /// Every table has been copied.
    pub copied: bool,
    /// `copy --create-schema` created the tables.
    pub schema_created: bool,
    /// And has added keys, indexes and constraints since.
    pub schema_finished: bool,
    /// Since when the destination is known to be in charge, as text.
    pub switched_at: Option<String>,
}

impl Claim {
    /// Refuses a destination that is in charge although the source's pointer says otherwise: the source has been
    /// failed over to a replica that had not received the flip, or restored from a backup of before. What
    /// applications have written to the destination since would be overwritten.
    ///
    /// # Errors
    /// That is so.
    pub fn refuse_in_charge(&self) -> Result<()> {
        match &self.switched_at {
            None => Ok(()),
            Some(when) => Err(Error::failed(format!(
                "the destination is in charge since {when}, and the source has lost the flip: it is a replica that had not received it, or was restored from a backup"
            ))
            .mend("stop the applications on the source, bring over by hand what they have written there since, then drop")),
        }
    }

    /// Refuses a destination that has lost some of what the source has `noted`.
    ///
    /// # Errors
    /// That is so.
    pub fn refuse_set_back(&self, noted: Counts) -> Result<()> {
        let Some(lost) = self.counts.lost(noted) else {
            return Ok(());
        };
        Err(Error::failed(format!(
            "the destination has lost what it had committed {lost}: a replica that lagged behind has taken its place, or a backup"
        ))
        .mend("drop this switchover, then init and copy --truncate"))
    }
}

/// Creates what is missing of the bookkeeping and claims it for this process. Called under the
/// source's advisory lock, so no other healthy run is at work; one that lost its source connection
/// without noticing is shut out from here on.
///
/// # Errors
/// The destination belongs to a switchover from another source; or as the server says.
pub fn install_and_claim(session: &mut Session, source_identity: &str) -> Result<Claim> {
    refuse_foreign(session, source_identity)?;
    install(session, "create the bookkeeping")?;
    claim(session, source_identity)
}

fn install(session: &mut Session, what: &str) -> Result<()> {
    let sql = [catalog::CREATE_SCHEMA, include_str!("install.sql")].concat();
    session.execute(what, &sql)
}

/// Refuses a schema `switchover` that is somebody else's: nothing may be put into it, and above all it
/// may not be dropped.
///
/// # Errors
/// It is no bookkeeping of ours, or belongs to a switchover from another source.
pub fn refuse_foreign(session: &mut Session, source_identity: &str) -> Result<()> {
    let sql = "SELECT pg_catalog.to_regnamespace('switchover') IS NOT NULL";
    let exists: bool = session
        .query_one("look for schema switchover", sql, &[])?
        .get(0);
    if !exists {
        return Ok(());
    }
    if !installed(session)? {
        return Err(Error::failed(
            "schema \"switchover\" exists on the destination, and is not the bookkeeping of a switchover to it",
        )
        .mend("are --source and --dest swapped? If not, rename that schema"));
    }
    let sql = "SELECT source_identity FROM switchover.state";
    let rows = session.query("see whose bookkeeping it is", sql, &[])?;
    match rows.first().map(|row| row.get::<_, String>(0)) {
        Some(owner) if owner != source_identity => Err(another_source(&owner)),
        _ => Ok(()),
    }
}

fn another_source(owner: &str) -> Error {
    Error::failed(format!(
        "the destination belongs to a switchover from another source ({owner})"
    ))
    .mend("check --source and --dest, or drop schema switchover there if that one was given up")
}

/// Claims bookkeeping that exists.
///
/// # Errors
/// It does not exist, or belongs to a switchover from another source.
pub fn claim(session: &mut Session, source_identity: &str) -> Result<Claim> {
    if !installed(session)? {
        return Err(
            Error::failed("the destination has no bookkeeping of a switchover")
                .mend("run pg_switchover init first"),
        );
    }
    refuse_foreign(session, source_identity)?;
    end_predecessor(session, source_identity)?;
    // An older version may have made it.
    let complete = "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
                       WHERE attrelid = 'switchover.state'::pg_catalog.regclass AND attname = 'copies')";
    if !session
        .query_one("look at the bookkeeping", complete, &[])?
        .get::<_, bool>(0)
    {
        install(session, "complete the bookkeeping")?;
    }
    let run = run_token(session)?;
    let row = session.query_one(
        "claim the bookkeeping",
        include_str!("claim.sql"),
        &[&run, &source_identity],
    )?;
    Ok(Claim {
        run,
        counts: Counts {
            cycle: row.get(0),
            copies: row.get(1),
        },
        copied: row.get(2),
        schema_created: row.get(3),
        schema_finished: row.get(4),
        switched_at: row.get(5),
    })
}

/// Reads what has been committed here.
///
/// # Errors
/// As the server says.
pub fn counts(session: &mut Session) -> Result<Counts> {
    let row = session.query_one("read what is counted", include_str!("counts.sql"), &[])?;
    Ok(Counts {
        copies: row.get(0),
        cycle: row.get(1),
    })
}

/// Looks again whether `copy --create-schema` has made the schema since the claim.
///
/// # Errors
/// As the server says.
pub fn look_at_schema(session: &mut Session, claim: &mut Claim) -> Result<()> {
    let sql = "SELECT schema_created_at IS NOT NULL, schema_finished_at IS NOT NULL
                 FROM switchover.state";
    let row = session.query_one("look how the schema was made", sql, &[])?;
    (claim.schema_created, claim.schema_finished) = (row.get(0), row.get(1));
    Ok(())
}

/// Ends what is left here of earlier runs: one whose machine has gone down, or was cut off, can leave
/// sessions with locks that its successor would wait for until the network gives up. We hold the
/// source's advisory lock, so none of them can do anything useful any more.
fn end_predecessor(session: &mut Session, source_identity: &str) -> Result<()> {
    let sql = include_str!("end_predecessor.sql");
    for row in session.query("end an earlier run", sql, &[&source_identity])? {
        log::debug!("ended pid {} of an earlier run", row.get::<_, i32>(0));
    }
    Ok(())
}

/// Returns true if the bookkeeping exists.
///
/// # Errors
/// As the server says.
pub fn installed(session: &mut Session) -> Result<bool> {
    catalog::refuse_untrusted_schema(session)?;
    let sql = "SELECT pg_catalog.to_regclass('switchover.confirmation') IS NOT NULL";
    Ok(session
        .query_one("look for the bookkeeping", sql, &[])?
        .get(0))
}

/// Distinguishes this run from every other one.
fn run_token(session: &mut Session) -> Result<String> {
    let sql = "SELECT pg_catalog.gen_random_uuid()::text";
    Ok(session.query_one("make a run token", sql, &[])?.get(0))
}

/// Returns the statement that fails unless `run` may still write; it goes before every commit.
pub fn hold(run: &str) -> String {
    format!("SELECT switchover.hold({});", literal(run))
}

/// Notes the outcome of a verify: tables and rows compared, differences found.
///
/// # Errors
/// As the server says.
pub fn note_verification(
    session: &mut Session,
    cycle: i64,
    [tables, rows, differences]: [u64; 3],
) -> Result<()> {
    session.execute(
        "note the verification",
        &format!(
            "INSERT INTO switchover.verification (cycle, tables, rows, differences)
             VALUES ({cycle}, {tables}, {rows}, {differences})"
        ),
    )
}

/// Removes the bookkeeping, if there is one. Readers of it are waited for a bounded time. The caller
/// has asked [`refuse_foreign`].
///
/// # Errors
/// Class lock-not-obtained, naming who holds it; or as the server says.
pub fn remove(
    session: &mut Session,
    source_identity: &str,
    patience: Patience,
    stop: &Stop,
) -> Result<()> {
    if !installed(session)? {
        return Ok(());
    }
    end_predecessor(session, source_identity)?;
    let mut observer = session.another("observer")?;
    guarded::remove(session, &mut observer, patience, stop)?;
    lock::drop_schema(session, &mut observer, patience, stop)
}
