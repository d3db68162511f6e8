-- What our role may do here. The functions are those that the other commands call and that a managed
-- service may have revoked.
SELECT current_user::text AS role,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'TEMP') AS may_temp,
       COALESCE((SELECT pg_catalog.has_language_privilege(l.oid, 'USAGE')
                   FROM pg_catalog.pg_language l WHERE l.lanname = 'plpgsql'), false) AS plpgsql,
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_others,
       COALESCE((SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE')
                   FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'), true) AS public_create,
       ARRAY(SELECT f.signature
               FROM (VALUES ('pg_catalog.pg_control_system()'),
                            ('pg_catalog.pg_export_snapshot()'),
                            ('pg_catalog.pg_current_snapshot()'),
                            ('pg_catalog.pg_current_xact_id()'),
                            ('pg_catalog.pg_xact_status(xid8)'),
                            ('pg_catalog.pg_current_wal_flush_lsn()'),
                            ('pg_catalog.pg_current_wal_insert_lsn()'),
                            ('pg_catalog.pg_try_advisory_lock(bigint)'),
                            ('pg_catalog.pg_blocking_pids(integer)')) AS f (signature)
              WHERE NOT pg_catalog.has_function_privilege(f.signature, 'EXECUTE')
              ORDER BY 1) AS functions,
       pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') AS ends_others,
       pg_catalog.current_database()::text AS database
  FROM pg_catalog.pg_roles r
 WHERE r.rolname = current_user
