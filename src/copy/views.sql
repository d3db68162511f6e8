-- $1 oid[]: moved tables with their partitions; NULL: whatever a view reads will do. Populated materialized
-- views that read any of them, each after those that it reads. What a function reads is not known.
WITH RECURSIVE reads (reader, read) AS (
    SELECT DISTINCT w.ev_class, d.refobjid
      FROM pg_catalog.pg_rewrite w
      JOIN pg_catalog.pg_depend d
        ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> w.ev_class
), depth (view, below) AS (
    SELECT c.oid, 0 FROM pg_catalog.pg_class c WHERE c.relkind IN ('v', 'm')
    UNION
    SELECT r.reader, depth.below + 1 FROM depth JOIN reads r ON r.read = depth.view
), concerned (oid) AS (
    SELECT pg_catalog.unnest($1::oid[])
    UNION
    SELECT r.reader FROM concerned c JOIN reads r ON r.read = c.oid
)
SELECT n.nspname::text, c.relname::text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN depth ON depth.view = c.oid
 WHERE c.relkind = 'm' AND c.relispopulated
   AND ($1 IS NULL OR c.oid IN (SELECT oid FROM concerned))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND e.objid = c.oid AND e.objsubid = 0 AND e.deptype = 'e')
 GROUP BY n.nspname, c.relname
 ORDER BY pg_catalog.max(depth.below), n.nspname, c.relname
