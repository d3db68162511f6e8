//! Row-level security that applies to our own role: our sessions have `row_security` off, so that it
//! fails what we read and write instead of hiding rows.

use super::Oid;
use crate::error::{Error, Result};
use crate::ident::{QualifiedName, ident};
use crate::session::Session;

/// Refuses tables whose row-level security applies to our role.
///
/// # Errors
/// Names the first of them, and what would let us pass.
pub fn refuse_policies(session: &mut Session, tables: &[Oid]) -> Result<()> {
    let sql = "SELECT n.nspname::text, c.relname::text, current_user::text,
                      pg_catalog.pg_has_role(c.relowner, 'USAGE')
                 FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = ANY ($1) AND pg_catalog.row_security_active(c.oid)
                ORDER BY 1, 2 LIMIT 1";
    let rows = session.query("look for row-level security", sql, &[&tables])?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let name = QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
    let role = ident(row.get(2));
    Err(Error::failed(format!(
        "row-level security of table {name} on the {} applies to role {role}",
        session.side()
    ))
    .mend(no_force(&role, &[name], row.get(3))))
}

/// Returns what lets our quoted role pass the row-level security of tables.
pub fn no_force(role: &str, tables: &[QualifiedName], owned: bool) -> String {
    let bypass = format!("ALTER ROLE {role} BYPASSRLS there");
    match (owned, tables) {
        (false, _) => bypass,
        (true, [one]) => format!("{bypass}, or ALTER TABLE {one} NO FORCE ROW LEVEL SECURITY"),
        (true, _) => format!("{bypass}, or ALTER TABLE … NO FORCE ROW LEVEL SECURITY"),
    }
}

/// Returns those of the source's tables whose row-level security is forced on their owners too: created
/// on the destination, it would be so there.
///
/// # Errors
/// As the server says.
pub fn forced(source: &mut Session, tables: &[Oid]) -> Result<Vec<QualifiedName>> {
    let sql = "SELECT n.nspname::text, c.relname::text
                 FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = ANY ($1) AND c.relrowsecurity AND c.relforcerowsecurity
                ORDER BY 1, 2";
    let rows = source.query("look for row-level security", sql, &[&tables])?;
    let name =
        |row: &postgres::Row| QualifiedName::new(row.get::<_, String>(0), row.get::<_, String>(1));
    Ok(rows.iter().map(name).collect())
}

/// Returns our role, quoted, unless no row-level security ever applies to it.
///
/// # Errors
/// As the server says.
pub fn bound_role(session: &mut Session) -> Result<Option<String>> {
    let sql = "SELECT r.rolname::text FROM pg_catalog.pg_roles r
                WHERE r.rolname = current_user AND NOT r.rolsuper AND NOT r.rolbypassrls";
    let rows = session.query("read our role", sql, &[])?;
    Ok(rows.first().map(|row| ident(row.get(0))))
}

/// Says that a schema with such tables cannot be created for our role, and the way out.
pub fn forced_there(role: &str, tables: &[QualifiedName]) -> (String, String) {
    let (noun, which) = match tables {
        [one] => ("table", one.to_string()),
        [first, rest @ ..] => ("tables", format!("{first} and {} more", rest.len())),
        [] => ("tables", String::new()),
    };
    (
        format!(
            "row-level security of {noun} {which} is forced on its owner too, and would keep role {role} out on the destination"
        ),
        format!(
            "ALTER ROLE {role} BYPASSRLS on the destination, or ALTER TABLE {} NO FORCE ROW LEVEL SECURITY on the source until the switch",
            match tables {
                [one] => one.to_string(),
                _ => "…".to_string(),
            }
        ),
    )
}

/// Refuses to create tables on the destination whose row-level security would apply to our role there.
///
/// # Errors
/// Names the first of them.
pub fn refuse_forced(
    source: &mut Session,
    destination: &mut Session,
    tables: &[Oid],
) -> Result<()> {
    let forced = forced(source, tables)?;
    if forced.is_empty() {
        return Ok(());
    }
    match bound_role(destination)? {
        None => Ok(()),
        Some(role) => {
            let (message, mend) = forced_there(&role, &forced);
            Err(Error::failed(message).mend(mend))
        }
    }
}
