-- What refuses to read a table that is no longer what capture was made for. Runs behind install.sql.

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
    -- Each join by an index: the session that reads has no others, and tables may be many.
    PERFORM switchover.refuse_drifted(d.oid)
       FROM (SELECT s.table_id
               FROM switchover.shapes(relations) s
               JOIN pg_catalog.pg_class c ON c.oid = s.table_id
               LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               LEFT JOIN switchover.captured k ON k.table_id = s.table_id
              WHERE c.relkind = 'p' OR k.schema_name IS DISTINCT FROM n.nspname OR k.table_name IS DISTINCT FROM c.relname
                 OR k.shape IS DISTINCT FROM s.shape
             UNION ALL
             SELECT r.oid FROM pg_catalog.unnest(relations) AS r (oid)
              WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = r.oid)) AS d (oid);
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
