-- Collations of columns whose library has another version than when they were made.
SELECT n.nspname::text AS schema, o.collname::text AS name
  FROM pg_catalog.pg_collation o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.collnamespace
 WHERE o.collversion <> pg_catalog.pg_collation_actual_version(o.oid)
   AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
                WHERE a.attcollation = o.oid AND a.attrelid >= 16384 AND a.attnum > 0)
 ORDER BY 1, 2
