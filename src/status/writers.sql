-- Who has written to a captured table in a transaction that is still open: switch has to wait for them.
SELECT a.pid, COALESCE(a.usename::text, '?'), COALESCE(a.state, '?'),
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'RowExclusiveLock'
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
   AND l.relation IN ('switchover.change_log_1'::pg_catalog.regclass,
                      'switchover.change_log_2'::pg_catalog.regclass)
   AND a.xact_start < pg_catalog.clock_timestamp() - interval '1 second'
 GROUP BY 1, 2, 3, 4
 ORDER BY 4 DESC
 LIMIT 10
