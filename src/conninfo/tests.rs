//! What a connection string, the variables and the files come to together.

use std::process::Command;
use std::time::Duration;

use super::environment::tests::{Fake, fake};
use super::settings::Target;
use super::*;
use crate::error::Class;

fn resolved(text: &str, around: &Fake) -> Conninfo {
    Conninfo::resolve_in(around, Side::Source, Some(text))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str, around: &Fake) -> String {
    let error = Conninfo::resolve_in(around, Side::Source, Some(text)).err();
    let error = error.unwrap_or_else(|| panic!("{text} was accepted"));
    assert_eq!(error.class, Class::Usage);
    error.to_string()
}

fn password(conninfo: &Conninfo, endpoint: usize) -> Option<String> {
    let password = conninfo.settings.endpoints[endpoint].password.as_ref()?;
    Some(String::from_utf8_lossy(&password.bytes).into_owned())
}

#[test]
fn what_is_missing_comes_from_the_defaults() {
    let conninfo = resolved("host=db", &fake());
    assert_eq!(conninfo.describe(), "ann@db:5432/ann");
    assert_eq!(
        conninfo.settings.connect_timeout,
        Some(Duration::from_secs(10))
    );
    assert_eq!(conninfo.settings.tls.mode, Mode::Prefer);
    assert_eq!(
        conninfo.settings.keepalives.unwrap().idle,
        Duration::from_secs(60)
    );
}

#[test]
fn a_service_stands_before_the_variables_and_the_string_before_both() {
    let around = fake()
        .file(
            "/home/ann/.pg_service.conf",
            0o644,
            "[s]\nhost=service\nport=2\n",
        )
        .variable("PGSERVICE", "s")
        .variable("PGHOST", "variable")
        .variable("PGUSER", "bob");
    assert_eq!(
        resolved("port=1 dbname=app", &around).describe(),
        "bob@service:1/app"
    );
}

#[test]
fn a_side_that_is_not_given_is_a_usage_error() {
    let error = Conninfo::resolve_in(&fake(), Side::Destination, None)
        .err()
        .unwrap();
    assert_eq!(error.class, Class::Usage);
    assert_eq!(
        error.to_string(),
        "the destination is not given; use --dest CONNINFO or set PG_SWITCHOVER_DEST"
    );
    let around = fake().variable("PG_SWITCHOVER_DEST", "postgres://x@h/d");
    let conninfo = Conninfo::resolve_in(&around, Side::Destination, None).unwrap();
    assert_eq!(conninfo.describe(), "x@h:5432/d");
    assert_eq!(
        refused(" ", &fake()),
        "--source: the connection string is empty"
    );
}

#[test]
fn every_host_gets_its_port_and_its_password() {
    let around = fake().file(
        "/home/ann/.pgpass",
        0o600,
        "a:1:app:*:first\n::1:*:*:*:no\n\\:\\:1:*:*:*:second\n",
    );
    let conninfo = resolved("postgresql://a:1,[::1],c:3/app", &around);
    assert_eq!(conninfo.describe(), "ann@a:1,[::1]:5432,c:3/app");
    assert_eq!(password(&conninfo, 0).as_deref(), Some("first"));
    assert_eq!(password(&conninfo, 1).as_deref(), Some("second"));
    assert_eq!(password(&conninfo, 2), None);
    let given = resolved("host=a password=mine", &around);
    assert_eq!(password(&given, 0).as_deref(), Some("mine"));
}

#[test]
fn an_address_spares_the_lookup_and_the_name_stays() {
    let conninfo = resolved("host=db hostaddr=127.0.0.1", &fake());
    let address = Some("127.0.0.1".parse().unwrap());
    let host = Host::Tcp {
        name: "db".into(),
        address,
    };
    assert_eq!(conninfo.settings.endpoints[0].host, host);
    assert_eq!(
        resolved("hostaddr=::1", &fake()).describe(),
        "ann@[::1]:5432/ann"
    );
}

#[test]
fn wrong_values_are_named_with_their_origin() {
    for (text, said) in [
        (
            "port=54x",
            "--source: invalid port \"54x\"; a port is a number from 1 to 65535",
        ),
        (
            "port=0",
            "--source: invalid port \"0\"; a port is a number from 1 to 65535",
        ),
        (
            "connect_timeout=soon",
            "--source: invalid integer \"soon\" for connect_timeout",
        ),
        (
            "sslsni=2",
            "--source: invalid sslsni \"2\"; it is one of 0, 1",
        ),
        (
            "host=a,b port=1,2,3",
            "--source: the number of values of port is not the number of hosts",
        ),
        (
            "host=a hostaddr=::1,::2",
            "--source: the number of values of hostaddr is not the number of hosts",
        ),
        (
            "hostaddr=db",
            "--source: \"db\" is not a network address; give a name as host",
        ),
        (
            "replication=database",
            "--source: replication=database is not supported; leave it out",
        ),
        (
            "gssencmode=require",
            "--source: gssencmode=require is not supported; leave it out",
        ),
        (
            "scram_client_key=xyz",
            "--source: scram_client_key is not supported; leave it out",
        ),
        (
            "sslrootcert=system sslmode=require",
            "--source: the sslmode is too weak for sslrootcert; use sslmode=verify-full",
        ),
        (
            "sslnegotiation=direct",
            "--source: the sslmode is too weak for sslnegotiation; use sslmode=require",
        ),
    ] {
        assert_eq!(refused(text, &fake()), said);
    }
    let said = refused("host=db", &fake().variable("PGSSLMODE", "on"));
    assert!(
        said.starts_with("PGSSLMODE: invalid sslmode \"on\"; it is one of disable, allow,"),
        "{said}"
    );
}

#[test]
fn words_for_the_session_are_understood() {
    let text = "target_session_attrs=prefer-standby load_balance_hosts=random keepalives=0 \
                tcp_user_timeout=500 connect_timeout=0 gssencmode=prefer replication=off sslrootcert=system";
    let settings = resolved(text, &fake()).settings;
    assert_eq!(settings.target, Target::PreferStandby);
    assert!(settings.random_order);
    assert_eq!(settings.keepalives, None);
    assert_eq!(settings.tcp_user_timeout, Some(Duration::from_millis(500)));
    assert_eq!(settings.connect_timeout, None);
    assert_eq!(settings.tls.mode, Mode::VerifyFull);
}

#[test]
fn neither_debug_nor_display_shows_a_password() {
    let conninfo = resolved("postgresql://u:secret@h/d?sslpassword=secret", &fake());
    assert_eq!(
        format!("{conninfo} {conninfo:?}"),
        "u@h:5432/d Conninfo(u@h:5432/d)"
    );
}

#[test]
fn other_programs_get_the_password_by_variable_only() {
    let around = fake()
        .variable("PGSSLMODE", "disable")
        .variable("PGSERVICE", "");
    let conninfo = resolved(
        "host=a,b port=1,2 password=secret dbname='it\\'s a=b'",
        &around,
    );
    let mut command = Command::new("pg_dump");
    conninfo.prepare_command(&mut command, "pg_switchover: schema", None);
    let arguments: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect();
    assert_eq!(
        arguments,
        [
            "--dbname=dbname='it\\'s a=b' keepalives_idle=60 keepalives_interval=10 keepalives_count=3"
        ]
    );
    let set = |name: &str| {
        let (_, value) = command.get_envs().find(|(key, _)| *key == name)?;
        value.map(|value| value.to_string_lossy().into_owned())
    };
    assert_eq!(set("PGPASSWORD").as_deref(), Some("secret"));
    assert_eq!(set("PGHOST").as_deref(), Some("a,b"));
    assert_eq!(set("PGPORT").as_deref(), Some("1,2"));
    assert_eq!(set("PGSSLMODE").as_deref(), Some("disable"));
    assert_eq!(set("PGAPPNAME").as_deref(), Some("pg_switchover: schema"));
    // Named, and without a value: taken out of what the child inherits.
    assert!(
        command
            .get_envs()
            .any(|(key, value)| key == "PGOPTIONS" && value.is_none())
    );
}

#[test]
fn a_password_is_handed_on_in_a_file_where_it_fits_into_one() {
    let conninfo = resolved("host=a password='a:b\\\\c'", &fake());
    assert_eq!(conninfo.passfile().as_deref(), Some("*:*:*:*:a\\:b\\\\c\n"));
    let mut command = Command::new("pg_dump");
    let file = std::path::Path::new("/x/passfile");
    conninfo.prepare_command(&mut command, "pg_switchover: schema", Some(file));
    let value = |name: &str| {
        let (_, value) = command.get_envs().find(|(key, _)| *key == name).unwrap();
        value.map(|value| value.to_string_lossy().into_owned())
    };
    assert_eq!(value("PGPASSWORD"), None);
    assert_eq!(value("PGPASSFILE").as_deref(), Some("/x/passfile"));
    assert!(resolved("host=a", &fake()).passfile().is_none());
    let two_lines = resolved("host=a password='a\nb'", &fake());
    assert!(two_lines.passfile().is_none());
}
