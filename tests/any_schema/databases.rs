//! Real databases: film rental, music shop, and three hundred tables made from a seed.

mod applications;
mod changes;
mod diary;
mod generated;
mod table;
mod types;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use postgres::Client;
use postgres::error::SqlState;

use crate::support::chance::Chance;
use crate::support::cluster::Cluster;
use crate::support::pair::Pair;
use crate::support::{compare, thorough, version_pairs};
use generated::Generated;
use writers::{Transaction, Writers};

/// Set to a number that a failure has printed, to see it again.
const SEED: &str = "PG_SWITCHOVER_TEST_SEED";

/// Names a file for the generated schema, to look at it.
const KEEP: &str = "PG_SWITCHOVER_TEST_KEEP_SQL";

/// What the writers of a generated schema share.
struct World {
    made: Generated,
    /// Whether they may TRUNCATE: `verify` has to be run again whenever somebody does.
    truncates: AtomicBool,
    done: AtomicUsize,
    failed: AtomicUsize,
}

/// A transaction of random statements; each that fails is rolled back by itself, and some at will.
fn random_transaction(
    client: &mut Client,
    chance: &mut Chance,
    world: &World,
) -> Result<(), postgres::Error> {
    client.batch_execute("BEGIN")?;
    if chance.percent(20) {
        client.batch_execute("SET CONSTRAINTS ALL DEFERRED")?;
    }
    for _ in 0..1 + chance.below(6) {
        let truncates = world.truncates.load(Ordering::SeqCst);
        let sql = changes::statement(chance, &world.made.tables, truncates);
        client.batch_execute("SAVEPOINT s")?;
        match client.batch_execute(&sql) {
            Ok(()) => {
                world.done.fetch_add(1, Ordering::SeqCst);
                if chance.percent(8) {
                    client.batch_execute("ROLLBACK TO s")?;
                }
            }
            Err(error) => {
                world.failed.fetch_add(1, Ordering::SeqCst);
                if !is_sound(&error) && !is_refused_truncate(&sql, &error) {
                    if error.code() != Some(&SqlState::READ_ONLY_SQL_TRANSACTION) {
                        eprintln!("{sql}");
                    }
                    return Err(error);
                }
                client.batch_execute("ROLLBACK TO s")?;
            }
        }
    }
    let end = if chance.percent(10) {
        "ROLLBACK"
    } else {
        "COMMIT"
    };
    match client.batch_execute(end) {
        // A deferred constraint has its say here.
        Err(error) if is_sound(&error) => Ok(()),
        other => other,
    }
}

/// Of a table that others refer to.
fn is_refused_truncate(sql: &str, error: &postgres::Error) -> bool {
    sql.starts_with("TRUNCATE") && error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED)
}

/// Rows may be in each other's way; the statement itself has to be right.
fn is_sound(error: &postgres::Error) -> bool {
    let state = error.code().map_or("", |code| code.code());
    // Locks: a writer that waits for itself elsewhere goes on.
    ["21", "22", "23", "27", "55"].contains(&&state[..2.min(state.len())])
}

fn random_writers(pair: &Pair, seed: u64, world: &Arc<World>) -> Writers {
    let writers = (1..=3).map(|number| {
        let mut chance = Chance::new(seed, number);
        let world = Arc::clone(world);
        Box::new(move |client: &mut Client, _| random_transaction(client, &mut chance, &world))
            as Transaction
    });
    Writers::start(pair, false, writers.collect())
}

/// A value drawn by a writer that is refused then means nothing.
const DRAWN: &[&str] = &[
    "first.audit_id_seq",
    "first.shared",
    "\"third; --\".\"Free 'one\"",
];

fn move_generated(seed: u64, tables: usize, (source, destination): (u32, u32)) {
    println!("{SEED}={seed}, {tables} tables, {source} to {destination}");
    let world = Arc::new(World {
        made: Generated::new(seed, source, tables),
        truncates: AtomicBool::new(true),
        done: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
    });
    let builder = |version| Cluster::builder(version).setting("max_locks_per_transaction", "512");
    let pair = Pair::from_builders(builder(source), builder(destination));
    if let Ok(path) = std::env::var(KEEP) {
        std::fs::write(path, &world.made.sql).unwrap();
    }
    pair.on_source(&world.made.sql);
    let writers = random_writers(&pair, seed, &world);
    writers.wait_for_more(30);
    pair.run(&["check", "--create-schema"]).expect(0);
    pair.run(&["init", "-q"]).expect(0);
    // Somebody always truncates something: for as long as a cycle reads what it has locked, they wait.
    let patient = "--lock-timeout=20000";
    pair.run(&["copy", "-q", "--create-schema", patient])
        .expect(0);
    // Small cycles and large ones; the largest schema has time for one of each.
    for most in if tables < 100 {
        ["10000", "2"].as_slice()
    } else {
        &["2"]
    } {
        writers.wait_for_more(100);
        pair.run(&["sync", "-q", patient]).expect(0);
        writers.wait_for_more(40);
        writers.hold_still();
        pair.run(&["sync", "-q", "--max-pending", most]).expect(0);
        compare::assert_equal(&pair);
        writers.go_on();
    }
    writers.hold_still();
    world.truncates.store(false, Ordering::SeqCst);
    writers.go_on();
    pair.run(&["verify", "-q"]).expect(0);
    pair.run(&["switch", "-q"]).expect(0);
    writers.wait_until_refused();
    writers.stop();
    compare::assert_equal_except(&pair, DRAWN);
    // What initdb grants on schema public changed with 15.
    if (source < 15) == (destination < 15) {
        compare::assert_same_schema(&pair);
    }
    let (done, failed) = (&world.done, &world.failed);
    println!("{done:?} statements succeeded, {failed:?} failed");
    assert!(done.load(Ordering::SeqCst) > 2 * failed.load(Ordering::SeqCst));
}

/// What the environment asks for, or else these.
fn seeds(otherwise: Vec<u64>) -> Vec<u64> {
    match std::env::var(SEED) {
        Ok(seed) => vec![seed.parse().expect("the seed is a number")],
        Err(_) => otherwise,
    }
}

#[test]
fn three_hundred_tables_made_from_a_seed_move_under_writes() {
    for seed in seeds(vec![1]) {
        move_generated(seed, 300, (15, 18));
    }
}

#[test]
fn tables_that_nobody_has_seen_before_move_under_writes() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let pairs = if thorough() {
        version_pairs()
    } else {
        vec![(15, 18)]
    };
    for (number, versions) in (0..).zip(pairs) {
        for seed in seeds(vec![now + number]) {
            move_generated(seed, 60, versions);
        }
    }
}
