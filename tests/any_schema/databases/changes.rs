//! Random statements that change the tables of a generated schema.

use super::generated::insert;
use super::table::{Column, Key, Made, Table, ident};
use crate::support::chance::Chance;

/// Makes one statement, or several that belong together. `truncates`: TRUNCATE may be among them.
pub fn statement(chance: &mut Chance, tables: &[Table], truncates: bool) -> String {
    let table = chance.one_of(tables);
    let number = |chance: &mut Chance| chance.below(table.rows + table.rows / 2 + 3);
    match chance.below(100) {
        0..25 => {
            let first = number(chance);
            let sql = insert(table, first, first + chance.below(3));
            let conflict = match table.deferrable {
                true => "",
                false => {
                    *chance.one_of(&["", " ON CONFLICT DO NOTHING", " ON CONFLICT DO NOTHING"])
                }
            };
            format!("{sql}{conflict}")
        }
        25..40 => format!("DELETE FROM {} WHERE {}", table.sql, one_row(chance, table)),
        40..48 => {
            // Gone, and there again.
            let row = number(chance);
            format!(
                "DELETE FROM {} WHERE {}; {}",
                table.sql,
                row_is(table, row),
                insert(table, row, row)
            )
        }
        48..70 => update(chance, table),
        70..84 => match key_update(chance, table) {
            Some(sql) => sql,
            None => update(chance, table),
        },
        84..92 => match table.references.is_empty() {
            true => update(chance, table),
            false => {
                let (columns, ..) = chance.one_of(&table.references);
                set(chance, table, columns)
            }
        },
        92..95 => match table.leaves.is_empty() {
            true => update(chance, table),
            false => {
                let leaf = chance.one_of(&table.leaves);
                let verb = match truncates && chance.percent(5) {
                    true => "TRUNCATE",
                    false => "DELETE FROM",
                };
                format!("{verb} {leaf}")
            }
        },
        // Not too often: a cycle begins anew whenever one of its tables has been emptied under it.
        95 if truncates && chance.percent(20) => {
            let restart = *chance.one_of(&["", " RESTART IDENTITY"]);
            format!("TRUNCATE {}{restart}", table.sql)
        }
        _ => "SELECT nextval('first.shared'), nextval('\"third; --\".\"Free ''one\"'),
                     setval('\"third; --\".\"Free ''one\"', 7, false)"
            .to_owned(),
    }
}

/// A condition that at most one row meets, or a few.
fn one_row(chance: &mut Chance, table: &Table) -> String {
    if table.key == Key::None || chance.percent(10) {
        let offset = chance.below(table.rows);
        return format!(
            "(tableoid, ctid) = (SELECT tableoid, ctid FROM {} LIMIT 1 OFFSET {offset})",
            table.sql
        );
    }
    row_is(table, chance.below(table.rows + table.rows / 2 + 3))
}

fn row_is(table: &Table, row: usize) -> String {
    let same = |column: &&Column| {
        let name = ident(&column.name);
        format!("{name} = {}", column.value_of(&row.to_string()))
    };
    let columns = table.at(&table.key_columns);
    columns.iter().map(same).collect::<Vec<_>>().join(" AND ")
}

fn assignment(column: &Column, row: usize) -> String {
    format!(
        "{} = {}",
        ident(&column.name),
        column.value_of(&row.to_string())
    )
}

/// Writes the values of another row into some columns of one.
fn set(chance: &mut Chance, table: &Table, columns: &[usize]) -> String {
    let row = chance.below(table.rows * 2);
    let assignments: Vec<String> = table
        .at(columns)
        .into_iter()
        .map(|column| assignment(column, row))
        .collect();
    format!(
        "UPDATE {} SET {} WHERE {}",
        table.sql,
        assignments.join(", "),
        one_row(chance, table)
    )
}

fn update(chance: &mut Chance, table: &Table) -> String {
    let ordinary: Vec<usize> = (0..table.columns.len())
        .filter(|at| !table.key_columns.contains(at) && is_updatable(&table.columns[*at]))
        .collect();
    if ordinary.is_empty() {
        return format!("DELETE FROM {} WHERE {}", table.sql, one_row(chance, table));
    }
    let some: Vec<usize> = (0..1 + chance.below(3))
        .map(|_| *chance.one_of(&ordinary))
        .collect();
    let mut distinct = some.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let sql = set(chance, table, &distinct);
    match chance.percent(8) {
        // All of them at once.
        true => sql
            .split(" WHERE (tableoid")
            .next()
            .unwrap_or(&sql)
            .to_owned(),
        false => sql,
    }
}

fn is_updatable(column: &Column) -> bool {
    !matches!(
        column.made,
        Made::Identity { always: true } | Made::Computed(_)
    )
}

/// Gives one row another key, or lets two rows exchange theirs.
fn key_update(chance: &mut Chance, table: &Table) -> Option<String> {
    if !table.at(&table.key_columns).into_iter().all(is_updatable) {
        return None;
    }
    let change = |from: usize, to: usize| {
        let columns = table.at(&table.key_columns);
        let assignments: Vec<String> = columns
            .into_iter()
            .map(|column| assignment(column, to))
            .collect();
        format!(
            "UPDATE {} SET {} WHERE {}",
            table.sql,
            assignments.join(", "),
            row_is(table, from)
        )
    };
    let (a, b) = (
        chance.below(table.rows + 2),
        chance.below(table.rows * 2 + 2),
    );
    Some(match chance.percent(40) {
        true => [change(a, 200), change(b, a), change(200, b)].join("; "),
        false => change(a, b),
    })
}
