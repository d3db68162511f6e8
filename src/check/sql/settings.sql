-- What ALTER DATABASE ... SET and ALTER ROLE ... IN DATABASE ... SET left for this database: pg_dump of
-- one database leaves it out.
SELECT COALESCE(r.rolname::text, '') AS role, setting
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
       LATERAL pg_catalog.unnest(s.setconfig) AS setting
 WHERE d.datname = pg_catalog.current_database()
 ORDER BY 1, 2
