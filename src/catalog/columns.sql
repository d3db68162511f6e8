-- $1 oid[]: relations. Their columns that are not dropped, in the table's order.
SELECT a.attrelid,
       a.attname::text,
       a.atttypid,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
       a.attnotnull,
       a.attgenerated::text
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
