//! Promises 1 to 3 under changes that nobody thought of: random statements over some thirty table shapes, in
//! transactions that commit or not, with cycles between them and across them, judged by the comparer.

mod shapes;

use postgres::Client;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::support::compare;
use crate::support::pair::Pair;
use shapes::SHAPES;

/// Set to a number that a failure has printed, to see it again.
const SEED: &str = "PG_SWITCHOVER_TEST_SEED";

/// A statement of a shape: which one, and what its places stand for.
#[derive(Clone, Debug)]
struct Change {
    shape: usize,
    statement: usize,
    a: u8,
    b: u8,
    v: u8,
}

impl Change {
    fn sql(&self) -> String {
        let (name, _, statements) = &SHAPES[self.shape % SHAPES.len()];
        statements[self.statement % statements.len()]
            .replace("{t}", name)
            .replace("{a}", &self.a.to_string())
            .replace("{b}", &self.b.to_string())
            .replace("{v}", &self.v.to_string())
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A transaction; a change that fails is rolled back by itself.
    Transaction { changes: Vec<Change>, commits: bool },
    /// One that is open while a cycle runs, and commits after it.
    Straddling(Vec<Change>),
    /// A run of `sync`; large cycles take the way of fetchers and COPY.
    Sync { large: bool },
}

fn change() -> impl Strategy<Value = Change> {
    (0..SHAPES.len(), 0..64_usize, 0..9_u8, 0..9_u8, any::<u8>()).prop_map(
        |(shape, statement, a, b, v)| Change {
            shape,
            statement,
            a,
            b,
            v,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let changes = || prop::collection::vec(change(), 1..40);
    prop_oneof![
        6 => (changes(), prop::bool::weighted(0.85))
            .prop_map(|(changes, commits)| Step::Transaction { changes, commits }),
        1 => changes().prop_map(Step::Straddling),
        2 => any::<bool>().prop_map(|large| Step::Sync { large }),
    ]
}

struct World {
    pair: Pair,
    writer: Client,
    other: Client,
}

impl World {
    fn new() -> World {
        let pair = Pair::new(15, 18);
        let schema: String = SHAPES.iter().map(|(_, schema, _)| *schema).collect();
        pair.on_both(&schema);
        pair.run(&["init"]).expect(0);
        pair.run(&["copy"]).expect(0);
        let client = || {
            let mut client = pair.source_client();
            client
                .batch_execute("SET lock_timeout = '100ms'; SET client_min_messages = error")
                .unwrap();
            client
        };
        World {
            writer: client(),
            other: client(),
            pair,
        }
    }

    fn play(&mut self, steps: &[Step]) -> Result<(), TestCaseError> {
        // A case that failed may have left its transactions open.
        end(&mut self.writer, false);
        end(&mut self.other, false);
        // What the case before left is one more change. Rows have to be on the destination before
        // anything can go wrong with them there. Parents come last in the list.
        for (name, _, _) in SHAPES {
            let sql = format!("DELETE FROM {name}");
            self.writer.batch_execute(&sql).unwrap();
        }
        let shapes = (0..SHAPES.len()).rev();
        let rows: Vec<Change> = shapes
            .flat_map(|shape| {
                (0..3).map(move |statement| Change {
                    shape,
                    statement,
                    a: 0,
                    b: 8,
                    v: 77,
                })
            })
            .collect();
        begin(&mut self.writer, &rows)?;
        end(&mut self.writer, true);
        self.sync(steps.len().is_multiple_of(3));
        for step in steps {
            match step {
                Step::Transaction { changes, commits } => {
                    begin(&mut self.writer, changes)?;
                    end(&mut self.writer, *commits);
                }
                Step::Straddling(changes) => {
                    // Readers would wait for the end of these.
                    let harmless = |change: &&Change| {
                        let sql = change.sql();
                        !sql.contains("TRUNCATE") && !sql.contains("ALTER SEQUENCE")
                    };
                    let changes: Vec<Change> = changes.iter().filter(harmless).cloned().collect();
                    begin(&mut self.other, &changes)?;
                    self.sync(false);
                    end(&mut self.other, true);
                }
                Step::Sync { large } => {
                    self.sync(*large);
                    self.judge()?;
                }
            }
        }
        self.sync(steps.len().is_multiple_of(2));
        self.judge()
    }

    fn sync(&self, large: bool) {
        let most = if large { "2" } else { "10000" };
        let outcome = self.pair.run(&["sync", "-q", "--max-pending", most]);
        outcome.expect(0);
    }

    fn judge(&self) -> Result<(), TestCaseError> {
        let found = compare::differences(&self.pair, &[]).join("\n");
        prop_assert!(found.is_empty(), "{found}");
        Ok(())
    }
}

fn begin(client: &mut Client, changes: &[Change]) -> Result<(), TestCaseError> {
    client.batch_execute("BEGIN").unwrap();
    for change in changes {
        let sql = format!("SAVEPOINT s; {}; RELEASE s", change.sql());
        if let Err(error) = client.batch_execute(&sql) {
            client.batch_execute("ROLLBACK TO s").unwrap();
            // Rows may be in each other's way; the statement itself has to be sound.
            let state = error.code().map_or("", |code| code.code());
            let sound =
                ["21", "22", "23", "27", "40", "55"].contains(&&state[..2.min(state.len())]);
            prop_assert!(sound, "{sql}: {error:?}");
        }
    }
    Ok(())
}

/// A constraint that is checked at the commit may turn it into a rollback, which is as good.
fn end(client: &mut Client, commits: bool) {
    let _ = client.batch_execute(if commits { "COMMIT" } else { "ROLLBACK" });
}

#[test]
fn random_changes_reach_the_destination() {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().expect("the seed is a number"),
        Err(_) => u64::from(std::process::id()) << 32 | u64::from(subsecond()),
    };
    println!("{SEED}={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: if crate::support::thorough() { 400 } else { 10 },
        max_shrink_iters: 100,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let world = std::cell::RefCell::new(World::new());
    let steps = prop::collection::vec(step(), 1..7);
    let result = runner.run(&steps, |steps| world.borrow_mut().play(&steps));
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => {
            panic!("{SEED}={seed}: {reason}\nafter {}", script(&steps));
        }
        Err(other) => panic!("{SEED}={seed}: {other}"),
    }
}

fn subsecond() -> u32 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.subsec_nanos())
}

/// The steps as somebody would type them.
fn script(steps: &[Step]) -> String {
    let lines = |changes: &[Change]| -> String {
        changes
            .iter()
            .map(|change| format!("  {};\n", change.sql()))
            .collect()
    };
    steps
        .iter()
        .map(|step| match step {
            Step::Transaction { changes, commits } => {
                let end = if *commits { "COMMIT" } else { "ROLLBACK" };
                format!("BEGIN;\n{}{end};\n", lines(changes))
            }
            Step::Straddling(changes) => {
                format!("BEGIN;\n{}-- sync, and then\nCOMMIT;\n", lines(changes))
            }
            Step::Sync { large } => format!("-- sync (large: {large})\n"),
        })
        .collect()
}
