-- $1 text[]: the schemas, $2 text[]: the names of the moved tables. The foreign keys from and to them that act here, with what makes each of
-- them again. Those that partitions inherit come and go with their parent's; those whose triggers are
-- disabled, or that are not enforced, act on nothing.
SELECT 'foreign key' AS kind, con.oid, NULL::text AS comment_tag, true AS captured,
       pg_catalog.format('%I on %I.%I', con.conname, n.nspname, c.relname) AS name,
       n.nspname::text AS schema_name,
       c.relname::text AS table_name,
       con.conname::text AS constraint_name,
       pg_catalog.format('ALTER TABLE %s%I.%I ADD CONSTRAINT %I %s',
           CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END, n.nspname, c.relname, con.conname,
           pg_catalog.regexp_replace(pg_catalog.pg_get_constraintdef(con.oid), ' NOT VALID$', '')) AS statement,
       con.convalidated AS validated,
       c.relkind = 'p' AS partitioned,
       pg_catalog.obj_description(con.oid, 'pg_constraint') AS comment,
       pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owned
  FROM pg_catalog.pg_constraint con
  JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  -- Not to_regclass(), which wants USAGE on the schema.
  JOIN (SELECT pg_catalog.array_agg(m.oid) AS oids
          FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS t (schema, name)
          JOIN pg_catalog.pg_namespace s ON s.nspname = t.schema
          JOIN pg_catalog.pg_class m ON m.relnamespace = s.oid AND m.relname = t.name) AS moved ON true
 WHERE con.contype = 'f' AND con.conparentid = 0
   AND (COALESCE(pg_catalog.pg_partition_root(con.conrelid)::pg_catalog.oid, con.conrelid) = ANY (moved.oids)
        OR COALESCE(pg_catalog.pg_partition_root(con.confrelid)::pg_catalog.oid, con.confrelid) = ANY (moved.oids))
   AND COALESCE(pg_catalog.to_jsonb(con) ->> 'conenforced', 'true') = 'true'
   AND (SELECT COALESCE(pg_catalog.bool_or(t.tgenabled <> 'D'), true)
          FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = con.oid)
 ORDER BY n.nspname, c.relname, con.conname
