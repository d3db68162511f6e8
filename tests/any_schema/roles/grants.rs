//! What is missing is named, and enough once it is granted.

use super::super::judge;
use super::setting::{Reach, Setting};
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Outcome;

/// What belongs to whom, on both sides: `keeper` moves it, and is kept out of much of it.
const SCATTERED: &str = "
CREATE ROLE other LOGIN;
CREATE ROLE nobody LOGIN;
CREATE SCHEMA shop AUTHORIZATION keeper;
CREATE SCHEMA hidden;
SET ROLE keeper;
CREATE TABLE shop.mine (id int PRIMARY KEY, what text);
CREATE TABLE shop.forced (id int PRIMARY KEY, mine int REFERENCES shop.mine ON DELETE CASCADE);
ALTER TABLE shop.forced ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
RESET ROLE;
CREATE TABLE hidden.theirs (id int PRIMARY KEY, what text);
ALTER TABLE hidden.theirs OWNER TO other;
CREATE TABLE hidden.ours (id int PRIMARY KEY, mine int REFERENCES shop.mine);
ALTER TABLE hidden.ours OWNER TO keeper;
CREATE SEQUENCE shop.numbers;
ALTER SEQUENCE shop.numbers OWNER TO nobody;
CREATE FUNCTION shop.as_owner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN NEW.what := NEW.what || current_user; RETURN NEW; END';
ALTER FUNCTION shop.as_owner() OWNER TO keeper;
CREATE TRIGGER owned BEFORE INSERT ON hidden.theirs FOR EACH ROW EXECUTE FUNCTION shop.as_owner();
REVOKE CREATE, TEMPORARY ON DATABASE app FROM keeper, PUBLIC;
GRANT USAGE ON SCHEMA shop, hidden TO clerk;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA shop, hidden TO clerk;
";

const SCATTERED_ROWS: &str = "
INSERT INTO shop.mine SELECT i, 'm' FROM generate_series(1, 20) i;
INSERT INTO shop.forced SELECT i, i FROM generate_series(1, 20) i;
INSERT INTO hidden.theirs SELECT i, 't' FROM generate_series(1, 20) i;
INSERT INTO hidden.ours SELECT i, i FROM generate_series(1, 20) i;
SELECT setval('shop.numbers', 77);";

/// As a role that may write and is nobody's member.
const SCATTERED_CHANGES: &str = "
SET ROLE clerk;
UPDATE shop.mine SET what = 'changed' WHERE id < 5;
UPDATE hidden.theirs SET what = 'changed' WHERE id < 5;
INSERT INTO hidden.theirs VALUES (21, 'by ');
DELETE FROM hidden.ours WHERE id = 7;
UPDATE hidden.ours SET mine = 8 WHERE id = 6;
RESET ROLE;
DELETE FROM shop.forced WHERE id = 6;
DELETE FROM shop.mine WHERE id = 7;";

/// A pair whose databases belong to postgres, so that `keeper` has nothing but what it is given.
fn scattered(source: u32, destination: u32) -> Setting {
    let setting = Setting::new(Pair::new(source, destination), Reach::Owner, Reach::Owner);
    setting
        .pair
        .on_both("ALTER DATABASE app OWNER TO postgres; ALTER SCHEMA public OWNER TO postgres");
    setting
}

/// The lines that stop a switchover.
fn stops(outcome: &Outcome) -> Vec<String> {
    let stops = outcome
        .stdout
        .lines()
        .filter(|line| line.starts_with("stops: "));
    stops.map(str::to_owned).collect()
}

/// Does, as a superuser, what a line of `check` says, to the letter.
fn obey(setting: &Setting, line: &str) {
    let (message, mend) = line.split_once("; ").expect("a line has a mend");
    let begin = ["GRANT ", "ALTER ROLE ", "ALTER TABLE "];
    let at = begin.iter().filter_map(|word| mend.find(word)).min();
    let statement = &mend[at.unwrap_or_else(|| panic!("nothing to do in {line}"))..];
    let end = [" there", " on the destination", ", or "].iter();
    let end = end.filter_map(|word| statement.find(word)).min();
    let statement = statement[..end.unwrap_or(statement.len())].replace(", GRANT ", "; GRANT ");
    let destination =
        message.contains("the destination") || line.contains("there on the destination");
    match destination {
        true => setting.pair.on_destination(&statement),
        false => setting.pair.on_source(&statement),
    };
}

fn expect_stops(outcome: &Outcome, expected: &[&str]) {
    let found = stops(outcome);
    for line in expected {
        assert!(
            found.iter().any(|found| found.contains(line)),
            "no line {line}\n{}",
            outcome.report()
        );
    }
    assert_eq!(found.len(), expected.len(), "{}", outcome.report());
}

/// Obeys `check` until nothing stops, as often as one grant uncovers the next.
fn obey_all(setting: &Setting, options: &[&str]) {
    for _ in 0..3 {
        let outcome = setting.run_with("check", options);
        let lines = stops(&outcome);
        if lines.is_empty() {
            return;
        }
        lines.iter().for_each(|line| obey(setting, line));
    }
    panic!("{}", setting.run_with("check", options).report());
}

fn move_all(setting: &Setting, options: &[&str]) {
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&[&["copy", "-q"], options].concat()).expect(0);
    setting.pair.on_source(SCATTERED_CHANGES);
    setting.run(&["sync", "-q"]).expect(0);
    setting.run(&["verify", "-q"]).expect(0);
    setting.run(&["switch", "-q"]).expect(0);
}

#[test]
fn what_check_misses_is_enough_when_it_is_done_to_the_letter() {
    let setting = scattered(15, 18);
    setting.pair.on_both(SCATTERED);
    setting.pair.on_source(SCATTERED_ROWS);
    let outcome = setting.run(&["check"]).expect(3);
    expect_stops(
        &outcome,
        &[
            "role \"keeper\" may not create schema switchover on the source; GRANT CREATE ON DATABASE \"app\" TO \"keeper\" there",
            "role \"keeper\" may not create schema switchover on the destination; GRANT CREATE ON DATABASE \"app\" TO \"keeper\" there",
            "role \"keeper\" may not create temporary tables on the destination; GRANT TEMPORARY ON DATABASE \"app\" TO \"keeper\" there",
            "table \"hidden\".\"theirs\" on the source belongs to role \"other\", and capture triggers need the owner; connect as its owner or as a superuser, or GRANT \"other\" TO \"keeper\" there",
            "table \"hidden\".\"theirs\" on the destination belongs to role \"other\", and copy needs the owner; connect as its owner or as a superuser, or GRANT \"other\" TO \"keeper\" there",
            "may not read tables \"hidden\".\"ours\", \"hidden\".\"theirs\" on the source; GRANT USAGE ON SCHEMA \"hidden\" TO \"keeper\", GRANT SELECT ON TABLE \"hidden\".\"theirs\" TO \"keeper\" there",
            "may not load tables \"hidden\".\"ours\", \"hidden\".\"theirs\" on the destination; GRANT USAGE ON SCHEMA \"hidden\" TO \"keeper\", GRANT SELECT, INSERT, DELETE, TRUNCATE ON TABLE \"hidden\".\"theirs\" TO \"keeper\" there",
            "may not read sequence \"shop\".\"numbers\" on the source; GRANT SELECT ON SEQUENCE \"shop\".\"numbers\" TO \"keeper\" there",
            "may not set sequence \"shop\".\"numbers\" on the destination; GRANT SELECT, UPDATE ON SEQUENCE \"shop\".\"numbers\" TO \"keeper\" there",
            "row-level security of table \"shop\".\"forced\" on the source applies to role \"keeper\" and hides rows from it; ALTER ROLE \"keeper\" BYPASSRLS there, or ALTER TABLE \"shop\".\"forced\" NO FORCE ROW LEVEL SECURITY",
            "row-level security of table \"shop\".\"forced\" on the destination applies to role \"keeper\" and hides rows from it; ALTER ROLE \"keeper\" BYPASSRLS there, or ALTER TABLE \"shop\".\"forced\" NO FORCE ROW LEVEL SECURITY",
        ],
    );
    let note = "note: role \"keeper\" may not set session_replication_role on the destination: its foreign keys are away from copy until the switch";
    outcome
        .expect_stdout(note)
        .expect_stdout("GRANT SET ON PARAMETER session_replication_role TO \"keeper\" there to avoid that")
        .expect_stdout("role \"keeper\" may not end sessions of other roles on the source, so --terminate-blockers cannot; GRANT pg_signal_backend TO \"keeper\" there");
    obey_all(&setting, &[]);
    move_all(&setting, &[]);
    let grants = "REVOKE ALL ON DATABASE app FROM keeper; REVOKE ALL ON hidden.theirs FROM keeper;
                  REVOKE ALL ON SEQUENCE shop.numbers FROM keeper";
    setting.pair.on_both(grants);
    judge(&setting.pair);
}

#[test]
fn a_schema_is_created_by_an_owner_who_is_let_to() {
    let setting = scattered(15, 18);
    setting.pair.on_source(SCATTERED);
    setting.pair.on_source(SCATTERED_ROWS);
    setting.pair.on_source(
        "CREATE TABLE public.left_out (id int); CREATE SCHEMA apart; CREATE TABLE apart.far (id int)",
    );
    setting
        .pair
        .on_destination("CREATE ROLE other; CREATE ROLE nobody;");
    let options = ["--create-schema", "-N", "public", "-N", "apart"];
    let outcome = setting.run_with("check", &options).expect(3);
    for line in [
        "our role on the destination may not give objects to roles \"nobody\", \"other\", \"postgres\"; add --no-owner, or GRANT \"nobody\", \"other\", \"postgres\" TO \"keeper\" there",
        "role \"keeper\" may not read tables \"apart\".\"far\", \"public\".\"left_out\" on the source, which pg_dump locks for --create-schema though they are not moved; GRANT USAGE ON SCHEMA \"apart\" TO \"keeper\", GRANT SELECT ON TABLE \"apart\".\"far\", \"public\".\"left_out\" TO \"keeper\" there",
        "row-level security of table \"shop\".\"forced\" is forced on its owner too, and would keep role \"keeper\" out on the destination; ALTER ROLE \"keeper\" BYPASSRLS on the destination, or ALTER TABLE \"shop\".\"forced\" NO FORCE ROW LEVEL SECURITY on the source until the switch",
    ] {
        assert!(
            stops(&outcome).iter().any(|found| found.contains(line)),
            "no line {line}\n{}",
            outcome.report()
        );
    }
    // Who could give them is a superuser.
    for line in [
        "role \"other\" owns objects in schema \"hidden\" and may not create any there on the destination, so that only a superuser could give them to it; add --no-owner, or connect there as a superuser",
        "role \"nobody\" owns objects in schema \"shop\"",
    ] {
        assert!(outcome.stdout.contains(line), "{}", outcome.report());
    }
    let options = [&options[..], &["--no-owner"]].concat();
    // copy says the same by itself, before it makes anything.
    obey_all(&setting, &options);
    setting.pair.on_destination("ALTER ROLE keeper NOBYPASSRLS");
    setting
        .run(&[&["init", "-q"], &options[1..5]].concat())
        .expect(0);
    let refused = setting
        .run(&["copy", "--create-schema", "--no-owner"])
        .expect(1);
    assert!(
        refused
            .last_line()
            .contains("row-level security of table \"shop\".\"forced\" is forced"),
        "{}",
        refused.report()
    );
    let there = "SELECT count(*) FROM pg_class WHERE relname IN ('mine', 'theirs')";
    assert_eq!(setting.pair.on_destination(there), "0");
    setting.pair.on_destination("ALTER ROLE keeper BYPASSRLS");
    setting
        .run(&["copy", "-q", "--create-schema", "--no-owner"])
        .expect(0);
    setting.pair.on_source(SCATTERED_CHANGES);
    setting.run(&["sync", "-q"]).expect(0);
    setting.run(&["verify", "-q"]).expect(0);
    setting.run(&["switch", "-q"]).expect(0);
    // All is there, and belongs to the one who made it.
    setting.compare_rows();
}

#[test]
fn an_owner_may_do_without_other_owners() {
    let mut setting = Setting::new(Pair::new(15, 18), Reach::Owner, Reach::Owner);
    setting.pair.on_source(
        "CREATE ROLE other; GRANT other TO keeper;
         CREATE TABLE public.t (id int PRIMARY KEY, parent int REFERENCES public.t);
         ALTER TABLE public.t OWNER TO other;
         INSERT INTO public.t SELECT i, i FROM generate_series(1, 9) i",
    );
    let outcome = setting.run(&["check", "--create-schema"]).expect(3);
    expect_stops(
        &outcome,
        &["role \"other\" of the source is missing on the destination"],
    );
    let without = ["--create-schema", "--no-owner"];
    setting.run_with("check", &without).expect(0);
    setting
        .run(&[&["run", "-q"], &without[..]].concat())
        .expect(0);
    setting.compare_rows();
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 't'";
    assert_eq!(setting.pair.on_destination(owner), "keeper");
    setting.begin_anew();
}

/// Before 18 the foreign key of a partitioned table cannot be made without reading all of it.
#[test]
fn foreign_keys_of_partitioned_tables_ask_for_the_grant() {
    let setting = Setting::new(Pair::new(15, 15), Reach::Owner, Reach::Owner);
    let tables = "CREATE TABLE public.p (id int PRIMARY KEY);
         CREATE TABLE public.c (id int, p int CONSTRAINT c_p REFERENCES public.p, PRIMARY KEY (id)) PARTITION BY RANGE (id);
         CREATE TABLE public.c1 PARTITION OF public.c FOR VALUES FROM (0) TO (100);";
    setting.on_source(tables);
    setting
        .pair
        .on_source("INSERT INTO public.p VALUES (1); INSERT INTO public.c VALUES (1, 1)");
    let line = "foreign key c_p on public.c is of a partitioned table, which PostgreSQL 15 on the destination cannot make again without checking all rows, and our role may not set session_replication_role there; GRANT SET ON PARAMETER session_replication_role TO \"keeper\" there";
    let created = setting.run(&["check", "--create-schema"]).expect(3);
    expect_stops(&created, &[line]);
    setting.run(&["init", "-q"]).expect(0);
    let refused = setting.run(&["copy", "-q", "--create-schema"]).expect(1);
    assert!(refused.last_line().contains(line), "{}", refused.report());
    setting.on_destination(tables);
    let outcome = setting.run(&["check"]).expect(3);
    expect_stops(&outcome, &[line]);
    let refused = setting.run(&["copy", "-q"]).expect(1);
    assert!(refused.last_line().contains(line), "{}", refused.report());
    obey(&setting, &stops(&outcome)[0]);
    setting.run(&["check"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    // Without it again: no cycle, and no switch, may come between.
    setting
        .pair
        .on_destination("REVOKE SET ON PARAMETER session_replication_role FROM keeper");
    for verb in ["sync", "switch"] {
        let options: &[&str] = if verb == "switch" {
            &["--unverified"]
        } else {
            &[]
        };
        let refused = setting.run_with(verb, options).expect(1);
        assert!(refused.stderr.contains(line), "{}", refused.report());
    }
    obey(&setting, &stops(&outcome)[0]);
    setting.run(&["switch", "-q", "--unverified"]).expect(0);
    judge(&setting.pair);
}

/// A table that stays, of somebody else, refers to one that is moved.
#[test]
fn a_foreign_key_that_we_may_not_drop_is_named() {
    let setting = Setting::new(Pair::new(15, 18), Reach::Owner, Reach::Owner);
    setting.on_both("CREATE TABLE public.t (id int PRIMARY KEY)");
    setting.pair.on_source("INSERT INTO public.t VALUES (1)");
    setting.pair.on_destination(
        "CREATE ROLE other;
         CREATE TABLE public.stays (id int CONSTRAINT stays_t REFERENCES public.t ON DELETE CASCADE);
         ALTER TABLE public.stays OWNER TO other",
    );
    let outcome = setting.run(&["check"]).expect(3);
    expect_stops(
        &outcome,
        &[
            "foreign key stays_t on public.stays on the destination has to be away until the switch, and only role \"other\" may drop it; GRANT \"other\" TO \"keeper\" there, or GRANT SET ON PARAMETER session_replication_role TO \"keeper\" there",
        ],
    );
    setting.run(&["init", "-q"]).expect(0);
    setting
        .run(&["copy", "-q"])
        .expect(1)
        .expect_stderr("must be owner of table stays");
    obey(&setting, &stops(&outcome)[0]);
    setting.run(&["check"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    setting.run(&["switch", "-q", "--unverified"]).expect(0);
    let key = "SELECT convalidated FROM pg_constraint WHERE conname = 'stays_t'";
    assert_eq!(setting.pair.on_destination(key), "t");
}

/// Whoever may not end the sessions of others says so, and by which grant it might.
#[test]
fn blockers_that_may_not_be_ended_are_named_with_the_grant() {
    let setting = Setting::new(Pair::new(15, 18), Reach::Owner, Reach::Owner);
    setting.on_both(
        "CREATE TABLE public.t (id int PRIMARY KEY); GRANT SELECT, INSERT ON public.t TO clerk",
    );
    setting.run(&["init", "-q"]).expect(0);
    setting.run(&["copy", "-q"]).expect(0);
    let uri = setting.pair.source.uri_as("clerk", DATABASE);
    let mut blocker = postgres::Client::connect(&uri, postgres::NoTls).expect("clerk connects");
    blocker
        .batch_execute("BEGIN; INSERT INTO public.t VALUES (1)")
        .expect("clerk writes");
    let switch = [
        "switch",
        "--unverified",
        "--terminate-blockers",
        "--lock-timeout=200",
        "--lock-attempts=2",
    ];
    setting
        .run(&switch)
        .expect(4)
        .expect_stderr("GRANT pg_signal_backend TO our role");
    setting.pair.on_source("GRANT pg_signal_backend TO keeper");
    setting.run(&switch).expect(0);
    judge(&setting.pair);
}
