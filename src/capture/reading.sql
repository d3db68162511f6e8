-- What a cycle reads, in one message. Runs behind drift.sql.

-- Every captured sequence as it is now: oid, last_value and is_called, with blanks between them, and commas between
-- the sequences. One text, because they are many where tables are many, and a row of each takes longer than all the rest.
-- Only in the window in the transaction that reads rows: the locks stay until its end, and would keep a TRUNCATE ...
-- RESTART IDENTITY waiting for a whole cycle.
-- An older build's answers otherwise, and cannot be replaced.
DROP FUNCTION IF EXISTS switchover.read_sequences();
CREATE FUNCTION switchover.read_sequences() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    others oid[];
    one oid;
    found record;
BEGIN
    BEGIN
        SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', q.id, q.last_value, 't'), ',')
                   FILTER (WHERE q.last_value IS NOT NULL),
               pg_catalog.array_agg(q.id) FILTER (WHERE q.last_value IS NULL)
          INTO answer, others
          -- OFFSET 0: asked once.
          FROM (SELECT s.sequence_id AS id, pg_catalog.pg_sequence_last_value(s.sequence_id) AS last_value
                  FROM switchover.captured_sequence s OFFSET 0) q;
    EXCEPTION WHEN undefined_table OR undefined_object OR internal_error THEN
        -- One was dropped, which the look at what has drifted reports. The rest is read one by one.
        answer := NULL;
        others := ARRAY(SELECT s.sequence_id FROM switchover.captured_sequence s);
    END;
    -- Not called since their creation, RESTART or setval(..., false): only the relations tell.
    FOREACH one IN ARRAY COALESCE(others, '{}') LOOP
        IF EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = one) THEN
            EXECUTE pg_catalog.format('SELECT s.last_value, s.is_called FROM %s s', one::pg_catalog.regclass) INTO found;
            answer := pg_catalog.concat_ws(',', answer, pg_catalog.concat_ws(' ', one, found.last_value, found.is_called));
        END IF;
    END LOOP;
    RETURN answer;
END
$$;

-- Bounds, to the end of the transaction, what each of the session's next statements may take: what is left of so many
-- ms since the message arrived, where now() stands. Answers how many have passed. With waiting_ms it bounds each wait for
-- a lock as well: whoever has locked a table and wants to write waits for us, and a table that we wait for is given up
-- before that one is told of a deadlock. With idle it bounds the time between two messages. A clock that jumps in between
-- makes it neither more than that nor no time-out at all.
CREATE OR REPLACE FUNCTION switchover.bound(most_ms double precision, waiting_ms double precision, idle boolean)
RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    passed double precision := EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000;
    left_ms text := GREATEST(1, LEAST(most_ms, most_ms - passed))::bigint::text;
BEGIN
    PERFORM pg_catalog.set_config('statement_timeout', left_ms, true);
    IF waiting_ms IS NOT NULL THEN
        PERFORM pg_catalog.set_config('lock_timeout', GREATEST(1, LEAST(waiting_ms,
            EXTRACT(epoch FROM pg_catalog.current_setting('deadlock_timeout')::interval) * 500))::bigint::text, true);
    END IF;
    IF idle THEN
        PERFORM pg_catalog.set_config('idle_in_transaction_session_timeout', left_ms, true);
    END IF;
    RETURN passed;
END
$$;

-- What one cycle has to carry over, in one round trip. Rows of the answer, by kind:
--   position  first: write-ahead log position that covers everything the snapshot sees
--             second: t if the log is flushed up to it
--   snapshot  first: pg_current_snapshot(), second: bytes of both change logs
--   table     id, first: number of entries, second: t if the whole table counts as changed
--   row       id, first: key as a list of literals, second: row as a list of literals; without a second
--             the row is gone, without a first it is one of a whole table
--   export    first: an exported snapshot; more has changed than max_rows and max_bytes let in, so the
--             rows are not here (or not all) and have to be fetched table by table
-- Called in a REPEATABLE READ transaction whose snapshot is taken by this very statement, or, in the window, under the
-- lock before it. Nothing is exported there, and another session looks meanwhile whether a table has drifted.
-- An older build calls another function.
DROP FUNCTION IF EXISTS switchover.read_changes(bigint, bigint, boolean);
CREATE OR REPLACE FUNCTION switchover.read_changes(in_window boolean, max_rows bigint, max_bytes bigint)
RETURNS TABLE (kind text, id oid, first text, second text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    changed record;
    found record;
    changed_tables oid[] := '{}';
    key_bytes bigint := 0;
    rows_left bigint := max_rows;
    bytes_left bigint := max_bytes;
    too_much boolean := false;
BEGIN
    kind := 'position';
    first := pg_catalog.pg_current_wal_insert_lsn();
    second := pg_catalog.pg_current_wal_flush_lsn() >= first::pg_catalog.pg_lsn;
    RETURN NEXT;
    kind := 'snapshot';
    first := pg_catalog.pg_current_snapshot();
    second := pg_catalog.pg_relation_size('switchover.change_log_1'::pg_catalog.regclass)
            + pg_catalog.pg_relation_size('switchover.change_log_2'::pg_catalog.regclass);
    RETURN NEXT;

    FOR changed IN
        SELECT l.table_id, pg_catalog.count(*) AS entries,
               pg_catalog.bool_or(l.row_id IS NULL) AS whole,
               COALESCE(pg_catalog.sum(pg_catalog.octet_length(l.row_id)), 0) AS key_bytes
          FROM switchover.logged() l GROUP BY l.table_id ORDER BY l.table_id
    LOOP
        kind := 'table'; id := changed.table_id; first := changed.entries; second := changed.whole;
        RETURN NEXT;
        changed_tables := changed_tables || changed.table_id;
        key_bytes := key_bytes + changed.key_bytes;
        too_much := too_much OR changed.entries > max_rows OR key_bytes > max_bytes;
    END LOOP;
    IF NOT in_window THEN
        PERFORM switchover.refuse_drifted(changed_tables);
    END IF;

    -- The tables are read in a subtransaction that is always rolled back, which gives their locks back;
    -- what it has returned stays. A lock that we kept until the end of the cycle would let a TRUNCATE or
    -- ALTER of the application wait for as long, every writer behind it, and the sessions that fetch a
    -- large cycle as well, for us to go on: a deadlock that no server can see.
    BEGIN
        IF NOT too_much THEN
            -- The keys are handed over, so that the log is read once, and not once more for each table.
            FOR changed IN
                SELECT l.table_id, pg_catalog.bool_or(l.row_id IS NULL) AS whole,
                       pg_catalog.array_agg(l.row_id) AS row_ids
                  FROM switchover.logged() l GROUP BY l.table_id ORDER BY l.table_id
            LOOP
                FOR found IN EXECUTE pg_catalog.concat('SELECT r.key, r.contents FROM switchover.read_', changed.table_id,
                                                       '($1, $2, $3) r')
                                USING changed.whole, rows_left + 1, changed.row_ids
                LOOP
                    rows_left := rows_left - 1;
                    bytes_left := bytes_left - pg_catalog.octet_length(pg_catalog.concat(found.key, found.contents));
                    too_much := rows_left < 0 OR bytes_left < 0;
                    EXIT WHEN too_much;
                    kind := 'row'; id := changed.table_id; first := found.key; second := found.contents;
                    RETURN NEXT;
                END LOOP;
                EXIT WHEN too_much;
            END LOOP;
            IF NOT too_much THEN
                PERFORM switchover.refuse_rewritten(changed_tables);
            END IF;
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'SW001';
    EXCEPTION
        WHEN SQLSTATE 'SW001' THEN
            NULL;
        WHEN program_limit_exceeded OR out_of_memory OR internal_error THEN
            -- A row may be too large for a literal (1 GB, or the server's memory). COPY has more room, and
            -- whatever else it was, it meets it again, and says which table it was.
            too_much := true;
    END;
    IF too_much THEN
        kind := 'export'; id := NULL; second := NULL;
        first := CASE WHEN NOT in_window THEN pg_catalog.pg_export_snapshot() END;
        RETURN NEXT;
    END IF;
END
$$;

-- Makes this session plan, before the window, what it will run in it for the tables that are written most, which
-- it answers. A table that somebody has locked is left out, and none stays locked.
CREATE OR REPLACE FUNCTION switchover.warm_up(most integer) RETURNS SETOF oid
LANGUAGE plpgsql AS $$
DECLARE
    written oid;
BEGIN
    PERFORM pg_catalog.set_config('lock_timeout', '10', true);
    FOR written IN
        SELECT m.table_id
          FROM switchover.captured_member m,
               LATERAL (SELECT pg_catalog.pg_stat_get_tuples_inserted(m.member_id)
                             + pg_catalog.pg_stat_get_tuples_updated(m.member_id)
                             + pg_catalog.pg_stat_get_tuples_deleted(m.member_id)) AS w (rows)
         GROUP BY m.table_id HAVING pg_catalog.sum(w.rows) > 0
         ORDER BY pg_catalog.sum(w.rows) DESC LIMIT most
    LOOP
        BEGIN
            EXECUTE pg_catalog.concat('SELECT FROM switchover.read_', written, '(false, 0, ''{}'')');
            RAISE EXCEPTION USING ERRCODE = 'SW001';
        EXCEPTION WHEN OTHERS THEN
            -- What is wrong with a table is for the cycle to say.
            NULL;
        END;
        RETURN NEXT written;
    END LOOP;
END
$$;
