//! Promise 4: the pointer flips only after the destination has durably committed the final state.

use crate::support::compare;
use crate::support::pair::DATABASE;
use crate::support::proxy::Action;
use crate::support::stage::{APPLY, FLIP, LIMIT, Stage, expect_source_in_charge};
use crate::support::workload::{self, Isolation, Kind, Workload};

const SWITCH: &[&str] = &["switch", "--unverified", "--interval=0.05"];

/// Writers of the kinds that differ most, and a stage where they have been at work since before the copy.
fn stage_with_writers() -> (Stage, Workload) {
    let stage = Stage::new(crate::support::pair::Pair::new(15, 18));
    stage.pair.on_both(workload::SCHEMA);
    let kinds = [
        Kind::Journal,
        Kind::Transfer(Isolation::Serializable),
        Kind::Counter,
        Kind::Slot,
    ];
    let writers = Workload::start(
        &stage.pair.source.uri(DATABASE),
        &stage.pair.destination.uri(DATABASE),
        &kinds,
    );
    stage.pair.run(&["init", "-q"]).expect(0);
    stage.pair.run(&["copy", "-q", "--truncate"]).expect(0);
    (stage, writers)
}

/// The source is in charge and writable; the same command ends well, and everything acknowledged is there.
fn switch_again(stage: &Stage, writers: Workload) {
    assert!(!stage.flipped());
    assert_eq!(writers.moved(), 0);
    writers.wait_for_more(50);
    stage.pair.run(SWITCH).expect(0);
    assert!(stage.flipped());
    writers.wait_until_moved();
    writers.wait_for_more(20);
    writers.stop().check(&mut stage.pair.destination_client());
}

fn after_losing_the_apply_message(action: Action) {
    let (stage, writers) = stage_with_writers();
    stage.destination_wire.at(APPLY, action);
    let outcome = expect_source_in_charge(stage.pair.run(SWITCH), 1);
    assert!(
        outcome.stderr.contains("on the destination"),
        "{}",
        outcome.report()
    );
    assert_eq!(stage.destination_wire.hits(), 1);
    switch_again(&stage, writers);
}

#[test]
fn a_final_state_that_never_arrived_flips_nothing() {
    after_losing_the_apply_message(Action::CutBefore);
}

#[test]
fn a_final_state_whose_answer_was_lost_flips_nothing() {
    after_losing_the_apply_message(Action::DropReply);
}

#[test]
fn a_final_state_that_the_destination_refuses_at_its_commit_flips_nothing() {
    let (stage, writers) = stage_with_writers();
    stage.pair.on_destination(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$BEGIN RAISE EXCEPTION 'no final state today'; END$$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON switchover.confirmation
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.final) EXECUTE FUNCTION public.refuse();
         ALTER TABLE switchover.confirmation ENABLE ALWAYS TRIGGER refuse",
    );
    expect_source_in_charge(stage.pair.run(SWITCH), 1).expect_stderr("no final state today");
    stage.pair.on_destination(
        "DROP TRIGGER refuse ON switchover.confirmation; DROP FUNCTION public.refuse",
    );
    switch_again(&stage, writers);
}

#[test]
fn a_destination_that_stops_in_the_window_flips_nothing() {
    let (stage, writers) = stage_with_writers();
    stage.destination_wire.at(APPLY, Action::HoldBefore);
    let running = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=20000"]].concat());
    stage.destination_wire.wait_until_hit(LIMIT);
    stage.pair.destination.stop_immediate();
    stage.destination_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1);
    writers.wait_for_more(50);
    stage.pair.destination.start_again();
    switch_again(&stage, writers);
}

#[test]
fn writers_do_not_wait_for_a_destination_that_does_not_answer() {
    let (stage, writers) = stage_with_writers();
    stage.destination_wire.at(APPLY, Action::HoldReply);
    let running = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=500"]].concat());
    stage.destination_wire.wait_until_hit(LIMIT);
    // The answer is still on its way; the source has taken its lock back by itself.
    writers.wait_for_more(50);
    stage.destination_wire.release();
    expect_source_in_charge(running.wait(LIMIT), 1);
    switch_again(&stage, writers);
}

#[test]
fn rows_and_sequences_are_on_the_destination_when_the_flip_is_sent() {
    let stage = Stage::copied(
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int);
         CREATE SEQUENCE s INCREMENT 7; CREATE SEQUENCE never;",
        "INSERT INTO t (n) SELECT i FROM generate_series(1, 100) i",
    );
    stage
        .source_wire
        .at(crate::support::stage::LOCK, Action::HoldBefore);
    let running = stage
        .pair
        .spawn(&[SWITCH, &["--lock-timeout=60000"]].concat());
    stage.source_wire.wait_until_hit(LIMIT);
    stage.pair.on_source(
        "INSERT INTO t (n) VALUES (101), (102); DELETE FROM t WHERE n < 5; SELECT nextval('s'), nextval('s')",
    );
    stage.source_wire.at(FLIP, Action::HoldBefore);
    stage.source_wire.release();
    crate::support::wait_for("the flip", LIMIT, || stage.source_wire.hits() == 2);
    assert!(!stage.flipped());
    compare::assert_equal(&stage.pair);
    stage.source_wire.release();
    running.wait(LIMIT).expect(0);
    assert!(stage.flipped());
    compare::assert_equal(&stage.pair);
}

/// Two servers cannot be read at one moment; whatever lies between the two must not look like a flip that was lost.
#[test]
fn a_status_that_a_switch_overtakes_names_one_database() {
    let stage = Stage::copied("CREATE TABLE t (id int PRIMARY KEY)", "");
    // The source's state has been read by then.
    stage
        .source_wire
        .at("switchover.logged()", Action::HoldReply);
    let status = stage.pair.spawn(&["status", "--json"]);
    stage.source_wire.wait_until_hit(LIMIT);
    stage.pair.run(SWITCH).expect(0);
    stage.source_wire.release();
    let status = status.wait(LIMIT).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["in_charge"], "source");
    let status = stage.pair.run(&["status", "--json"]).expect(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["in_charge"], "destination");
}
