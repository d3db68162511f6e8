//! Collects the planner's statistics of the copied tables.

use std::sync::Mutex;

use super::crew::{Crew, lock, run};
use crate::catalog::Relation;
use crate::error::{Result, Side};
use crate::session::Session;
use crate::stop::Stop;

/// Runs ANALYZE on every relation, the largest ones first. A table that cannot be analyzed is only
/// warned of: its rows are there, and it may be no fault of ours, as when it has a foreign table among its
/// children whose server is out of reach.
///
/// # Errors
/// The connection is lost; a signal.
pub fn analyze(
    destination: &Session,
    relations: &[Relation],
    jobs: usize,
    stop: &Stop,
) -> Result<()> {
    let mut order: Vec<&Relation> = relations.iter().collect();
    order.sort_by_key(|relation| std::cmp::Reverse(relation.bytes));
    let jobs = jobs.clamp(1, order.len().max(1));
    let queue = Mutex::new(order.into_iter());
    let conninfo = destination.conninfo();
    let work = |crew: &Crew<'_>, number: usize| {
        let purpose = format!("copy analyze {number}");
        let mut session = crew.open(conninfo, Side::Destination, &purpose)?;
        session.commit_later()?;
        while !crew.over() {
            let Some(relation) = lock(&queue).next() else {
                break;
            };
            let name = &relation.name;
            let what = format!("analyze table {name}");
            match session.execute(&what, &format!("ANALYZE {name}")) {
                Err(error) if error.connection_lost || crew.over() => return Err(error),
                Err(error) => log::warn!("{error}"),
                Ok(()) => {}
            }
        }
        Ok(())
    };
    run(jobs, stop, work, || {})
}
