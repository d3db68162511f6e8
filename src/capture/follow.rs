//! What it takes on the source to go along with a schema that changes under capture. Nothing here copies
//! rows: what no trigger has seen is put into the change log, and the next cycle brings it.
//!
//! Why no row is lost when a partition comes:
//! - PostgreSQL clones the root's row trigger to it in the transaction that makes it a partition, under a lock
//!   that waits for its writers. So every row that is changed in it from then on is logged for the root, and
//!   what it held then has been committed and is seen by whoever looks later, as we do: [`log_keys`].
//! - Its own TRUNCATE trigger is made here, under a lock that waits for its writers. A TRUNCATE before that is
//!   logged by nobody, and removes rows that the log may name, or the copy may have brought. So what the
//!   destination has within the partition's bound is logged too: whatever is gone is deleted there.
//! - It is noted as a member last, and no cycle touches the root before (`switchover.refuse_drifted()`).
//!   A partition that comes while we are at work is not in the note, and found by the next look.
//!
//! When a partition goes, its rows go without a trigger. All that it ever brought lies within its bound, so
//! what the destination has there is logged. One that went and came back is both.

use super::drift::{Captured, Member};
use super::table;
use crate::catalog::{Oid, Relation};
use crate::error::Result;
use crate::ident::{QualifiedName, literal};
use crate::lock::{self, Locks, Patience};
use crate::session::{Session, text};
use crate::stop::Stop;

/// Pages whose keys are logged by one statement: its lock on the partition would make a TRUNCATE or ALTER of
/// the application wait, and all writers behind that.
const PAGES: i64 = 8192;

/// The first version that reads a range of ctids without reading the rest of the table.
const RANGE_SCANS: i32 = 140_000;

/// Makes the triggers of a partition that has come; a short wait for its writers.
///
/// # Errors
/// Class lock-not-obtained, naming who holds it; or as the server says: it may have gone again.
pub fn adopt(
    session: &mut Session,
    patience: Patience,
    stop: &Stop,
    root: &Relation,
    (oid, name): (Oid, &QualifiedName),
    captured_before: bool,
) -> Result<()> {
    let mut observer = session.another("observer")?;
    // Dropping the triggers that it had by itself locks readers out as well.
    let mode = match captured_before {
        true => "ACCESS EXCLUSIVE",
        false => "SHARE ROW EXCLUSIVE",
    };
    let locks = Locks {
        relations: vec![name.to_string()],
        mode,
        // Leftovers of one that is partitioned itself go with their clones.
        partitions: captured_before,
    };
    let sql = table::partition_triggers(root, oid, &name.to_string());
    let what = format!("capture partition {name}");
    let work = (Some(&locks), sql.as_str());
    lock::transaction(session, &mut observer, patience, stop, &what, work)
}

/// Returns the change log that writers write now. Only we let them take turns.
///
/// # Errors
/// As the server says.
pub fn active_log(session: &mut Session) -> Result<&'static str> {
    let sql =
        "SELECT pg_catalog.pg_sequence_last_value('switchover.turn'::pg_catalog.regclass) IS NULL";
    let rows = session.simple("see which change log is written", sql)?;
    Ok(match rows.first().is_some_and(|row| text(row, 0) == "t") {
        true => "switchover.change_log_1",
        false => "switchover.change_log_2",
    })
}

/// Logs that the whole table has changed.
///
/// # Errors
/// As the server says.
pub fn log_whole(session: &mut Session, oid: Oid) -> Result<()> {
    let log = active_log(session)?;
    let sql = format!("INSERT INTO {log} (table_id) VALUES ({oid})");
    session.execute("log that a table has changed", &sql)
}

/// Logs the keys of all rows that a partition holds, for its root, which has a key. What changes meanwhile
/// is logged by its triggers.
///
/// # Errors
/// As the server says: it may have gone again.
pub fn log_keys(
    session: &mut Session,
    stop: &Stop,
    root: &Relation,
    partition: &QualifiedName,
) -> Result<()> {
    let Some(key) = &root.key else {
        return log_whole(session, root.oid);
    };
    let what = format!("log the rows of partition {partition}");
    let size = format!(
        "SELECT pg_catalog.pg_relation_size({}::pg_catalog.regclass)
                / pg_catalog.current_setting('block_size')::int8",
        literal(&partition.to_string())
    );
    let rows = session.simple(&what, &size)?;
    let pages: i64 = rows
        .first()
        .map_or("0", |row| text(row, 0))
        .parse()
        .unwrap_or(0);
    let mut first = 0;
    let mut given_way = 0;
    loop {
        stop.check()?;
        let last = first + PAGES >= pages || session.version() < RANGE_SCANS;
        let end = match last {
            true => String::new(),
            false => format!(" AND t.ctid < '({},0)'::pg_catalog.tid", first + PAGES),
        };
        let log = active_log(session)?;
        let sql = format!(
            "INSERT INTO {log} (table_id, row_id) SELECT {}, {} FROM ONLY {partition} t
              WHERE t.ctid >= '({first},0)'::pg_catalog.tid{end}",
            root.oid,
            table::row_id("t", key)
        );
        match session.execute(&what, &sql) {
            Err(error)
                if given_way < lock::GIVE_WAY && lock::gave_way(&error) && !session.is_closed() =>
            {
                log::info!(
                    "logging the rows of partition {partition} gave way, and goes on: {error}"
                );
                given_way += 1;
                continue;
            }
            other => other?,
        }
        if last {
            return Ok(());
        }
        first += PAGES;
    }
}

/// Returns the query for log entries of the rows that `there` on the destination has within a bound; `None`
/// without a key.
pub fn entries_within(root: &Relation, there: &Relation, bound: &str) -> Option<String> {
    let key = root.key.as_ref()?;
    Some(format!(
        "SELECT {}::oid, {} FROM{} {} t WHERE {bound}",
        root.oid,
        table::row_id("t", key),
        there.only(),
        there.name
    ))
}

/// Returns the constraint of a partition as it is now; `None` where it means nothing on another server, as
/// that of a hash partition, which names its root by oid.
///
/// # Errors
/// As the server says.
pub fn bound(session: &mut Session, partition: Oid) -> Result<Option<String>> {
    let sql = "SELECT pg_catalog.pg_get_partition_constraintdef($1)";
    let row = session.query_one("read the bound of a partition", sql, &[&partition])?;
    Ok(row
        .get::<_, Option<String>>(0)
        .filter(|bound| portable(bound)))
}

/// Returns true if a partition's constraint means the same on another server.
pub fn portable(bound: &str) -> bool {
    !bound.contains("satisfies_hash_partition")
}

/// Takes what was logged for a table over to the root that it has been attached to, and forgets it as a
/// table of its own. Its own triggers are gone, so nothing more comes.
///
/// # Errors
/// As the server says.
pub fn hand_over(session: &mut Session, table: &Captured, root: &Captured) -> Result<()> {
    let log = active_log(session)?;
    // Keys that are made otherwise are not those of the root.
    let row_id = match table.key == root.key {
        true => "l.row_id",
        false => "NULL",
    };
    let sql = format!(
        "BEGIN;
         INSERT INTO {log} (table_id, row_id)
         SELECT DISTINCT {}::oid, {row_id} FROM switchover.logged() l WHERE l.table_id = {};
         {} COMMIT;",
        root.oid,
        table.oid,
        forget(table.oid)
    );
    session.execute("hand the log of a table over", &sql)
}

/// Forgets a table that was dropped.
///
/// # Errors
/// As the server says.
pub fn forget_table(session: &mut Session, oid: Oid) -> Result<()> {
    let sql = format!("BEGIN; {} COMMIT;", forget(oid));
    session.execute("forget a table", &sql)
}

fn forget(oid: Oid) -> String {
    format!(
        "DELETE FROM switchover.change_log_1 WHERE table_id = {oid};
         DELETE FROM switchover.change_log_2 WHERE table_id = {oid};
         DELETE FROM switchover.captured_member WHERE table_id = {oid};
         DELETE FROM switchover.captured WHERE table_id = {oid};
         DROP FUNCTION IF EXISTS switchover.capture_{oid}(), switchover.read_{oid}(boolean, bigint, text[]);"
    )
}

/// Notes members as the look has found them. The bounds of all partitions of the root are read anew, for
/// that of a default partition changes with the others.
///
/// # Errors
/// As the server says.
pub fn note_members(session: &mut Session, table: &Captured) -> Result<()> {
    let oid = table.oid;
    let mut sql = String::from("BEGIN;\n");
    for member in &table.changed {
        sql.push_str(&match member.now {
            None => format!(
                "DELETE FROM switchover.captured_member WHERE table_id = {oid} AND member_id = {};\n",
                member.oid
            ),
            Some(now) => format!(
                "INSERT INTO switchover.captured_member VALUES ({oid}, {}, {}, {}, {})
                 ON CONFLICT (table_id, member_id) DO UPDATE SET link = excluded.link,
                     file = excluded.file, attributes = excluded.attributes;\n",
                member.oid, now.link, now.file, now.attributes
            ),
        });
    }
    if table.moved() {
        sql.push_str(&note_bounds(oid));
    }
    sql.push_str("COMMIT;");
    session.execute("note the partitions and files", &sql)
}

/// Not of a partition that has gone and come back once more since: its next look wants the former bound.
fn note_bounds(oid: Oid) -> String {
    format!(
        "UPDATE switchover.captured_member m
            SET bound = pg_catalog.pg_get_partition_constraintdef(m.member_id)
           FROM switchover.members(ARRAY[{oid}]::oid[]) s
          WHERE m.table_id = {oid} AND s.member_id = m.member_id AND s.link = m.link;\n"
    )
}

/// Returns those members that came, went, or both.
pub fn moved(table: &Captured) -> impl Iterator<Item = &Member> {
    table.changed.iter().filter(|member| member.moved())
}

/// Makes the functions of a table anew, after a change of names, and notes what it is like now. Its triggers
/// call them by oid, and stay.
///
/// # Errors
/// As the server says.
pub fn renew_functions(session: &mut Session, relation: &Relation, table: &Captured) -> Result<()> {
    // As the look has found it: what has changed since is for the next one.
    let shape = table.shape_now.as_deref().unwrap_or_default();
    let sql = format!(
        "BEGIN; {} UPDATE switchover.captured
            SET schema_name = {}, table_name = {}, shape = {},
                key_columns = ARRAY[{}]::text[], functions = '{}'
          WHERE table_id = {};
         {} COMMIT;",
        table::functions(relation),
        literal(&relation.name.schema),
        literal(&relation.name.name),
        literal(shape),
        relation
            .key_columns()
            .map(literal)
            .collect::<Vec<_>>()
            .join(", "),
        table::functions_hash(relation),
        relation.oid,
        note_bounds(relation.oid)
    );
    session.execute(
        &format!("make the functions of table {}", relation.name),
        &sql,
    )
}

/// Notes the sequences that are carried over: new ones, by another name, and no more.
///
/// # Errors
/// As the server says.
pub fn note_sequences(
    session: &mut Session,
    present: &[(Oid, &QualifiedName)],
    gone: &[Oid],
) -> Result<()> {
    let mut sql = String::from("BEGIN;\n");
    for oid in gone {
        sql.push_str(&format!(
            "DELETE FROM switchover.captured_sequence WHERE sequence_id = {oid};\n"
        ));
    }
    for (oid, name) in present {
        sql.push_str(&format!(
            "INSERT INTO switchover.captured_sequence VALUES ({oid}, {}, {})
             ON CONFLICT (sequence_id) DO UPDATE SET schema_name = excluded.schema_name,
                                                     sequence_name = excluded.sequence_name;\n",
            literal(&name.schema),
            literal(&name.name)
        ));
    }
    sql.push_str("COMMIT;");
    session.execute("note the sequences", &sql)
}
