-- $1 key. The session that holds this advisory lock: a bigint key is split into two halves.
SELECT pg_catalog.format('pid %s, user %s, from %s, %s, since %s', a.pid, a.usename,
                         COALESCE(a.client_hostname, pg_catalog.host(a.client_addr), 'a local socket'),
                         a.application_name, pg_catalog.date_trunc('second', a.backend_start))
  FROM pg_catalog.pg_locks l
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                      WHERE d.datname = pg_catalog.current_database())
   AND ((l.classid::int8 << 32) | l.objid::int8) = $1
