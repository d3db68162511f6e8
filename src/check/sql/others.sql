-- $1 oid[]: tables. Things beside plain tables that need a word: materialized views, large objects,
-- inheritance children, tables in a tablespace of their own.
SELECT 'materialized view' AS kind, n.nspname::text AS schema, c.relname::text AS name
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'm' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
UNION ALL
SELECT 'large object', NULL, m.number
  FROM (SELECT pg_catalog.count(*)::text AS number
          FROM pg_catalog.pg_largeobject_metadata
        HAVING pg_catalog.count(*) > 0) AS m
UNION ALL
SELECT DISTINCT 'inheritance child', n.nspname::text, c.relname::text
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE i.inhrelid = ANY ($1) AND NOT c.relispartition
UNION ALL
SELECT DISTINCT 'tablespace', NULL, t.spcname::text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
 WHERE c.oid = ANY ($1)
    OR c.oid IN (SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ($1))
 ORDER BY 1, 2, 3
