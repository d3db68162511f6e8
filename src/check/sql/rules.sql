-- $1 oid[]: tables. Their rules.
SELECT n.nspname::text AS schema, c.relname::text AS table_name,
       r.rulename::text AS name,
       r.ev_enabled::text AS enabled,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE r.ev_class = ANY ($1)
 ORDER BY 1, 2, 3
