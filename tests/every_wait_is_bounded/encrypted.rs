//! TLS is asked for by our own stream (`src/conninfo/stream.rs`), and that one can be given up as well.

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

use super::sockets::Standstill;
use super::{HURRY, ROWS, TABLES, change};
use crate::support::cluster::Cluster;
use crate::support::pair::{DATABASE, Pair};
use crate::support::servers;
use crate::support::stage::LIMIT;
use crate::support::wait_for;

/// A key and a certificate for localhost that vouches for itself.
fn certificate() -> (Vec<u8>, Vec<u8>) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "localhost").unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    let (begin, end) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(2));
    certificate.set_not_before(&begin.unwrap()).unwrap();
    certificate.set_not_after(&end.unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    let key = key.private_key_to_pem_pkcs8().unwrap();
    (key, certificate.build().to_pem().unwrap())
}

/// Turns TLS on, with files that belong to the server.
fn encrypt(cluster: &Cluster) {
    let (key, certificate) = certificate();
    for (name, text) in [("server.key", key), ("server.crt", certificate)] {
        let path = cluster.data().join(name);
        // The server itself is who may write there.
        for sql in [
            format!("SELECT lo_from_bytea(4711, '\\x{}')", hex(&text)),
            format!("SELECT lo_export(4711, '{}')", path.display()),
            "SELECT lo_unlink(4711)".to_owned(),
        ] {
            cluster.psql("postgres", &sql);
        }
        servers::output_of(servers::as_server_user("chmod").arg("600").arg(&path));
    }
    cluster.psql("postgres", "ALTER SYSTEM SET ssl = on");
    cluster.psql("postgres", "SELECT pg_reload_conf()");
    wait_for("TLS", LIMIT, || {
        cluster.psql("postgres", "SHOW ssl") == "on"
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_sslmode_does_what_it_says_and_a_silent_server_is_given_up_behind_tls_too() {
    // Those who want no TLS are let in as one role, those who want it as another.
    let hba = "hostssl all bound 127.0.0.1/32 scram-sha-256\nhostssl all encrypted 127.0.0.1/32 trust\nhostnossl all plain 127.0.0.1/32 trust\nhost all postgres 127.0.0.1/32 trust\n";
    let pair = Pair::from_builders(Cluster::builder(15).hba(hba), Cluster::builder(18));
    encrypt(&pair.source);
    pair.on_source("CREATE ROLE encrypted LOGIN SUPERUSER; CREATE ROLE plain LOGIN SUPERUSER; CREATE ROLE bound LOGIN SUPERUSER PASSWORD 'secret'");
    pair.on_both(TABLES);
    pair.on_source(ROWS);
    pair.run(&["init"]).expect(0);
    pair.run(&["copy"]).expect(0);
    let root = pair.source.data().join("server.crt");
    let uri = |role: &str, options: &str| {
        let port = pair.source.port();
        format!("postgresql://{role}@localhost:{port}/{DATABASE}?hostaddr=127.0.0.1&{options}")
    };
    let root = root.display();
    let verify = format!("sslmode=verify-full&sslrootcert={root}");
    // The last host counts: the certificate is localhost's, the address the same.
    let elsewhere = "host=elsewhere.example";
    let other_name = format!("{verify}&{elsewhere}");
    let any_name = format!("sslmode=verify-ca&sslrootcert={root}&{elsewhere}");
    for (role, options, reached) in [
        ("encrypted", "sslmode=require", true),
        ("encrypted", "sslmode=prefer", true),
        ("encrypted", "sslmode=allow", true),
        ("encrypted", "sslmode=disable", false),
        ("encrypted", &verify, true),
        ("encrypted", &other_name, false),
        ("encrypted", &any_name, true),
        ("encrypted", "sslmode=verify-full&sslrootcert=system", false),
        (
            "bound",
            "password=secret&sslmode=require&channel_binding=require",
            true,
        ),
        ("plain", "sslmode=disable", true),
        ("plain", "sslmode=prefer", true),
        ("plain", "sslmode=require", false),
    ] {
        let outcome = pair.program(&["status"]).source(&uri(role, options)).run();
        let outcome = outcome.expect(0);
        let asked = outcome.stdout.contains("phase           copied");
        assert_eq!(asked, reached, "{role} {options}\n{}", outcome.report());
    }
    // The source waits for a lock, and then stands still.
    change(&pair, 5);
    let mut client = pair.source_client();
    client.batch_execute("BEGIN; LOCK TABLE a").unwrap();
    let hurried = uri("encrypted", &format!("sslmode=require&{}", &HURRY[1..]));
    let running = pair
        .program(&["sync", "--lock-timeout=30000"])
        .source(&hurried)
        .spawn();
    let waiting = "SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE ssl AND wait_event_type = 'Lock'";
    wait_for("the program to wait", LIMIT, || {
        pair.on_source(waiting) != "0"
    });
    let standstill = Standstill::begin(&pair.source);
    let outcome = running.wait(LIMIT).expect(1);
    drop(standstill);
    outcome.expect_stderr("no answer for ");
    client.batch_execute("ROLLBACK").unwrap();
    wait_for("the next run", LIMIT, || {
        pair.run(&["sync"]).code() == Some(0)
    });
}
