-- $1 pid of a backend that waits. Who keeps it waiting; prepared transactions have no backend, and show
-- as pid 0 in pg_blocking_pids.
SELECT a.pid,
       COALESCE(a.usename::text, '?'),
       COALESCE(a.application_name, ''),
       COALESCE(a.state, a.backend_type, '?'),
       COALESCE(EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start), 0)::int8,
       COALESCE(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 60), '')
  FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1)) AS b (pid)
  JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid
UNION
SELECT 0, p.owner::text, p.gid::text, 'prepared',
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::int8, ''
  FROM pg_catalog.pg_prepared_xacts p
 WHERE 0 = ANY (pg_catalog.pg_blocking_pids($1))
   AND p.database = pg_catalog.current_database()
