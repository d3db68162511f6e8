-- $1 oid[]: partitioned tables. The partitions of each that hold rows, as they are now.
SELECT r.oid AS root,
       n.nspname::text,
       c.relname::text,
       c.relkind = 'f' AS is_foreign,
       CASE WHEN c.relkind = 'r'
            THEN pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8
            ELSE 0 END AS pages
  FROM pg_catalog.unnest($1::oid[]) AS r (oid)
 CROSS JOIN LATERAL pg_catalog.pg_partition_tree(r.oid) AS p
  JOIN pg_catalog.pg_class c ON c.oid = p.relid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind <> 'p'
 ORDER BY r.oid, n.nspname, c.relname
