//! Large objects are no rows of a table: they are refused, or left behind knowingly.

use crate::support::pair::Pair;
use crate::support::stage::expect_source_in_charge;

#[test]
fn large_objects_are_refused_or_left_behind_knowingly() {
    let pair = Pair::new(15, 18);
    pair.on_both("CREATE TABLE t (id int PRIMARY KEY, document oid)");
    let made = "INSERT INTO t VALUES (1, lo_from_bytea(0, 'text'))";
    pair.on_source(made);
    let said = "the source has 1 large object, which cannot be moved; turn them into bytea columns";
    pair.run(&["check"]).expect(3).expect_stdout(said);
    pair.run(&["run"]).expect(3);
    pair.run(&["init"]).expect(1).expect_stderr(said);
    // Before anything was made.
    for cluster in [&pair.source, &pair.destination] {
        assert_eq!(
            cluster.psql("app", "SELECT to_regnamespace('switchover')"),
            ""
        );
    }
    // One that comes later is noticed before the switch.
    pair.on_source("SELECT lo_unlink(document) FROM t; DELETE FROM t");
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source(made);
    let outcome = expect_source_in_charge(pair.run(&["switch", "--unverified"]), 1);
    outcome.expect_stderr(said);
    pair.run(&["drop", "-q"]).expect(0);
    // Who chooses has chosen.
    pair.on_destination("TRUNCATE t");
    let args = ["run", "--schema=*", "--unverified"];
    let outcome = pair.run(&args).expect(0);
    outcome.expect_stdout("the source has 1 large object, which are not moved");
    assert_eq!(pair.on_destination("SELECT count(*) FROM t"), "1");
}
