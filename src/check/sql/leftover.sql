-- What is in a schema switchover, if there is one: a source has a change log, a destination has
-- confirmations.
SELECT pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner,
       pg_catalog.pg_has_role(n.nspowner, 'USAGE')
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS ours,
       ARRAY(SELECT c.relname::text FROM pg_catalog.pg_class c
              WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p')) AS tables
  FROM pg_catalog.pg_namespace n
 WHERE n.nspname = 'switchover'
