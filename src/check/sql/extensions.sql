-- Extensions of this database. Those with configuration tables hold rows that no table of ours is.
SELECT e.extname::text AS name, e.extversion AS version,
       COALESCE(pg_catalog.cardinality(e.extconfig), 0) > 0 AS holds_rows
  FROM pg_catalog.pg_extension e
 WHERE e.extname <> 'plpgsql'
 ORDER BY 1
