-- The bookkeeping on the destination: what has been copied, which cycles stand. It is removed by drop.
-- Safe to run again.
CREATE SCHEMA IF NOT EXISTS switchover;
REVOKE ALL ON SCHEMA switchover FROM PUBLIC;

CREATE TABLE IF NOT EXISTS switchover.state (
    singleton         boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    source_identity   text NOT NULL,        -- system identifier and oid of the source database
    run               text NOT NULL,        -- the one process that may write here now
    cycle             bigint NOT NULL DEFAULT 0,
    schema_created_at timestamptz,          -- copy --create-schema brought tables without keys
    schema_finished_at timestamptz,         -- and this is when keys, indexes and the rest followed
    schema_options    text[],               -- --no-owner, --no-privileges, --pg-bindir then, for what follows
    copied_at         timestamptz           -- every table is here
);

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

-- What copy --create-schema leaves for later: it wants data of one snapshot, which the first cycle
-- brings. In this order.
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
    done_at         timestamptz
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
