-- Foreign keys between tables of the user; those that partitions inherit are left out.
SELECT con.conname::text,
       con.conrelid,
       con.confrelid
  FROM pg_catalog.pg_constraint con
  JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
 WHERE con.contype = 'f' AND con.conparentid = 0 AND c.relpersistence <> 't'
 ORDER BY con.conrelid, con.conname
