//! What a role may not do.

use super::*;

#[test]
fn missing_privileges_are_found_on_both_sides() {
    let mut pair = both_bad();
    let role = "CREATE ROLE clerk LOGIN CONNECTION LIMIT 6;
                REVOKE TEMPORARY ON DATABASE app FROM PUBLIC;";
    pair.on_both(role);
    pair.on_source("ALTER TABLE app.rows_apart OWNER TO clerk");
    pair.source_uri = pair.source.uri_as("clerk", DATABASE);
    pair.destination_uri = pair.destination.uri_as("clerk", DATABASE);
    let outcome = pair.run(&["check"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "role \"clerk\" may not create schema switchover on the source",
            ),
            (
                "stops",
                "role \"clerk\" may not create schema switchover on the destination",
            ),
            (
                "stops",
                "schema switchover on the source belongs to role \"postgres\"",
            ),
            (
                "stops",
                "table \"app\".\"secret\" on the source belongs to role \"owner_here\", and capture triggers need the owner",
            ),
            (
                "stops",
                "on the source belong to role \"postgres\", and capture triggers need the owner",
            ),
            (
                "stops",
                "role \"clerk\" may not read tables \"app\".\"rows_apart\", \"app\".\"secret\"",
            ),
            (
                "stops",
                "row-level security of table \"app\".\"rows_apart\" on the source applies to role \"clerk\"",
            ),
            (
                "stops",
                "role \"clerk\" may not read sequence \"app\".\"numbers\" on the source",
            ),
            (
                "stops",
                "on the destination belong to role \"postgres\", and copy needs the owner",
            ),
            ("stops", "role \"clerk\" may not load tables"),
            (
                "stops",
                "role \"clerk\" may not create temporary tables on the destination",
            ),
            (
                "note",
                "role \"clerk\" may not set session_replication_role on the destination: its foreign keys are away",
            ),
            (
                "stops",
                "foreign key stray_reference on public.stray on the destination has to be away until the switch, and only role \"postgres\" may drop it; GRANT \"postgres\" TO \"clerk\" there, or GRANT SET ON PARAMETER",
            ),
            // A superuser, or their owner, switches them off.
            (
                "stops",
                "trigger \"awake\" of \"public\".\"plain\" on the destination: enabled ALWAYS or REPLICA",
            ),
            (
                "stops",
                "rule \"tell\" of \"public\".\"checked\" on the destination: enabled ALWAYS or REPLICA",
            ),
            ("spoils", "6 more connections can be opened on the source"),
            (
                "note",
                "role \"clerk\" cannot see what other roles run on the source",
            ),
        ],
    );
    let outcome = pair.run(&["check", "--create-schema"]).expect(3);
    expect_lines(
        &outcome,
        &[
            (
                "stops",
                "role \"clerk\" may not create tables in schema public of the destination",
            ),
            (
                "stops",
                "our role on the destination may not give objects to role \"postgres\"",
            ),
        ],
    );
    // What is granted is no longer missed.
    pair.on_destination(
        "GRANT CREATE, TEMPORARY ON DATABASE app TO clerk;
         GRANT SET ON PARAMETER session_replication_role TO clerk;",
    );
    let outcome = pair.run(&["check"]).expect(3);
    for granted in [
        "switchover on the destination",
        "temporary tables",
        "replication_role",
    ] {
        expect_no_line(&outcome, granted);
    }
}
