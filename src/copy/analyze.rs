//! Collects the planner's statistics of the copied tables.

use std::sync::Mutex;

use super::crew::{Crew, lock, run};
use crate::catalog::Relation;
use crate::error::{Result, Side};
use crate::session::Session;
use crate::stop::Stop;

/// Runs ANALYZE on every relation, the largest ones first.
///
/// # Errors
/// As the server says.
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
        while !crew.over() {
            let Some(relation) = lock(&queue).next() else {
                break;
            };
            let name = &relation.name;
            session.execute(&format!("analyze table {name}"), &format!("ANALYZE {name}"))?;
        }
        Ok(())
    };
    run(jobs, stop, work, || {})
}
