//! Roles: superusers, owners, owners with a grant, and what managed services leave of them.

mod grants;
mod killed;
mod setting;

use super::judge;
use crate::support::pair::Pair;
use crate::support::thorough;
use setting::{CHANGES, ROWS, Reach, SCHEMA, Setting, states};

/// Moves the shop, with every verb, while rows change in every way.
fn moved(setting: &Setting, create_schema: bool) {
    let pair = &setting.pair;
    pair.on_source(ROWS);
    let before = (!create_schema).then(|| states(pair));
    let schema: &[&str] = if create_schema {
        &["--create-schema"]
    } else {
        // What was there before is thrown away, without a word from its triggers.
        pair.on_destination(
            "INSERT INTO shop.customer VALUES (1, 'junk');
             INSERT INTO shop.invoice VALUES (1, 1, 1, 1)",
        );
        &["--truncate"]
    };
    setting.run_with("check", schema).expect(0);
    setting.run(&["init"]).expect(0);
    let copied = setting.run_with("copy", schema).expect(0);
    let away = "foreign keys of the destination are away until the switch";
    assert_eq!(
        copied.stderr.contains(away),
        setting.as_owner(),
        "{}",
        copied.report()
    );
    setting.compare_rows();
    setting.changed_rows_only(|| {
        pair.on_source(CHANGES);
        setting.run(&["sync"]).expect(0);
    });
    setting.compare_rows();
    setting.changed_rows_only(|| {
        pair.on_source(
            "UPDATE shop.invoice SET total = 0 WHERE id BETWEEN 10 AND 20;
             UPDATE shop.customer SET email = 'new' || id WHERE id > 20;
             TRUNCATE shop.told",
        );
        setting.run(&["sync", "--max-pending", "2"]).expect(0);
    });
    setting.compare_rows();
    setting.run(&["verify"]).expect(0);
    let status = setting.run(&["status"]).expect(0);
    assert_eq!(
        status.stdout.contains("are made at the switch"),
        setting.as_owner(),
        "{}",
        status.report()
    );
    // For the window.
    pair.on_source(
        "UPDATE shop.invoice SET total = 1 WHERE id = 30; DELETE FROM shop.customer WHERE id = 33;
         INSERT INTO shop.told VALUES (4, 'd')",
    );
    let switched = setting.run(&["switch"]).expect(0);
    assert_eq!(
        switched.stderr.contains("are checked"),
        setting.as_owner(),
        "{}",
        switched.report()
    );
    // Schema public is everyone's before 15.
    match (pair.source.version() < 15) == (pair.destination.version() < 15) {
        true => judge(pair),
        false => setting.compare_rows(),
    }
    if let Some(before) = before {
        assert_eq!(before, states(pair));
    }
    let status = setting.run(&["status"]).expect(0);
    assert!(
        !status.stdout.contains("foreign keys"),
        "{}",
        status.report()
    );
    // It is alive there: triggers fire, and foreign keys act.
    pair.on_destination("DELETE FROM shop.customer WHERE id = 8");
    assert_eq!(
        pair.on_destination("SELECT count(*) FROM shop.invoice WHERE customer = 8"),
        "0"
    );
    setting.run(&["drop", "--force"]).expect(0);
    setting.no_trace();
}

fn both_ways(source: Reach, destination: Reach) {
    let mut setting = Setting::new(Pair::new(15, 18), source, destination);
    setting.on_both(SCHEMA);
    moved(&setting, false);
    setting.begin_anew();
    setting.on_source(SCHEMA);
    moved(&setting, true);
}

#[test]
fn superusers_move_everything() {
    both_ways(Reach::Superuser, Reach::Superuser);
}

#[test]
fn plain_owners_move_everything() {
    both_ways(Reach::Owner, Reach::Owner);
}

#[test]
fn an_owner_who_may_set_the_replication_role_moves_everything() {
    both_ways(Reach::Owner, Reach::Granted);
}

#[test]
fn an_administrator_of_a_managed_service_moves_everything() {
    both_ways(Reach::Managed, Reach::Managed);
}

#[test]
fn owners_move_everything_between_other_versions() {
    let mut versions = vec![(15, 15)];
    if thorough() {
        versions.extend([(13, 14), (14, 17), (16, 18), (18, 18)]);
    }
    for (source, destination) in versions {
        let setting = Setting::new(Pair::new(source, destination), Reach::Owner, Reach::Owner);
        setting.on_both(SCHEMA);
        moved(&setting, false);
    }
}
