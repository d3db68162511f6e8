//! What else than rows is missing or different on the destination is said before the switch.

use crate::any_schema::judge;
use crate::support::pair::Pair;
use crate::support::{VARIED, thorough, version_pairs};

const KINDS: &str = include_str!("kinds.sql");

/// What a line about objects begins with.
const MISSING: &str = "missing on the destination: ";
const DIFFERENT: &str = "different on the destination: ";

fn moved(versions: (u32, u32)) -> Pair {
    let pair = Pair::new(versions.0, versions.1);
    pair.on_source(VARIED);
    pair.on_source(KINDS);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    pair
}

#[test]
fn no_version_raises_a_false_alarm() {
    let some = vec![(14, 18), (15, 15), (16, 18)];
    for versions in if thorough() { version_pairs() } else { some } {
        let pair = moved(versions);
        // Ranges have multiranges from 14 on, with names.
        if versions.0 >= 14 {
            judge(&pair);
        }
        for command in [&["verify"][..], &["check"]] {
            let outcome = pair.run(command);
            let said = format!("{}{}", outcome.stdout, outcome.stderr);
            let alarm = said.contains(MISSING) || said.contains(DIFFERENT);
            assert!(!alarm, "{versions:?}: {}", outcome.report());
        }
        assert_eq!(pair.run(&["switch", "-q"]).expect(0).stderr, "");
    }
}

/// DDL on the source after the copy, and what it is told as.
const LATER: [(&str, &str, &str); 17] = [
    (
        "CREATE INDEX late_index ON kinds.one (n)",
        MISSING,
        "index \"kinds\".\"late_index\"",
    ),
    (
        "ALTER TABLE kinds.one ADD CONSTRAINT late_unique UNIQUE (n, id)",
        MISSING,
        "unique constraint \"late_unique\" on \"kinds\".\"one\"",
    ),
    (
        "ALTER TABLE kinds.two ADD CONSTRAINT late_check CHECK (a > 0)",
        MISSING,
        "check constraint \"late_check\" on \"kinds\".\"two\"",
    ),
    (
        "ALTER TABLE kinds.two ADD CONSTRAINT late_key FOREIGN KEY (b) REFERENCES kinds.one (id) NOT VALID",
        MISSING,
        "foreign key \"late_key\" on \"kinds\".\"two\"",
    ),
    (
        "CREATE TRIGGER late_trigger AFTER DELETE ON kinds.one FOR EACH ROW EXECUTE FUNCTION kinds.fire()",
        MISSING,
        "trigger \"late_trigger\" on \"kinds\".\"one\"",
    ),
    (
        "CREATE VIEW kinds.\"late view\" AS SELECT 1 AS x",
        MISSING,
        "view \"kinds\".\"late view\"",
    ),
    (
        "CREATE MATERIALIZED VIEW kinds.late_kept AS SELECT 1 AS x",
        MISSING,
        "materialized view \"kinds\".\"late_kept\"",
    ),
    (
        "CREATE FUNCTION kinds.late_function(int, kinds.color) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        MISSING,
        "function \"kinds\".\"late_function\"(integer, kinds.color)",
    ),
    (
        "CREATE TYPE kinds.late_type AS ENUM ('a')",
        MISSING,
        "\"kinds\".\"late_type\"",
    ),
    (
        "CREATE POLICY late_policy ON kinds.one",
        MISSING,
        "policy \"late_policy\" on \"kinds\".\"one\"",
    ),
    (
        "CREATE SCHEMA late_schema",
        MISSING,
        "schema \"late_schema\"",
    ),
    (
        "ALTER TABLE kinds.one ALTER code DROP DEFAULT, ALTER during SET NOT NULL",
        DIFFERENT,
        "\"kinds\".\"one\".\"code\" (default: false on the source, true on the destination), \
      \"kinds\".\"one\".\"during\" (NOT NULL: true on the source, false on the destination)",
    ),
    (
        "ALTER TABLE kinds.one ENABLE TRIGGER second",
        DIFFERENT,
        "trigger \"second\" on \"kinds\".\"one\" (enabled: O on the source, D on the destination)",
    ),
    (
        "CREATE OR REPLACE FUNCTION kinds.add(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT a - b'",
        DIFFERENT,
        "function \"kinds\".\"add\"(integer, integer) (volatility: v on the source, i on the destination; strict:",
    ),
    (
        "ALTER VIEW kinds.safe RESET (security_barrier)",
        DIFFERENT,
        "view \"kinds\".\"safe\" (options: none on the source, security_barrier=true on the destination)",
    ),
    (
        "ALTER TABLE kinds.two NO FORCE ROW LEVEL SECURITY",
        DIFFERENT,
        "table \"kinds\".\"two\" (forced row security: false on the source, true on the destination)",
    ),
    (
        "DROP INDEX kinds.by_hash; CREATE UNIQUE INDEX by_hash ON kinds.two (a, b)",
        DIFFERENT,
        "index \"kinds\".\"by_hash\" (unique: true on the source, false on the destination; method: btree on the source",
    ),
];

#[test]
fn ddl_after_the_copy_is_told_before_the_switch_and_can_be_brought() {
    let pair = moved((15, 18));
    for (sql, _, _) in LATER {
        pair.on_source(sql);
    }
    // What is told in one line may be shortened there, so a kind has few here.
    let check = pair.run(&["check"]).expect(0);
    let verify = pair.run(&["verify", "-q"]).expect(0);
    for said in [&check.stdout, &verify.stderr] {
        for (sql, how, told) in LATER {
            let line = said
                .lines()
                .find(|line| line.contains(how) && line.contains(told));
            assert!(line.is_some(), "{sql}: {how}{told}\n{said}");
        }
        assert!(
            said.contains("; copy --create-schema creates it\n"),
            "{said}"
        );
    }
    // What is missing can be brought, foreign keys behind the next cycle; what differs is left alone.
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    let verify = pair.run(&["verify", "-q"]).expect(0);
    let missing = verify.stderr.lines().filter(|line| line.contains(MISSING));
    let told = "check constraint \"late_check\" on \"kinds\".\"two\"; create it there";
    assert!(
        missing.clone().count() == 1 && missing.clone().all(|line| line.ends_with(told)),
        "{}",
        verify.report()
    );
    assert!(verify.stderr.contains(DIFFERENT), "{}", verify.report());
    // A foreign key that will be made later is not missing.
    pair.on_destination(
        "ALTER TABLE kinds.two DROP CONSTRAINT late_key;
         UPDATE switchover.postponed SET done_at = NULL WHERE constraint_name = 'late_key'",
    );
    let check = pair.run(&["check"]).expect(0);
    assert!(!check.stdout.contains("late_key"), "{}", check.report());
    let switch = pair.run(&["switch", "-q"]).expect(0);
    assert!(switch.stderr.contains(DIFFERENT), "{}", switch.report());
}

#[test]
fn a_selection_is_compared_as_far_as_it_is_moved() {
    let pair = Pair::new(15, 18);
    let tables = "CREATE TABLE taken (id int PRIMARY KEY, other int, x int);
                  CREATE TABLE left_out (id int PRIMARY KEY, x int);
                  CREATE TABLE split (id int PRIMARY KEY) PARTITION BY RANGE (id);";
    pair.on_both(tables);
    pair.on_destination("CREATE TABLE split_all PARTITION OF split DEFAULT");
    pair.on_source(
        "CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (10);
         CREATE INDEX split_1_own ON split_1 (id);
         ALTER TABLE taken ADD FOREIGN KEY (other) REFERENCES left_out;
         CREATE INDEX taken_x ON taken (x); CREATE INDEX left_out_x ON left_out (x);
         CREATE INDEX one_name ON taken (other);
         CREATE VIEW v AS SELECT 1 AS x; CREATE SEQUENCE s",
    );
    pair.on_destination("CREATE INDEX other_name ON taken (other)");
    pair.run(&["init", "-q", "-t", "taken", "-t", "split"])
        .expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    let verify = pair.run(&["verify", "-q"]).expect(0);
    let told = "missing on the destination: index \"public\".\"taken_x\"; create it there, unless";
    assert!(verify.stderr.contains(told), "{}", verify.report());
    assert_eq!(verify.stderr.lines().count(), 1, "{}", verify.report());
}
