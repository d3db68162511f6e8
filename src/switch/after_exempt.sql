-- Roles whose own setting prevails over the database's.
SELECT DISTINCT pg_catalog.quote_ident(r.rolname)
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
       pg_catalog.unnest(s.setconfig) AS c (setting)
 WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d
                              WHERE d.datname = pg_catalog.current_database()))
   AND c.setting ~ '^default_transaction_read_only=(off|false|no|0)$'
 ORDER BY 1
