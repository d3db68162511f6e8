-- $1 oid[]: partitions and sequences. Their names, and the statements that make the same elsewhere; what a
-- partition is attached to comes before it.
SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'partition ' END || q.name,
       CASE c.relkind
           WHEN 'S' THEN 'CREATE SEQUENCE ' || q.name || ' AS ' || pg_catalog.format_type(s.seqtypid, NULL)
                || ' INCREMENT ' || s.seqincrement || ' MINVALUE ' || s.seqmin || ' MAXVALUE ' || s.seqmax
                || ' START ' || s.seqstart || ' CACHE ' || s.seqcache || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END
           ELSE 'CREATE TABLE ' || q.name || ' PARTITION OF '
                || pg_catalog.format('%I.%I', pn.nspname, pc.relname)
                || ' ' || pg_catalog.pg_get_expr(c.relpartbound, c.oid)
                || CASE c.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_catalog.pg_get_partkeydef(c.oid) ELSE '' END END
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (SELECT '"' || pg_catalog.replace(n.nspname, '"', '""') || '"' || '.' || '"' || pg_catalog.replace(c.relname, '"', '""') || '"') AS q (name)
  LEFT JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
  LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
  LEFT JOIN pg_catalog.pg_class pc ON pc.oid = i.inhparent
  LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
 WHERE c.oid = ANY ($1)
 ORDER BY (SELECT pg_catalog.count(*) FROM pg_catalog.pg_partition_ancestors(c.oid)), n.nspname, c.relname
