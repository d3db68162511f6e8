-- What holds for the whole server and database. Columns that came with later versions are read
-- through JSON, so that one statement serves 13 to 18: datlocprovider, datcollversion (15),
-- daticulocale (15 and 16), datlocale (17).
SELECT d.datname::text AS name,
       pg_catalog.pg_encoding_to_char(d.encoding)::text AS encoding,
       d.datcollate::text AS collate,
       d.datctype::text AS ctype,
       COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c') AS provider,
       COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocale',
                pg_catalog.to_jsonb(d) ->> 'daticulocale', '') AS locale,
       pg_catalog.pg_database_size(d.oid) AS bytes,
       r.rolname::text AS role,
       r.rolsuper AS superuser,
       -- What a new session would get; ours has settings of its own.
       (SELECT s.reset_val FROM pg_catalog.pg_settings s
         WHERE s.name = 'synchronous_commit') AS synchronous_commit,
       (SELECT s.reset_val FROM pg_catalog.pg_settings s
         WHERE s.name = 'default_transaction_read_only') = 'on' AS read_only,
       pg_catalog.current_setting('fsync') = 'on' AS fsync,
       pg_catalog.current_setting('full_page_writes') = 'on' AS full_page_writes,
       pg_catalog.current_setting('max_locks_per_transaction')::int8
         * (pg_catalog.current_setting('max_connections')::int8
            + pg_catalog.current_setting('max_prepared_transactions')::int8) AS lock_table,
       pg_catalog.current_setting('synchronous_standby_names') AS standby_names,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication w
         WHERE w.sync_state IN ('sync', 'quorum')) AS standbys,
       r.rolsuper OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_others
  FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
 WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user
