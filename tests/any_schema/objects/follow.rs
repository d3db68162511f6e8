//! Partitions and sequences that come on the source after the copy: created on the destination where
//! `copy --create-schema` made the schema, else refused with what is to be done.

use super::bring::{BY_HAND, FIRST, PARTITIONS, moved};
use crate::any_schema::judge;
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::stage::LIMIT;
use crate::support::wait_for;

const SEQUENCES: &str = "
CREATE SEQUENCE app.\"new \"\"one\"\"\" AS smallint INCREMENT -3 MINVALUE -50 MAXVALUE 20 START 11 CACHE 2 CYCLE;
GRANT USAGE ON SEQUENCE app.\"new \"\"one\"\"\" TO reader;
SELECT nextval('app.\"new \"\"one\"\"\"');
";

#[test]
fn new_partitions_and_sequences_are_created_by_the_next_sync() {
    let pair = moved();
    pair.on_source(PARTITIONS);
    pair.on_source(SEQUENCES);
    let sync = pair.run(&["sync"]).expect(0);
    assert!(
        sync.stderr
            .contains("creating on the destination: partition"),
        "{}",
        sync.report()
    );
    judge(&pair);
    // Also while cycles run, under writes to what is new.
    let mut sync = pair.spawn(&["sync", "--follow", "--interval=0.1"]);
    sync.wait_for_stderr("cycle", LIMIT);
    pair.on_source(
        "CREATE TABLE app.log_5 PARTITION OF app.log FOR VALUES FROM ('2024-06-01') TO ('2024-07-01');
         CREATE INDEX \"only this\" ON app.log_5 (id, note);
         INSERT INTO app.log (at, note) SELECT date '2024-06-01' + i % 30, 'late' FROM generate_series(1, 99) i;
         CREATE SEQUENCE app.another; SELECT nextval('app.another')",
    );
    wait_for("the new partition's rows and the sequence", LIMIT, || {
        let there = "SELECT to_regclass('app.log_5') IS NOT NULL AND to_regclass('app.another') IS NOT NULL";
        let rows = "SELECT count(*) FROM app.log WHERE note = 'late'";
        pair.on_destination(there) == "t" && pair.on_destination(rows) == "99"
    });
    sync.signal("INT");
    sync.wait(LIMIT).expect(0);
    pair.run(&["verify", "-q"]).expect(0);
    pair.on_source("CREATE TABLE app.log_6 PARTITION OF app.log DEFAULT; INSERT INTO app.log (at) VALUES ('2030-01-01')");
    pair.run(&["switch", "-q"]).expect(0);
    judge(&pair);
    let next = "SELECT nextval('app.\"new \"\"one\"\"\"')";
    // The source has given out 11, and 8 is in a cache.
    assert_eq!(pair.on_destination(next), "5");
}

#[test]
fn options_of_the_first_copy_hold_for_what_follows() {
    let pair = Pair::new(15, 18);
    // A role that the destination does not have.
    pair.on_source("CREATE ROLE reader");
    pair.on_source(FIRST);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q", "--create-schema", "-O", "-x"])
        .expect(0);
    pair.on_source(SEQUENCES);
    pair.on_source("ALTER SEQUENCE app.\"new \"\"one\"\"\" OWNER TO reader");
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn in_a_schema_of_the_users_a_new_sequence_is_refused_with_its_statement() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE ROLE reader");
    pair.on_source(FIRST);
    pair.on_destination(BY_HAND);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source(SEQUENCES);
    let sync = pair.run(&["sync", "-q"]).expect(1);
    let told = sync.last_line();
    assert!(
        told.contains("sequence \"app\".\"new \"\"one\"\"\" is missing on the destination"),
        "{told}"
    );
    let (_, statement) = told.split_once("; there: ").unwrap();
    pair.on_destination(statement);
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_renamed_sequence_is_not_taken_for_a_new_one() {
    let pair = moved();
    pair.on_source("ALTER SEQUENCE app.log_id_seq RENAME TO renamed");
    pair.run(&["sync", "-q"])
        .expect(1)
        .expect_stderr("sequence \"app\".\"log_id_seq\" is now called \"app\".\"renamed\"");
    pair.run(&["init", "-q"]).expect(0);
    for command in [&["copy", "-q"][..], &["copy", "-q", "--create-schema"]] {
        pair.run(command)
            .expect(1)
            .expect_stderr("ALTER SEQUENCE \"app\".\"log_id_seq\" RENAME TO \"renamed\" there");
    }
    pair.on_destination("ALTER SEQUENCE app.log_id_seq RENAME TO renamed");
    pair.run(&["copy", "-q"]).expect(0);
    // Nor is a partition.
    pair.on_source("CREATE TABLE app.log_2 PARTITION OF app.log FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')");
    pair.run(&["sync", "-q"]).expect(0);
    pair.on_source(
        "ALTER TABLE app.log_1 RENAME TO first; INSERT INTO app.log (at) VALUES ('2024-01-09')",
    );
    pair.run(&["sync", "-q"]).expect(0);
    let check = pair.run(&["check"]).expect(0);
    check.expect_stdout("missing on the destination: partition \"app\".\"first\"");
    pair.on_destination("ALTER TABLE app.log_1 RENAME TO first");
    judge(&pair);
}
