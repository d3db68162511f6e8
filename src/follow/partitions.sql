-- $1 oid: a captured root, or NULL for all. Its partitions, parents first: name, the root's, the parent's,
-- its bound, and how it is partitioned itself.
WITH RECURSIVE tree (root, oid, parent, level) AS (
    SELECT c.table_id, i.inhrelid, i.inhparent, 1
      FROM switchover.captured c
      JOIN pg_catalog.pg_class r ON r.oid = c.table_id AND r.relkind = 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent = c.table_id
     WHERE $1::oid IS NULL OR c.table_id = $1::oid
    UNION ALL
    SELECT t.root, i.inhrelid, i.inhparent, t.level + 1
      FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid)
SELECT n.nspname::text, c.relname::text, rn.nspname::text, r.relname::text, pn.nspname::text, p.relname::text,
       pg_catalog.pg_get_expr(c.relpartbound, c.oid),
       CASE c.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_catalog.pg_get_partkeydef(c.oid) ELSE '' END
  FROM tree t
  JOIN pg_catalog.pg_class c ON c.oid = t.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class r ON r.oid = t.root
  JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
  JOIN pg_catalog.pg_class p ON p.oid = t.parent
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE c.relpartbound IS NOT NULL
 ORDER BY t.level, 1, 2
