//! Compares where the sequences stand. `nextval` knows no snapshot: what the source's stood at is
//! what the cycle has read, and handed to the destination.

use super::crew::Crew;
use super::verdict::Difference;
use crate::catalog::Catalog;
use crate::error::{Result, Side};
use crate::ident::QualifiedName;
use crate::sequences::{self, Values};

/// Reads the destination's sequences and returns those that stand elsewhere than the source's did.
///
/// # Errors
/// As the server says.
pub fn compare(crew: &Crew<'_>, source: &Values, catalog: &Catalog) -> Result<Vec<Difference>> {
    let present: Vec<QualifiedName> = catalog
        .sequences
        .iter()
        .map(|sequence| &sequence.name)
        .filter(|name| source.contains_key(name))
        .cloned()
        .collect();
    let mut session = crew.session(Side::Destination)?;
    let destination = sequences::read(&mut session, &present)?;
    crew.give_back(Side::Destination, session);
    Ok(sequences::changed(source, &destination)
        .into_iter()
        .map(|(name, value)| Difference::Sequence {
            destination: destination.get(&name).copied(),
            name,
            source: value,
        })
        .collect())
}
