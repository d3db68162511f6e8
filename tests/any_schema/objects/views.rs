//! Materialized views are refreshed on the destination before the switch.

use crate::support::pair::Pair;

const TABLES: &str = "
CREATE SCHEMA \"a schema\";
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL);
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE VIEW plain AS SELECT n FROM t;
CREATE MATERIALIZED VIEW base AS SELECT sum(n) AS n FROM plain;
CREATE VIEW between AS SELECT n + 1 AS n FROM base;
-- Its name, and its schema's, comes before that of what it reads.
CREATE MATERIALIZED VIEW \"a schema\".\"a \"\"view\"\"\" AS SELECT n + 1 AS n FROM between;
CREATE MATERIALIZED VIEW leaf AS SELECT count(*) AS n FROM parts_1;
CREATE MATERIALIZED VIEW never AS SELECT n FROM t WITH NO DATA;
CREATE MATERIALIZED VIEW fails AS SELECT 100 / (11 - max(n)) AS n FROM t;
";

#[test]
fn views_are_refreshed_in_order_just_before_the_window() {
    let pair = Pair::new(15, 18);
    pair.on_both(TABLES);
    pair.on_source("INSERT INTO t SELECT i, i FROM generate_series(1, 10) i");
    for view in ["base", "\"a schema\".\"a \"\"view\"\"\"", "leaf", "fails"] {
        pair.on_source(&format!("REFRESH MATERIALIZED VIEW {view}"));
    }
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.on_source("INSERT INTO t VALUES (11, 11); INSERT INTO parts VALUES (1), (2)");
    pair.run(&["check"])
        .expect_stdout("switch refreshes them on the destination, just before the window");
    let switch = pair.run(&["switch", "--unverified"]).expect(0);
    let log = &switch.stderr;
    assert!(
        log.contains("refreshed 3 materialized views in "),
        "{}",
        switch.report()
    );
    let failed = log.lines().find(|line| line.contains("division by zero"));
    assert!(
        failed.is_some_and(|line| line.contains("WARN") || line.contains("warning"))
            && log
                .contains("run REFRESH MATERIALIZED VIEW \"public\".\"fails\" on the destination"),
        "{}",
        switch.report()
    );
    let before = |one: &str, other: &str| log.find(one).unwrap() < log.find(other).unwrap();
    assert!(before("refreshed 3", "window "), "{}", switch.report());
    let sums = "SELECT (SELECT n FROM base), (SELECT n FROM \"a schema\".\"a \"\"view\"\"\"), (SELECT n FROM leaf)";
    assert_eq!(pair.on_destination(sums), "66|68|2");
    let populated = "SELECT relispopulated FROM pg_class WHERE relname = 'never'";
    assert_eq!(pair.on_destination(populated), "f");
}

#[test]
fn a_view_of_another_role_is_told_by_check_and_switch() {
    let pair = Pair::new(15, 18);
    let tables = "CREATE TABLE t (id int PRIMARY KEY); CREATE MATERIALIZED VIEW theirs AS SELECT id FROM t;
                  CREATE TABLE aside (id int PRIMARY KEY); CREATE MATERIALIZED VIEW other AS SELECT id FROM aside;";
    pair.on_both(tables);
    pair.on_both("CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE app TO mover; ALTER TABLE t OWNER TO mover; GRANT pg_read_all_stats TO mover");
    pair.on_destination("GRANT SET ON PARAMETER session_replication_role TO mover");
    pair.on_source("GRANT pg_read_all_settings TO mover");
    let run = |args: &[&str]| {
        pair.program(args)
            .source(&pair.source.uri_as("mover", "app"))
            .destination(&pair.destination.uri_as("mover", "app"))
            .run()
    };
    run(&["init", "-q", "-t", "t"]).expect(0);
    run(&["copy", "-q"]).expect(0);
    let check = run(&["check"]);
    assert!(
        check.stdout.contains("our role may not refresh materialized views \"public\".\"other\", \"public\".\"theirs\" on the destination, of role \"postgres\"; GRANT \"postgres\" TO our role"),
        "{}",
        check.report()
    );
    let switch = run(&["switch", "--unverified"]).expect(0);
    assert!(
        switch
            .stderr
            .contains("run REFRESH MATERIALIZED VIEW \"public\".\"theirs\" on the destination"),
        "{}",
        switch.report()
    );
    // What reads no moved table is none of our business.
    assert!(!switch.stderr.contains("\"other\""), "{}", switch.report());
}
