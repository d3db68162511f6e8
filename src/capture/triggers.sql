-- Triggers of captured tables that are not as init made them: missing, or no longer ENABLE ALWAYS
-- (ALTER TABLE ... DISABLE TRIGGER ALL and back turns them into ordinary ones, which
-- session_replication_role = replica silences). Partitions have them too.
SELECT c.table_id,
       m.oid AS member_id,
       '"' || pg_catalog.replace(n.nspname, '"', '""') || '"."' || pg_catalog.replace(m.relname, '"', '""')
         || '"' AS member,
       w.name,
       t.tgenabled::text AS enabled
  FROM switchover.captured c
  JOIN pg_catalog.pg_class root ON root.oid = c.table_id
  JOIN pg_catalog.pg_class m
    ON m.relkind IN ('r', 'p')
   AND (m.oid = c.table_id
        OR root.relkind = 'p'
           AND m.oid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.table_id) p))
  JOIN pg_catalog.pg_namespace n ON n.oid = m.relnamespace
 CROSS JOIN (VALUES ('pg_switchover_capture'), ('pg_switchover_truncate')) AS w (name)
  LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = m.oid AND t.tgname = w.name
 WHERE t.tgenabled IS DISTINCT FROM 'A'
 ORDER BY 3, 4
