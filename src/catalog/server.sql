-- Which database this is, whatever it is called: the system identifier and the database's oid.
SELECT s.system_identifier::text || '/' || d.oid::text AS identity,
       d.datname::text,
       pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding,
       d.datcollate::text,
       d.datctype::text,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS superuser
  FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database d
 WHERE d.datname = pg_catalog.current_database()
