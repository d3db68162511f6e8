-- The schema that holds what we make, on either side. Safe to run again.
CREATE SCHEMA IF NOT EXISTS switchover;
-- Somebody may have made it since we looked, to own what we make in it (schema_owner.sql).
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace n
                 JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner
                 JOIN pg_catalog.pg_roles own ON own.rolname = current_user
                WHERE n.nspname = 'switchover' AND o.oid <> own.oid AND NOT o.rolsuper
                  AND (own.rolsuper OR NOT pg_catalog.pg_has_role(o.oid, 'USAGE'))) THEN
        RAISE EXCEPTION 'schema switchover belongs to another role' USING ERRCODE = '42501';
    END IF;
END
$$;
REVOKE ALL ON SCHEMA switchover FROM PUBLIC;
