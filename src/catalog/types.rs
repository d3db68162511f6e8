//! Which types keep their meaning in COPY's binary form, and whose text is the same in every session.

use std::collections::HashMap;

use super::Oid;
use crate::error::Result;
use crate::session::Session;

/// Types with smaller oids are the same on every server (`FirstGenbkiObjectId` in transam.h).
const FIRST_ASSIGNED_OID: Oid = 10_000;

/// Built-in types whose text no setting changes (DateStyle, IntervalStyle, TimeZone,
/// extra_float_digits, bytea_output and lc_monetary change the others').
const PLAIN_TEXT: &[&str] = &[
    "bool", "int2", "int4", "int8", "oid", "text", "varchar", "bpchar", "char", "name", "uuid",
    "numeric", "inet", "cidr", "macaddr", "macaddr8", "bit", "varbit", "pg_lsn", "xid8",
];

/// Built-in types whose binary form holds an oid, which means another object on another server.
const HOLDS_OID: &[&str] = &[
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

#[derive(Debug)]
struct Type {
    name: String,
    kind: String,
    element: Oid,
    base: Oid,
    has_binary: bool,
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
            let type_ = Type {
                name: row.get(1),
                kind: row.get(2),
                element: row.get(3),
                base: row.get(4),
                has_binary: row.get(5),
            };
            (row.get(0), type_)
        })
        .collect();
    Ok(Types { by_oid })
}

impl Types {
    /// Returns true if the binary form of the type means the same on another server: a built-in
    /// type, an array of one (an array's form holds the oid of its elements' type), an enum (sent
    /// as its label), or a domain over one of these.
    pub fn binary_safe(&self, oid: Oid) -> bool {
        let Some(type_) = self.by_oid.get(&oid) else {
            return false;
        };
        match type_.kind.as_str() {
            "d" => self.binary_safe(type_.base),
            "e" => true,
            "b" if type_.element != 0 => {
                type_.element < FIRST_ASSIGNED_OID && self.binary_safe(type_.element)
            }
            "b" | "r" | "m" => {
                oid < FIRST_ASSIGNED_OID
                    && type_.has_binary
                    && !HOLDS_OID.contains(&type_.name.as_str())
            }
            _ => false,
        }
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
        Types { by_oid }
    }

    #[test]
    fn only_types_with_fixed_oids_travel_in_binary() {
        let types = types();
        for (oid, safe) in [
            (23, true),
            (1007, true),
            (20_000, true),
            (20_002, true),
            (20_001, false),
            (20_003, false),
            (20_004, false),
            (2205, false),
            (2210, false),
            (99, false),
        ] {
            assert_eq!(types.binary_safe(oid), safe, "{oid}");
        }
    }

    #[test]
    fn floats_print_differently_in_different_sessions() {
        assert!(types().plain_text(23));
        assert!(types().plain_text(20_002));
        assert!(!types().plain_text(701));
        assert!(!types().plain_text(20_004));
    }
}
