-- The captured tables, with the columns that each has now; NULL: it is gone. Each join by an index: the session that
-- asks may have no others, and tables may be many.
SELECT c.table_id, c.schema_name, c.table_name, c.shape, s.shape, c.key_columns, c.functions
  FROM switchover.shapes(ARRAY(SELECT table_id FROM switchover.captured)) s
  JOIN switchover.captured c ON c.table_id = s.table_id
UNION ALL
SELECT c.table_id, c.schema_name, c.table_name, c.shape, NULL, c.key_columns, c.functions
  FROM switchover.captured c
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = c.table_id)
