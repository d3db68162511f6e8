-- The bookkeeping on the destination: what has been copied, which cycles stand. It is removed by drop.
-- Safe to run again; catalog/create_schema.sql comes first.

CREATE TABLE IF NOT EXISTS switchover.state (
    singleton         boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    source_identity   text NOT NULL,        -- system identifier and oid of the source database
    run               text NOT NULL,        -- the one process that may write here now
    cycle             bigint NOT NULL DEFAULT 0,
    schema_created_at timestamptz,          -- copy --create-schema brought tables without keys
    schema_finished_at timestamptz,         -- and this is when keys, indexes and the rest followed
    schema_options    text[],               -- --no-owner, --no-privileges, --pg-bindir then, for what follows
    copied_at         timestamptz,          -- every table is here
    copies            bigint NOT NULL DEFAULT 0,    -- counts copies that have ended, and when others are due
    switched_at       timestamptz           -- a run has seen the flip committed: this side is in charge
);

-- An older version may have made it. No lock is asked for where there is nothing to do.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = 'switchover.state'::pg_catalog.regclass AND a.attname = 'copies') THEN
        ALTER TABLE switchover.state ADD COLUMN copies bigint NOT NULL DEFAULT 0;
    END IF;
END
$$;

-- One row per table that copy has begun; finished_at says that it is all here.
CREATE TABLE IF NOT EXISTS switchover.copied (
    schema_name text,
    table_name  text,
    source_id   oid,                        -- the table's oid on the source,
    table_id    oid,                        -- and here,
    columns     jsonb,                      -- with the numbers of its columns here by name: what a renaming leaves
    snapshot    text,                       -- the source's snapshot that all of its rows come from
    rows        bigint,
    bytes       bigint,
    started_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (schema_name, table_name)
);

-- What is made later, in this order: what copy --create-schema leaves because it wants data of one
-- snapshot, which the first cycle brings; and the foreign keys that are away for as long as rows are
-- written without session_replication_role.
CREATE TABLE IF NOT EXISTS switchover.postponed (
    position        integer PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('foreign key', 'materialized view')),
    name            text NOT NULL,          -- for messages
    schema_name     text NOT NULL,
    table_name      text NOT NULL,
    constraint_name text,                   -- of a foreign key
    statement       text NOT NULL,          -- ADD CONSTRAINT, or REFRESH
    comment         text,                   -- of a foreign key
    validated       boolean NOT NULL,       -- a foreign key that all rows are checked against
    partitioned     boolean NOT NULL,       -- of a partitioned table: before 18, never NOT VALID
    done_at         timestamptz,
    taken           boolean NOT NULL DEFAULT false    -- it was here, and was taken away
);

-- One row per cycle, written by the very transaction that applied it.
CREATE TABLE IF NOT EXISTS switchover.confirmation (
    cycle         bigint PRIMARY KEY,
    final         boolean NOT NULL,         -- read under the stop-the-world lock
    snapshot      text NOT NULL,            -- pg_current_snapshot() of the source
    tables        bigint NOT NULL,          -- changed tables
    keys          bigint NOT NULL,          -- changed keys
    rows          bigint NOT NULL,          -- rows that exist and were written
    read_ms       double precision NOT NULL,
    started_at    timestamptz NOT NULL,
    applied_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Confirms a cycle, with the commit of the transaction that it belongs to. Of earlier confirmations so many are kept;
-- the final cycle leaves them all: writers wait.
CREATE OR REPLACE FUNCTION switchover.confirm(cycle bigint, final boolean, snapshot text, tables bigint, keys bigint,
                                              rows bigint, read_ms double precision, kept bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE switchover.state SET cycle = confirm.cycle;
    INSERT INTO switchover.confirmation (cycle, final, snapshot, tables, keys, rows, read_ms, started_at)
    VALUES (confirm.cycle, confirm.final, confirm.snapshot, confirm.tables, confirm.keys, confirm.rows, confirm.read_ms,
            pg_catalog.now());
    IF NOT confirm.final THEN
        DELETE FROM switchover.confirmation c
         WHERE c.cycle OPERATOR(pg_catalog.<=) (confirm.cycle OPERATOR(pg_catalog.-) kept);
    END IF;
END
$$;

-- One row per finished verify.
CREATE TABLE IF NOT EXISTS switchover.verification (
    cycle       bigint NOT NULL,            -- the cycle whose result was compared
    finished_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    tables      bigint NOT NULL,
    rows        bigint NOT NULL,
    differences bigint NOT NULL
);

-- Fails unless this run is still the one that may write. Every transaction that writes rows calls it
-- before its commit: a process that was cut off from the source, so that another one took over,
-- cannot commit old rows over newer ones. FOR SHARE lets workers of one run pass side by side, and
-- makes a newcomer's claim wait for the commit of whoever has passed.
CREATE OR REPLACE FUNCTION switchover.hold(asked_run text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM switchover.state s WHERE s.run OPERATOR(pg_catalog.=) asked_run FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another pg_switchover has taken over' USING ERRCODE = '55006';
    END IF;
END
$$;

-- Whether others may write here, a value that every session must see as it is now, not as its snapshot has
-- it. A sequence is read that way. Never called: not yet. A transaction id: from the commit of that
-- transaction on, which is a final cycle's; setval cannot be rolled back, and a final cycle that fails
-- must let nobody in. 1: for good, the flip is known. 2: no longer, for the flip did not follow; those
-- who came in before are waited for.
CREATE SEQUENCE IF NOT EXISTS switchover.entrance;
REVOKE ALL ON SEQUENCE switchover.entrance FROM PUBLIC;

-- Who writes between a final cycle and the news of its flip leaves the table's oid here, in the same
-- transaction. Should the flip not follow, these are the tables that are no longer the source's.
CREATE TABLE IF NOT EXISTS switchover.early_write (
    table_id   oid NOT NULL,                -- the one that the statement named: a partition, perhaps
    written_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);
REVOKE ALL ON TABLE switchover.early_write FROM PUBLIC;

-- True if others may write here, whatever the caller's snapshot shows.
CREATE OR REPLACE FUNCTION switchover.takes_writes() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    entrance pg_catalog.int8 := pg_catalog.pg_sequence_last_value('switchover.entrance'::pg_catalog.regclass);
    outcome pg_catalog.text;
BEGIN
    IF entrance IS NULL OR entrance OPERATOR(pg_catalog.=) 2 THEN
        RETURN false;
    ELSIF entrance OPERATOR(pg_catalog.=) 1 THEN
        RETURN true;
    END IF;
    outcome := pg_catalog.pg_xact_status(entrance::pg_catalog.text::pg_catalog.xid8);
    IF outcome IS NULL THEN
        -- So old that its outcome is no longer kept; then every snapshot that is still in use is
        -- younger, and what the same transaction has confirmed can be read through it.
        RETURN EXISTS (SELECT FROM switchover.confirmation c
                        WHERE c.final AND c.xmin::pg_catalog.text OPERATOR(pg_catalog.=)
                              (entrance OPERATOR(pg_catalog.%) 4294967296)::pg_catalog.text);
    END IF;
    RETURN outcome OPERATOR(pg_catalog.=) 'committed';
END
$$;
REVOKE ALL ON FUNCTION switchover.takes_writes() FROM PUBLIC;

-- Whoever is let in before the flip is known holds ROW EXCLUSIVE on early_write to the end of its
-- transaction, a fast-path lock, and looks again once it has it. Whoever shuts the entrance does so with a
-- lock that waits for all who hold this one: either such a writer has ended by then, and its note can
-- be read, or it gets the lock later, and finds the entrance shut.
CREATE OR REPLACE FUNCTION switchover.enter(relation oid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    LOCK TABLE switchover.early_write IN ROW EXCLUSIVE MODE;
    IF NOT switchover.takes_writes() THEN
        RETURN false;
    END IF;
    -- Once per table is enough. No unique index: writers would wait for one another. Where a snapshot
    -- may be older than that, a note that it shows may be one that has been read and deleted since.
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
    OR NOT EXISTS (SELECT FROM switchover.early_write w
                    WHERE w.table_id OPERATOR(pg_catalog.=) relation) THEN
        INSERT INTO switchover.early_write (table_id) VALUES (relation);
    END IF;
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION switchover.enter(oid) FROM PUBLIC;

-- The guard: called before each statement that writes into a moved table, in every session that is not in
-- the replica role, and so by ours where they write as owners; those have their run's token.
--
-- STABLE, so that its own queries see what the statement sees. One that began before the final cycle
-- committed sees rows that have been replaced since: it would change none of them, and say so to nobody.
CREATE OR REPLACE FUNCTION switchover.refuse_early() RETURNS trigger
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE
    entrance pg_catalog.int8 := pg_catalog.pg_sequence_last_value('switchover.entrance'::pg_catalog.regclass);
    our_run pg_catalog.text;
BEGIN
    IF entrance OPERATOR(pg_catalog.=) 1 THEN
        RETURN NULL;
    END IF;
    our_run := pg_catalog.current_setting('switchover.run', true);
    IF our_run OPERATOR(pg_catalog.<>) '' THEN
        IF our_run OPERATOR(pg_catalog.=) (SELECT s.run FROM switchover.state s) THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'another pg_switchover has taken over' USING ERRCODE = '55006';
    END IF;
    IF switchover.takes_writes() AND switchover.enter(TG_RELID) THEN
        IF NOT EXISTS (SELECT FROM switchover.confirmation c
                        WHERE c.final AND c.xmin::pg_catalog.text OPERATOR(pg_catalog.=)
                              (entrance OPERATOR(pg_catalog.%) 4294967296)::pg_catalog.text) THEN
            RAISE EXCEPTION 'the switch to this database came while the statement began'
                USING ERRCODE = '40001', HINT = 'Try it again.';
        END IF;
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'this database is not in charge yet: pg_switchover is still bringing it up to date'
        USING ERRCODE = '25006', HINT = 'Write to the old database until the switch.';
END
$$;
REVOKE ALL ON FUNCTION switchover.refuse_early() FROM PUBLIC;

-- What acts on rows that are written into these tables, under session_replication_role = replica or not:
-- triggers of theirs and of their partitions, rules, and foreign keys by their triggers.
CREATE OR REPLACE FUNCTION switchover.acting(tables oid[], replica boolean)
RETURNS TABLE (root oid, relation oid, kind text, name text, state text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE member (root, oid) AS (
        SELECT t.oid, t.oid FROM pg_catalog.unnest(tables) AS t (oid)
        UNION ALL
        SELECT m.root, i.inhrelid
          FROM member m
          JOIN pg_catalog.pg_class c ON c.oid = m.oid AND c.relkind = 'p'
          JOIN pg_catalog.pg_inherits i ON i.inhparent = m.oid
    ), acts (state) AS (VALUES ('A'), (CASE WHEN replica THEN 'R' ELSE 'O' END))
    SELECT m.root, m.oid,
           CASE k.contype WHEN 'f' THEN 'FOREIGN KEY' ELSE 'TRIGGER' END,
           CASE k.contype WHEN 'f' THEN k.conname ELSE t.tgname END::text,
           t.tgenabled::text
      FROM member m
      JOIN pg_catalog.pg_trigger t ON t.tgrelid = m.oid
      LEFT JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
     WHERE t.tgenabled::text IN (SELECT a.state FROM acts a)
       -- The guard lets us pass by itself.
       AND t.tgfoid <> 'switchover.refuse_early()'::pg_catalog.regprocedure
       -- Not those that look again at deferred unique values: what is written is always a subset of a
       -- valid state.
       AND (k.contype IS NULL OR k.contype IN ('f', 't'))
    UNION ALL
    SELECT r.ev_class, r.ev_class, 'RULE', r.rulename::text, r.ev_enabled::text
      FROM pg_catalog.pg_rewrite r
     WHERE r.ev_class = ANY (tables) AND r.ev_enabled::text IN (SELECT a.state FROM acts a)
$$;

-- Switches off, until restore(), the triggers and rules that would act on rows that this transaction is
-- going to write into these tables. What it finds stands to the end of the transaction: nobody can make
-- another trigger or foreign key meanwhile. A foreign key that would act is refused; ON DELETE CASCADE
-- would take rows along that have not changed.
CREATE OR REPLACE FUNCTION switchover.silence(tables text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    replica boolean := pg_catalog.current_setting('session_replication_role') = 'replica';
    oids oid[] := tables::regclass[]::oid[];
    one record;
    again text := '';
BEGIN
    EXECUTE (SELECT 'LOCK TABLE ' || pg_catalog.string_agg(
                        CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || c.oid::regclass::text, ', ')
                    || ' IN ROW EXCLUSIVE MODE'
               FROM pg_catalog.pg_class c WHERE c.oid = ANY (oids));
    FOR one IN SELECT * FROM switchover.acting(oids, replica) LOOP
        IF one.kind = 'FOREIGN KEY' THEN
            RAISE EXCEPTION 'foreign key % would act on rows of table %',
                pg_catalog.quote_ident(one.name), one.relation::regclass USING ERRCODE = '55000';
        END IF;
        EXECUTE pg_catalog.format('ALTER TABLE ONLY %s DISABLE %s %I',
                                  one.relation::regclass, one.kind, one.name);
        again := again || pg_catalog.format('ALTER TABLE ONLY %s ENABLE %s%s %I;', one.relation::regclass,
            CASE one.state WHEN 'A' THEN 'ALWAYS ' WHEN 'R' THEN 'REPLICA ' ELSE '' END, one.kind, one.name);
    END LOOP;
    PERFORM pg_catalog.set_config('switchover.restore', again, true);
END
$$;

-- Puts back what silence() has switched off in this transaction, each to the state that it had.
CREATE OR REPLACE FUNCTION switchover.restore() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    again text := pg_catalog.current_setting('switchover.restore', true);
BEGIN
    IF again <> '' THEN
        EXECUTE again;
    END IF;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA switchover FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA switchover FROM PUBLIC;
