//! `init` table by table, each in a transaction of its own that waits for that table's writers a bounded time.
//!
//! Most tables are captured by two sessions side by side. These hardly wait: a table that somebody writes into comes
//! behind the others, when one session waits for one table, so that no writer meets two that wait for long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::drift::Capture;
use super::table;
use crate::catalog::Relation;
use crate::error::Result;
use crate::lock::{self, Locks, Patience};
use crate::session::{Session, side_by_side};
use crate::stop::Stop;

/// For fewer tables a second session takes longer than it saves.
const WORTH_TWO: usize = 10;

/// What part of the time-out a session may take that works beside another.
const HURRY: u32 = 10;

/// What capturing tables needs to know.
pub struct Work<'a> {
    /// How long, and how often, the writers of a table are waited for.
    pub patience: Patience,
    /// Looked at between two tables.
    pub stop: &'a Stop,
    /// What is captured already.
    pub capture: &'a Capture,
    /// Tables captured by now.
    pub done: AtomicUsize,
}

/// Puts functions and triggers on tables. CREATE TRIGGER waits for a table's running writers, so once it is
/// granted every earlier change has been committed and will be seen by any later copy.
///
/// # Errors
/// Class lock-not-obtained, naming who holds a table; or as the server says.
pub fn capture_tables(
    session: &mut Session,
    observer: &mut Session,
    relations: &[&Relation],
    work: &Work<'_>,
) -> Result<()> {
    let rest = match relations.len() < WORTH_TWO {
        true => relations.to_vec(),
        false => work.in_a_hurry(session, relations)?,
    };
    for relation in rest {
        let (locks, sql) = (locks(relation), work.sql(relation));
        let (patience, stop) = (work.patience, work.stop);
        let what = what(relation);
        let transaction = (Some(&locks), sql.as_str());
        lock::transaction(session, observer, patience, stop, &what, transaction)?;
        work.tell(relation);
    }
    Ok(())
}

impl Work<'_> {
    /// Captures what can be captured at once, in two sessions; returns the rest.
    ///
    /// The second session does not hold the advisory lock of this run. What it still does after a kill ends within
    /// its time-out, and with the note in `captured`: whoever has dropped the schema by then makes that fail, and
    /// whoever captures the table anew waits for the table, and drops the triggers that it finds.
    fn in_a_hurry<'r>(
        &self,
        session: &mut Session,
        relations: &[&'r Relation],
    ) -> Result<Vec<&'r Relation>> {
        let mut second = match session.another("init") {
            Ok(second) => second,
            Err(error) => {
                log::debug!("{error}");
                return Ok(relations.to_vec());
            }
        };
        let queue = Mutex::new(relations.iter().copied());
        let next = || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.next()
        };
        let all = |session: &mut Session| {
            let mut rest = Vec::new();
            while let Some(relation) = next() {
                match self.at_once(session, relation) {
                    Ok(true) => self.tell(relation),
                    Ok(false) => rest.push(relation),
                    Err(error) => {
                        // Nothing is left for the other one.
                        while next().is_some() {}
                        return Err(error);
                    }
                }
            }
            Ok(rest)
        };
        let (some, more) = side_by_side(|| all(session), || all(&mut second));
        let (mut rest, more) = (some?, more?);
        rest.extend(more);
        Ok(rest)
    }

    /// Captures a table, unless somebody is in the way.
    fn at_once(&self, session: &mut Session, relation: &Relation) -> Result<bool> {
        self.stop.check()?;
        let hurry = Patience {
            timeout: self.patience.timeout / HURRY,
            attempts: 1,
        };
        let (locks, sql) = (locks(relation), self.sql(relation));
        lock::transaction_at_once(session, hurry, &what(relation), (Some(&locks), &sql))
    }

    fn sql(&self, relation: &Relation) -> String {
        // It may reach the disk later: no write that comes after it does so sooner, and `init` ends with a commit
        // that waits.
        let mut sql = String::from("SET LOCAL synchronous_commit = off;\n");
        sql.push_str(&table::functions(relation));
        if self.capture.tables.contains_key(&relation.oid) {
            sql.push_str(&mend_triggers(relation, self.capture));
        } else {
            sql.push_str(&table::drop_leftovers(relation));
            sql.push_str(&table::triggers(relation));
        }
        sql.push_str(&table::note_captured(relation));
        sql
    }

    fn tell(&self, relation: &Relation) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        log::debug!("captured table {} ({done})", relation.name);
    }
}

fn what(relation: &Relation) -> String {
    format!("capture table {}", relation.name)
}

fn locks(relation: &Relation) -> Locks {
    Locks {
        relations: vec![relation.name.to_string()],
        mode: "SHARE ROW EXCLUSIVE",
        partitions: relation.partitioned,
    }
}

/// Makes the triggers of a table that was captured before as they have to be.
fn mend_triggers(relation: &Relation, capture: &Capture) -> String {
    let broken: Vec<_> = capture
        .broken_triggers
        .iter()
        .filter(|trigger| trigger.oid == relation.oid)
        .collect();
    let mut sql = String::new();
    let root = relation.name.to_string();
    let mut clone_broken = false;
    for trigger in broken {
        let (member, name) = (&trigger.member, &trigger.trigger);
        match trigger.enabled {
            Some(_) => sql.push_str(&format!(
                "ALTER TABLE ONLY {member} ENABLE ALWAYS TRIGGER {name};\n"
            )),
            None if name == table::TRUNCATE_TRIGGER => {
                sql.push_str(&table::truncate_trigger(member, relation.oid));
            }
            // A clone cannot be made by itself, only with its parent.
            None => clone_broken = true,
        }
    }
    if clone_broken {
        sql.push_str(&format!(
            "DROP TRIGGER IF EXISTS {} ON {root};\n{}",
            table::row_trigger(relation),
            table::capture_trigger(relation)
        ));
    }
    sql
}
