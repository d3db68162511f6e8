//! What else than rows differs on the destination, said before the switch; and its materialized views.

use super::counted;
use super::prepare::Prepared;
use crate::catalog::objects::{self, Unlike};
use crate::copy;
use crate::error::Result;
use crate::session::{Session, side_by_side};
use crate::stop::Stop;

/// Warns of objects that are missing or different on the destination, a line for each kind. What would
/// lose or change values by itself has been refused before; applications may do without these.
///
/// # Errors
/// As either server says.
pub fn warn(prepared: &mut Prepared, observer: &mut Session) -> Result<()> {
    let unlike = compare(prepared, observer)?;
    for (line, mend) in objects::lines(&unlike, prepared.claim.schema_created) {
        log::warn!("{line}; {mend}");
    }
    Ok(())
}

fn compare(prepared: &mut Prepared, observer: &mut Session) -> Result<Vec<Unlike>> {
    let destination = prepared.cycles.applier.session();
    let (here, there) = side_by_side(|| objects::read(observer), || objects::read(destination));
    let (here, there) = (here?, there?);
    let waiting = copy::waiting(destination)?;
    let all = prepared.state.selection.takes_all();
    let mut unlike = objects::unlike(&here, &there, &prepared.source_catalog, all);
    unlike.retain(|one| !one.waits(&waiting));
    Ok(unlike)
}

/// Refreshes the materialized views of the destination. What cannot be refreshed is only told: the rows
/// that it is made of are there.
///
/// # Errors
/// A connection is lost; a signal.
pub fn refresh_views(prepared: &mut Prepared, observer: &mut Session, stop: &Stop) -> Result<()> {
    let refreshed = copy::refresh(
        observer,
        prepared.cycles.applier.session(),
        &prepared.source_catalog,
        prepared.state.selection.takes_all(),
        stop,
    )?;
    for (statement, reason) in &refreshed.problems {
        log::warn!("{reason}; run {statement} on the destination");
    }
    if refreshed.views > 0 {
        log::info!(
            "refreshed {} in {:.1} s; what is written from here to the flip is not in {}",
            counted(refreshed.views, "materialized view"),
            refreshed.time.as_secs_f64(),
            if refreshed.views == 1 { "it" } else { "them" },
        );
    }
    Ok(())
}
