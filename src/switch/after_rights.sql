-- Whether our role may change settings of this database, its name, the database's, and that of its owner.
SELECT pg_catalog.pg_has_role(d.datdba, 'USAGE'), current_user::text, d.datname::text,
       pg_catalog.pg_get_userbyid(d.datdba)::text
  FROM pg_catalog.pg_database d
 WHERE d.datname = pg_catalog.current_database()
