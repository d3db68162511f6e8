//! Servers, databases and roles that are not there, or are not what they are taken for.

use std::io::Write;
use std::net::TcpListener;

use super::{PASSWORD, TABLES, Untouched, fill, pair, refused};
use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::program::Program;

const HBA: &str = "
local all all trust
host all postgres 127.0.0.1/32 trust
host all stranger 127.0.0.1/32 reject
host all all 127.0.0.1/32 scram-sha-256
";

fn pair_with_passwords() -> Pair {
    let pair = Pair::from_builders(Cluster::builder(15).hba(HBA), Cluster::builder(18).hba(HBA));
    fill(&pair);
    pair.on_both(&format!(
        "CREATE ROLE mover SUPERUSER LOGIN PASSWORD '{PASSWORD}';
         CREATE ROLE sleeper NOLOGIN PASSWORD '{PASSWORD}';
         CREATE ROLE stranger LOGIN;
         CREATE ROLE crowd LOGIN PASSWORD '{PASSWORD}' CONNECTION LIMIT 0;
         CREATE ROLE outsider LOGIN PASSWORD '{PASSWORD}';
         CREATE DATABASE closed ALLOW_CONNECTIONS false;
         REVOKE CONNECT ON DATABASE app FROM PUBLIC;"
    ));
    pair
}

#[test]
fn a_wrong_address_is_named_with_what_to_look_at() {
    let pair = pair_with_passwords();
    let untouched = Untouched::note(&pair);
    let (port, there) = (pair.source.port(), &pair.destination_uri);
    let init = |source: &str| pair.program(&["init"]).source(source).run();
    let at = |user: &str| format!("postgresql://{user}@127.0.0.1:{port}/app");

    let wrong_port = "postgresql://postgres@127.0.0.1:1/app";
    let told = [
        "could not connect to the source at postgres@127.0.0.1:1/app",
        "refused",
        "listen_addresses",
    ];
    refused(init(wrong_port), 1, &told);
    let outcome = pair.program(&["init"]).destination(wrong_port).run();
    refused(
        outcome,
        1,
        &["could not connect to the destination at postgres@127.0.0.1:1/app"],
    );
    for command in ["copy", "sync", "drop"] {
        refused(pair.program(&[command]).source(wrong_port).run(), 1, &told);
    }
    refused(
        init("postgresql://postgres@db.invalid/app"),
        1,
        &["db.invalid", "check the host name"],
    );
    refused(
        init("host=/nonexistent user=postgres dbname=app"),
        1,
        &["socket directory"],
    );

    refused(
        init(&at("mover:wrong")),
        1,
        &[
            "password authentication failed for user \"mover\"",
            "check user and password",
        ],
    );
    refused(init(&at("mover")), 1, &["password missing", "PGPASSWORD"]);
    refused(init(&at("stranger")), 1, &["pg_hba.conf"]);
    refused(
        init(&at(&format!("sleeper:{PASSWORD}"))),
        1,
        &["not permitted to log in"],
    );
    refused(
        init(&at(&format!("crowd:{PASSWORD}"))),
        1,
        &["too many connections for role"],
    );
    refused(
        init(&at(&format!("outsider:{PASSWORD}"))),
        1,
        &["grant CONNECT"],
    );
    let socket = pair.source.socket_directory().display();
    let nobody = format!("host={socket} port={port} user=nobody dbname=app");
    refused(
        init(&nobody),
        1,
        &["role \"nobody\" does not exist", "check the user"],
    );
    refused(
        init(&pair.source.uri("ap")),
        1,
        &[
            "database \"ap\" does not exist",
            "check the database's name",
        ],
    );
    refused(
        init(&pair.source.uri("closed")),
        1,
        &["not currently accepting connections"],
    );
    refused(
        init(&format!("{}?sslmode=require", pair.source_uri)),
        1,
        &["does not support TLS", "sslmode=prefer"],
    );

    let only_source = Program::new(&["init"]).source(&pair.source_uri).run();
    refused(
        only_source,
        2,
        &["the destination is not given", "PG_SWITCHOVER_DEST"],
    );
    let only_destination = Program::new(&["switch"]).destination(there).run();
    refused(
        only_destination,
        2,
        &["the source is not given", "PG_SWITCHOVER_SOURCE"],
    );
    untouched.check();
}

#[test]
fn what_is_no_postgresql_server_is_told_apart() {
    let pair = pair();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let chatty = TcpListener::bind("127.0.0.1:0").unwrap();
    let (silent_port, chatty_port) = (
        silent.local_addr().unwrap().port(),
        chatty.local_addr().unwrap().port(),
    );
    std::thread::spawn(move || {
        for stream in chatty.incoming() {
            let _ = stream
                .unwrap()
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let init = |port: u16, more: &str| {
        let uri = format!("postgresql://postgres@127.0.0.1:{port}/app?connect_timeout=2{more}");
        pair.program(&["init"]).destination(&uri).run()
    };
    refused(init(silent_port, ""), 1, &["timed out", "firewall"]);
    refused(
        init(chatty_port, "&sslmode=disable"),
        1,
        &[
            "could not connect to the destination",
            "is it a PostgreSQL server",
        ],
    );
    refused(
        init(chatty_port, ""),
        1,
        &[
            "could not connect to the destination",
            "is it a PostgreSQL server",
        ],
    );
}

#[test]
fn a_server_that_is_down_leaves_no_doubt_who_is_in_charge() {
    let pair = pair();
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    pair.destination.stop_fast();
    let outcome = pair.run(&["switch", "--unverified"]);
    assert_eq!(
        outcome.last_line(),
        "pg_switchover: the source is in charge"
    );
    refused(outcome, 1, &["could not connect to the destination"]);
    refused(
        pair.run(&["drop"]),
        1,
        &["could not connect to the destination"],
    );
    pair.source.stop_fast();
    let outcome = pair.run(&["switch", "--unverified"]);
    assert!(
        outcome.last_line().contains("cannot be asked now"),
        "{}",
        outcome.report()
    );
    refused(outcome, 1, &["could not connect to the source"]);
    refused(
        pair.run(&["status"]),
        1,
        &["could not connect to the source"],
    );
    refused(pair.run(&["run"]), 1, &["could not connect to the source"]);
}

#[test]
fn the_same_database_on_both_sides_is_refused_under_any_name() {
    let pair = pair();
    pair.source.create_database("other");
    pair.on_source("CREATE ROLE \"Second\" SUPERUSER LOGIN");
    let port = pair.source.port();
    let names = [
        pair.source_uri.clone(),
        format!("host=localhost port={port} user=postgres dbname=app"),
        format!(
            "host={} port={port} user=postgres dbname=app",
            pair.source.socket_directory().display()
        ),
        pair.source.uri_as("Second", DATABASE),
    ];
    let untouched = Untouched::note(&pair);
    for name in &names {
        for command in ["init", "copy", "sync", "switch", "drop"] {
            let outcome = pair.program(&[command]).destination(name).run();
            let told = [
                "source and destination are the same database \"app\"",
                "check --source and --dest",
            ];
            refused(outcome, 1, &told);
        }
    }
    let outcome = pair
        .program(&["check"])
        .destination(&names[1])
        .run()
        .expect(3);
    outcome.expect_stdout("same database");
    untouched.check();
    // Another database of the same server is a legal, if unusual, destination.
    pair.source.psql("other", TABLES);
    let other = pair.source.uri("other");
    pair.program(&["init", "-q"])
        .destination(&other)
        .run()
        .expect(0);
    pair.program(&["copy", "-q"])
        .destination(&other)
        .run()
        .expect(0);
}

#[test]
fn swapped_databases_are_noticed_before_and_after_init() {
    let pair = Pair::new(15, 18);
    pair.on_source(TABLES);
    let swap = |command: &str| {
        pair.program(&[command])
            .source(&pair.destination_uri)
            .destination(&pair.source_uri)
            .run()
    };
    let untouched = Untouched::note(&pair);
    refused(
        swap("init"),
        2,
        &["there is no table to move", "check --source"],
    );
    refused(
        swap("copy"),
        1,
        &["no switchover has been prepared on the source", "init"],
    );
    untouched.check();
    pair.on_destination(TABLES);
    pair.run(&["init", "-q"]).expect(0);
    pair.run(&["copy", "-q"]).expect(0);
    let untouched = Untouched::note(&pair);
    for command in ["init", "copy", "sync", "switch", "drop"] {
        refused(swap(command), 1, &["swapped"]);
    }
    untouched.check();
}

#[test]
fn a_standby_on_either_side_is_refused() {
    for source_is_standby in [true, false] {
        let pair = pair();
        let cluster = if source_is_standby {
            &pair.source
        } else {
            &pair.destination
        };
        cluster.stop_fast();
        std::fs::write(cluster.data().join("standby.signal"), "").unwrap();
        cluster.start_again();
        let untouched = Untouched::note(&pair);
        let side = if source_is_standby {
            "source"
        } else {
            "destination"
        };
        let told = format!("the {side} is a standby in recovery");
        for command in ["init", "copy", "sync", "switch", "drop"] {
            refused(pair.run(&[command]), 1, &[&told, "primary"]);
        }
        let outcome = pair.run(&["check"]).expect(3);
        outcome.expect_stdout("recovery");
        untouched.check();
    }
}
