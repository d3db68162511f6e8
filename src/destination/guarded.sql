-- $1 oid[]: the moved tables. Those of them and of their partitions whose guard is missing or switched off,
-- with the moved table they belong to; and tables that have one and are not moved, or no longer. `may`:
-- our role may mend that.
WITH RECURSIVE member (root, oid) AS (
    SELECT t.oid, t.oid FROM pg_catalog.unnest($1::oid[]) AS t (oid)
    UNION ALL
    SELECT m.root, i.inhrelid
      FROM member m
      JOIN pg_catalog.pg_class c ON c.oid = m.oid AND c.relkind = 'p'
      JOIN pg_catalog.pg_inherits i ON i.inhparent = m.oid
), guard AS (
    SELECT t.tgrelid, t.tgenabled::text AS enabled
      FROM pg_catalog.pg_trigger t
     WHERE t.tgfoid = 'switchover.refuse_early()'::pg_catalog.regprocedure
)
SELECT n.nspname::text AS schema, c.relname::text AS name,
       rn.nspname::text AS root_schema, rc.relname::text AS root_name,
       m.oid IS NOT NULL AS moved,
       g.tgrelid IS NOT NULL AS present,
       CASE WHEN g.tgrelid IS NULL THEN pg_catalog.has_table_privilege(c.oid, 'TRIGGER')
            ELSE pg_catalog.pg_has_role(c.relowner, 'USAGE') END AS may
  FROM member m
  FULL JOIN guard g ON g.tgrelid = m.oid
  JOIN pg_catalog.pg_class c ON c.oid = COALESCE(m.oid, g.tgrelid)
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_class rc ON rc.oid = COALESCE(m.root, c.oid)
  JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
 WHERE c.relkind IN ('r', 'p')
   AND (m.oid IS NULL OR g.enabled IS NULL OR g.enabled NOT IN ('O', 'A'))
 ORDER BY 1, 2
