-- The log that is not being written loses its dead rows here once it is drained, and if the other one has
-- grown, writers are sent over; the cycles that follow drain what they left.
-- A writer that has read the former value of turn may still insert into the table that was left. That is
-- harmless: both are always read, and TRUNCATE looks once more under its lock.
DO $$
DECLARE
    second boolean := pg_catalog.pg_sequence_last_value('switchover.turn'::pg_catalog.regclass) IS NOT NULL;
    resting text := CASE WHEN second THEN 'switchover.change_log_1' ELSE 'switchover.change_log_2' END;
    writing text := CASE WHEN second THEN 'switchover.change_log_2' ELSE 'switchover.change_log_1' END;
    drained boolean;
BEGIN
    EXECUTE pg_catalog.format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', resting);
    EXECUTE pg_catalog.format('SELECT NOT EXISTS (SELECT FROM %s)', resting) INTO drained;
    IF drained THEN
        IF pg_catalog.pg_relation_size(resting::pg_catalog.regclass) > 0 THEN
            EXECUTE pg_catalog.format('TRUNCATE %s', resting);
        END IF;
        IF pg_catalog.pg_relation_size(writing::pg_catalog.regclass) >= 4 * 1024 * 1024 THEN
            PERFORM pg_catalog.setval('switchover.turn', 1, NOT second);
        END IF;
    END IF;
END
$$;
