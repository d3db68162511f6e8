-- Other processes of pg_switchover at work in this database.
SELECT a.pid, a.application_name
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database()
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.application_name LIKE 'pg\_switchover: %'
   AND a.application_name <> 'pg_switchover: check'
 ORDER BY a.pid
