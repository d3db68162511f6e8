-- What exists of an archive's last section, as pg_restore -l lists it: kind, schema, tag. Kinds that
-- may be restored twice are left out (comments, privileges, ATTACH of an index, row security).
SELECT 'INDEX ' || n.nspname || ' ' || c.relname
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('i', 'I')
UNION ALL
SELECT CASE con.contype WHEN 'c' THEN 'CHECK CONSTRAINT ' ELSE 'CONSTRAINT ' END
       || n.nspname || ' ' || COALESCE(c.relname, t.typname) || ' ' || con.conname
  FROM pg_catalog.pg_constraint con
  LEFT JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
  LEFT JOIN pg_catalog.pg_type t ON t.oid = con.contypid
  JOIN pg_catalog.pg_namespace n ON n.oid = con.connamespace
 WHERE con.contype IN ('p', 'u', 'x', 'c', 'n')
UNION ALL
SELECT 'TRIGGER ' || n.nspname || ' ' || c.relname || ' ' || t.tgname
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT 'RULE ' || n.nspname || ' ' || c.relname || ' ' || r.rulename
  FROM pg_catalog.pg_rewrite r
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE r.rulename <> '_RETURN'
UNION ALL
SELECT 'POLICY ' || n.nspname || ' ' || c.relname || ' ' || p.polname
  FROM pg_catalog.pg_policy p
  JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'STATISTICS ' || n.nspname || ' ' || s.stxname
  FROM pg_catalog.pg_statistic_ext s
  JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
UNION ALL
SELECT 'EVENT TRIGGER - ' || e.evtname FROM pg_catalog.pg_event_trigger e
