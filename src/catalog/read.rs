//! The queries behind [`Catalog::read`](super::Catalog::read), one for each kind of object.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::types::{self, Types};
use super::{Column, ForeignKey, Oid, Partition, Relation, Sequence, SequenceType};
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::session::Session;

/// Reads all relations but partitions, and the names of foreign tables.
pub(super) fn relations(session: &mut Session) -> Result<(Vec<Relation>, Vec<QualifiedName>)> {
    let rows = session.query("list the relations", include_str!("relations.sql"), &[])?;
    let mut relations = Vec::new();
    let mut foreign_tables = Vec::new();
    let mut partitions: HashMap<Oid, Vec<Partition>> = HashMap::new();
    let mut partition_rows: HashMap<Oid, f64> = HashMap::new();
    for row in rows {
        let name = QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2));
        let kind: String = row.get(3);
        if let Some(root) = row.get::<_, Option<Oid>>(5) {
            partitions.entry(root).or_default().push(Partition {
                oid: row.get(0),
                name,
                leaf: kind != "p",
                foreign: kind == "f",
                pages: 0,
                bytes: 0,
            });
            if kind != "p" {
                *partition_rows.entry(root).or_default() += row.get::<_, f64>(6);
            }
            continue;
        }
        if kind == "f" {
            foreign_tables.push(name);
            continue;
        }
        relations.push(Relation {
            oid: row.get(0),
            name,
            partitioned: kind == "p",
            unlogged: row.get::<_, String>(4) == "u",
            owner: row.get(7),
            owned: row.get(8),
            columns: Vec::new(),
            key: None,
            partitions: Vec::new(),
            bytes: 0,
            pages: 0,
            rows: row.get(6),
        });
    }
    for relation in relations.iter_mut().filter(|relation| relation.partitioned) {
        relation.partitions = partitions.remove(&relation.oid).unwrap_or_default();
        relation.rows = partition_rows.get(&relation.oid).copied().unwrap_or(0.0);
    }
    Ok((relations, foreign_tables))
}

/// Reads the sizes of relations and their partitions.
pub(super) fn sizes(session: &mut Session, relations: &mut [Relation]) -> Result<()> {
    let partitions = |relation: &Relation| {
        let oids = relation.partitions.iter().map(|partition| partition.oid);
        oids.collect::<Vec<_>>()
    };
    let mut tables = oids(relations);
    tables.extend(relations.iter().flat_map(partitions));
    let rows = session.query(
        "look how large the tables are",
        include_str!("sizes.sql"),
        &[&tables],
    )?;
    let sizes: HashMap<Oid, (i64, i64)> = rows
        .iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2))))
        .collect();
    // A partitioned table has none of its own; what is gone by now has none either.
    let size = |oid| sizes.get(&oid).copied().unwrap_or_default();
    for relation in relations {
        (relation.bytes, relation.pages) = size(relation.oid);
        for partition in &mut relation.partitions {
            (partition.bytes, partition.pages) = size(partition.oid);
            relation.bytes += partition.bytes;
        }
    }
    Ok(())
}

/// Returns their oids.
pub(super) fn oids(relations: &[Relation]) -> Vec<Oid> {
    relations.iter().map(|relation| relation.oid).collect()
}

/// Reads the columns, and returns the types that they are made of.
pub(super) fn columns(session: &mut Session, relations: &mut [Relation]) -> Result<Types> {
    let rows = session.query(
        "list the columns",
        include_str!("columns.sql"),
        &[&oids(relations)],
    )?;
    let used: BTreeSet<Oid> = rows.iter().map(|row| row.get(2)).collect();
    let types = types::read(session, &used.into_iter().collect::<Vec<_>>())?;
    let mut columns: BTreeMap<Oid, Vec<Column>> = BTreeMap::new();
    for row in rows {
        let type_oid: Oid = row.get(2);
        let spelled: String = row.get(3);
        columns.entry(row.get(0)).or_default().push(Column {
            name: row.get(1),
            base_type: types.under_domains(type_oid, &spelled).to_string(),
            type_name: types.spell(type_oid, spelled),
            not_null: row.get(4),
            generated: !row.get::<_, String>(5).is_empty(),
            binary_form: types.binary_form(type_oid),
            plain_text: types.plain_text(type_oid),
        });
    }
    for relation in relations {
        relation.columns = columns.remove(&relation.oid).unwrap_or_default();
    }
    Ok(types)
}

/// Reads the foreign keys between any two tables.
pub(super) fn foreign_keys(session: &mut Session) -> Result<Vec<ForeignKey>> {
    let rows = session.query(
        "list the foreign keys",
        include_str!("foreign_keys.sql"),
        &[],
    )?;
    Ok(rows
        .iter()
        .map(|row| ForeignKey {
            name: row.get(0),
            from: row.get(1),
            to: row.get(2),
        })
        .collect())
}

/// Reads all sequences.
pub(super) fn sequences(session: &mut Session) -> Result<Vec<Sequence>> {
    let rows = session.query("list the sequences", include_str!("sequences.sql"), &[])?;
    Ok(rows
        .iter()
        .map(|row| Sequence {
            oid: row.get(0),
            name: QualifiedName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
            owner: row.get(3),
            how: SequenceType {
                type_name: row.get(4),
                start: row.get(5),
                increment: row.get(6),
                lowest: row.get(7),
                highest: row.get(8),
                cache: row.get(9),
                cycles: row.get(10),
            },
        })
        .collect())
}
