-- Materialized views that our role may not refresh, with their owners.
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm'
   AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
   AND NOT CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 170000
                THEN pg_catalog.has_table_privilege(c.oid, 'MAINTAIN') ELSE false END
 ORDER BY 1, 2
