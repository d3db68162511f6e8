-- Extensions that this server has files of: whether CREATE EXTENSION is for superusers, and whether
-- it has been run.
SELECT a.name::text, a.default_version,
       COALESCE((SELECT v.superuser AND NOT v.trusted
                   FROM pg_catalog.pg_available_extension_versions v
                  WHERE v.name = a.name AND v.version = a.default_version), true) AS superuser,
       a.installed_version IS NOT NULL AS installed
  FROM pg_catalog.pg_available_extensions a
