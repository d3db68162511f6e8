//! What everybody may do with the schema switchover, from the catalogs of both sides.

use super::with_passwords;

/// Every privilege in the schema, and on the schema, that a role other than its owner has.
const GRANTED: &str = "
    WITH acl (what, acl) AS (
        SELECT 'schema ' || n.nspname, COALESCE(n.nspacl, acldefault('n', n.nspowner))
          FROM pg_namespace n WHERE n.nspname = 'switchover'
        UNION ALL
        SELECT 'relation ' || c.relname,
               COALESCE(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))
          FROM pg_class c WHERE c.relnamespace = 'switchover'::regnamespace AND c.relkind IN ('r', 'v', 'S')
        UNION ALL
        SELECT 'column ' || a.attname, a.attacl FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relnamespace = 'switchover'::regnamespace
        UNION ALL
        SELECT 'function ' || p.proname, COALESCE(p.proacl, acldefault('f', p.proowner))
          FROM pg_proc p WHERE p.pronamespace = 'switchover'::regnamespace)
    SELECT what, g.privilege_type FROM acl, aclexplode(acl) g
     WHERE g.grantee = 0 OR g.grantee <> g.grantor ORDER BY 1, 2";

/// Functions that run with their owner's rights: each has been looked at for what a caller could slip in.
const WITH_OWNERS_RIGHTS: &str = "
    SELECT regexp_replace(p.proname, '[0-9]+', 'N') FROM pg_proc p
     WHERE p.pronamespace = 'switchover'::regnamespace AND p.prosecdef GROUP BY 1 ORDER BY 1";

#[test]
fn nothing_is_granted_to_everybody_but_use_next_db() {
    let pair = with_passwords("x");
    pair.on_both(
        "CREATE TABLE t (id int PRIMARY KEY, n int);
         CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE p1 PARTITION OF p DEFAULT;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC;
         ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO PUBLIC",
    );
    for args in [["init", "-q"], ["copy", "-q"], ["switch", "--unverified"]] {
        pair.run(&args).expect(0);
        let on_source = pair.on_source(GRANTED);
        assert_eq!(
            on_source, "function use_next_db|EXECUTE\nschema switchover|USAGE",
            "after {args:?}"
        );
        let on_destination = pair.on_destination(GRANTED);
        assert_eq!(on_destination, "", "after {args:?}");
    }
    assert_eq!(
        pair.on_source(WITH_OWNERS_RIGHTS),
        "capture_N\ncapture_truncate\nflipped\nrefuse_writes\nuse_next_db"
    );
    assert_eq!(
        pair.on_destination(WITH_OWNERS_RIGHTS),
        "enter\nrefuse_early\ntakes_writes"
    );
}
