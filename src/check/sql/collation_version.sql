-- 15 and later: the version of the collation library that the database was made with, and today's.
SELECT d.datcollversion::text, pg_catalog.pg_database_collation_actual_version(d.oid)::text
  FROM pg_catalog.pg_database d
 WHERE d.datname = pg_catalog.current_database()
   AND d.datcollversion <> pg_catalog.pg_database_collation_actual_version(d.oid)
