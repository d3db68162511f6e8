-- Captured tables with the log entries that wait for the next cycle.
SELECT c.schema_name, c.table_name, pg_catalog.count(l.table_id),
       COALESCE(pg_catalog.bool_or(l.table_id IS NOT NULL AND l.row_id IS NULL), false)
  FROM switchover.captured c
  LEFT JOIN switchover.logged() l ON l.table_id = c.table_id
 GROUP BY c.schema_name, c.table_name
 ORDER BY c.schema_name, c.table_name
