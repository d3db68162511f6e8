-- Prepared transactions of this database, oldest first.
SELECT p.gid, p.owner::text,
       EXTRACT(epoch FROM pg_catalog.clock_timestamp() - p.prepared)::float8 AS seconds
  FROM pg_catalog.pg_prepared_xacts p
 WHERE p.database = pg_catalog.current_database()
 ORDER BY p.prepared
