-- Roles of the whole database, all of whose schema pg_dump brings: those that objects belong to (o), that
-- are granted something (a), that a policy names (r). Our own schema aside.
SELECT DISTINCT r.rolname::text AS role, d.deptype::text AS why
  FROM pg_catalog.pg_shdepend d
  JOIN pg_catalog.pg_database b ON b.oid = d.dbid AND b.datname = pg_catalog.current_database()
  JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
 WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   AND d.deptype IN ('o', 'a', 'r')
   AND NOT (d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
            AND d.objid IN (SELECT n.oid FROM pg_catalog.pg_namespace n
                             WHERE n.nspname = 'switchover'))
UNION
-- The role that initdb made is not noted there.
SELECT r.rolname::text, 'o'
  FROM pg_catalog.pg_roles r
 WHERE r.oid = 10 AND EXISTS (
       SELECT FROM (SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass AS class, n.oid, n.oid AS schema
                      FROM pg_catalog.pg_namespace n WHERE n.nspowner = 10
                    UNION ALL
                    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.relnamespace
                      FROM pg_catalog.pg_class c WHERE c.relowner = 10 AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
                    UNION ALL
                    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.pronamespace
                      FROM pg_catalog.pg_proc p WHERE p.proowner = 10
                    UNION ALL
                    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, t.typnamespace
                      FROM pg_catalog.pg_type t WHERE t.typowner = 10 AND t.typtype IN ('e', 'd', 'r')) AS o
         JOIN pg_catalog.pg_namespace n ON n.oid = o.schema
        WHERE o.oid >= 16384 AND n.nspname NOT LIKE 'pg\_%'
          AND n.nspname NOT IN ('information_schema', 'switchover')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                           WHERE e.classid = o.class AND e.objid = o.oid AND e.deptype = 'e'))
 ORDER BY 1, 2
