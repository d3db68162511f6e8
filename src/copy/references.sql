-- Which table refers to which by a foreign key; partitions count as their roots.
SELECT DISTINCT fn.nspname::text, fc.relname::text, tn.nspname::text, tc.relname::text
  FROM pg_catalog.pg_constraint con
  JOIN pg_catalog.pg_class fc
    ON fc.oid = COALESCE(pg_catalog.pg_partition_root(con.conrelid)::pg_catalog.oid, con.conrelid)
  JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
  JOIN pg_catalog.pg_class tc
    ON tc.oid = COALESCE(pg_catalog.pg_partition_root(con.confrelid)::pg_catalog.oid, con.confrelid)
  JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
 WHERE con.contype = 'f'
