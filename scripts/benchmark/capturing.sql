-- Ways to note the keys of changed rows, each as small as it can be, for scripts/bench capture. What is chosen is in
-- src/capture/table.rs.

CREATE SCHEMA way;
CREATE SEQUENCE way.turn;
CREATE SEQUENCE way.fence;
CREATE TABLE way.log (table_id oid NOT NULL, row_id text, written_at timestamptz NOT NULL DEFAULT pg_catalog.now())
    WITH (autovacuum_enabled = false);
CREATE TABLE way.native (table_id oid NOT NULL, row_id bigint, written_at timestamptz NOT NULL DEFAULT pg_catalog.now())
    WITH (autovacuum_enabled = false);
CREATE TABLE way.arrays (table_id oid NOT NULL, row_ids text[], written_at timestamptz NOT NULL DEFAULT pg_catalog.now())
    WITH (autovacuum_enabled = false);
ALTER TABLE way.arrays ALTER row_ids SET STORAGE EXTERNAL;

CREATE FUNCTION way.timed(statement text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz := pg_catalog.clock_timestamp();
BEGIN
    EXECUTE statement;
    RETURN EXTRACT(epoch FROM pg_catalog.clock_timestamp() - began);
END $$;

CREATE FUNCTION way.nothing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN NULL; END $$;

CREATE FUNCTION way.advisory() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_catalog.pg_advisory_xact_lock_shared(42);
    RETURN NULL;
END $$;

CREATE FUNCTION way.entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO way.log (table_id, row_id) VALUES (16384, pg_catalog.concat(NEW.id));
    RETURN NULL;
END $$;

CREATE FUNCTION way.native() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO way.native (table_id, row_id) VALUES (16384, NEW.id);
    RETURN NULL;
END $$;

-- What every way does that may be switched over: which log is written, and, behind its lock, the fence.
CREATE FUNCTION way.turns() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('way.turn'::regclass) IS NULL THEN
        INSERT INTO way.log (table_id, row_id) VALUES (16384, pg_catalog.concat(NEW.id));
    END IF;
    IF pg_catalog.pg_sequence_last_value('way.fence'::regclass) IS NOT NULL THEN
        RAISE 'refused';
    END IF;
    RETURN NULL;
END $$;

-- As few expressions as there can be: called by updates only, for a key that never loses its columns.
CREATE FUNCTION way.one_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF pg_catalog.pg_sequence_last_value('way.turn'::regclass) IS NULL THEN
        INSERT INTO way.log (table_id, row_id) VALUES (16384, NEW.id::text);
        IF pg_catalog.pg_sequence_last_value('way.fence'::regclass) IS NULL AND OLD.id = NEW.id THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE 'refused';
END $$;

-- Makes a trigger function that notes something while nothing has been switched over.
CREATE FUNCTION way.make(name text, note text) RETURNS void LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE pg_catalog.format($create$
CREATE FUNCTION way.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $body$
#variable_conflict use_column
BEGIN
    IF pg_catalog.pg_sequence_last_value('way.turn'::regclass) IS NULL THEN
        %s
    END IF;
    IF pg_catalog.pg_sequence_last_value('way.fence'::regclass) IS NOT NULL THEN
        RAISE 'refused';
    END IF;
    RETURN NULL;
END $body$ $create$, name, note);
END $make$;

SELECT way.make('one_statement', $$
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO way.log (table_id, row_id)
        SELECT '16384'::regclass, n.id
          FROM (SELECT k.id FROM (SELECT NULL AS id) f, LATERAL (SELECT concat(id) AS id FROM (SELECT NEW.*) r) k) n
        UNION ALL
        SELECT '16384'::regclass, o.id
          FROM (SELECT k.id FROM (SELECT NULL AS id) f, LATERAL (SELECT concat(id) AS id FROM (SELECT NEW.*) r) k) n,
               (SELECT k.id FROM (SELECT NULL AS id) f, LATERAL (SELECT concat(id) AS id FROM (SELECT OLD.*) r) k) o
         WHERE o.id <> n.id;
    ELSE
        INSERT INTO way.log (table_id, row_id)
        SELECT '16384'::regclass, n.id
          FROM (SELECT k.id FROM (SELECT NULL AS id) f, LATERAL (SELECT concat(id) AS id FROM (SELECT NEW.*) r) k) n;
    END IF;
$$);

SELECT way.make('rows', $$
    INSERT INTO way.log (table_id, row_id) SELECT 16384, pg_catalog.concat(n.id) FROM new_rows n;
$$);

SELECT way.make('rows_of_both', $$
    INSERT INTO way.log (table_id, row_id)
    SELECT 16384, pg_catalog.concat(n.id) FROM new_rows n UNION SELECT 16384, pg_catalog.concat(o.id) FROM old_rows o;
$$);

SELECT way.make('arrays', $$
    INSERT INTO way.arrays (table_id, row_ids) SELECT 16384, pg_catalog.array_agg(pg_catalog.concat(n.id)) FROM new_rows n;
$$);
