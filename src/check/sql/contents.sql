-- What a schema made by pg_restore would collide with: objects of users that no extension brought.
SELECT kind, pg_catalog.count(*)::int8
  FROM (SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                              WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table'
                              WHEN 'c' THEN 'composite type' ELSE 'table' END AS kind,
               c.relnamespace AS namespace, 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid
          FROM pg_catalog.pg_class c
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND c.relpersistence <> 't'
        UNION ALL
        SELECT 'function', p.pronamespace, 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid
          FROM pg_catalog.pg_proc p
        UNION ALL
        SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' ELSE 'range type' END,
               t.typnamespace, 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid
          FROM pg_catalog.pg_type t WHERE t.typtype IN ('e', 'd', 'r')
        UNION ALL
        SELECT 'schema', CASE n.nspname WHEN 'public' THEN 0::oid ELSE n.oid END,
               'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid
          FROM pg_catalog.pg_namespace n) AS o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace
 WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'switchover')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = o.class AND d.objid = o.oid AND d.objsubid = 0
                      AND d.deptype = 'e')
 GROUP BY kind
 ORDER BY kind
