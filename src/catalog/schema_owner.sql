-- The owner of schema switchover, if there is one whom we have no reason to trust: what is in the schema is
-- called, and written to, with our rights. A superuser trusts itself and superusers; others also the roles that
-- they are members of.
SELECT o.rolname::text, own.rolname::text
  FROM pg_catalog.pg_namespace n
  JOIN pg_catalog.pg_roles o ON o.oid = n.nspowner
  JOIN pg_catalog.pg_roles own ON own.rolname = current_user
 WHERE n.nspname = 'switchover'
   AND o.oid <> own.oid AND NOT o.rolsuper
   AND (own.rolsuper OR NOT pg_catalog.pg_has_role(o.oid, 'USAGE'))
