//! Where a round is played: servers, wires, writers, and those who watch.

use std::time::{Duration, Instant};

use crate::support::VARIED;
use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Running;
use crate::support::proxy::Proxy;
use crate::support::stage::Stage;
use crate::support::workload::{self, Kind, Learns, Watch, Workload};

use super::fault::Sides;
use super::plan::{Plan, Role};
use super::watchers::{Asker, Intruder, Pointer};

/// How long a command may go on after the last fault, or in one that does not end; longer is a hang.
pub const BOUND: Duration = Duration::from_secs(60);

/// Tables that stay as they are, but for what somebody does to them now and then.
const STILL: &str = "
    CREATE TABLE still (id int PRIMARY KEY, t text NOT NULL);
    CREATE TABLE somebody (id int PRIMARY KEY, t text NOT NULL);";

/// What the tool's role needs where it is no superuser.
const MOVER: &str = "
    CREATE ROLE mover LOGIN;
    ALTER DATABASE app OWNER TO mover;
    ALTER SCHEMA public OWNER TO mover;";

/// All of it.
pub struct Scene {
    /// Servers and wires.
    pub stage: Stage,
    /// Who writes.
    pub writers: Workload,
    /// Who reads the destination.
    pub watch: Watch,
    /// Who looks at the pointer.
    pub pointer: Pointer,
    /// Who asks for the status.
    pub asker: Asker,
    /// Who writes into the destination too early.
    pub intruder: Intruder,
}

impl Scene {
    /// Sets it up, with the writers at work.
    pub fn new(plan: &Plan) -> Scene {
        // Their statements would hide the rest of the log: writers and their conflicts are many.
        let server =
            |version| Cluster::builder(version).setting("log_min_error_statement", "fatal");
        let (source, destination) = (server(plan.versions.0), server(plan.versions.1));
        let mut stage = Stage::new(Pair::from_builders(source, destination));
        let pair = &mut stage.pair;
        let mut schema = format!("{STILL}{}", workload::SCHEMA);
        if plan.varied {
            schema.push_str(VARIED);
        }
        if plan.role != Role::Superuser {
            pair.on_both(MOVER);
            schema = format!("SET ROLE mover; {schema} RESET ROLE;");
            for uri in [&mut pair.source_uri, &mut pair.destination_uri] {
                *uri = uri.replace("postgres@", "mover@");
            }
        }
        if plan.role == Role::Granted {
            pair.on_destination("GRANT SET ON PARAMETER session_replication_role TO mover");
        }
        pair.on_source(&schema);
        if !plan.create_schema {
            pair.on_destination(&schema);
        }
        pair.on_source(&format!(
            "INSERT INTO still SELECT i, md5(i::text) FROM generate_series(1, {}) i;
             INSERT INTO somebody SELECT i, 'first' FROM generate_series(1, 20) i",
            plan.rows
        ));
        // Or a silence would take half a minute to be noticed.
        for uri in [&mut pair.source_uri, &mut pair.destination_uri] {
            uri.push_str("?tcp_user_timeout=2000&connect_timeout=2");
        }
        let (source, destination) = (pair.source.uri(DATABASE), pair.destination.uri(DATABASE));
        let writers: Vec<(Kind, Learns)> = Kind::all()
            .into_iter()
            .enumerate()
            .map(|(number, kind)| (kind, Learns::ALL[(number + plan.seed as usize) % 3]))
            .collect();
        let pause = Duration::from_millis(plan.pause);
        Scene {
            writers: Workload::start_learning(&source, &destination, &writers, pause),
            watch: Watch::start(&destination),
            pointer: Pointer::start(&source),
            asker: Asker::start(&stage.pair),
            intruder: Intruder::start(&destination),
            stage,
        }
    }

    /// The wires of these sides.
    pub fn wires(&self, sides: Sides) -> Vec<&Proxy> {
        let wires = [
            (sides.source(), &self.stage.source_wire),
            (sides.destination(), &self.stage.destination_wire),
        ];
        wires
            .into_iter()
            .filter(|one| one.0)
            .map(|one| one.1)
            .collect()
    }

    /// The servers of these sides.
    fn servers(&self, sides: Sides) -> Vec<&Cluster> {
        let pair = &self.stage.pair;
        let servers = [
            (sides.source(), pair.source.as_ref()),
            (sides.destination(), pair.destination.as_ref()),
        ];
        servers
            .into_iter()
            .filter(|one| one.0)
            .map(|one| one.1)
            .collect()
    }

    /// Stops servers at once, and starts them again after a while.
    pub fn crash(&self, sides: Sides, ms: u64) {
        let servers = self.servers(sides);
        servers.iter().for_each(|server| server.stop_immediate());
        std::thread::sleep(Duration::from_millis(ms));
        servers.iter().for_each(|server| server.start_again());
    }

    /// Cancels or terminates a session of the tool, some one. False: there is none.
    pub fn signal_backend(&self, sides: Sides, function: &str) -> bool {
        let sql = format!(
            "SELECT count({function}(pid)) FROM (SELECT pid FROM pg_stat_activity
              WHERE application_name LIKE 'pg_switchover%' AND application_name NOT LIKE '%status'
              ORDER BY random() LIMIT 1) a"
        );
        self.servers(sides)[0].psql(DATABASE, &sql) == "1"
    }

    /// Holds a lock for a while. False: it was not to be had.
    pub fn hold_lock(&self, sides: Sides, lock: &str, ms: u64) -> bool {
        let mut client = self.servers(sides)[0].connect(DATABASE);
        let sql = format!("SET lock_timeout = 500; BEGIN; LOCK TABLE {lock}");
        let held = client.batch_execute(&sql).is_ok();
        if held {
            std::thread::sleep(Duration::from_millis(ms));
        }
        held
    }

    /// Runs a statement of an administrator. False: it did not end well, which is nobody's business here.
    pub fn on_source_by_somebody(&self, sql: &str) -> bool {
        let sql = format!("SET statement_timeout = '5s';\n{sql}");
        self.stage.pair.source.try_psql(DATABASE, &sql).is_ok()
    }

    /// Waits for the end of a program that nobody helps.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn expect_end(&self, running: &mut Running) {
        let began = Instant::now();
        while running.is_running() {
            assert!(
                began.elapsed() < BOUND,
                "it hangs, in a silence; it has said:\n{}{}",
                running.stderr(),
                self.activity()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What every session of both servers does, for the report of a hang.
    pub fn activity(&self) -> String {
        let sql = "SELECT pid, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid),
                          age(clock_timestamp(), xact_start), left(query, 150)
                     FROM pg_stat_activity WHERE datname = 'app' ORDER BY application_name, pid";
        let mut text = String::new();
        for (name, side) in [
            ("source", Sides::Source),
            ("destination", Sides::Destination),
        ] {
            let said = self.servers(side)[0].try_psql(DATABASE, sql);
            let said = said.unwrap_or_else(|error| error);
            text.push_str(&format!("--- sessions on the {name}\n{said}\n"));
        }
        text
    }
}
