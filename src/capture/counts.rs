//! What the destination has counted of its own commits. The source notes it before it goes on from there, so that a
//! server is found out that takes the destination's place and lacks some of them: a replica that lagged behind, or a
//! backup. What changed in those, nobody could tell: it is forgotten here.

use crate::error::Result;
use crate::session::Session;

/// Copies and cycles. Neither count ever goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies that have ended, or have been found to be due.
    pub copies: i64,
    /// The number of the last confirmed cycle; 0 before the first.
    pub cycle: i64,
}

impl Counts {
    /// Says what a destination with these counts has lost of what the source has `noted`, if anything.
    pub fn lost(self, noted: Counts) -> Option<String> {
        match self {
            Counts { copies, .. } if copies < noted.copies => {
                Some("about the last copy".to_string())
            }
            Counts { cycle, .. } if cycle < noted.cycle => {
                Some(format!("from cycle {} on", cycle + 1))
            }
            _ => None,
        }
    }
}

/// Notes how many copies the destination has counted. Only called once that is durable there.
///
/// # Errors
/// As the server says.
pub fn note_copies(session: &mut Session, copies: i64) -> Result<()> {
    session.execute("note what has been copied", &note("copies", copies))
}

/// Returns the statement that notes the last confirmed cycle. Only executed once that is durable there.
pub fn note_cycle(cycle: i64) -> String {
    note("confirmed", cycle)
}

/// A value only rises, and what is known already writes nothing. A crash of the source may take it back, to one that
/// says less.
fn note(sequence: &str, value: i64) -> String {
    format!(
        "SELECT pg_catalog.setval('switchover.{sequence}', {value}) WHERE {value} OPERATOR(pg_catalog.>)
            COALESCE(pg_catalog.pg_sequence_last_value('switchover.{sequence}'::pg_catalog.regclass), 0);"
    )
}
