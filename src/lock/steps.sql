-- The body of a DO block: takes the locks, then does what they are for. What stands in braces is put in by
-- lock.rs.
DECLARE
    relations pg_catalog.text[] := {names};
    position_now pg_catalog.int4 := 0;
    granted pg_catalog.timestamptz;    -- the first of the locks
    -- Milliseconds that all waits but the first may take together, see lock.rs.
    most pg_catalog.float8 := LEAST(
        EXTRACT(epoch FROM pg_catalog.current_setting('lock_timeout')::pg_catalog.interval) * 1000,
        EXTRACT(epoch FROM pg_catalog.current_setting('deadlock_timeout')::pg_catalog.interval) * 500);
BEGIN
    PERFORM pg_catalog.set_config('deadlock_timeout', '{deadlock_timeout}', true) WHERE {may_set};
    WHILE position_now < pg_catalog.cardinality(relations) LOOP
        position_now := position_now + 1;
        IF granted IS NOT NULL THEN
            -- A clock that jumps makes it neither longer than that nor no time-out at all.
            PERFORM pg_catalog.set_config('lock_timeout', GREATEST(1, LEAST(most,
                most - EXTRACT(epoch FROM pg_catalog.clock_timestamp() - granted) * 1000)
                )::pg_catalog.int8::pg_catalog.text, true);
        END IF;
        EXECUTE pg_catalog.format('LOCK TABLE ONLY %s IN {mode} MODE', relations[position_now]);
        granted := COALESCE(granted, pg_catalog.clock_timestamp());
        -- Nobody attaches or detaches a partition of what is locked.
        IF {partitions} THEN
            relations := relations || ARRAY(
                SELECT i.inhrelid::pg_catalog.regclass::pg_catalog.text
                  FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhparent
                 WHERE c.relkind = 'p' AND c.oid = relations[position_now]::pg_catalog.regclass
                 ORDER BY i.inhrelid);
        END IF;
    END LOOP;
    EXECUTE {sql};
END
