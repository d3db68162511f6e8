-- Makes new sessions of this database read-only, and notes, for drop --force, the setting that was there
-- before; nothing there is the empty text.
BEGIN;
SET LOCAL lock_timeout = '5s';
UPDATE switchover.state
   SET former_read_only = COALESCE((SELECT pg_catalog.split_part(c.setting, '=', 2)
                                      FROM pg_catalog.pg_db_role_setting s
                                      JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase,
                                           pg_catalog.unnest(s.setconfig) AS c (setting)
                                     WHERE d.datname = pg_catalog.current_database() AND s.setrole = 0
                                       AND c.setting LIKE 'default\_transaction\_read\_only=%'), '')
 WHERE former_read_only IS NULL;
DO $$
BEGIN
    EXECUTE pg_catalog.format('ALTER DATABASE %I SET default_transaction_read_only = on',
                              pg_catalog.current_database());
END
$$;
COMMIT;
