-- $1 text: a schema, $2 text: its owner on the source, $3 text: the owner of an object in it. Whether a
-- role that is no superuser could give that object to its owner here: the owner must have CREATE on the
-- schema then, which the grants that come last do not count for. NULL if a role is missing.
SELECT CASE WHEN n.oid IS NOT NULL THEN pg_catalog.has_schema_privilege(o.oid, n.oid, 'CREATE')
            ELSE pg_catalog.pg_has_role(o.oid, s.oid, 'USAGE') END
       OR (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)
  FROM (VALUES ($1::text, $2::text, $3::text)) AS asked (schema, schema_owner, owner)
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = asked.schema
  LEFT JOIN pg_catalog.pg_roles s ON s.rolname = asked.schema_owner
  LEFT JOIN pg_catalog.pg_roles o ON o.rolname = asked.owner
