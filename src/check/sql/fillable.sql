-- $1 oid[]: tables. Those that may hold rows and that we may look into; a partitioned table has no
-- rows of its own, and a table without pages has none at all.
SELECT n.nspname::text AS schema, c.relname::text AS name
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ($1) AND c.relkind IN ('r', 'p')
   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
   AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
   AND NOT pg_catalog.row_security_active(c.oid)
   AND (c.relkind = 'p' OR pg_catalog.pg_relation_size(c.oid) > 0)
 ORDER BY 1, 2
