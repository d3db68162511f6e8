-- How many connections our role could still open: the server's, the database's and the role's limit,
-- each less what is in use. NULL where there is no limit. Others' backend_type shows only to those
-- with pg_read_all_stats; what is hidden counts as a client.
WITH used AS (
    SELECT a.datname, a.usename
      FROM pg_catalog.pg_stat_activity a
     WHERE a.datid IS NOT NULL AND COALESCE(a.backend_type, 'client backend') = 'client backend'
       AND a.pid <> pg_catalog.pg_backend_pid()
)
SELECT pg_catalog.current_setting('max_connections')::int8
       - CASE WHEN r.rolsuper THEN 0
              ELSE pg_catalog.current_setting('superuser_reserved_connections')::int8
                   + COALESCE(pg_catalog.current_setting('reserved_connections', true)::int8, 0)
         END
       - (SELECT pg_catalog.count(*) FROM used) AS server,
       CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper
            THEN d.datconnlimit - (SELECT pg_catalog.count(*) FROM used u
                                    WHERE u.datname = d.datname) END AS database,
       CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper
            THEN r.rolconnlimit - (SELECT pg_catalog.count(*) FROM used u
                                    WHERE u.usename = r.rolname) END AS role
  FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
 WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user
