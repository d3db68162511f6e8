//! The partitions that hold a table's rows. They are read again within the snapshot: the catalog may
//! be hours old, and a partition that it does not know would go uncompared.

use std::collections::HashMap;

use super::crew::{Crew, SIDES};
use super::pairs::Pair;
use super::sql;
use crate::catalog::Oid;
use crate::error::Result;
use crate::ident::QualifiedName;

/// A partition that holds rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Schema and name.
    pub name: QualifiedName,
    /// True if it is a foreign table, which has no pages here.
    pub foreign: bool,
    /// 8 kB pages.
    pub pages: i64,
}

/// The leaves of each side's partitioned tables, by the oid of the root there.
pub type Leaves = [HashMap<Oid, Vec<Leaf>>; 2];

/// Reads the leaves of all partitioned tables.
///
/// # Errors
/// As the servers say.
pub fn read(crew: &Crew<'_>, pairs: &[Pair<'_>]) -> Result<Leaves> {
    let mut leaves = Leaves::default();
    for (side, found) in SIDES.into_iter().zip(&mut leaves) {
        let roots: Vec<Oid> = pairs
            .iter()
            .map(|pair| sql::relation(pair, side))
            .filter(|relation| relation.partitioned)
            .map(|relation| relation.oid)
            .collect();
        let mut session = crew.session(side)?;
        let rows = session.query("list the partitions", include_str!("leaves.sql"), &[&roots])?;
        crew.give_back(side, session);
        for row in rows {
            found.entry(row.get(0)).or_default().push(Leaf {
                name: QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
                foreign: row.get(3),
                pages: row.get(4),
            });
        }
    }
    Ok(leaves)
}
