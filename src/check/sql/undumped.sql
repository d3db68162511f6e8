-- $1 oid[]: the moved tables. Others that pg_dump locks and that our role may not read, with their
-- schema's part in that. Members of extensions come with CREATE EXTENSION.
SELECT n.nspname::text AS schema, c.relname::text AS name,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usage
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'switchover')
   AND c.oid <> ALL ($1)
   AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
            AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')
 ORDER BY 1, 2
