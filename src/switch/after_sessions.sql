-- Sessions that clients have in this database, ours left out: walsenders and background workers are none.
-- Of what kind a session is shows only to members of its role and of pg_read_all_stats; those of unknown kind
-- are listed as what we may not end.
SELECT a.pid,
       COALESCE(a.usename::text, '?'),
       COALESCE(a.application_name, ''),
       COALESCE(a.backend_start::text, ''),
       a.backend_type IS NOT NULL
           AND (own.rolsuper
                OR NOT r.rolsuper AND (pg_catalog.pg_has_role(r.oid, 'USAGE')
                                       OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'))) AS may_end,
       r.rolsuper
  FROM pg_catalog.pg_stat_activity a
  JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
  JOIN pg_catalog.pg_roles own ON own.rolname = current_user
 WHERE a.datname = pg_catalog.current_database()
   AND a.pid <> pg_catalog.pg_backend_pid()
   AND NOT (a.application_name LIKE 'pg\_switchover: %' AND a.usename = session_user)
   AND COALESCE(a.backend_type, 'client backend') = 'client backend'
   AND a.pid NOT IN (SELECT s.pid FROM pg_catalog.pg_stat_replication s)
   AND a.pid NOT IN (SELECT s.pid FROM pg_catalog.pg_stat_subscription s WHERE s.pid IS NOT NULL)
 ORDER BY a.pid
