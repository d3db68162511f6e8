-- $1 oid[]: types. These and all that they are made of: what domains, arrays, ranges and multiranges are
-- over, and the attributes of composites. pg_range.rngmultitypid, of version 14, is read through JSON.
WITH RECURSIVE used (oid) AS (
    SELECT pg_catalog.unnest($1::oid[])
    UNION
    SELECT inner_type
      FROM used
      JOIN pg_catalog.pg_type t ON t.oid = used.oid,
           LATERAL (SELECT t.typbasetype
                    UNION ALL SELECT t.typelem
                    UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
                    UNION ALL SELECT r.rngtypid FROM pg_catalog.pg_range r
                               WHERE t.typtype = 'm'
                                 AND (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::oid = t.oid
                    UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                               WHERE t.typtype = 'c' AND a.attrelid = t.typrelid
                                 AND a.attnum > 0 AND NOT a.attisdropped) AS parts (inner_type)
     WHERE inner_type <> 0
)
SELECT t.oid,
       n.nspname::text,
       t.typname::text,
       t.typtype::text,
       CASE WHEN t.typlen = -1 THEN t.typelem ELSE 0::oid END AS element,
       t.typbasetype,
       t.typsend <> 0::oid AND t.typreceive <> 0::oid AS has_binary,
       pg_catalog.quote_ident(n.nspname) || '.' AS prefix,
       (SELECT e.extname::text
          FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
           AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e') AS extension,
       COALESCE((SELECT c.relkind <> 'c' FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid), false) AS of_table,
       ARRAY(SELECT l.enumlabel::text FROM pg_catalog.pg_enum l
              WHERE l.enumtypid = t.oid ORDER BY l.enumsortorder) AS labels,
       p.names, p.types, p.spelled
  FROM pg_catalog.pg_type t
  JOIN used ON used.oid = t.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace,
       LATERAL (SELECT COALESCE(pg_catalog.array_agg(x.name ORDER BY x.position), '{}') AS names,
                       COALESCE(pg_catalog.array_agg(x.type ORDER BY x.position), '{}') AS types,
                       COALESCE(pg_catalog.array_agg(pg_catalog.format_type(x.type, x.modifier)
                                                     ORDER BY x.position), '{}') AS spelled
                  FROM (SELECT a.attname::text, a.attnum, a.atttypid, a.atttypmod
                          FROM pg_catalog.pg_attribute a
                         WHERE t.typtype = 'c' AND a.attrelid = t.typrelid
                           AND a.attnum > 0 AND NOT a.attisdropped
                        UNION ALL
                        SELECT '', 0, t.typbasetype, t.typtypmod WHERE t.typtype = 'd'
                        UNION ALL
                        SELECT '', 0, r.rngsubtype, -1 FROM pg_catalog.pg_range r
                         WHERE r.rngtypid = t.oid) AS x (name, position, type, modifier)) AS p
