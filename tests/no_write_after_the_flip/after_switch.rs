//! `--after-switch`: clients of the old database find the new one by themselves, or lose their sessions.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use postgres::error::SqlState;
use postgres::{Client, NoTls};

use super::{assert_refused, contents, stage, switch};
use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::proxy::Action;
use crate::support::stage::{LIMIT, Stage, expect_source_in_charge};
use crate::support::{servers, wait_for};

const READ_ONLY: &str = "SELECT count(*) FROM pg_db_role_setting
    WHERE 'default_transaction_read_only=on' = ANY (setconfig)";

fn read_only(stage: &Stage) -> bool {
    stage.pair.on_source(READ_ONLY) == "1"
}

fn switch_and(stage: &Stage, after: &str) -> crate::support::program::Outcome {
    let outcome = stage.pair.run(&["switch", "--unverified", after]).expect(0);
    assert!(stage.flipped());
    outcome
}

/// What an application of several hosts has, old one first.
fn both_hosts(pair: &Pair) -> String {
    format!(
        "host=127.0.0.1,127.0.0.1 port={},{} user=postgres dbname={DATABASE} \
         target_session_attrs=read-write",
        pair.source.port(),
        pair.destination.port()
    )
}

/// psql, which is libpq.
fn psql(conninfo: &str) -> Command {
    let mut psql = Command::new(servers::client("psql"));
    servers::without_libpq_variables(&mut psql);
    psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", conninfo]);
    psql
}

/// The port on which libpq ends up, after a write there.
fn lands_on(pair: &Pair) -> String {
    servers::output_of(psql(&both_hosts(pair)).args([
        "-c",
        "INSERT INTO plain VALUES ((SELECT max(id) + 1 FROM plain), 0)",
        "-c",
        "SHOW port",
    ]))
    .trim()
    .to_string()
}

/// A session that goes on until its standard input ends.
fn open_session(conninfo: &str) -> Child {
    psql(conninfo)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_for_session(cluster: &Cluster, condition: &str) {
    wait_for("a session", LIMIT, || {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE {condition}");
        cluster.psql("postgres", &sql) == "1"
    });
}

#[test]
fn clients_of_libpq_with_both_hosts_go_to_the_new_server_by_themselves() {
    let stage = stage();
    let (old, new) = (&stage.pair.source, &stage.pair.destination);
    let port = |cluster: &Cluster| cluster.port().to_string();
    assert_eq!(lands_on(&stage.pair), port(old));
    stage.pair.on_source(&format!(
        "CREATE ROLE stubborn LOGIN; GRANT ALL ON plain TO stubborn;
         ALTER ROLE stubborn IN DATABASE {DATABASE} SET default_transaction_read_only = off"
    ));
    let mut connected_before = stage.pair.source_client();
    switch_and(&stage, "--after-switch=readonly")
        .expect_stderr("new sessions of the source database \"app\" are read-only")
        .expect_stderr("default_transaction_read_only is off for stubborn");
    let before = contents(&stage);
    for _ in 0..2 {
        assert_eq!(lands_on(&stage.pair), port(new));
    }
    // Whom the setting does not reach, the fence does.
    let uri = old.uri_as("stubborn", DATABASE);
    let mut stubborn = Client::connect(&uri, NoTls).unwrap();
    for client in [&mut connected_before, &mut stubborn] {
        assert_refused("a write", client.batch_execute("UPDATE plain SET n = -1"));
    }
    let mut new_session = stage.pair.source_client();
    let refused = new_session
        .batch_execute("UPDATE plain SET n = -1")
        .unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&SqlState::READ_ONLY_SQL_TRANSACTION),
        "{refused:?}"
    );
    new_session
        .batch_execute("SET default_transaction_read_only = off")
        .unwrap();
    assert_refused(
        "a write in spite of the setting",
        new_session.batch_execute("UPDATE plain SET n = 0"),
    );
    new_session
        .batch_execute("SET default_transaction_read_only = on")
        .unwrap();
    let asked = new_session
        .query_one("SELECT switchover.use_next_db()", &[])
        .unwrap();
    assert!(asked.get::<_, bool>(0));
    assert_eq!(contents(&stage), before);
    // The tool itself is not kept out, whatever the applications' variables say.
    stage
        .pair
        .program(&["status"])
        .env("PGTARGETSESSIONATTRS", "read-write")
        .run()
        .expect(0)
        .expect_stdout("destination");
    stage.pair.run(&["drop"]).expect(0);
    assert!(read_only(&stage));
    stage.pair.run(&["drop", "--force"]).expect(0);
    assert!(!read_only(&stage));
    stage.pair.on_source("UPDATE plain SET n = 5 WHERE id = 1");
}

#[test]
fn sessions_that_were_connected_before_are_ended_and_come_back_on_the_new_server() {
    let stage = stage();
    let (old, new) = (&stage.pair.source, &stage.pair.destination);
    let mut application = open_session(&both_hosts(&stage.pair));
    let replication = format!(
        "host=127.0.0.1 port={} user=postgres dbname={DATABASE} replication=database",
        old.port()
    );
    let mut walsender = open_session(&replication);
    let mut elsewhere = old.connect("postgres");
    let mut writer = stage.pair.source_client();
    writer
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM plain")
        .unwrap();
    let psqls = |backend: &str| {
        format!(
            "datname = '{DATABASE}' AND application_name = 'psql' AND backend_type = '{backend}'"
        )
    };
    wait_for_session(old, &psqls("client backend"));
    wait_for_session(old, &psqls("walsender"));
    switch_and(&stage, "--after-switch=readonly,terminate")
        .expect_stderr("ended 2 sessions of the source database");
    assert!(writer.batch_execute("SELECT 1").is_err());
    // psql ends where its session does, as soon as it asks something.
    let mut stdin = application.stdin.take().unwrap();
    let _ = stdin.write_all(b"SELECT 1;\n");
    drop(stdin);
    assert!(!application.wait().unwrap().success());
    assert_eq!(lands_on(&stage.pair), new.port().to_string());
    elsewhere.batch_execute("SELECT 1").unwrap();
    wait_for_session(old, &psqls("walsender"));
    drop(walsender.stdin.take());
    walsender.wait().unwrap();
    // Done again, it finds whoever has come since.
    let mut late = stage.pair.source_client();
    late.batch_execute("SELECT 1").unwrap();
    stage
        .pair
        .run(&["switch", "--after-switch", "terminate"])
        .expect(0)
        .expect_stderr("ended 1 session of the source database");
    assert!(late.batch_execute("SELECT 1").is_err());
    assert_eq!(old.psql("postgres", READ_ONLY), "1");
}

/// A role that may move the tables, and nothing else.
fn as_mover(stage: &mut Stage) {
    stage.pair.on_source(
        "CREATE ROLE mover LOGIN; CREATE ROLE clerk LOGIN;
         GRANT mover TO postgres; GRANT CREATE ON DATABASE app TO mover;
         ALTER TABLE plain OWNER TO mover; ALTER TABLE keyless OWNER TO mover;
         ALTER TABLE parent OWNER TO mover; ALTER TABLE child OWNER TO mover;
         ALTER TABLE parted OWNER TO mover; ALTER TABLE parted_low OWNER TO mover;
         ALTER TABLE parted_high OWNER TO mover",
    );
    stage.pair.source_uri = stage.pair.source_uri.replace("postgres@", "mover@");
}

#[test]
fn rights_that_the_end_needs_are_asked_for_before_anything_begins() {
    let mut stage = Stage::new(Pair::new(15, 18));
    stage.pair.on_both(super::TABLES);
    stage.pair.on_source(super::ROWS);
    as_mover(&mut stage);
    stage.pair.run(&["init", "-q"]).expect(0);
    stage.pair.run(&["copy", "-q"]).expect(0);
    let both = "--after-switch=readonly,terminate";
    let wants_owner = "--after-switch=readonly wants the owner of database \"app\" on the source, \
                       or a superuser, and role \"mover\" is neither; GRANT \"postgres\" TO \"mover\" there";
    let wants_signal = "--after-switch=terminate: role \"mover\" may not end the sessions of \"clerk\" \
                        on the source; GRANT pg_signal_backend, pg_read_all_stats TO \"mover\" there";
    let uri = stage.pair.source.uri_as("clerk", DATABASE);
    let mut clerk = Client::connect(&uri, NoTls).unwrap();
    let told = stage.pair.run(&["check", both]).expect(3);
    for line in [wants_owner, wants_signal] {
        assert!(
            told.stdout.contains(&format!("stops: {line}")),
            "{}",
            told.report()
        );
    }
    let before = stage.pair.on_source("SELECT * FROM switchover.state");
    let switch = |after| stage.pair.run(&["switch", "--unverified", after]);
    expect_source_in_charge(switch(both), 1).expect_stderr(wants_owner);
    expect_source_in_charge(switch("--after-switch=terminate"), 1).expect_stderr(wants_signal);
    let run = ["run", "--unverified", "--after-switch=terminate"];
    expect_source_in_charge(stage.pair.run(&run), 1).expect_stderr(wants_signal);
    assert_eq!(
        stage.pair.on_source("SELECT * FROM switchover.state"),
        before
    );
    // Obeyed to the letter, but for the owner, who is a superuser here. A superuser's session stays.
    stage.pair.on_source(
        "GRANT pg_signal_backend, pg_read_all_stats TO mover; ALTER DATABASE app OWNER TO mover",
    );
    let mut administrator = stage.pair.source_client();
    stage.pair.run(&["check", both]).expect(0);
    switch_and(&stage, both)
        .expect_stderr("ended 1 session of the source database")
        .expect_stderr("our role may not end pid ")
        .expect_stderr(" (role \"postgres\", test)");
    assert!(clerk.batch_execute("SELECT 1").is_err());
    administrator.batch_execute("SELECT 1").unwrap();
    assert!(read_only(&stage));
}

#[test]
fn what_fails_after_the_flip_is_told_with_its_mend_and_done_by_the_next_run() {
    let stage = stage();
    stage.source_wire.at("ALTER DATABASE", Action::CutBefore);
    switch_and(&stage, "--after-switch=readonly")
        .expect_stderr("warning: could not make the database read-only on the source")
        .expect_stderr("ALTER DATABASE \"app\" SET default_transaction_read_only = on");
    assert!(!read_only(&stage));
    let again = ["switch", "--after-switch=readonly"];
    for _ in 0..2 {
        stage
            .pair
            .run(&again)
            .expect(0)
            .expect_stderr("new sessions of the source database \"app\" are read-only");
        assert!(read_only(&stage));
    }
    stage.pair.run(&["drop", "-q", "--force"]).expect(0);
    assert!(!read_only(&stage));
}

#[test]
fn drop_gives_back_the_setting_that_was_there_and_none_that_came_since() {
    let setting = |stage: &Stage| {
        stage
            .pair
            .source
            .psql("postgres", "SELECT setconfig FROM pg_db_role_setting")
    };
    let set = "ALTER DATABASE app SET default_transaction_read_only =";
    let stages: Vec<_> = [("off", ""), ("", "off")]
        .into_iter()
        .map(|(before, since)| {
            let stage = stage();
            if !before.is_empty() {
                stage.pair.on_source(&format!("{set} {before}"));
            }
            switch_and(&stage, "--after-switch=readonly");
            assert!(read_only(&stage));
            if !since.is_empty() {
                stage
                    .pair
                    .source
                    .psql("postgres", &format!("{set} {since}"));
            }
            stage.pair.run(&["drop", "-q", "--force"]).expect(0);
            setting(&stage)
        })
        .collect();
    let is = |value| format!("{{default_transaction_read_only={value}}}");
    assert_eq!(stages, [is("off"), is("off")]);
}

/// Without the option nothing is touched.
#[test]
fn without_the_option_sessions_and_settings_stay() {
    let stage = stage();
    let mut client = stage.pair.source_client();
    switch(&stage);
    client.batch_execute("SELECT 1").unwrap();
    assert!(!read_only(&stage));
}
