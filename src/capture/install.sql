-- Everything that capture needs on the source except what belongs to one table. Safe to run again;
-- catalog/create_schema.sql comes first.
--
-- The trigger functions run as their owner, whatever the writer's role may see, so nothing in them is
-- looked up through search_path: every object and every operator is named with its schema.

-- use_next_db() is for everyone, and calling it takes USAGE on its schema; nothing else in it is granted.
GRANT USAGE ON SCHEMA switchover TO PUBLIC;

CREATE TABLE IF NOT EXISTS switchover.state (
    singleton            boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    phase                text NOT NULL DEFAULT 'idle'
                         CHECK (phase IN ('idle', 'capturing', 'copied', 'switched')),
    use_next_db          boolean NOT NULL DEFAULT false,    -- the pointer
    source_identity      text NOT NULL,    -- system identifier and oid of this database
    destination_identity text NOT NULL,    -- and of the one it moves to
    destination_name     text NOT NULL,    -- host:port/dbname, for the hint to refused writers
    selection            text[] NOT NULL,  -- the -n -N -t -T options of init
    initialized_at       timestamptz,
    copied_at            timestamptz,
    verified_at          timestamptz,
    switched_at          timestamptz,
    -- What the database had before --after-switch=readonly: nothing is ''; NULL: that was not done.
    former_read_only     text
);

-- Which rows have changed since the last cycle: keys, never contents. Two tables take turns, so that the
-- drained one can be truncated; no index, and no entry is ever updated. Entries become visible in commit
-- order, which no id could follow: they are read, and deleted, in one snapshot.
-- Autovacuum is off: it would stand in the way of the stop-the-world lock, and TRUNCATE does its work.
CREATE TABLE IF NOT EXISTS switchover.change_log_1 (
    table_id   oid NOT NULL,
    row_id     text,            -- NULL: the whole table
    written_at timestamptz NOT NULL DEFAULT pg_catalog.now()    -- for status: how old the oldest is
) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE TABLE IF NOT EXISTS switchover.change_log_2 (
    table_id   oid NOT NULL,
    row_id     text,
    written_at timestamptz NOT NULL DEFAULT pg_catalog.now()
) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE OR REPLACE VIEW switchover.change_log AS
    SELECT table_id, row_id, written_at FROM switchover.change_log_1
    UNION ALL
    SELECT table_id, row_id, written_at FROM switchover.change_log_2;

-- The same for sessions that read the tables of users: those may read no views (session.rs).
CREATE OR REPLACE FUNCTION switchover.logged() RETURNS TABLE (table_id oid, row_id text, written_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT a.table_id, a.row_id, a.written_at FROM switchover.change_log_1 a
    UNION ALL
    SELECT b.table_id, b.row_id, b.written_at FROM switchover.change_log_2 b
$$;

-- Two values that every writer must see as they are now, not as its snapshot has them. A sequence is
-- read that way. turn: never called = change_log_1 is written, else change_log_2. fence: never called =
-- no flip, else the transaction id of the flip, which counts only once that transaction has committed:
-- setval cannot be rolled back, and a crash between it and the commit must leave the source in charge.
CREATE SEQUENCE IF NOT EXISTS switchover.turn;
CREATE SEQUENCE IF NOT EXISTS switchover.fence;

-- A row that is updated to have something in the write-ahead log whose commit flushes all before it.
CREATE TABLE IF NOT EXISTS switchover.heartbeat (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    beaten_at timestamptz NOT NULL
) WITH (fillfactor = 10);
INSERT INTO switchover.heartbeat (beaten_at) VALUES (pg_catalog.now()) ON CONFLICT DO NOTHING;

-- One row per table whose triggers are in place.
CREATE TABLE IF NOT EXISTS switchover.captured (
    table_id    oid PRIMARY KEY,        -- the relation's oid
    schema_name text NOT NULL,
    table_name  text NOT NULL,
    shape       text NOT NULL,          -- switchover.shape() when the triggers were made
    key_columns text[] NOT NULL,        -- what they log, in this order; none: the whole table
    functions   text NOT NULL,          -- a hash of the text of its two functions
    captured_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- What holds the rows of a captured table: itself or, of a partitioned one, all its partitions (and it).
CREATE TABLE IF NOT EXISTS switchover.captured_member (
    table_id   oid,
    member_id  oid,
    link       oid NOT NULL,            -- as switchover.members() had it
    file       oid NOT NULL,
    attributes bigint NOT NULL,
    bound      text,                    -- the partition's constraint, as an expression
    PRIMARY KEY (table_id, member_id)
);

-- The sequences that are carried over.
CREATE TABLE IF NOT EXISTS switchover.captured_sequence (
    sequence_id   oid PRIMARY KEY,
    schema_name   text NOT NULL,
    sequence_name text NOT NULL
);

-- The columns of relations as the functions made for them rely on them. No trigger sees how a column is dropped
-- and another one of its name added, which attnum tells. For many at once: a call for each takes twice as long.
CREATE OR REPLACE FUNCTION switchover.shapes(relations oid[]) RETURNS TABLE (table_id oid, shape text)
LANGUAGE sql STABLE AS $$
    SELECT c.oid, COALESCE(pg_catalog.jsonb_agg(
               pg_catalog.jsonb_build_array(a.attnum, a.attname, a.atttypid::int8, a.atttypmod, a.attgenerated)
               ORDER BY a.attnum) FILTER (WHERE a.attnum IS NOT NULL), '[]')::text
      FROM pg_catalog.pg_class c
      LEFT JOIN pg_catalog.pg_attribute a
        ON a.attrelid OPERATOR(pg_catalog.=) c.oid
       AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
     WHERE c.oid OPERATOR(pg_catalog.=) ANY (relations)
     GROUP BY c.oid
$$;

-- The same of one; NULL if there is no such relation.
CREATE OR REPLACE FUNCTION switchover.shape(relation oid) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT s.shape FROM switchover.shapes(ARRAY[relation]) s
$$;

-- What holds the rows of these tables, with what tells that it was changed behind the triggers' back:
--   link        the row trigger that a partition has from its root: another one once it was detached and
--               attached again, and no trigger has seen how it was changed in between
--   file        pg_class.relfilenode, which every rewrite changes
--   attributes  a hash of the versions of its columns. ALTER COLUMN ... TYPE ... USING changes it and the file;
--               VACUUM FULL, CLUSTER, TRUNCATE, SET LOGGED and SET TABLESPACE change only the file, SET STATISTICS and
--               the like only this one
-- A partition whose concurrent detachment is pending is no part of its root any more. pg_partition_tree() would
-- lock the partitions.
CREATE OR REPLACE FUNCTION switchover.members(relations oid[])
RETURNS TABLE (table_id oid, member_id oid, link oid, file oid, attributes bigint)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE tree (root, oid, partitioned, file) AS (
        SELECT c.oid, c.oid, c.relkind OPERATOR(pg_catalog.=) 'p', c.relfilenode
          FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) ANY (relations)
        UNION ALL
        SELECT t.root, c.oid, c.relkind OPERATOR(pg_catalog.=) 'p', c.relfilenode
          FROM tree t
          JOIN pg_catalog.pg_inherits i ON i.inhparent OPERATOR(pg_catalog.=) t.oid
          JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) i.inhrelid
         WHERE t.partitioned
           AND NOT COALESCE((pg_catalog.to_jsonb(i) OPERATOR(pg_catalog.->>) 'inhdetachpending')::boolean, false))
    SELECT t.root, t.oid, COALESCE(g.oid, 0::oid), t.file,
           (SELECT COALESCE(pg_catalog.hashtextextended(pg_catalog.string_agg(
                       pg_catalog.concat_ws(':', a.attnum, a.xmin), ' ' ORDER BY a.attnum), 0), 0)
              FROM pg_catalog.pg_attribute a
             WHERE a.attrelid OPERATOR(pg_catalog.=) t.oid AND a.attnum OPERATOR(pg_catalog.>) 0)
      FROM tree t
      LEFT JOIN pg_catalog.pg_trigger g
        ON g.tgrelid OPERATOR(pg_catalog.=) t.oid
       AND g.tgname OPERATOR(pg_catalog.=) pg_catalog.concat('pg_switchover_capture_', t.root)::name
$$;

-- True once the flip has committed, whatever the caller's snapshot shows. Callers hold ROW EXCLUSIVE on
-- a change log, or ask for information only; with that lock held no flip can be under way.
CREATE OR REPLACE FUNCTION switchover.flipped() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    flip pg_catalog.int8 := pg_catalog.pg_sequence_last_value('switchover.fence'::pg_catalog.regclass);
    outcome pg_catalog.text;
BEGIN
    IF flip IS NULL THEN
        RETURN false;
    END IF;
    outcome := pg_catalog.pg_xact_status(flip::pg_catalog.text::pg_catalog.xid8);
    IF outcome IS NULL THEN
        -- So old that its outcome is no longer kept; then every snapshot that is still in use is
        -- younger, and the pointer that the same transaction set can be read through it.
        RETURN (SELECT s.use_next_db FROM switchover.state s);
    END IF;
    RETURN outcome OPERATOR(pg_catalog.=) 'committed';
END
$$;

-- The fence: called by every capture trigger, after it has taken its lock, when the fence is set.
CREATE OR REPLACE FUNCTION switchover.refuse_writes() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF switchover.flipped() THEN
        RAISE EXCEPTION 'this database has been switched over and takes no more writes'
            USING ERRCODE = '25006',
                  HINT = (SELECT pg_catalog.concat('Connect to the new database: ', s.destination_name)
                            FROM switchover.state s);
    END IF;
END
$$;

-- For applications: which database to use. The answer holds until the end of the transaction, because
-- the flip waits for the lock that is taken here.
CREATE OR REPLACE FUNCTION switchover.use_next_db() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('switchover.turn'::pg_catalog.regclass) IS NULL THEN
        LOCK TABLE switchover.change_log_1 IN ROW EXCLUSIVE MODE;
    ELSE
        LOCK TABLE switchover.change_log_2 IN ROW EXCLUSIVE MODE;
    END IF;
    RETURN switchover.flipped();
END
$$;

-- TRUNCATE is no change of rows: it marks the whole table, of the root that the trigger's argument
-- names, as changed.
CREATE OR REPLACE FUNCTION switchover.capture_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('switchover.turn'::pg_catalog.regclass) IS NULL THEN
        INSERT INTO switchover.change_log_1 (table_id) VALUES (TG_ARGV[0]::pg_catalog.oid);
    ELSE
        INSERT INTO switchover.change_log_2 (table_id) VALUES (TG_ARGV[0]::pg_catalog.oid);
    END IF;
    IF pg_catalog.pg_sequence_last_value('switchover.fence'::pg_catalog.regclass) IS NOT NULL THEN
        PERFORM switchover.refuse_writes();
    END IF;
    RETURN NULL;
END
$$;

-- last_value and is_called of every captured sequence, as they are now.
CREATE OR REPLACE FUNCTION switchover.read_sequences()
RETURNS TABLE (id oid, last_value bigint, is_called boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    uncalled oid[] := '{}';
BEGIN
    FOR id, last_value IN
        SELECT s.sequence_id, pg_catalog.pg_sequence_last_value(s.sequence_id)
          FROM switchover.captured_sequence s
          -- A sequence that was dropped since is reported by the look at what has drifted.
          JOIN pg_catalog.pg_class c ON c.oid = s.sequence_id
    LOOP
        IF last_value IS NULL THEN
            uncalled := uncalled || id;
        ELSE
            is_called := true;
            RETURN NEXT;
        END IF;
    END LOOP;
    -- Not called since their creation, RESTART or setval(..., false): only the relations tell.
    FOREACH id IN ARRAY uncalled LOOP
        EXECUTE pg_catalog.format('SELECT s.last_value, s.is_called FROM %s s', id::pg_catalog.regclass)
           INTO last_value, is_called;
        RETURN NEXT;
    END LOOP;
END
$$;

-- What one cycle has to carry over, in one round trip. Rows of the answer, by kind:
--   position  first: write-ahead log position that covers everything the snapshot sees
--             second: t if the log is flushed up to it
--   snapshot  first: pg_current_snapshot(), second: bytes of both change logs
--   table     id, first: number of entries, second: t if the whole table counts as changed
--   row       id, first: key as a list of literals, second: row as a list of literals; without a second
--             the row is gone, without a first it is one of a whole table
--   sequence  id, first: last_value, second: is_called; only in the window (may_export false)
--   export    first: an exported snapshot; more has changed than max_rows and max_bytes let in, so the
--             rows are not here (or not all) and have to be fetched table by table
-- Called in a REPEATABLE READ transaction whose snapshot is taken by this very statement.
CREATE OR REPLACE FUNCTION switchover.read_changes(max_rows bigint, max_bytes bigint, may_export boolean)
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
    PERFORM switchover.refuse_drifted(changed_tables);

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
        first := CASE WHEN may_export THEN pg_catalog.pg_export_snapshot() END;
        RETURN NEXT;
    END IF;

    -- Their locks stay until the end of the transaction, and would keep a TRUNCATE ... RESTART IDENTITY
    -- waiting for an ordinary cycle, which therefore reads the sequences in another session.
    IF NOT may_export THEN
        RETURN QUERY SELECT 'sequence'::text, s.id, s.last_value::text, s.is_called::text
                       FROM switchover.read_sequences() s;
    END IF;
END
$$;

-- Fails if a captured table is no longer what its functions were made for, or holds its rows elsewhere.
CREATE OR REPLACE FUNCTION switchover.refuse_drifted(relation oid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    known record;
    now record;
BEGIN
    SELECT c.schema_name, c.table_name, c.shape INTO known FROM switchover.captured c WHERE c.table_id = relation;
    SELECT n.nspname, c.relname, c.relkind, switchover.shape(c.oid) AS shape INTO now
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    IF now.shape IS NULL THEN
        RAISE EXCEPTION 'table %.% was dropped since init', pg_catalog.quote_ident(known.schema_name),
                                                             pg_catalog.quote_ident(known.table_name)
            USING ERRCODE = '55000';
    ELSIF known.shape IS DISTINCT FROM now.shape THEN
        RAISE EXCEPTION 'the columns of table % have changed since init', relation::regclass
            USING ERRCODE = '55000';
    ELSIF known.schema_name IS DISTINCT FROM now.nspname OR known.table_name IS DISTINCT FROM now.relname THEN
        RAISE EXCEPTION 'table %.% is now called %', pg_catalog.quote_ident(known.schema_name),
                                                      pg_catalog.quote_ident(known.table_name), relation::regclass
            USING ERRCODE = '55000';
    ELSIF now.relkind = 'p'
      AND (SELECT pg_catalog.string_agg(m.member_id || ':' || m.link, ' ' ORDER BY m.member_id)
             FROM switchover.members(ARRAY[relation]) m)
          IS DISTINCT FROM
          (SELECT pg_catalog.string_agg(m.member_id || ':' || m.link, ' ' ORDER BY m.member_id)
             FROM switchover.captured_member m WHERE m.table_id = relation)
    THEN
        RAISE EXCEPTION 'the partitions of table % have changed since init', relation::regclass
            USING ERRCODE = '55000';
    END IF;
END
$$;

-- The same for many tables, of which few have to be asked one by one.
CREATE OR REPLACE FUNCTION switchover.refuse_drifted(relations oid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM switchover.refuse_drifted(r.oid)
       FROM pg_catalog.unnest(relations) AS r (oid)
       LEFT JOIN switchover.captured k ON k.table_id = r.oid
       LEFT JOIN pg_catalog.pg_class c ON c.oid = r.oid
       LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN switchover.shapes(relations) s ON s.table_id = r.oid
      WHERE c.relkind = 'p' OR k.schema_name IS DISTINCT FROM n.nspname OR k.table_name IS DISTINCT FROM c.relname
         OR k.shape IS DISTINCT FROM s.shape;
END
$$;

-- Fails if the schema was changed by a transaction that a look at it, in snapshot seen, could not see: what
-- came between the look and the stop-the-world lock, with a transaction that the lock waited for, say. Catalog
-- rows that are younger than the look are few, so little is asked about each. all_relations: a table or
-- sequence that is new is one to be carried over. present, triggers: what look() has answered then: where there are
-- as many now, and none is younger, all are as they were. Both catalogs are read from end to end, once: a row's age
-- is in no index.
CREATE OR REPLACE FUNCTION switchover.refuse_newer(seen pg_catalog.pg_snapshot, all_relations boolean, present bigint,
                                                   triggers bigint)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = on AS $$
DECLARE
    -- A row is younger if its transaction began after the look, or was running then. The age of what is about
    -- to wrap around is negative.
    youngest int := pg_catalog.age(pg_catalog.pg_snapshot_xmax(seen)::xid);
    running xid[] := ARRAY(SELECT x::xid FROM pg_catalog.pg_snapshot_xip(seen) x);
    changed record;
    younger oid[];
    present_now bigint;
    disabled oid[];
    triggers_now bigint;
BEGIN
    SELECT pg_catalog.count(*),
           pg_catalog.array_agg(c.oid) FILTER (WHERE pg_catalog.age(c.xmin) BETWEEN 0 AND youngest
                                                  OR c.xmin = ANY (running))
      INTO present_now, younger
      FROM pg_catalog.pg_class c
     WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
       AND c.relnamespace <> 'switchover'::pg_catalog.regnamespace;
    IF younger IS NOT NULL OR present_now <> present THEN
        FOR changed IN
            SELECT c.oid, c.relispartition FROM pg_catalog.pg_class c WHERE c.oid = ANY (younger)
        LOOP
            PERFORM switchover.refuse_drifted(m.table_id) FROM switchover.captured_member m
              WHERE m.member_id = changed.oid;
            IF FOUND THEN
                IF EXISTS (SELECT FROM switchover.captured_member m
                             JOIN switchover.members(ARRAY[m.table_id]) s ON s.member_id = m.member_id
                            WHERE m.member_id = changed.oid AND s.file <> m.file AND s.attributes <> m.attributes)
                THEN
                    RAISE EXCEPTION 'table % was rewritten a moment ago', changed.oid::regclass
                        USING ERRCODE = '55000';
                END IF;
            ELSIF changed.relispartition THEN
                PERFORM switchover.refuse_drifted(c.table_id) FROM switchover.captured c
                  WHERE c.table_id = pg_catalog.pg_partition_root(changed.oid);
            ELSIF all_relations AND NOT EXISTS (SELECT FROM switchover.captured_sequence s
                                                 WHERE s.sequence_id = changed.oid) THEN
                RAISE EXCEPTION '% is new', changed.oid::regclass USING ERRCODE = '55000';
            END IF;
        END LOOP;
        PERFORM switchover.refuse_drifted(m.table_id) FROM switchover.captured_member m
          WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = m.member_id);
    END IF;
    SELECT pg_catalog.count(*),
           pg_catalog.array_agg(t.tgrelid) FILTER (WHERE t.tgenabled <> 'A'
                                                     AND (pg_catalog.age(t.xmin) BETWEEN 0 AND youngest
                                                          OR t.xmin = ANY (running)))
      INTO triggers_now, disabled
      FROM pg_catalog.pg_trigger t WHERE t.tgname LIKE 'pg\_switchover\_%';
    IF triggers_now <> triggers
       OR EXISTS (SELECT FROM switchover.captured_member m WHERE m.member_id = ANY (disabled)) THEN
        RAISE EXCEPTION 'a capture trigger was disabled or dropped a moment ago' USING ERRCODE = '55000';
    END IF;
END
$$;

-- A snapshot, and how many relations and triggers that refuse_newer() looks at there are in it.
CREATE OR REPLACE FUNCTION switchover.look() RETURNS TABLE (seen text, present bigint, triggers bigint)
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.pg_current_snapshot()::text,
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c
             WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
               AND c.relnamespace <> 'switchover'::pg_catalog.regnamespace),
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_trigger t WHERE t.tgname LIKE 'pg\_switchover\_%')
$$;

-- Makes this session plan, before the window, what it will run in it for the tables that are written most, which
-- it answers, and for the sequences. A table that somebody has locked is left out, and none stays locked.
CREATE OR REPLACE FUNCTION switchover.warm_up(most integer) RETURNS SETOF oid
LANGUAGE plpgsql AS $$
DECLARE
    written oid;
BEGIN
    PERFORM FROM switchover.read_sequences();
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

-- Fails (SQLSTATE 40001: try again) if a table was rewritten since the snapshot was taken: its file
-- then, through the snapshot, is not its file now, and looks empty to the snapshot, so that all rows would
-- be deleted on the destination. Or if one of its partitions has gone since: its rows would be missing.
-- Or if it has been renamed, so that what was read by its name may have been another table.
-- Called with the table locked; catalog functions show what is now, queries what the snapshot sees.
CREATE OR REPLACE FUNCTION switchover.refuse_rewritten(relation oid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (WITH RECURSIVE member (oid) AS (
                   SELECT relation
                   UNION ALL
                   SELECT i.inhrelid FROM member m JOIN pg_catalog.pg_inherits i ON i.inhparent = m.oid
                    WHERE NOT COALESCE((pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::boolean, false)
                      AND (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = relation) = 'p')
               SELECT FROM member m JOIN pg_catalog.pg_class c ON c.oid = m.oid
                WHERE c.relkind = 'r'
                  AND (c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)
                       OR m.oid <> relation
                      AND relation NOT IN (SELECT a.relid FROM pg_catalog.pg_partition_ancestors(m.oid) a)))
    OR EXISTS (SELECT FROM switchover.captured c
                WHERE c.table_id = relation
                  AND pg_catalog.format('%I.%I', c.schema_name, c.table_name) <> relation::regclass::text)
    THEN
        RAISE EXCEPTION 'table % was rewritten, truncated or renamed a moment ago', relation::regclass
            USING ERRCODE = '40001';
    END IF;
END
$$;

-- The same for many tables, of which few have to be asked one by one.
CREATE OR REPLACE FUNCTION switchover.refuse_rewritten(relations oid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM switchover.refuse_rewritten(c.oid)
       FROM pg_catalog.unnest(relations) AS r (oid)
       JOIN pg_catalog.pg_class c ON c.oid = r.oid
       LEFT JOIN switchover.captured k ON k.table_id = r.oid
      WHERE c.relkind <> 'r' OR c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid)
         OR pg_catalog.format('%I.%I', k.schema_name, k.table_name) <> c.oid::regclass::text;
END
$$;

-- For a session that reads a table in a snapshot of another one: locks it, and fails as
-- refuse_rewritten() does.
CREATE OR REPLACE FUNCTION switchover.lock_unchanged(relation oid) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE pg_catalog.format('LOCK TABLE %s %s IN ACCESS SHARE MODE',
        (SELECT CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY' END FROM pg_catalog.pg_class c WHERE c.oid = relation),
        relation::regclass);
    PERFORM switchover.refuse_rewritten(relation);
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA switchover FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA switchover FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA switchover FROM PUBLIC;
GRANT EXECUTE ON FUNCTION switchover.use_next_db() TO PUBLIC;
