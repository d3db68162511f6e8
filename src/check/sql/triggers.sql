-- $1 oid[]: tables and partitions. Their triggers that are not what CREATE TRIGGER leaves, and
-- those with our prefix. Clones on partitions are left out while they are enabled like their parent.
SELECT n.nspname::text AS schema, c.relname::text AS table_name,
       CASE WHEN k.contype <> 't' THEN k.conname ELSE t.tgname END::text AS name,
       t.tgenabled::text AS enabled,
       -- Clones on partitions count as internal before 15.
       COALESCE(k.contype <> 't', false) AS internal,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned,
       t.tgname LIKE 'pg\_switchover\_%' AS prefixed,
       fn.nspname = 'switchover' AS calls_ours
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_proc f ON f.oid = t.tgfoid
  JOIN pg_catalog.pg_namespace fn ON fn.oid = f.pronamespace
  LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
 WHERE t.tgrelid = ANY ($1)
   AND (t.tgenabled <> 'O' OR t.tgname LIKE 'pg\_switchover\_%')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger p
                    WHERE p.oid = t.tgparentid AND p.tgenabled = t.tgenabled)
 ORDER BY 1, 2, 3
