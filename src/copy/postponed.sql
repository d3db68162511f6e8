-- $1 oid[]: the captured relations. What can only be made on the destination once its data is of one
-- snapshot: foreign keys between captured tables, then materialized views, each after those that it
-- reads. Foreign keys that partitions inherit come with their parent's.
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
)
SELECT 1 AS part, pg_catalog.row_number() OVER (ORDER BY n.nspname, c.relname, con.conname) AS position,
       'foreign key' AS kind, con.oid AS oid,
       pg_catalog.format('%I on %I.%I', con.conname, n.nspname, c.relname) AS name,
       n.nspname::text AS schema_name,
       c.relname::text AS table_name,
       con.conname::text AS constraint_name,
       pg_catalog.format('ALTER TABLE %s%I.%I ADD CONSTRAINT %I %s',
           CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname, con.conname,
           pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(con.oid), ' NOT VALID$', '')) AS statement,
       con.convalidated AS validated,
       c.relkind = 'p' AS partitioned,
       pg_catalog.obj_description(con.oid, 'pg_constraint') AS comment,
       pg_catalog.format('CONSTRAINT %I ON %I', con.conname, c.relname) AS comment_tag,
       COALESCE(pg_catalog.pg_partition_root(con.conrelid)::oid, con.conrelid) = ANY ($1)
       AND COALESCE(pg_catalog.pg_partition_root(con.confrelid)::oid, con.confrelid) = ANY ($1) AS captured
  FROM pg_catalog.pg_constraint con
  JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE con.contype = 'f' AND con.conparentid = 0 AND c.relpersistence <> 't' AND n.nspname <> 'switchover'
UNION ALL
SELECT 2, pg_catalog.row_number() OVER (ORDER BY pg_catalog.max(depth.below), n.nspname, c.relname),
       'materialized view', c.oid,
       pg_catalog.format('%I.%I', n.nspname, c.relname),
       n.nspname::text, c.relname::text, NULL,
       pg_catalog.format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname),
       false, false, NULL, NULL, true
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN depth ON depth.view = c.oid
 WHERE c.relkind = 'm' AND c.relispopulated
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND e.objid = c.oid AND e.objsubid = 0 AND e.deptype = 'e')
 GROUP BY c.oid, n.nspname, c.relname
 ORDER BY 1, 2
