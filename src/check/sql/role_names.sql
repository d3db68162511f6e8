-- $1 text[]: roles. Those that exist here, and whether we may give objects to them: from 16 on a
-- membership may come without SET.
SELECT r.rolname::text,
       pg_catalog.pg_has_role(
           r.oid, CASE WHEN pg_catalog.current_setting('server_version_num')::int8 >= 160000
                       THEN 'SET' ELSE 'MEMBER' END) AS may_set
  FROM pg_catalog.pg_roles r
 WHERE r.rolname = ANY ($1)
