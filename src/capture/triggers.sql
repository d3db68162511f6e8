-- Triggers of captured tables that are not as init made them: missing, or no longer ENABLE ALWAYS
-- (ALTER TABLE ... DISABLE TRIGGER ALL and back turns them into ordinary ones, which
-- session_replication_role = replica silences). Partitions have them too; those that came or went since
-- the last look are another matter.
SELECT c.table_id,
       m.member_id,
       '"' || pg_catalog.replace(n.nspname, '"', '""') || '"."' || pg_catalog.replace(p.relname, '"', '""')
         || '"' AS member,
       w.name,
       t.tgenabled::text AS enabled
  FROM switchover.captured c
  JOIN pg_catalog.pg_class root ON root.oid = c.table_id
  JOIN switchover.captured_member m ON m.table_id = c.table_id
  JOIN pg_catalog.pg_class p ON p.oid = m.member_id AND p.relkind IN ('r', 'p')
  JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
 CROSS JOIN LATERAL (VALUES (CASE root.relkind WHEN 'p' THEN 'pg_switchover_capture_' || c.table_id
                                               ELSE 'pg_switchover_capture' END),
                            ('pg_switchover_truncate')) AS w (name)
  LEFT JOIN pg_catalog.pg_trigger t ON t.tgrelid = m.member_id AND t.tgname = w.name
 WHERE t.tgenabled IS DISTINCT FROM 'A'
   AND (m.member_id = c.table_id
        OR (m.table_id, m.member_id, m.link)
           IN (SELECT s.table_id, s.member_id, s.link
                 FROM switchover.members(ARRAY(SELECT k.table_id FROM switchover.captured k)) s))
 ORDER BY 3, 4
