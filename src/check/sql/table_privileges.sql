-- $1 oid[]: tables. What our role may do with each. row_security_active says whether policies would
-- hide rows from us, or, as our sessions have row_security off, fail the statement.
SELECT n.nspname::text AS schema, c.relname::text AS name,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usage,
       pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_select,
       pg_catalog.has_table_privilege(c.oid, 'INSERT')
         AND pg_catalog.has_table_privilege(c.oid, 'DELETE')
         AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE') AS may_write,
       pg_catalog.row_security_active(c.oid) AS policies,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = ANY ($1)
 ORDER BY 1, 2
