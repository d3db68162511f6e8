//! A source and a destination, each with a database `app`, and the program between them.

use std::sync::Arc;

use postgres::Client;

use super::cluster::{Builder, Cluster};
use super::program::{Outcome, Program, Running};

/// The database that moves, under the same name on both servers.
pub const DATABASE: &str = "app";

/// Two servers for one switchover.
pub struct Pair {
    /// The old server.
    pub source: Arc<Cluster>,
    /// The new server.
    pub destination: Arc<Cluster>,
    /// How the program reaches the source; a proxy's address may be put here.
    pub source_uri: String,
    /// How the program reaches the destination; a proxy's address may be put here.
    pub destination_uri: String,
}

impl Pair {
    /// Starts two servers of the given major versions, each with an empty database [`DATABASE`].
    pub fn new(source_version: u32, destination_version: u32) -> Pair {
        Pair::from_builders(
            Cluster::builder(source_version),
            Cluster::builder(destination_version),
        )
    }

    /// Starts two servers that were described before.
    pub fn from_builders(source: Builder, destination: Builder) -> Pair {
        let destination = destination.lineage("destination");
        let (source, destination) = std::thread::scope(|scope| {
            let source = scope.spawn(|| start(source));
            let destination = scope.spawn(|| start(destination));
            let join = |handle: std::thread::ScopedJoinHandle<'_, Arc<Cluster>>| match handle.join()
            {
                Ok(cluster) => cluster,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            (join(source), join(destination))
        });
        Pair {
            source_uri: source.uri(DATABASE),
            destination_uri: destination.uri(DATABASE),
            source,
            destination,
        }
    }

    /// Runs a script on the source's database. Panics when it fails.
    pub fn on_source(&self, sql: &str) -> String {
        self.source.psql(DATABASE, sql)
    }

    /// Runs a script on the destination's database. Panics when it fails.
    pub fn on_destination(&self, sql: &str) -> String {
        self.destination.psql(DATABASE, sql)
    }

    /// Runs a script on the destination's database in the replica role, which its triggers do not act in: for a
    /// test that needs there what ordinary sessions are refused before the switch.
    pub fn past_the_guard(&self, sql: &str) -> String {
        self.on_destination(&format!("SET session_replication_role = replica;\n{sql}"))
    }

    /// Runs a script on both databases.
    pub fn on_both(&self, sql: &str) {
        self.on_source(sql);
        self.on_destination(sql);
    }

    /// Opens a session on the source's database.
    pub fn source_client(&self) -> Client {
        self.source.connect(DATABASE)
    }

    /// Opens a session on the destination's database.
    pub fn destination_client(&self) -> Client {
        self.destination.connect(DATABASE)
    }

    /// Describes an invocation of the program with both databases in its environment.
    pub fn program(&self, args: &[&str]) -> Program {
        let source = Arc::clone(&self.source);
        let destination = Arc::clone(&self.destination);
        Program::new(args)
            .source(&self.source_uri)
            .destination(&self.destination_uri)
            .log(move || source.log_tail())
            .log(move || destination.log_tail())
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Outcome {
        self.program(args).run()
    }

    /// Starts the program in the background.
    pub fn spawn(&self, args: &[&str]) -> Running {
        self.program(args).spawn()
    }
}

fn start(builder: Builder) -> Arc<Cluster> {
    let cluster = builder.start();
    cluster.create_database(DATABASE);
    Arc::new(cluster)
}
