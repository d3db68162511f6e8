//! Transactions that were prepared (two-phase commit) before the flip.

use super::{ROWS, TABLES, assert_refused, contents, stage, switch};
use crate::support::compare;
use crate::support::pair::Pair;
use crate::support::stage::{Stage, expect_source_in_charge};

const IMPATIENT: [&str; 5] = [
    "switch",
    "--unverified",
    "--lock-timeout=300",
    "--lock-attempts=2",
    "--interval=0.05",
];
const MEND: &str = "COMMIT PREPARED or ROLLBACK PREPARED ends it, and nothing else does";

fn with_source(version: u32) -> Stage {
    let stage = Stage::new(Pair::new(version, 18));
    stage.pair.on_both(TABLES);
    stage.pair.on_source(ROWS);
    stage
}

/// On either version: how pg_locks shows prepared transactions is no matter of course.
#[test]
fn one_that_wrote_is_waited_for_and_cannot_be_terminated() {
    for (version, end) in [(15, "COMMIT"), (18, "ROLLBACK")] {
        let stage = with_source(version);
        stage.pair.run(&["init", "-q"]).expect(0);
        stage.pair.run(&["copy", "-q"]).expect(0);
        stage.pair.on_source(
            "BEGIN; UPDATE plain SET n = 0 WHERE id = 1; PREPARE TRANSACTION 'it is not over'",
        );
        let mut impatient = IMPATIENT.to_vec();
        impatient.push("--terminate-blockers");
        expect_source_in_charge(stage.pair.run(&impatient), 4)
            .expect_stderr("prepared transaction 'it is not over' (user postgres, ")
            .expect_stderr(MEND);
        stage
            .pair
            .on_source(&format!("{end} PREPARED 'it is not over'"));
        switch(&stage);
        compare::assert_equal(&stage.pair);
    }
}

/// It holds no lock that the switch waits for, and has nothing that its commit could bring.
#[test]
fn one_that_wrote_nothing_that_moves_commits_after_the_flip_and_brings_nothing() {
    let stage = with_source(15);
    stage.pair.on_source(
        "CREATE TABLE elsewhere (id int PRIMARY KEY); CREATE TABLE apart (id int); CREATE SEQUENCE drawn;
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN INSERT INTO plain VALUES (NEW.id, 0); RETURN NULL; END$$;
         CREATE CONSTRAINT TRIGGER note AFTER INSERT ON elsewhere DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION note()",
    );
    stage
        .pair
        .run(&[
            "init",
            "-q",
            "-t",
            "public.p*",
            "-t",
            "keyless",
            "-t",
            "child",
        ])
        .expect(0);
    stage.pair.run(&["copy", "-q"]).expect(0);
    stage.pair.on_source(
        "BEGIN; SELECT * FROM plain FOR UPDATE; SELECT nextval('drawn');
         INSERT INTO apart VALUES (1); PREPARE TRANSACTION 'reads plain'",
    );
    let mut begun = stage.pair.source_client();
    begun
        .batch_execute("BEGIN; INSERT INTO elsewhere VALUES (502)")
        .unwrap();
    let before = contents(&stage);
    switch(&stage);
    stage.pair.on_source("COMMIT PREPARED 'reads plain'");
    // What is deferred is done, and refused, before a transaction can be prepared.
    assert_refused(
        "a preparation",
        begun.batch_execute("PREPARE TRANSACTION 'late'"),
    );
    assert_eq!(stage.pair.on_source("SELECT * FROM apart"), "1");
    assert_eq!(stage.pair.on_source("SELECT * FROM elsewhere"), "");
    assert_eq!(stage.pair.on_source("SELECT * FROM pg_prepared_xacts"), "");
    assert_eq!(contents(&stage), before);
}

/// What it wrote was not captured: the triggers come when it has ended.
#[test]
fn one_that_wrote_before_init_is_waited_for_by_init() {
    let stage = with_source(15);
    stage.pair.on_source(
        "BEGIN; UPDATE plain SET n = 77 WHERE id = 1; PREPARE TRANSACTION 'older than init'",
    );
    stage
        .pair
        .run(&["init", "--lock-timeout=300", "--lock-attempts=2"])
        .expect(4)
        .expect_stderr("could not capture table \"public\".\"plain\"")
        .expect_stderr("prepared transaction 'older than init' (user postgres, ")
        .expect_stderr(MEND);
    stage.pair.on_source("COMMIT PREPARED 'older than init'");
    stage.pair.run(&["init", "-q"]).expect(0);
    stage.pair.run(&["copy", "-q"]).expect(0);
    switch(&stage);
    compare::assert_equal(&stage.pair);
    assert_eq!(
        stage
            .pair
            .on_destination("SELECT n FROM plain WHERE id = 1"),
        "77"
    );
}

#[test]
fn nothing_can_be_written_and_prepared_after_the_flip() {
    let stage = stage();
    let before = contents(&stage);
    switch(&stage);
    let mut client = stage.pair.source_client();
    let write = "BEGIN; UPDATE plain SET n = -1; PREPARE TRANSACTION 'late'";
    assert_refused("a write", client.batch_execute(write));
    assert_eq!(contents(&stage), before);
}
