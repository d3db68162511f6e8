-- Foreign keys that copy or switch will make.
SELECT p.schema_name, p.table_name, p.constraint_name
  FROM switchover.postponed p
 WHERE p.constraint_name IS NOT NULL AND p.done_at IS NULL
