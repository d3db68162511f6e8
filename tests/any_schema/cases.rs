//! Cases: a schema, its rows, and changes that must arrive exactly by every road there is: in a small cycle,
//! in a large one, and in the window. What did not change on the source is not touched on the destination.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Client;

use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::stage::{LIMIT, Stage};

/// One case. All names in it are found through `search_path`, which a schema of its own comes first on.
pub struct Case {
    /// Also the name of the schema, with the number of the round behind it.
    pub name: &'static str,
    /// Runs on both sides.
    pub schema: &'static str,
    /// Runs on the source before `init`.
    pub rows: &'static str,
    /// Runs on the source once all is copied; changes something.
    pub changes: &'static str,
}

/// Makes a case.
pub const fn case(
    name: &'static str,
    schema: &'static str,
    rows: &'static str,
    changes: &'static str,
) -> Case {
    Case {
        name,
        schema,
        rows,
        changes,
    }
}

impl Case {
    /// A script of this case, in the schema that belongs to a round.
    pub fn script(&self, round: u32, sql: &str) -> String {
        let name = self.name;
        format!("SET search_path = {name}_{round}, public;\n{sql};\n")
    }

    /// What makes the tables of a round.
    pub fn tables(&self, round: u32) -> String {
        let schema = format!("CREATE SCHEMA {}_{round};\n", self.name);
        schema + &self.script(round, self.schema)
    }
}

/// Puts all cases, three times, on both sides, and the rows on the source.
pub fn load(pair: &Pair, cases: &[&Case]) {
    let each = |sql: &dyn Fn(&Case, u32) -> String| -> String {
        let rounds = (1..=3).flat_map(|round| cases.iter().map(move |case| (case, round)));
        rounds.map(|(case, round)| sql(case, round)).collect()
    };
    pair.on_both(&each(&|case, round| case.tables(round)));
    pair.on_source(&each(&|case, round| case.script(round, case.rows)));
}

/// Takes all cases from `init` to the switch, by all roads.
pub fn arrive_by_every_road(stage: &Stage, cases: &[&Case]) {
    arrive(stage, cases, super::judge);
}

/// The same, where the destination's role may not set session_replication_role: it is a member of the
/// tables' owner, and no superuser. Foreign keys are away until the switch.
pub fn arrive_through_an_owner(pair: Pair, cases: &[&Case]) {
    let keeper = "CREATE ROLE keeper LOGIN; GRANT postgres TO keeper";
    pair.on_destination(keeper);
    let mut stage = Stage::new(pair);
    let uri = stage.pair.destination_uri.replace("postgres@", "keeper@");
    assert_ne!(uri, stage.pair.destination_uri);
    stage.pair.destination_uri = uri;
    arrive(&stage, cases, compare::assert_equal);
}

fn arrive(stage: &Stage, cases: &[&Case], judge_the_copy: impl FnOnce(&Pair)) {
    let pair = &stage.pair;
    load(pair, cases);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    judge_the_copy(pair);
    for (round, most) in [(1, "100000"), (2, "1")] {
        let before = Untouched::note(pair);
        change(pair, cases, round);
        pair.run(&["sync", "-q", "--max-pending", most]).expect(0);
        compare::assert_equal(pair);
        before.check(pair);
    }
    pair.run(&["verify", "-q"]).expect(0);
    let before = Untouched::note(pair);
    let patient = ["switch", "--lock-timeout=60000", "--max-pending=100000"];
    let switch = stage.switch_up_to_the_lock(&patient);
    change(pair, cases, 3);
    stage.source_wire.release();
    switch.wait(LIMIT).expect(0);
    assert!(stage.flipped());
    super::judge(pair);
    before.check(pair);
}

/// Runs the changes of a round, and demands that each changes something.
fn change(pair: &Pair, cases: &[&Case], round: u32) {
    let sql: String = cases
        .iter()
        .map(|case| case.script(round, case.changes))
        .collect();
    pair.on_source(&sql);
    let found = compare::differences(pair, &[]).join("\n");
    for case in cases {
        let schema = format!("{}_{round}", case.name);
        assert!(found.contains(&schema), "{} changes nothing", case.name);
    }
}

/// Every row there is: table and contents, and where each version of it stands (xmin and ctid).
type Rows = BTreeMap<(String, String), BTreeSet<String>>;

/// Rows before a cycle, to be compared with those after it.
pub struct Untouched {
    source: Rows,
    destination: Rows,
}

impl Untouched {
    /// Notes all rows on both sides.
    pub fn note(pair: &Pair) -> Untouched {
        Untouched {
            source: rows(&mut pair.source_client()),
            destination: rows(&mut pair.destination_client()),
        }
    }

    /// Demands that rows that still are what they were on the source still are so on the destination,
    /// down to the transaction that wrote them. Returns how many there are.
    ///
    /// # Panics
    /// With the rows that were written again.
    pub fn check(&self, pair: &Pair) -> usize {
        let now = Untouched::note(pair);
        let unchanged: Vec<_> = self
            .source
            .iter()
            .filter(|(row, at)| now.source.get(row) == Some(at))
            .map(|(row, _)| row)
            .collect();
        let touched: Vec<_> = unchanged
            .iter()
            .filter(|row| now.destination.get(row) != self.destination.get(row))
            .collect();
        assert!(touched.is_empty(), "written for nothing: {touched:#?}");
        unchanged.len()
    }
}

fn rows(client: &mut Client) -> Rows {
    let sql = "SELECT string_agg(format('SELECT tableoid::regclass::text, t::text, xmin || '' '' || ctid FROM ONLY %I.%I t',
                                        nspname, relname), ' UNION ALL ')
                 FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema|switchover)' AND relpersistence <> 't'
                  -- A table travels as a whole if it has no key, or one of its partitions was truncated.
                  AND nspname !~ '^parts_of_tables'
                  AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND indisunique)";
    let sql: String = client.query_one(sql, &[]).unwrap().get(0);
    let mut rows = Rows::new();
    for row in client.query(&sql, &[]).unwrap() {
        let at = rows.entry((row.get(0), row.get(1))).or_default();
        at.insert(row.get(2));
    }
    rows
}
