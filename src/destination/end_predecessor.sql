-- $1 identity of the source. Sessions of an earlier run from the same source that are older than ours;
-- those that only look are left alone.
SELECT a.pid, pg_catalog.pg_terminate_backend(a.pid)
  FROM switchover.state s, pg_catalog.pg_stat_activity a, pg_catalog.pg_stat_activity own
 WHERE s.source_identity = $1
   AND own.pid = pg_catalog.pg_backend_pid()
   AND a.datname = own.datname AND a.usename = own.usename
   AND a.backend_start < own.backend_start
   AND a.application_name LIKE 'pg\_switchover: %'
   AND a.application_name NOT IN ('pg_switchover: status', 'pg_switchover: check')
