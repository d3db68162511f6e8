//! `status`: asks both sides, waits for neither longer than a connection takes.

use super::open::open_to_ask;
use crate::cli::Options;
use crate::error::{Result, Side};
use crate::report;
use crate::session::side_by_side;
use crate::status;

/// Prints the status.
///
/// # Errors
/// Neither side could be asked.
pub fn status(options: &Options) -> Result<()> {
    let (source, destination) = side_by_side(
        || open_to_ask(options, Side::Source),
        || open_to_ask(options, Side::Destination),
    );
    if let (Err(error), Err(_)) = (&source, &destination) {
        return Err(error.clone());
    }
    let status = status::read(source, destination);
    report::print(&if options.json {
        status::json(&status)
    } else {
        status::text(&status)
    })
}
