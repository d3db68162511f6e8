-- What the server does for our sessions: $sessions is a list of (number, pid, start in microseconds).
SET statement_timeout = 0;
-- Ours are those of the role that has connected, whatever role its settings put on.
SET ROLE NONE;
SELECT pg_catalog.set_config('search_path', '', false);
SELECT s.number,
       a.pid IS NOT NULL AS is_there,
       a.wait_event_type,
       a.wait_event,
       CASE a.wait_event_type
            WHEN 'Lock' THEN pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(s.pid), ', ')
       END AS blockers,
       EXISTS (SELECT FROM pg_catalog.pg_stat_get_wal_senders()) AS has_standby
  FROM (VALUES $sessions) AS s (number, pid, started)
  LEFT JOIN LATERAL pg_catalog.pg_stat_get_activity(s.pid) AS a
         ON (EXTRACT(epoch FROM a.backend_start) * 1000000)::int8 = s.started;
