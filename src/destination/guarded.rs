//! The guard of the moved tables on the destination: a trigger that refuses whoever writes there before the
//! switch. All of them ask one value, see `entrance`, so that nothing is to be done table by table when
//! the time has come.
//!
//! A statement trigger fires for the table that a statement names, so partitions have it too. It comes before the
//! statement's first row. Sessions in the replica role do not fire it, ours among them. Once the destination is in
//! charge it costs a call per statement, until `drop` takes it away.

use crate::catalog::Oid;
use crate::destination;
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::lock::{self, Locks, Patience};
use crate::session::Session;
use crate::stop::Stop;

/// The trigger's name.
const GUARD: &str = "pg_switchover_guard";

/// Tables that one transaction gives their guard: nobody but readers should be there.
const PER_TRANSACTION: usize = 50;

/// A table that ordinary sessions can write into before the switch, because our role may not create
/// triggers there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unguarded {
    /// The table or partition.
    pub name: QualifiedName,
    /// The moved table that it is, or is a partition of.
    pub root: QualifiedName,
}

/// A table that is not as it should be.
struct Found {
    table: Unguarded,
    moved: bool,
    present: bool,
    may: bool,
}

impl Found {
    /// Returns the statement that makes it so. Creating a trigger waits for whoever writes there now, so that
    /// a look at the rows behind it sees all that was written unrefused.
    fn mend(&self) -> String {
        let name = &self.table.name;
        match (self.moved, self.present) {
            (true, false) => format!(
                "CREATE TRIGGER {GUARD} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {name}
                 FOR EACH STATEMENT EXECUTE FUNCTION switchover.refuse_early();\n"
            ),
            (true, true) => format!("ALTER TABLE ONLY {name} ENABLE TRIGGER {GUARD};\n"),
            (false, _) => format!("DROP TRIGGER IF EXISTS {GUARD} ON {name};\n"),
        }
    }
}

/// Sees to it that the moved tables, and no others, have their guard; `moved` are their oids here. Returns those
/// that our role cannot give one.
///
/// # Errors
/// Class lock-not-obtained, naming who writes there; or as the server says.
pub fn guard_tables(
    session: &mut Session,
    moved: &[Oid],
    run: &str,
    patience: Patience,
    stop: &Stop,
) -> Result<Vec<Unguarded>> {
    let found = find(session, moved)?;
    let (mendable, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|table| table.may);
    if !mendable.is_empty() {
        let (lacking, surplus): (Vec<_>, Vec<_>) =
            mendable.into_iter().partition(|table| table.moved);
        let mut writer = session.another("guard")?;
        // Event triggers of the application are not meant for what we do.
        destination::writer(&mut writer, run)?;
        let mut observer = session.another("observer")?;
        let lacking = lacking.chunks(PER_TRANSACTION);
        for some in lacking.chain(surplus.chunks(1)) {
            let end = destination::hold(run);
            mend(&mut writer, &mut observer, some, &end, patience, stop)?;
        }
    }
    let unguarded = rest.into_iter().filter(|table| table.moved);
    Ok(unguarded.map(|table| table.table).collect())
}

/// Makes some tables as they should be, all guarded or all not, in one transaction.
fn mend(
    session: &mut Session,
    observer: &mut Session,
    some: &[Found],
    end: &str,
    patience: Patience,
    stop: &Stop,
) -> Result<()> {
    let Some(first) = some.first() else {
        return Ok(());
    };
    let name = &first.table.name;
    let more = if some.len() > 1 { " and others" } else { "" };
    let (what, mode) = match first.moved {
        true => (format!("guard table {name}{more}"), "SHARE ROW EXCLUSIVE"),
        // DROP TRIGGER keeps readers out, too.
        false => (
            format!("remove the guard of table {name}"),
            "ACCESS EXCLUSIVE",
        ),
    };
    let locks = Locks {
        relations: some.iter().map(|one| one.table.name.to_string()).collect(),
        mode,
        partitions: false,
    };
    let mut sql: String = some.iter().map(Found::mend).collect();
    sql.push_str(end);
    let work = (Some(&locks), sql.as_str());
    lock::transaction(session, observer, patience, stop, &what, work)
}

fn find(session: &mut Session, moved: &[Oid]) -> Result<Vec<Found>> {
    let rows = session.query("list the guards", include_str!("guarded.sql"), &[&moved])?;
    let one = |row: &postgres::Row| Found {
        table: Unguarded {
            name: QualifiedName::new(row.get::<_, String>("schema"), row.get::<_, String>("name")),
            root: QualifiedName::new(
                row.get::<_, String>("root_schema"),
                row.get::<_, String>("root_name"),
            ),
        },
        moved: row.get("moved"),
        present: row.get("present"),
        may: row.get("may"),
    };
    Ok(rows.iter().map(one).collect())
}

/// Takes all guards away, table by table. Those of tables that our role does not own go with their function.
///
/// # Errors
/// Class lock-not-obtained, naming who holds a table; or as the server says. What is left can be removed by
/// the same command again.
pub(super) fn remove(
    session: &mut Session,
    observer: &mut Session,
    patience: Patience,
    stop: &Stop,
) -> Result<()> {
    let none: [Oid; 0] = [];
    for table in find(session, &none)?.iter().filter(|table| table.may) {
        let one = std::slice::from_ref(table);
        mend(session, observer, one, "", patience, stop)?;
    }
    Ok(())
}
