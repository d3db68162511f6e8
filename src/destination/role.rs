//! How the sessions that write rows stand on the destination: what they wait for, what does not act
//! on them.

use postgres::error::SqlState;

use crate::error::{Error, Result};
use crate::session::Session;

/// How long a lock of somebody else on a table is waited for.
pub const LOCK_TIMEOUT: &str = "SET lock_timeout = '60s';";

/// Puts a session in the role in which neither user triggers nor foreign keys act (ENABLE ALWAYS
/// triggers do), and bounds its waits.
///
/// # Errors
/// The connecting role may not do that.
pub fn replica_role(session: &mut Session) -> Result<()> {
    let sql = format!("SET session_replication_role = replica; {LOCK_TIMEOUT}");
    let version = session.version();
    session
        .execute("switch off triggers and foreign keys", &sql)
        .map_err(|error| mended(error, version))
}

/// Fails if [`replica_role`] will, and changes nothing.
///
/// # Errors
/// The connecting role may not do that.
pub fn try_replica_role(session: &mut Session) -> Result<()> {
    let sql = "BEGIN; SET LOCAL session_replication_role = replica; ROLLBACK;";
    let version = session.version();
    let tried = session.execute("switch off triggers and foreign keys", sql);
    if tried.is_err() {
        session.execute("end a transaction", "ROLLBACK")?;
    }
    tried.map_err(|error| mended(error, version))
}

fn mended(error: Error, version: i32) -> Error {
    if !error.is(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return error;
    }
    error.mend(if version >= 150_000 {
        "connect as a superuser, or GRANT SET ON PARAMETER session_replication_role TO the role"
    } else {
        "connect as a superuser, which PostgreSQL 14 and older want for that"
    })
}
