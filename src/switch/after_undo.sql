-- Gives the database the setting back that it had before the switch. What somebody has set since stays.
BEGIN;
SET LOCAL lock_timeout = '5s';
DO $$
DECLARE
    former text := (SELECT s.former_read_only FROM switchover.state s);
    now text := (SELECT pg_catalog.split_part(c.setting, '=', 2)
                   FROM pg_catalog.pg_db_role_setting s
                   JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase,
                        pg_catalog.unnest(s.setconfig) AS c (setting)
                  WHERE d.datname = pg_catalog.current_database() AND s.setrole = 0
                    AND c.setting LIKE 'default\_transaction\_read\_only=%');
BEGIN
    IF former IS NOT NULL AND now = 'on' AND former <> now THEN
        EXECUTE pg_catalog.format(
            CASE former WHEN '' THEN 'ALTER DATABASE %I RESET default_transaction_read_only'
                        ELSE 'ALTER DATABASE %I SET default_transaction_read_only = %L' END,
            pg_catalog.current_database(), former);
    END IF;
    UPDATE switchover.state SET former_read_only = NULL;
END
$$;
COMMIT;
