-- What capture writes on the source, and what its triggers call, except what belongs to one table. Safe to run
-- again; catalog/create_schema.sql comes first, drift.sql and reading.sql behind it.
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
-- The last cycle that the destination had confirmed when its entries were forgotten here, and the copies that it had
-- counted when we went on from there: if it knows of fewer, it has lost them (counts.rs).
CREATE SEQUENCE IF NOT EXISTS switchover.confirmed;
CREATE SEQUENCE IF NOT EXISTS switchover.copies;

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

-- Notes a table as captured in its present shape; the caller holds a lock on it. In plpgsql, which plans each query
-- but once in a session: that takes longer than all the rest.
CREATE OR REPLACE FUNCTION switchover.note_captured(relation oid, in_schema text, named text, keys text[], made text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO switchover.captured (table_id, schema_name, table_name, shape, key_columns, functions)
    SELECT s.table_id, in_schema, named, s.shape, keys, made FROM switchover.shapes(ARRAY[relation]) s
    ON CONFLICT (table_id) DO UPDATE SET schema_name = excluded.schema_name, table_name = excluded.table_name,
        shape = excluded.shape, functions = excluded.functions, key_columns = excluded.key_columns,
        captured_at = excluded.captured_at;
    DELETE FROM switchover.captured_member c WHERE c.table_id OPERATOR(pg_catalog.=) relation;
    INSERT INTO switchover.captured_member
    SELECT m.*, pg_catalog.pg_get_partition_constraintdef(m.member_id)
      FROM switchover.members(ARRAY[relation]) m;
END
$$;

-- Drops our triggers on these tables, but for those that have these arguments; clones go with what they were
-- cloned from.
CREATE OR REPLACE FUNCTION switchover.drop_triggers(relations oid[], but bytea) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    leftover record;
BEGIN
    FOR leftover IN
        SELECT t.tgname, t.tgrelid FROM pg_catalog.pg_trigger t
         WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (relations) AND t.tgparentid OPERATOR(pg_catalog.=) 0::oid
           AND (but IS NULL OR t.tgargs OPERATOR(pg_catalog.<>) but)
           AND (t.tgname OPERATOR(pg_catalog.~) '^pg_switchover_capture(_[0-9]+)?$'
                OR t.tgname OPERATOR(pg_catalog.=) 'pg_switchover_truncate')
    LOOP
        EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', leftover.tgname,
                                  leftover.tgrelid::pg_catalog.regclass);
    END LOOP;
END
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
