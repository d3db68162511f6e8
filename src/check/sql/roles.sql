-- $1 oid[]: tables and sequences, or NULL for everything in the database. Roles that objects belong
-- to (o), that are granted something (a), that a policy names (r). Roles from initdb are not noted
-- in pg_shdepend.
SELECT DISTINCT r.rolname::text AS role, d.deptype::text AS why
  FROM pg_catalog.pg_shdepend d
  JOIN pg_catalog.pg_database b ON b.oid = d.dbid AND b.datname = pg_catalog.current_database()
  JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
 WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   AND d.deptype IN ('o', 'a', 'r')
   AND ($1::oid[] IS NULL
        OR (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = ANY ($1))
        OR (d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
            AND d.objid IN (SELECT p.oid FROM pg_catalog.pg_policy p WHERE p.polrelid = ANY ($1)))
        OR (d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
            AND d.objid IN (SELECT c.relnamespace FROM pg_catalog.pg_class c
                             WHERE c.oid = ANY ($1))))
   AND NOT (d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
            AND d.objid IN (SELECT n.oid FROM pg_catalog.pg_namespace n
                             WHERE n.nspname = 'switchover'))
 ORDER BY 1, 2
