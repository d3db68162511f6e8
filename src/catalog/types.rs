//! Types: which keep their meaning in COPY's binary form, whose text is the same in every session, and
//! what those that users made are made of.

use std::collections::{BTreeMap, HashMap};

use super::Oid;
use crate::error::Result;
use crate::ident::QualifiedName;
use crate::session::Session;

/// Types with smaller oids are the same on every server (`FirstGenbkiObjectId` in transam.h).
const FIRST_ASSIGNED_OID: Oid = 10_000;

/// `ANYENUMOID` in pg_type.dat; stands for the binary form of every enum, which is its label.
const ANY_ENUM: Oid = 3500;

/// Built-in types whose text no setting changes (DateStyle, IntervalStyle, TimeZone,
/// extra_float_digits, bytea_output and lc_monetary change the others').
const PLAIN_TEXT: &[&str] = &[
    "bool", "int2", "int4", "int8", "oid", "text", "varchar", "bpchar", "char", "name", "uuid",
    "numeric", "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "pg_lsn", "xid8",
];

/// Built-in types whose binary form holds an oid, which means another object on another server; and those
/// whose input functions refuse what their own output functions write, when it is empty.
const NOT_IN_BINARY: &[&str] = &[
    "int2vector",
    "oidvector",
    "tsquery",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regclass",
    "regtype",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regrole",
    "regcollation",
    "regdatabase",
];

/// A type that a user made, and no extension brought; of the same name, it may be another one on the
/// other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserType {
    /// Its labels, in order.
    Enum(Vec<String>),
    /// Its attributes, in order. A value's text has no names: order is meaning.
    Composite {
        /// Name and type of each.
        attributes: Vec<(String, Spelled)>,
        /// It is the type of a table's rows.
        of_table: bool,
    },
    /// What it is a domain over.
    Domain(Spelled),
    /// What it is a range of.
    Range(Spelled),
}

/// The type of a column or of a part of a type, as words.
#[derive(Debug, Clone)]
pub struct Spelled {
    /// As `format_type` spells it under an empty search_path, ready for SQL on its own side.
    pub sql: String,
    /// The same with the extension's name in place of the schema's: an extension may live in another
    /// schema on the other side.
    pub comparable: String,
}

impl PartialEq for Spelled {
    fn eq(&self, other: &Spelled) -> bool {
        self.comparable == other.comparable
    }
}

impl Eq for Spelled {}

#[derive(Debug, Default)]
struct Type {
    name: String,
    kind: String,
    element: Oid,
    base: Oid,
    has_binary: bool,
    schema: String,
    prefix: String,
    extension: Option<String>,
    of_table: bool,
    labels: Vec<String>,
    parts: Vec<Part>,
}

/// An attribute of a composite, the base of a domain, or the subtype of a range.
#[derive(Debug)]
struct Part {
    name: String,
    type_oid: Oid,
    spelled: String,
}

/// The types in use, with all that they are made of.
#[derive(Debug, Default)]
pub struct Types {
    by_oid: HashMap<Oid, Type>,
}

/// Reads the types of these oids.
///
/// # Errors
/// As the server says.
pub fn read(session: &mut Session, oids: &[Oid]) -> Result<Types> {
    let rows = session.query("list the types", include_str!("types.sql"), &[&oids])?;
    let by_oid = rows
        .iter()
        .map(|row| {
            let (names, oids, spelled): (Vec<String>, Vec<Oid>, Vec<String>) =
                (row.get(11), row.get(12), row.get(13));
            let parts = names.into_iter().zip(oids).zip(spelled);
            let type_ = Type {
                schema: row.get(1),
                name: row.get(2),
                kind: row.get(3),
                element: row.get(4),
                base: row.get(5),
                has_binary: row.get(6),
                prefix: row.get(7),
                extension: row.get(8),
                of_table: row.get(9),
                labels: row.get(10),
                parts: parts
                    .map(|((name, type_oid), spelled)| Part {
                        name,
                        type_oid,
                        spelled,
                    })
                    .collect(),
            };
            (row.get(0), type_)
        })
        .collect();
    Ok(Types { by_oid })
}

impl Types {
    /// Returns the built-in type whose binary form values have, if it means the same on another server:
    /// the type itself, an array of one (an array's form holds the oid of its elements' type), `anyenum`
    /// for an enum, or what a domain is over.
    pub fn binary_form(&self, oid: Oid) -> Option<Oid> {
        let type_ = self.by_oid.get(&oid)?;
        if NOT_IN_BINARY.contains(&type_.name.as_str()) {
            return None;
        }
        let safe = match type_.kind.as_str() {
            "d" => return self.binary_form(type_.base),
            "e" => return Some(ANY_ENUM),
            "b" if type_.element != 0 => {
                type_.element < FIRST_ASSIGNED_OID && self.binary_form(type_.element).is_some()
            }
            "b" | "r" | "m" => type_.has_binary,
            _ => false,
        };
        (safe && oid < FIRST_ASSIGNED_OID).then_some(oid)
    }

    /// Returns true if a value's text is the same whatever the settings of the session.
    pub fn plain_text(&self, oid: Oid) -> bool {
        let Some(type_) = self.by_oid.get(&oid) else {
            return false;
        };
        match type_.kind.as_str() {
            "d" => self.plain_text(type_.base),
            "e" => true,
            "b" => oid < FIRST_ASSIGNED_OID && PLAIN_TEXT.contains(&type_.name.as_str()),
            _ => false,
        }
    }

    /// Makes the words for a type out of what `format_type` says.
    pub fn spell(&self, oid: Oid, sql: String) -> Spelled {
        let mut leaf = self.by_oid.get(&oid);
        while let Some(inner) = leaf.filter(|leaf| leaf.element != 0) {
            leaf = self.by_oid.get(&inner.element);
        }
        let comparable = leaf
            .and_then(|leaf| Some((leaf.extension.as_ref()?, sql.strip_prefix(&leaf.prefix)?)))
            .map(|(extension, name)| format!("extension {extension}: {name}"));
        Spelled {
            comparable: comparable.unwrap_or_else(|| sql.clone()),
            sql,
        }
    }

    /// Returns what `format_type` says of the type that a domain is over, or else what it said of the type itself.
    pub fn under_domains<'a>(&'a self, oid: Oid, sql: &'a str) -> &'a str {
        match self.by_oid.get(&oid) {
            Some(type_) if type_.kind == "d" => type_
                .parts
                .first()
                .map_or(sql, |base| self.under_domains(base.type_oid, &base.spelled)),
            _ => sql,
        }
    }

    /// Returns the types that users made.
    pub fn of_users(&self) -> BTreeMap<QualifiedName, UserType> {
        self.by_oid
            .iter()
            .filter(|(oid, type_)| **oid >= FIRST_ASSIGNED_OID && type_.extension.is_none())
            .filter_map(|(_, type_)| {
                let name = QualifiedName::new(&type_.schema, &type_.name);
                Some((name, self.user_type(type_)?))
            })
            .collect()
    }

    fn user_type(&self, type_: &Type) -> Option<UserType> {
        let spell = |part: &Part| self.spell(part.type_oid, part.spelled.clone());
        let only = || type_.parts.first().map(spell);
        match type_.kind.as_str() {
            "e" => Some(UserType::Enum(type_.labels.clone())),
            "c" => Some(UserType::Composite {
                attributes: type_
                    .parts
                    .iter()
                    .map(|part| (part.name.clone(), spell(part)))
                    .collect(),
                of_table: type_.of_table,
            }),
            "d" => Some(UserType::Domain(only()?)),
            "r" => Some(UserType::Range(only()?)),
            // A multirange is as its range is.
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types() -> Types {
        let mut by_oid = HashMap::new();
        let mut add = |oid, name: &str, kind: &str, element, base| {
            let type_ = Type {
                name: name.into(),
                kind: kind.into(),
                element,
                base,
                has_binary: true,
                ..Type::default()
            };
            by_oid.insert(oid, type_);
        };
        add(23, "int4", "b", 0, 0);
        add(1007, "_int4", "b", 23, 0);
        add(701, "float8", "b", 0, 0);
        add(2205, "regclass", "b", 0, 0);
        add(2210, "_regclass", "b", 2205, 0);
        add(20_000, "mood", "e", 0, 0);
        add(20_001, "_mood", "b", 20_000, 0);
        add(20_002, "age", "d", 0, 23);
        add(20_003, "pair", "c", 0, 0);
        add(20_004, "citext", "b", 0, 0);
        add(20_005, "_age", "b", 20_002, 0);
        add(20_006, "_citext", "b", 20_004, 0);
        let citext = by_oid.get_mut(&20_004).expect("just added");
        citext.prefix = "\"My Ext\".".into();
        citext.extension = Some("citext".into());
        Types { by_oid }
    }

    #[test]
    fn only_types_with_fixed_oids_travel_in_binary() {
        let types = types();
        for (oid, form) in [
            (23, Some(23)),
            (1007, Some(1007)),
            (20_000, Some(ANY_ENUM)),
            (20_002, Some(23)),
            (20_001, None),
            (20_003, None),
            (20_004, None),
            (20_005, None),
            (2205, None),
            (2210, None),
            (99, None),
        ] {
            assert_eq!(types.binary_form(oid), form, "{oid}");
        }
    }

    #[test]
    fn floats_print_differently_in_different_sessions() {
        assert!(types().plain_text(23));
        assert!(types().plain_text(20_002));
        assert!(!types().plain_text(701));
        assert!(!types().plain_text(20_004));
    }

    #[test]
    fn the_schema_of_an_extension_is_no_part_of_a_type() {
        let spelled = types().spell(20_006, "\"My Ext\".citext[]".into());
        assert_eq!(spelled.comparable, "extension citext: citext[]");
        assert_eq!(spelled.sql, "\"My Ext\".citext[]");
        let spelled = types().spell(20_003, "public.pair".into());
        assert_eq!(spelled.comparable, "public.pair");
    }
}
