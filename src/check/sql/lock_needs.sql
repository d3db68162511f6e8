-- $1 oid[]: tables. How many relations a TRUNCATE of all of them locks: indexes and TOAST too.
SELECT pg_catalog.count(*)
       + COALESCE(pg_catalog.sum((SELECT pg_catalog.count(*) FROM pg_catalog.pg_index i
                                   WHERE i.indrelid = c.oid)), 0)::int8
       + 2 * pg_catalog.count(*) FILTER (WHERE c.reltoastrelid <> 0)
  FROM pg_catalog.pg_class c
 WHERE c.oid = ANY ($1)
