//! Foreign keys that are away come back, whatever is killed when.

use super::super::judge;
use super::setting::{CHANGES, ROWS, Reach, SCHEMA, Setting, states};
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Running;
use crate::support::proxy::{Action, Proxy};
use crate::support::stage::{APPLY, CONFIRM, FLIP, LIMIT, LOCK, expect_source_in_charge, flipped};
use crate::support::wait_for;
use crate::support::workload::{self, Kind, Workload};

/// A plain owner's pair behind wires.
struct Wired {
    setting: Setting,
    source: Proxy,
    destination: Proxy,
}

const SWITCH: &[&str] = &["switch", "--unverified", "--interval=0.05"];

fn wired() -> Wired {
    let mut pair = Pair::new(15, 18);
    let source = Proxy::start(&pair.source);
    let destination = Proxy::start(&pair.destination);
    pair.source_uri = source.uri(DATABASE);
    pair.destination_uri = destination.uri(DATABASE);
    let setting = Setting::new(pair, Reach::Owner, Reach::Owner);
    setting.on_both(SCHEMA);
    setting.pair.on_source(ROWS);
    Wired {
        setting,
        source,
        destination,
    }
}

impl Wired {
    fn kill(&self, running: Running) {
        running.kill();
        for wire in [&self.source, &self.destination] {
            // In this order: what was kept back never arrives.
            wire.reset();
            wire.release();
        }
        wait_for("the advisory lock", LIMIT, || {
            let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
            self.setting.pair.on_source(held) == "0"
        });
    }
}

/// The foreign keys of the destination, and how many of them are valid.
fn foreign_keys(setting: &Setting) -> String {
    setting.pair.on_destination(
        "SELECT count(*) || ' ' || count(*) FILTER (WHERE convalidated) FROM pg_constraint
          WHERE contype = 'f' AND conparentid = 0 AND connamespace = 'shop'::regnamespace",
    )
}

/// All of them, one NOT VALID for ever.
const ALL: &str = "7 6";
const NONE: &str = "0 0";
/// Made by the final cycle, unchecked.
const MADE: &str = "7 0";

#[test]
fn a_switch_killed_between_the_two_commits_is_run_again() {
    let wired = wired();
    let setting = &wired.setting;
    setting.on_both(workload::SCHEMA);
    let (source, destination) = (&setting.pair.source, &setting.pair.destination);
    let writers = Workload::start(
        &source.uri(DATABASE),
        &destination.uri(DATABASE),
        &Kind::all(),
    );
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q", "--truncate"]).expect(0);
    assert_eq!(foreign_keys(setting), NONE);
    wired.source.at(FLIP, Action::HoldBefore);
    let running = setting.program(SWITCH).spawn();
    wired.source.wait_until_hit(LIMIT);
    assert_eq!(foreign_keys(setting), MADE);
    wired.kill(running);
    assert!(!flipped(&setting.pair));
    // What would fail, or take other rows along, if they were still there.
    setting.pair.on_source(CHANGES);
    writers.wait_for_more(50);
    setting.run(&["sync", "-q"]).expect(0);
    assert_eq!(foreign_keys(setting), NONE);
    // An answer that never came, with the destination's commit done.
    wired.source.at(FLIP, Action::CutBefore);
    expect_source_in_charge(setting.run(SWITCH), 1);
    assert_eq!(foreign_keys(setting), MADE);
    writers.wait_for_more(50);
    wired.destination.forget_trips();
    setting.run(SWITCH).expect(0);
    assert_eq!(foreign_keys(setting), ALL);
    // All of it in the one message that the window has for the destination.
    let trips = wired.destination.trips();
    let made = |sql: &str| sql.contains("ADD CONSTRAINT") && sql.contains(CONFIRM);
    let last = trips.iter().rfind(|trip| trip.sql.contains(APPLY));
    assert!(last.is_some_and(|trip| made(&trip.sql)), "{last:?}");
    writers.wait_until_moved();
    writers.wait_for_more(50);
    writers.stop().check(&mut setting.pair.destination_client());
    crate::support::compare::assert_same_schema(&setting.pair);
}

#[test]
fn a_switch_killed_while_it_checks_foreign_keys_is_completed_by_the_next() {
    let wired = wired();
    let setting = &wired.setting;
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    for (wire, text, action) in [
        (&wired.source, FLIP, Action::HoldReply),
        (
            &wired.destination,
            "VALIDATE CONSTRAINT",
            Action::HoldBefore,
        ),
    ] {
        wire.at(text, action);
        let running = setting.program(&[SWITCH, &["--jobs=1"]].concat()).spawn();
        wire.wait_until_hit(LIMIT);
        wired.kill(running);
        assert!(flipped(&setting.pair));
        assert_eq!(foreign_keys(setting), MADE);
        setting
            .run(&["status"])
            .expect(0)
            .expect_stdout("are NOT VALID: run switch again to check their rows");
    }
    // One that was dropped by somebody since is not made again on a database that is in charge.
    setting
        .pair
        .on_destination("ALTER TABLE shop.customer DROP CONSTRAINT customer_boss");
    setting
        .run(SWITCH)
        .expect(0)
        .expect_stderr("foreign key customer_boss on shop.customer is not there any more")
        .expect_stderr("the rows of 6 foreign keys are checked");
    assert_eq!(foreign_keys(setting), "6 5");
    setting.run(SWITCH).expect(0);
    setting.run(&["drop", "-q"]).expect(0);
}

/// A row that the destination alone has: nothing else can break a foreign key that the source has kept.
const ORPHAN: &str = "INSERT INTO shop.line VALUES (9999, 1, 'orphan')";

#[test]
fn a_drop_on_the_way_brings_back_what_was_there() {
    let wired = wired();
    let setting = &wired.setting;
    let before = states(&setting.pair);
    let schema = crate::support::compare::schema(&setting.pair.destination, DATABASE);
    for (wire, text) in [
        (&wired.destination, "COPY "),
        (&wired.destination, CONFIRM),
        (&wired.destination, APPLY),
        (&wired.source, FLIP),
    ] {
        setting.run(&["init", "-q"]).expect(0);
        if text != "COPY " {
            setting.run(&["copy", "-q", "--truncate"]).expect(0);
            let touched = "UPDATE shop.customer SET email = email || '.' WHERE id < 20;
                           UPDATE shop.event SET what = what || '.'";
            setting.pair.on_source(touched);
        }
        let hits = wire.hits();
        wire.at(text, Action::HoldBefore);
        let verb = match text {
            // With another at work, tables could be there by then whose foreign keys cannot be checked.
            "COPY " => &["copy", "--jobs=1"][..],
            CONFIRM => &["sync", "--max-pending=2"],
            _ => SWITCH,
        };
        let running = setting.program(verb).spawn();
        wait_for("the wire to stop it", LIMIT, || wire.hits() > hits);
        wired.kill(running);
        // Nothing of what a transaction switches off outlives it.
        assert_eq!(before, states(&setting.pair), "killed at {text}");
        setting.run(&["drop", "-q"]).expect(0);
        let after = crate::support::compare::schema(&setting.pair.destination, DATABASE);
        assert_eq!(schema, after, "killed at {text}");
        setting.no_trace();
    }
    // What cannot be checked is named, and stays NOT VALID.
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q", "--truncate"]).expect(0);
    setting.pair.past_the_guard(ORPHAN);
    let outcome = setting.run(&["drop"]).expect(0);
    let named = "1 foreign key could not be made, or not be checked, on the destination: foreign key line_invoice on shop.line: ";
    assert!(outcome.stderr.contains(named), "{}", outcome.report());
    assert_eq!(foreign_keys(setting), "7 5");
    setting.no_trace();
}

#[test]
fn rows_that_break_a_foreign_key_are_told_after_the_switch() {
    let wired = wired();
    let setting = &wired.setting;
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    setting.pair.past_the_guard(ORPHAN);
    setting.run(SWITCH).expect(0).expect_stderr(
        "1 foreign key on the destination is NOT VALID: foreign key line_invoice on shop.line: ",
    );
    assert_eq!(foreign_keys(setting), "7 5");
    setting
        .pair
        .on_destination("DELETE FROM shop.line WHERE invoice = 9999");
    setting.run(SWITCH).expect(0);
    assert_eq!(foreign_keys(setting), ALL);
    judge(&setting.pair);
}

/// What somebody makes on the destination while cycles go on.
#[test]
fn what_is_made_on_the_destination_meanwhile_does_not_act() {
    let wired = wired();
    let setting = &wired.setting;
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    let mut running = setting
        .program(&["sync", "--follow", "--interval=0.01"])
        .spawn();
    running.wait_for_stderr("nothing has changed", LIMIT);
    setting.on_destination(
        "CREATE TRIGGER late BEFORE INSERT ON shop.customer FOR EACH ROW EXECUTE FUNCTION shop.refuse()",
    );
    setting
        .pair
        .on_source("UPDATE shop.customer SET email = email || '?' WHERE id = 50");
    running.wait_for_stderr("2 changes in 2 tables", LIMIT);
    setting.on_destination(
        "DROP TRIGGER late ON shop.customer;
         ALTER TABLE shop.invoice ADD CONSTRAINT invoice_customer
             FOREIGN KEY (customer) REFERENCES shop.customer ON DELETE CASCADE ON UPDATE CASCADE NOT VALID",
    );
    setting
        .pair
        .on_source("UPDATE shop.customer SET email = email || '?' WHERE id = 50");
    running
        .wait(LIMIT)
        .expect(1)
        .expect_stderr("foreign key invoice_customer would act on rows of table shop.customer");
    // And nothing was taken along.
    let invoices = "SELECT count(*) FROM shop.invoice";
    let (here, there) = (
        setting.pair.on_source(invoices),
        setting.pair.on_destination(invoices),
    );
    assert_eq!(here, there);
    setting.run(&["sync", "-q"]).expect(0);
    setting.compare_rows();
    setting.run(SWITCH).expect(0);
    judge(&setting.pair);
}

/// The first attempt has made them, and they would act on what the next one writes.
#[test]
fn a_second_attempt_of_the_same_switch_takes_them_away_first() {
    let wired = wired();
    let setting = &wired.setting;
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    setting.pair.on_source(
        "CREATE SEQUENCE switchover.tries; GRANT USAGE ON SEQUENCE switchover.tries TO PUBLIC;
         CREATE FUNCTION switchover.refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('switchover.tries') = 1 THEN
                 RAISE EXCEPTION 'no flip yet' USING ERRCODE = '55000';
             END IF;
             RETURN NEW;
         END$$;
         CREATE TRIGGER refuse_once BEFORE UPDATE ON switchover.state
             FOR EACH ROW WHEN (NEW.use_next_db) EXECUTE FUNCTION switchover.refuse_once()",
    );
    wired.source.at(FLIP, Action::HoldBefore);
    let running = setting.program(SWITCH).spawn();
    wired.source.wait_until_hit(LIMIT);
    assert_eq!(foreign_keys(setting), MADE);
    wired.source.at(LOCK, Action::HoldBefore);
    wired.source.release();
    wait_for("the second attempt", LIMIT, || wired.source.hits() == 2);
    assert_eq!(foreign_keys(setting), NONE);
    setting.pair.on_source(CHANGES);
    wired.source.release();
    running.wait(LIMIT).expect(0).expect_stderr("no flip yet");
    assert_eq!(foreign_keys(setting), ALL);
    judge(&setting.pair);
}

#[test]
fn a_grant_on_the_way_brings_them_back_and_its_loss_takes_them_away() {
    let wired = wired();
    let setting = &wired.setting;
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    let grant = "SET ON PARAMETER session_replication_role";
    setting
        .pair
        .on_destination(&format!("GRANT {grant} TO keeper"));
    setting.pair.on_source(CHANGES);
    setting.run(&["sync", "-q"]).expect(0);
    assert_eq!(foreign_keys(setting), ALL);
    setting
        .pair
        .on_destination(&format!("REVOKE {grant} FROM keeper"));
    setting
        .pair
        .on_source("DELETE FROM shop.customer WHERE id = 40");
    setting.run(&["sync", "-q"]).expect(0);
    assert_eq!(foreign_keys(setting), NONE);
    setting.run(SWITCH).expect(0);
    judge(&setting.pair);
}
