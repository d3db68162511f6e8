-- Ends sessions of ours that we have given up: $sessions as in look.sql.
SET statement_timeout = 0;
-- Ours are those of the role that has connected, whatever role its settings put on.
SET ROLE NONE;
SELECT pg_catalog.set_config('search_path', '', false);
SELECT pg_catalog.pg_terminate_backend(s.pid)
  FROM (VALUES $sessions) AS s (number, pid, started)
  JOIN LATERAL pg_catalog.pg_stat_get_activity(s.pid) AS a
    ON (EXTRACT(epoch FROM a.backend_start) * 1000000)::int8 = s.started;
