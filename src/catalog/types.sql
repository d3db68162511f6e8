-- $1 oid[]: types. These and all that they are made of, through domains and arrays.
WITH RECURSIVE used (oid) AS (
    SELECT pg_catalog.unnest($1::oid[])
    UNION
    SELECT inner_type
      FROM used
      JOIN pg_catalog.pg_type t ON t.oid = used.oid,
           LATERAL (VALUES (t.typbasetype), (t.typelem)) AS parts (inner_type)
     WHERE inner_type <> 0
)
SELECT t.oid,
       t.typname::text,
       t.typtype::text,
       CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0::oid END AS element,
       t.typbasetype,
       t.typsend <> 0::oid AND t.typreceive <> 0::oid AS has_binary
  FROM pg_catalog.pg_type t
  JOIN used ON used.oid = t.oid
