//! A schema of any number of tables made from a seed, with its rows.

use super::table::{Key, Made, Table, Unique, ident, list, literal, name};
use super::types::{Types, USER_TYPES};
use crate::support::chance::Chance;

/// The schemas of the tables, quoted.
const SCHEMAS: &[&str] = &[
    "public",
    "first",
    "\"Second \"\"Schema\"\"\"",
    "\"third; --\"",
    "\"Größe\"",
];

/// What triggers call.
const FUNCTIONS: &str = r#"
CREATE TABLE first.audit (id bigserial PRIMARY KEY, what text NOT NULL);
CREATE FUNCTION first.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO first.audit (what) VALUES (TG_OP || ' on ' || TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE FUNCTION first.stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stamped := NEW.stamped + 1;
    RETURN NEW;
END $$;
CREATE SEQUENCE "third; --"."Free 'one" INCREMENT -3 MAXVALUE 10 MINVALUE -1000 START 5 CYCLE;
CREATE SEQUENCE first.never_called START 77;
CREATE SEQUENCE first.shared AS smallint CACHE 5;
"#;

/// What a seed has made.
pub struct Generated {
    /// Makes everything, in an empty database.
    pub sql: String,
    /// The tables, for changes to them.
    pub tables: Vec<Table>,
}

impl Generated {
    /// Makes so many tables for a server of some version.
    pub fn new(seed: u64, version: u32, tables: usize) -> Generated {
        let mut maker = Maker {
            chance: Chance::new(seed, 0),
            types: Types::of(version),
            version,
            tables: Vec::new(),
            sql: String::new(),
        };
        maker.make(tables);
        Generated {
            sql: maker.sql,
            tables: maker.tables,
        }
    }
}

struct Maker {
    chance: Chance,
    types: Types,
    version: u32,
    tables: Vec<Table>,
    sql: String,
}

impl Maker {
    fn say(&mut self, sql: &str) {
        self.sql.push_str(sql);
        self.sql.push_str(";\n");
    }

    fn make(&mut self, tables: usize) {
        self.sql.push_str("SET client_min_messages = warning;\n");
        self.sql.push_str(USER_TYPES);
        for schema in SCHEMAS.iter().skip(1) {
            self.say(&format!("CREATE SCHEMA {schema}"));
        }
        self.sql.push_str(FUNCTIONS);
        for number in 0..tables {
            let schema = *self.chance.one_of(SCHEMAS);
            let plain = name(&mut self.chance, &format!("t{number}"));
            let sql = format!("{schema}.{}", ident(&plain));
            let table = Table::new(&mut self.chance, &self.types, sql);
            self.tables.push(table);
        }
        self.add_references();
        for number in 0..self.tables.len() {
            self.create(number);
        }
        for number in 0..self.tables.len() {
            let rows = self.tables[number].rows;
            let insert = insert(&self.tables[number], 0, rows - 1);
            self.say(&insert);
        }
        for number in 0..self.tables.len() {
            self.constrain(number);
        }
        for number in 0..self.tables.len() {
            self.refer(number);
        }
        self.views();
    }

    /// Columns that refer to any table, itself, or one that comes later: cycles happen.
    fn add_references(&mut self) {
        for number in 0..self.tables.len() {
            while self.tables[number].references.len() < 3 && self.chance.percent(45) {
                let target = match self.chance.below(6) {
                    0 => number,
                    _ => self.chance.below(self.tables.len()),
                };
                let other = self.tables[target].clone();
                // Permanent tables may refer to permanent ones only.
                if other.referable.is_empty() || (other.unlogged && !self.tables[number].unlogged) {
                    continue;
                }
                let to = self.chance.one_of(&other.referable).clone();
                self.tables[number].add_reference(&mut self.chance, target, &other, &to);
            }
        }
    }

    fn create(&mut self, number: usize) {
        let schema = *self.chance.one_of(SCHEMAS);
        let mut table = self.tables[number].clone();
        self.sql
            .push_str(&table.create(&mut self.chance, schema, number));
        if self.chance.percent(8) {
            let sql = &table.sql;
            self.say(&format!(
                "ALTER TABLE {sql} ADD COLUMN stamped int NOT NULL DEFAULT 0"
            ));
            self.say(&format!(
                "CREATE TRIGGER \"stamp it\" BEFORE UPDATE ON {sql} FOR EACH ROW EXECUTE FUNCTION first.stamp()"
            ));
        }
        self.tables[number] = table;
    }

    /// What else there is on a table besides its key.
    fn constrain(&mut self, number: usize) {
        let table = self.tables[number].clone();
        let sql = &table.sql;
        if self.chance.percent(15) {
            let each = match table.partitioned_by.is_empty() && self.chance.percent(50) {
                true => "STATEMENT",
                false => "ROW",
            };
            self.say(&format!(
                "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON {sql} FOR EACH {each} EXECUTE FUNCTION first.note()"
            ));
        }
        if self.chance.percent(8) {
            self.say(&format!("ALTER TABLE {sql} ENABLE ROW LEVEL SECURITY"));
            self.say(&format!(
                "CREATE POLICY \"none of it\" ON {sql} USING (false)"
            ));
        }
        if self.chance.percent(20) {
            let text = literal(&name(&mut self.chance, "a comment"));
            self.say(&format!("COMMENT ON TABLE {sql} IS {text}"));
        }
        if table.key == Key::Index && table.partitioned_by.is_empty() && self.chance.percent(60) {
            let key = list(&table.at(&table.key_columns));
            let index = ident(&name(&mut self.chance, &format!("identity_{number}")));
            self.say(&format!("CREATE UNIQUE INDEX {index} ON {sql} ({key})"));
            self.say(&format!(
                "ALTER TABLE {sql} REPLICA IDENTITY USING INDEX {index}"
            ));
        }
        for (at, unique) in &table.uniques {
            self.make_unique(&table, *at, *unique);
        }
    }

    fn make_unique(&mut self, table: &Table, at: usize, unique: Unique) {
        let sql = &table.sql;
        let column = list(&table.at(&[at]));
        let mut columns = vec![at];
        if !table.leaves.is_empty() {
            // What partitions go by, on any level, is part of the key.
            columns.extend(&table.key_columns);
        }
        let columns = list(&table.at(&columns));
        let nulls = if self.version >= 15 {
            "NULLS NOT DISTINCT"
        } else {
            ""
        };
        let exclude = format!("ALTER TABLE {sql} ADD EXCLUDE USING gist ({column} WITH &&)");
        self.say(&match unique {
            Unique::Constraint => format!("ALTER TABLE {sql} ADD UNIQUE ({columns})"),
            Unique::Deferrable => {
                format!("ALTER TABLE {sql} ADD UNIQUE ({columns}) DEFERRABLE INITIALLY DEFERRED")
            }
            Unique::Partial => {
                format!("CREATE UNIQUE INDEX ON {sql} ({columns}) WHERE {column} IS NOT NULL")
            }
            Unique::NullsToo => format!("CREATE UNIQUE INDEX ON {sql} ({columns}) {nulls}"),
            Unique::Expression => format!("CREATE UNIQUE INDEX ON {sql} (lower({column} || '.'))"),
            Unique::Exclusion => exclude,
            Unique::DeferrableExclusion => format!("{exclude} DEFERRABLE INITIALLY DEFERRED"),
        });
    }

    fn refer(&mut self, number: usize) {
        let table = self.tables[number].clone();
        for (columns, target, to) in &table.references {
            let other = &self.tables[*target];
            let from = table.at(columns);
            let nullable = from.iter().all(|column| !column.not_null);
            let actions: &[&str] = match nullable {
                true => &[
                    "NO ACTION",
                    "RESTRICT",
                    "CASCADE",
                    "CASCADE",
                    "SET NULL",
                    "SET DEFAULT",
                ],
                false => &["NO ACTION", "RESTRICT", "CASCADE", "CASCADE"],
            };
            let mut sql = format!(
                "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})",
                table.sql,
                list(&from),
                other.sql,
                list(&other.at(to))
            );
            if columns.len() > 1 && self.chance.percent(30) {
                sql.push_str(" MATCH FULL");
            }
            // An identity that is GENERATED ALWAYS cannot be updated, nor by a cascade.
            sql.push_str(&format!(" ON DELETE {}", self.chance.one_of(actions)));
            sql.push_str(&format!(" ON UPDATE {}", self.chance.one_of(actions)));
            sql.push_str(self.chance.one_of::<&str>(&[
                "",
                "",
                " DEFERRABLE",
                " DEFERRABLE INITIALLY DEFERRED",
            ]));
            if table.partitioned_by.is_empty() && self.chance.percent(10) {
                sql.push_str(" NOT VALID");
            }
            self.say(&sql);
        }
    }

    fn views(&mut self) {
        for number in 0..self.tables.len() / 15 {
            let table = self.chance.one_of(&self.tables).clone();
            let (schema, columns) = (
                *self.chance.one_of(SCHEMAS),
                list(&table.at(&table.key_columns)),
            );
            self.say(&format!(
                "CREATE VIEW {schema}.view_{number} AS SELECT {columns} FROM {} AS plain",
                table.sql
            ));
        }
    }
}

/// Inserts the rows of some numbers.
pub fn insert(table: &Table, first: usize, last: usize) -> String {
    let written: Vec<&_> = table
        .columns
        .iter()
        .filter(|column| column.is_written())
        .collect();
    let values: Vec<String> = written.iter().map(|column| column.value_of("x")).collect();
    let overriding = match written
        .iter()
        .any(|column| matches!(column.made, Made::Identity { .. }))
    {
        true => "OVERRIDING SYSTEM VALUE ",
        false => "",
    };
    format!(
        "INSERT INTO {} ({}) {overriding}SELECT {} FROM generate_series({first}, {last}) x",
        table.sql,
        list(&written),
        values.join(", ")
    )
}
