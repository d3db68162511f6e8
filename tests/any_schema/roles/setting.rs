//! Two servers, and a role on each that reaches as far as one says.

use std::collections::BTreeMap;

use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::{Outcome, Program};

pub const SCHEMA: &str = include_str!("schema.sql");
pub const ROWS: &str = include_str!("rows.sql");
pub const CHANGES: &str = include_str!("changes.sql");

/// How far the tool's role reaches on one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// postgres.
    Superuser,
    /// `keeper`, who owns the database and all that is in it, and may nothing else.
    Owner,
    /// The same, who may set session_replication_role.
    Granted,
    /// `admin`, who owns the database and is a member of the owners of what is in it, may create roles
    /// and databases, and may see but not end what others run.
    Managed,
}

impl Reach {
    fn role(self) -> &'static str {
        match self {
            Reach::Superuser => "postgres",
            Reach::Owner | Reach::Granted => "keeper",
            Reach::Managed => "admin",
        }
    }
}

/// A pair and the roles that move it.
pub struct Setting {
    pub pair: Pair,
    pub source: Reach,
    pub destination: Reach,
}

const ROLES: &str = "CREATE ROLE keeper LOGIN;
    CREATE ROLE admin LOGIN CREATEROLE CREATEDB;
    CREATE ROLE clerk LOGIN;
    GRANT keeper TO admin;
    GRANT pg_monitor TO admin;";

impl Setting {
    /// Makes the roles; the database belongs to the one that moves it.
    pub fn new(pair: Pair, source: Reach, destination: Reach) -> Setting {
        pair.on_both(ROLES);
        for (cluster, reach) in [(&pair.source, source), (&pair.destination, destination)] {
            cluster.psql(DATABASE, &prepared(reach));
            if reach == Reach::Granted {
                let sql = "GRANT SET ON PARAMETER session_replication_role TO keeper";
                cluster.psql(DATABASE, sql);
            }
        }
        Setting {
            pair,
            source,
            destination,
        }
    }

    /// True if rows are written without session_replication_role.
    pub fn as_owner(&self) -> bool {
        matches!(self.destination, Reach::Owner | Reach::Managed)
    }

    /// Runs a script on both sides as the owner of what it makes.
    pub fn on_both(&self, sql: &str) {
        self.on_source(sql);
        self.on_destination(sql);
    }

    /// Runs a script on the source as the owner of what it makes.
    pub fn on_source(&self, sql: &str) {
        self.pair.on_source(&owned(self.source, sql));
    }

    /// Runs a script on the destination as the owner of what it makes.
    pub fn on_destination(&self, sql: &str) {
        self.pair.on_destination(&owned(self.destination, sql));
    }

    /// Makes both databases empty.
    pub fn begin_anew(&mut self) {
        for (cluster, reach) in [
            (&self.pair.source, self.source),
            (&self.pair.destination, self.destination),
        ] {
            cluster.psql("postgres", "DROP DATABASE app WITH (FORCE)");
            cluster.create_database(DATABASE);
            cluster.psql(DATABASE, &prepared(reach));
        }
    }

    /// Describes an invocation by the two roles.
    pub fn program(&self, args: &[&str]) -> Program {
        let (source, destination) = (self.source.role(), self.destination.role());
        self.pair
            .program(args)
            .source(
                &self
                    .pair
                    .source_uri
                    .replace("postgres@", &format!("{source}@")),
            )
            .destination(
                &self
                    .pair
                    .destination_uri
                    .replace("postgres@", &format!("{destination}@")),
            )
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.program(args).run()
    }

    pub fn run_with(&self, verb: &str, options: &[&str]) -> Outcome {
        self.run(&[&[verb], options].concat())
    }

    pub fn compare_rows(&self) {
        compare::assert_equal(&self.pair);
    }

    /// Demands that what is done leaves every row of the destination alone that is the same on the source
    /// before and after it.
    pub fn changed_rows_only(&self, done: impl FnOnce()) {
        let before = versions(&self.pair);
        done();
        let after = versions(&self.pair);
        let mut unchanged = 0;
        for (row, (source, destination)) in &before {
            if let Some((source_now, destination_now)) = after.get(row)
                && source == source_now
            {
                unchanged += 1;
                assert_eq!(destination, destination_now, "row {row} was written again");
            }
        }
        assert!(unchanged > 500, "only {unchanged} rows did not change");
    }

    /// Demands that nothing of the tool is left.
    pub fn no_trace(&self) {
        for cluster in [&self.pair.source, &self.pair.destination] {
            let left = cluster.psql(
                DATABASE,
                "SELECT nspname FROM pg_namespace WHERE nspname = 'switchover'
                 UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'pg\\_switchover%'",
            );
            assert_eq!(left, "");
        }
    }
}

fn prepared(reach: Reach) -> String {
    let role = reach.role();
    format!(
        "ALTER DATABASE app OWNER TO {role};
         ALTER SCHEMA public OWNER TO {role};
         GRANT CREATE ON DATABASE app TO keeper;"
    )
}

fn owned(reach: Reach, sql: &str) -> String {
    match reach {
        Reach::Superuser => sql.to_string(),
        Reach::Owner | Reach::Granted | Reach::Managed => {
            format!("SET ROLE keeper;\n{sql};\nRESET ROLE;")
        }
    }
}

/// Of each row that has a key: which transaction has written it on either side. Of the two versions of a
/// row on the source only whether they are the same is asked.
fn versions(pair: &Pair) -> BTreeMap<String, (String, String)> {
    let sql = "SELECT 'customer ' || id || '=' || xmin FROM shop.customer
         UNION ALL SELECT 'invoice ' || id || '=' || xmin FROM shop.invoice
         UNION ALL SELECT 'line ' || invoice || ',' || n || '=' || xmin FROM shop.line
         UNION ALL SELECT 'remark ' || id || '=' || xmin FROM shop.remark
         UNION ALL SELECT 'event ' || id || ',' || day || '=' || xmin FROM shop.event
         UNION ALL SELECT 'seen ' || id || '=' || xmin FROM shop.seen
         UNION ALL SELECT 'audit ' || id || '=' || xmin FROM shop.audit";
    let read = |text: String| -> BTreeMap<String, String> {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .map(|(row, xmin)| (row.to_string(), xmin.to_string()))
            .collect()
    };
    let there = read(pair.on_destination(sql));
    read(pair.on_source(sql))
        .into_iter()
        .filter_map(|(row, xmin)| {
            let other = there.get(&row)?.clone();
            Some((row, (xmin, other)))
        })
        .collect()
}

/// The states of the destination's triggers and rules, which a dump tells only in part.
pub fn states(pair: &Pair) -> String {
    pair.on_destination(
        "SELECT tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text FROM pg_trigger
          WHERE NOT tgname LIKE 'RI\\_%' AND NOT tgname LIKE 'PK\\_%'
            AND NOT tgname LIKE 'pg\\_switchover\\_%'
         UNION ALL
         SELECT ev_class::regclass || ' ' || rulename || ' ' || ev_enabled::text FROM pg_rewrite
          WHERE ev_class::regclass::text LIKE 'shop.%'
         ORDER BY 1",
    )
}
