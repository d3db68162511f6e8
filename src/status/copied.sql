-- Tables that copy has begun.
SELECT c.schema_name, c.table_name, c.finished_at IS NOT NULL, c.rows, c.bytes
  FROM switchover.copied c
