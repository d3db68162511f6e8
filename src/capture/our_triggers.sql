-- Tables that have triggers of ours, with those of them that can be dropped there: the clone of a row
-- trigger on a partition goes with the one it was cloned from. Roots first.
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
       COALESCE(pg_catalog.array_agg(t.tgname::text ORDER BY t.tgname) FILTER (WHERE t.tgparentid = 0), '{}')
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
 WHERE (t.tgname ~ '^pg_switchover_capture(_[0-9]+)?$' OR t.tgname = 'pg_switchover_truncate')
   AND pn.nspname = 'switchover'
 GROUP BY n.nspname, c.relname, c.relispartition, c.oid
 ORDER BY c.relispartition, n.nspname, c.relname
