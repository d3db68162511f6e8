//! A large cycle: what the fetchers send, table by table as it comes, keys staged by COPY and rows by another.

use std::collections::BTreeSet;
use std::io::Write;

use crossbeam_channel::Receiver;

use super::{Applied, Applier, Confirmation, plan_of};
use crate::cycle::fetch::{Piece, Stream};
use crate::cycle::read::{ChangedTable, Changes};
use crate::destination;
use crate::error::{Error, Result, Side};
use crate::plan::{Plans, TablePlan};
use crate::session::{Session, copy_error};

impl Applier {
    /// Applies the streams of a large cycle and commits; `before_commit` runs last before that.
    ///
    /// # Errors
    /// A fetcher failed; a table cannot be written. The transaction is rolled back.
    pub fn apply_streams(
        &mut self,
        plans: &Plans,
        changes: &Changes,
        confirmation: impl FnOnce() -> Confirmation,
        streams: &Receiver<Stream>,
        before_commit: impl FnOnce() -> Result<()>,
    ) -> Result<Applied> {
        let mut work = || -> Result<Applied> {
            let written = changes.tables.iter().map(|table| plan_of(plans, table.oid));
            let written = written.collect::<Result<Vec<_>>>()?;
            let begin = format!(
                "BEGIN; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; {}",
                destination::silence(written.iter().map(|plan| &plan.name))
            );
            self.session.execute("begin a transaction", &begin)?;
            let mut applied = Applied::default();
            let mut seen = BTreeSet::new();
            for stream in streams {
                let plan = plan_of(plans, stream.table.oid)?;
                let one = apply_stream(&mut self.session, plan, &stream)?;
                applied.keys += one.keys;
                applied.rows += one.rows;
                seen.insert(stream.table.oid);
            }
            // A stage that stopped early closes its channel; what is missing must not be confirmed.
            if let Some(table) = changes
                .tables
                .iter()
                .find(|table| !seen.contains(&table.oid))
            {
                let name = &plan_of(plans, table.oid)?.name;
                return Err(Error::failed(format!("table {name} was not fetched")));
            }
            Ok(applied)
        };
        let result = work().and_then(|applied| {
            before_commit()?;
            let mut sql = destination::hold(&self.claim.run);
            self.push_end(&mut sql, changes, confirmation(), applied);
            self.session.execute("commit the changes", &sql)?;
            Ok(applied)
        });
        let cycle = self.claim.counts.cycle + 1;
        let applied = *result.as_ref().unwrap_or(&Applied::default());
        self.settle(result.map(|_| ()), changes, cycle)?;
        Ok(applied)
    }
}

fn apply_stream(session: &mut Session, plan: &TablePlan, stream: &Stream) -> Result<Applied> {
    let ChangedTable { whole, .. } = stream.table;
    let what = format!("write table {}", plan.name);
    let mut applied = Applied::default();
    if whole {
        let end = stream.pieces.recv().map_err(|_| stopped(plan))?;
        match end {
            Piece::EndOfKeys => session.execute(&what, &plan.delete_all)?,
            Piece::Failed(error) => return Err(error),
            _ => return Err(stopped(plan)),
        }
    } else {
        session.execute(&what, &plan.stage)?;
        applied.keys = copy_pieces(session, &what, &plan.keys_in, plan, stream)?;
        session.execute(&what, &plan.delete_staged)?;
    }
    applied.rows = copy_pieces(session, &what, &plan.rows_in, plan, stream)?;
    Ok(applied)
}

/// Writes pieces until the end of their kind; returns the rows that COPY counted.
fn copy_pieces(
    session: &mut Session,
    what: &str,
    sql: &str,
    plan: &TablePlan,
    stream: &Stream,
) -> Result<u64> {
    let mut writer = session.copy_in(what, sql)?;
    loop {
        match stream.pieces.recv().map_err(|_| stopped(plan))? {
            Piece::Keys(block) | Piece::Rows(block) => writer
                .write_all(&block)
                .map_err(|error| copy_error(Side::Destination, what, &error))?,
            Piece::EndOfKeys | Piece::EndOfRows => break,
            Piece::Failed(error) => return Err(error),
        }
    }
    writer
        .finish()
        .map_err(|error| Error::from_postgres(Side::Destination, what, &error))
}

fn stopped(plan: &TablePlan) -> Error {
    Error::failed(format!("reading table {} stopped", plan.name))
}
