-- The tables that have changed since the last cycle, as LOCK TABLE names them; a partitioned one with its partitions.
SELECT pg_catalog.string_agg(CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || c.oid::regclass, ', ' ORDER BY c.oid)
  FROM (SELECT DISTINCT l.table_id FROM switchover.logged() l) l
  JOIN pg_catalog.pg_class c ON c.oid = l.table_id
