//! The harness tested by itself: a comparer that notices nothing would make every other test worthless.

use crate::support::VARIED;
use crate::support::compare;
use crate::support::pair::Pair;

#[test]
fn every_kind_of_table_loads_and_compares_equal_on_every_version() {
    for versions in [(13, 14), (15, 16), (17, 18)] {
        let pair = Pair::new(versions.0, versions.1);
        pair.on_both(VARIED);
        compare::assert_equal(&pair);
        compare::assert_same_schema(&pair);
    }
}

#[test]
fn the_comparer_notices_each_kind_of_difference() {
    let pair = Pair::new(15, 18);
    pair.on_both(VARIED);
    compare::assert_equal(&pair);
    pair.on_destination(
        "UPDATE varied.dictionary SET meaning = NULL WHERE word = 'a,b;c';
         DELETE FROM varied.event WHERE id = 3;
         INSERT INTO varied.keyless VALUES (1, 'b1');
         CREATE TABLE varied.more ();
         DROP TABLE varied.nothing;
         ALTER TABLE varied.empty ADD c int;
         SELECT setval('varied.never_called', 1000, true);",
    );
    let found = compare::differences(&pair, &[]).join("\n");
    for expected in [
        "table varied.dictionary (",
        "destination only: \\N\t\\N\t13\ta,b;c",
        "25 rows on the source, 24 on the destination",
        "table varied.keyless",
        "table varied.more exists on the destination only",
        "table varied.nothing is missing on the destination",
        "table varied.empty has columns id, t on the source, c, id, t on",
        "sequence varied.never_called: source Some(\"1000 false\"), destination Some(\"1000 true\")",
    ] {
        assert!(found.contains(expected), "no \"{expected}\" in:\n{found}");
    }
    assert_eq!(found.matches("table ").count(), 6, "{found}");
}
