-- $1 oid[]: relations. Their columns that are not dropped, in the table's order.
SELECT a.attrelid,
       a.attname::text,
       a.atttypid,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
       a.attnotnull,
       a.attgenerated::text,
       CASE WHEN a.attcollation <> 0
            THEN pg_catalog.format('%I.%I', cn.nspname, co.collname) END AS collation
  FROM pg_catalog.pg_attribute a
  LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
 WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
