//! Schema `switchover`, the one that we make on either side, and whom it may belong to.

use crate::error::{Error, Result};
use crate::ident::ident;
use crate::session::Session;

/// Makes the schema, or fails if somebody else has made it meanwhile; what is made in it follows in the same
/// transaction.
pub const CREATE_SCHEMA: &str = include_str!("create_schema.sql");

/// Refuses a schema `switchover` of somebody who could have put anything into it, before anything of it is
/// read or called.
///
/// # Errors
/// It belongs to a role that ours has no reason to trust.
pub fn refuse_untrusted_schema(session: &mut Session) -> Result<()> {
    let sql = include_str!("schema_owner.sql");
    let rows = session.query("look whose schema switchover is", sql, &[])?;
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let (owner, own): (String, String) = (row.get(0), row.get(1));
    Err(Error::failed(format!(
        "schema switchover on the {} belongs to role {}, which role {} does not trust",
        session.side(),
        ident(&owner),
        ident(&own)
    ))
    .mend("connect as the role that ran init, or, if nobody has, drop or rename that schema"))
}
