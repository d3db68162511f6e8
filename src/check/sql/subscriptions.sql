-- Enabled subscriptions of this database. Only columns that every role may read (of pg_subscription,
-- subconninfo is for superusers).
SELECT s.subname::text
  FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
 WHERE d.datname = pg_catalog.current_database() AND s.subenabled
 ORDER BY 1
