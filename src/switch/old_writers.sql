-- Transactions that have written to a captured table and have been open for more than $1 ms: the
-- stop-the-world lock would wait for them, and every other writer for it. Prepared transactions hold
-- their locks without a backend.
SELECT COALESCE(a.pid, 0),
       COALESCE(a.usename::text, p.owner::text, '?'),
       COALESCE(a.application_name, p.gid, ''),
       COALESCE(a.state, 'prepared'),
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - COALESCE(a.xact_start, p.prepared))::int8,
       COALESCE(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\s+', ' ', 'g'), 60), '')
  FROM (SELECT DISTINCT l.pid, l.virtualtransaction
          FROM pg_catalog.pg_locks l
         WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'RowExclusiveLock'
           AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                              WHERE d.datname = pg_catalog.current_database())
           AND l.relation IN ('switchover.change_log_1'::pg_catalog.regclass,
                              'switchover.change_log_2'::pg_catalog.regclass)) AS l
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_catalog.pg_prepared_xacts p
    ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction::text
 WHERE COALESCE(a.xact_start, p.prepared)
       < pg_catalog.clock_timestamp() - $1 * interval '1 millisecond'
 ORDER BY 5 DESC
