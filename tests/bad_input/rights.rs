//! Roles that may not do what is asked, and roles whose settings would be in the way.

use super::{Untouched, pair, refused};
use crate::support::compare;
use crate::support::pair::{DATABASE, Pair};

fn as_mover(
    pair: &Pair,
    args: &[&str],
    source: bool,
    destination: bool,
) -> crate::support::program::Outcome {
    let mut program = pair.program(args);
    if source {
        program = program.source(&pair.source.uri_as("mover", DATABASE));
    }
    if destination {
        program = program.destination(&pair.destination.uri_as("mover", DATABASE));
    }
    program.run()
}

#[test]
fn a_role_that_may_not_create_a_schema_on_the_source_is_told_so() {
    let pair = pair();
    pair.on_source("CREATE ROLE mover LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO mover");
    let untouched = Untouched::note(&pair);
    refused(
        as_mover(&pair, &["init"], true, false),
        1,
        &[
            "on the source",
            "role mover may not create schema switchover",
            "GRANT CREATE ON DATABASE app TO mover",
        ],
    );
    untouched.check();
}

#[test]
fn a_role_that_may_not_create_triggers_is_told_which_tables() {
    let pair = pair();
    pair.on_source("CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE app TO mover; GRANT SELECT ON ALL TABLES IN SCHEMA public TO mover");
    let untouched = Untouched::note(&pair);
    refused(
        as_mover(&pair, &["init"], true, false),
        1,
        &[
            "table \"public\".\"account\" on the source belongs to role \"postgres\"",
            "GRANT \"postgres\" TO mover",
        ],
    );
    untouched.check();
}

#[test]
fn a_role_that_may_not_create_a_schema_on_the_destination_is_told_so() {
    let pair = pair();
    pair.on_destination(
        "CREATE ROLE mover LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO mover",
    );
    let untouched = Untouched::note(&pair);
    refused(
        as_mover(&pair, &["init"], false, true),
        1,
        &[
            "on the destination",
            "role mover may not create schema switchover",
            "GRANT CREATE ON DATABASE app TO mover",
        ],
    );
    untouched.check();
}

#[test]
fn a_role_that_may_neither_drop_nor_silence_foreign_keys_is_told_the_grant() {
    let pair = pair();
    pair.on_destination("CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE app TO mover; GRANT ALL ON ALL TABLES IN SCHEMA public TO mover; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO mover");
    as_mover(&pair, &["init", "-q"], false, true).expect(0);
    let untouched = Untouched::note(&pair);
    let line = refused(
        as_mover(&pair, &["copy", "-q"], false, true),
        1,
        &[
            "could not take foreign keys away until the switch on the destination: must be owner of table",
            "connect as the tables' owner",
            "GRANT SET ON PARAMETER session_replication_role TO \"mover\" there",
        ],
    );
    assert!(!line.contains("PostgreSQL 14"), "{line}");
    untouched.check();
    // The way out that the message names works.
    pair.on_destination("GRANT SET ON PARAMETER session_replication_role TO mover");
    as_mover(&pair, &["copy", "-q"], false, true).expect(0);
    compare::assert_equal(&pair);
}

#[test]
fn a_role_that_may_not_write_a_table_on_the_destination_is_told_which() {
    let pair = pair();
    pair.on_destination("CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE app TO mover; GRANT SET ON PARAMETER session_replication_role TO mover");
    as_mover(&pair, &["init", "-q"], false, true).expect(0);
    let untouched = Untouched::note(&pair);
    refused(
        as_mover(&pair, &["copy", "-q"], false, true),
        1,
        &["permission denied for table", "on the destination"],
    );
    untouched.check();
}

#[test]
fn settings_of_a_role_do_not_get_in_the_way() {
    let pair = pair();
    // So that loading the table takes longer than the role has.
    pair.on_destination(
        "CREATE FUNCTION public.slow(text) RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(0.03); RETURN true; END $$;
         ALTER TABLE public.entry ADD CHECK (public.slow(note))",
    );
    pair.on_both(
        "CREATE ROLE mover SUPERUSER LOGIN;
         ALTER ROLE mover SET default_transaction_read_only = on;
         ALTER ROLE mover SET statement_timeout = '1s';
         ALTER ROLE mover SET lock_timeout = '1s';
         ALTER ROLE mover SET idle_in_transaction_session_timeout = '1s';
         ALTER ROLE mover SET search_path = nowhere;
         ALTER ROLE mover SET datestyle = 'German';
         ALTER ROLE mover SET session_replication_role = replica;
         ALTER ROLE mover SET default_transaction_isolation = serializable;
         ALTER ROLE mover SET client_min_messages = debug1;
         ALTER DATABASE app SET default_transaction_read_only = on;
         ALTER DATABASE app SET row_security = off;",
    );
    for args in [
        &["init", "-q"][..],
        &["copy", "-q"],
        &["sync", "-q"],
        &["switch", "--unverified", "-q"],
    ] {
        let outcome = as_mover(&pair, args, true, true).expect(0);
        assert_eq!(outcome.stderr, "", "{}", outcome.report());
    }
    compare::assert_equal(&pair);
}
