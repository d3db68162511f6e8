-- Transactions of this database that have been open for longer than $1 seconds, oldest first. Ours
-- are told by their application_name.
SELECT a.pid,
       COALESCE(a.usename, '')::text AS role,
       COALESCE(a.state, a.backend_type, 'unknown') AS state,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS seconds,
       EXISTS (SELECT FROM pg_catalog.pg_locks l
                WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
                  AND l.relation >= 16384) AS holds_locks
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database()
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND COALESCE(a.backend_type, '') IN ('client backend', 'autovacuum worker', '')
   AND a.application_name NOT LIKE 'pg\_switchover: %'
   AND a.xact_start < pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::float8)
 ORDER BY a.xact_start
