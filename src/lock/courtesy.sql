-- Our sessions that only read, or check foreign keys, and stand in the way of somebody who waits for a table: directly, or of one whom
-- that one waits for. Writers queue behind whoever waits for a table to alter it.
-- What we lock otherwise is bounded by time-outs of its own.
-- $4: a LIKE pattern of the names of ours. $1, $2: pairs of ours and theirs; if it is still so, ours is cancelled, or ended where $3 is true. All in one
-- statement, so that it meets what stands in the way and not what comes after it.
WITH RECURSIVE ours (pid) AS (
    SELECT a.pid FROM pg_catalog.pg_stat_activity a
     WHERE a.datname = pg_catalog.current_database() AND a.usename = session_user
       AND a.application_name LIKE $4 AND a.pid <> pg_catalog.pg_backend_pid()
), waiting (pid) AS (
    SELECT DISTINCT l.pid FROM pg_catalog.pg_locks l
     WHERE NOT l.granted AND l.locktype = 'relation'
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                          WHERE d.datname = pg_catalog.current_database())
       AND l.pid NOT IN (SELECT o.pid FROM ours o)
), chain (waiter, pid) AS (
    SELECT w.pid, b.pid FROM waiting w, pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b (pid)
    UNION
    SELECT c.waiter, b.pid
      FROM chain c, pg_catalog.unnest(pg_catalog.pg_blocking_pids(c.pid)) AS b (pid)
     WHERE c.pid NOT IN (SELECT o.pid FROM ours o)
), standing (pid, waiter) AS MATERIALIZED (
    SELECT DISTINCT o.pid, c.waiter
      FROM chain c JOIN ours o ON o.pid = c.pid
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_locks l
                        WHERE l.pid = o.pid AND l.locktype = 'relation'
                          AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock',
                                             'ShareUpdateExclusiveLock'))
)
SELECT s.pid, s.waiter,
       CASE WHEN seen.ended THEN pg_catalog.pg_terminate_backend(s.pid)
            WHEN NOT seen.ended THEN pg_catalog.pg_cancel_backend(s.pid)
            ELSE false
       END
  FROM standing s
  LEFT JOIN ROWS FROM (pg_catalog.unnest($1::int4[]), pg_catalog.unnest($2::int4[]),
                       pg_catalog.unnest($3::boolean[])) AS seen (pid, waiter, ended)
         ON seen.pid = s.pid AND seen.waiter = s.waiter
