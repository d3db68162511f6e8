//! Many tables are captured by two sessions side by side.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::pair::Pair;
use crate::support::{compare, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// Twelve tables.
const TABLES: &str = "
SELECT pg_catalog.set_config('client_min_messages', 'warning', false);
DO $$ BEGIN FOR i IN 101 .. 112 LOOP
    EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, n int)', i);
    EXECUTE format('INSERT INTO t%s SELECT g, g FROM generate_series(1, 20) g', i);
END LOOP; END $$";

/// Who makes a trigger on one of the first two tables waits at a gate.
const GATE: &str = "
CREATE FUNCTION gate() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity ~ ' on public.t10[12]$') THEN
        PERFORM pg_advisory_xact_lock_shared(42);
    END IF;
END $$;
CREATE EVENT TRIGGER gate ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION gate();
ALTER EVENT TRIGGER gate ENABLE ALWAYS";

const AT_THE_GATE: &str =
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted";

/// Tables with triggers of ours, triggers, and tables that are noted.
fn captured(pair: &Pair) -> String {
    pair.on_source(
        "SELECT count(DISTINCT tgrelid), count(*), (SELECT count(*) FROM switchover.captured)
           FROM pg_trigger WHERE tgname LIKE 'pg_switchover%'",
    )
}

#[test]
fn what_a_killed_init_still_does_in_its_second_session_is_done_anew() {
    let pair = Pair::new(15, 18);
    pair.on_source(TABLES);
    pair.on_source(GATE);
    let mut gate = pair.source_client();
    gate.execute("SELECT pg_advisory_lock(42)", &[]).unwrap();
    let patient = ["init", "-q", "--lock-timeout=30000"];
    let init = pair.spawn(&patient);
    wait_for("both sessions at the gate", LIMIT, || {
        pair.on_source(AT_THE_GATE) == "2"
    });
    init.kill();
    // The one that has the lock of the run ends; the other one does not notice.
    pair.on_source(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l
          WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()
            AND EXISTS (SELECT FROM pg_locks w WHERE w.pid = l.pid AND w.objid = 42 AND NOT w.granted)",
    );
    wait_for("its end", LIMIT, || pair.on_source(AT_THE_GATE) == "1");
    let again = pair.spawn(&patient);
    wait_for("the next one to meet it", LIMIT, || {
        pair.on_source("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation::regclass::text ~ '^t10[12]$'")
            != "0"
    });
    gate.execute("SELECT pg_advisory_unlock(42)", &[]).unwrap();
    again.wait(LIMIT).expect(0);
    assert_eq!(captured(&pair), "12|24|12");
    pair.on_source("DROP EVENT TRIGGER gate");
    pair.run(&["copy", "-q", "--create-schema"]).expect(0);
    pair.on_source("UPDATE t101 SET n = -n; DELETE FROM t102; UPDATE t112 SET id = id + 100");
    pair.run(&["sync", "-q"]).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_table_that_is_written_into_comes_last_and_one_session_waits_for_one_table() {
    let pair = Pair::new(15, 18);
    pair.on_source(TABLES);
    pair.on_source("ALTER DATABASE app SET log_statement = 'all'");
    let mut writer = pair.source_client();
    writer
        .batch_execute("BEGIN; UPDATE t101 SET n = 0 WHERE id = 1; UPDATE t106 SET n = 0 WHERE id = 1; UPDATE t112 SET n = 0 WHERE id = 1")
        .unwrap();
    let mut init = pair.spawn(&["init", "--lock-timeout=2000", "--lock-attempts=100"]);
    init.wait_for_stderr("could not capture table", LIMIT);
    assert_eq!(captured(&pair), "9|18|9");
    for _ in 0..20 {
        let waiting = pair.on_source("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation::regclass::text LIKE 't1%'");
        assert!(["0", "1"].contains(&waiting.as_str()), "{waiting} wait");
        std::thread::sleep(Duration::from_millis(20));
    }
    writer.batch_execute("COMMIT").unwrap();
    init.wait(LIMIT).expect(0);
    assert_eq!(captured(&pair), "12|24|12");
    let log = pair.source.log();
    let who = |milliseconds: &str| {
        let asked = format!("BEGIN; SET LOCAL lock_timeout = {milliseconds};");
        let lines = log.lines().filter(|line| line.contains(&asked));
        lines
            .filter_map(|line| line.split(['[', ']']).nth(1))
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert_eq!(who("100"), 2, "both wait for no more than that");
    assert_eq!(who("1900"), 1, "one waits for as long as it may");
}
