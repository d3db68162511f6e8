-- Who owns objects in a schema that belongs to somebody else. Members of extensions come with CREATE
-- EXTENSION.
SELECT DISTINCT n.nspname::text AS schema,
       pg_catalog.pg_get_userbyid(n.nspowner)::text AS schema_owner,
       pg_catalog.pg_get_userbyid(o.owner)::text AS owner
  FROM (SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, c.relnamespace AS schema, c.relowner AS owner
          FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
        UNION ALL
        SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.pronamespace, p.proowner
          FROM pg_catalog.pg_proc p
        UNION ALL
        SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typnamespace, t.typowner
          FROM pg_catalog.pg_type t WHERE t.typtype IN ('e', 'd', 'r')) AS o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.schema
 WHERE n.nspowner <> o.owner AND n.nspname NOT LIKE 'pg\_%'
   AND n.nspname NOT IN ('information_schema', 'switchover')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype = 'e')
 ORDER BY 1, 3
