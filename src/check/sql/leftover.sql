-- What is in a schema switchover, if there is one: a source has a change log, a destination has
-- confirmations.
SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner,
       pg_catalog.pg_has_role(n.nspowner, 'USAGE')
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles own, pg_catalog.pg_roles o
                          WHERE own.rolname = current_user AND own.rolsuper
                            AND o.oid = n.nspowner AND NOT o.rolsuper) AS ours,
       ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c
              WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p')) AS tables
  FROM pg_catalog.pg_namespace n
 WHERE n.nspname = 'switchover'
