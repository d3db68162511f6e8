//! Empties the destination's tables that are not copied yet, once it is certain that what they hold
//! came from us or was given up by the operator.

use std::collections::BTreeSet;

use crate::catalog::Relation;
use crate::destination;
use crate::error::{Error, Result};
use crate::ident::QualifiedName;
use crate::session::{Session, text};

/// Tables asked about in one statement; thousands in one plan slowly.
const PER_STATEMENT: usize = 200;

/// Tables that an error names.
const NAMED: usize = 5;

/// Returns those tables that hold at least one row.
///
/// # Errors
/// As the server says.
pub fn with_rows<'a>(
    destination: &mut Session,
    relations: &[&'a Relation],
) -> Result<Vec<&'a Relation>> {
    let mut found = Vec::new();
    for some in relations.chunks(PER_STATEMENT) {
        let one = |relation: &&Relation| {
            let (only, name) = (relation.only(), &relation.name);
            format!("SELECT EXISTS (SELECT FROM{only} {name})")
        };
        let sql = some.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
        let rows = destination.simple("look whether the tables are empty", &sql)?;
        let filled = some
            .iter()
            .zip(&rows)
            .filter(|(_, row)| text(row, 0) == "t");
        found.extend(filled.map(|(relation, _)| *relation));
    }
    Ok(found)
}

/// Refuses to touch tables whose rows are not ours.
///
/// # Errors
/// Names the first of them.
pub fn refuse_foreign_rows(filled: &[&Relation], begun: &BTreeSet<QualifiedName>) -> Result<()> {
    let foreign: Vec<String> = filled
        .iter()
        .filter(|relation| !begun.contains(&relation.name))
        .map(|relation| relation.name.to_string())
        .collect();
    let shown = foreign.iter().take(NAMED).cloned().collect::<Vec<_>>();
    let (noun, verb) = match foreign.len() {
        0 => return Ok(()),
        1 => ("table", "holds"),
        _ => ("tables", "hold"),
    };
    let more = match foreign.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(Error::failed(format!(
        "{noun} {}{more} on the destination {verb} rows already",
        shown.join(", ")
    ))
    .mend("check --dest; use copy --truncate to throw these rows away"))
}

/// Knows which tables can be truncated, and which have to be emptied row by row.
pub struct Emptier {
    /// Referencing and referenced table.
    references: Vec<(QualifiedName, QualifiedName)>,
}

impl Emptier {
    /// Reads the destination's foreign keys.
    ///
    /// # Errors
    /// As the server says.
    pub fn read(destination: &mut Session) -> Result<Emptier> {
        let rows =
            destination.query("list the foreign keys", include_str!("references.sql"), &[])?;
        let name = |row: &postgres::Row, at| {
            QualifiedName::new(row.get::<_, String>(at), row.get::<_, String>(at + 1))
        };
        Ok(Emptier {
            references: rows
                .iter()
                .map(|row| (name(row, 0), name(row, 2)))
                .collect(),
        })
    }

    /// Empties tables in one transaction of a session that is prepared for writing.
    ///
    /// # Errors
    /// As the server says; somebody keeps one of the tables locked.
    pub fn empty(
        &self,
        destination: &mut Session,
        relations: &[&Relation],
        run: &str,
    ) -> Result<()> {
        if relations.is_empty() {
            return Ok(());
        }
        let names: BTreeSet<&QualifiedName> = relations.iter().map(|one| &one.name).collect();
        let kept = self.kept_by_references(names);
        let target = |relation: &&Relation| format!("{} {}", relation.only(), relation.name);
        let (truncated, deleted): (Vec<&Relation>, Vec<&Relation>) = relations
            .iter()
            .partition(|relation| !kept.contains(&relation.name));
        let mut sql = String::from("BEGIN;\n");
        sql.push_str(&destination::silence(relations.iter().map(|one| &one.name)));
        if !truncated.is_empty() {
            let list: Vec<String> = truncated.iter().map(target).collect();
            sql.push_str(&format!("TRUNCATE{};\n", list.join(",")));
        }
        for relation in deleted {
            sql.push_str(&format!("DELETE FROM{};\n", target(&relation)));
        }
        sql.push_str(destination::restore());
        sql.push_str(&destination::hold(run));
        sql.push_str("COMMIT;");
        destination.execute("empty the tables", &sql)
    }

    /// Returns the tables among `names` that TRUNCATE refuses: a table that is not truncated with
    /// them refers to them.
    fn kept_by_references<'a>(
        &self,
        mut names: BTreeSet<&'a QualifiedName>,
    ) -> BTreeSet<&'a QualifiedName> {
        let mut kept = BTreeSet::new();
        loop {
            let refused: Vec<&QualifiedName> = names
                .iter()
                .filter(|name| {
                    self.references
                        .iter()
                        .any(|(from, to)| to == **name && !names.contains(from))
                })
                .copied()
                .collect();
            if refused.is_empty() {
                return kept;
            }
            for name in refused {
                names.remove(name);
                kept.insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> QualifiedName {
        QualifiedName::new("s", name)
    }

    fn emptier(references: &[(&str, &str)]) -> Emptier {
        Emptier {
            references: references
                .iter()
                .map(|(from, to)| (name(from), name(to)))
                .collect(),
        }
    }

    #[test]
    fn tables_that_refer_to_each_other_are_truncated_together() {
        let (a, b) = (name("a"), name("b"));
        let emptier = emptier(&[("a", "b"), ("b", "a"), ("a", "a")]);
        assert!(emptier.kept_by_references([&a, &b].into()).is_empty());
    }

    #[test]
    fn what_a_table_with_rows_refers_to_is_deleted_and_so_on() {
        let (a, b, c) = (name("a"), name("b"), name("c"));
        let emptier = emptier(&[("finished", "a"), ("a", "b")]);
        let kept = emptier.kept_by_references([&a, &b, &c].into());
        assert_eq!(kept, [&a, &b].into());
    }
}
