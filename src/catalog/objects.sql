-- Every object of a user, with facts that PostgreSQL 13 and 18 tell in the same words: no text that the
-- server puts together from a parsed expression or query is among them, for that differs from version to
-- version. One row per object: class and oid here, kind, name, the relation that it belongs to, facts.
WITH namespace AS (
    -- Always quoted: what quote_ident() leaves bare is a matter of the server's version.
    SELECT n.oid, n.nspname, '"' || pg_catalog.replace(n.nspname, '"', '""') || '"' AS quoted
      FROM pg_catalog.pg_namespace n
     WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'switchover')
), member AS (      -- what comes and goes with an extension
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
), relation AS (
    SELECT c.*, n.quoted || '.' || '"' || pg_catalog.replace(c.relname, '"', '""') || '"' AS name
      FROM pg_catalog.pg_class c
      JOIN namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND c.relpersistence <> 't'
       AND NOT EXISTS (SELECT FROM member m
                        WHERE m.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND m.objid = c.oid)
), object AS (
    -- Relations. A foreign table's columns come with its kind, a view's are facts of the view.
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS class, r.oid,
           CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                          WHEN 'f' THEN 'foreign table'
                          ELSE CASE WHEN r.relispartition THEN 'partition' ELSE 'table' END END AS kind,
           r.name,
           r.oid AS relation,
           CASE WHEN r.relkind IN ('v', 'm') THEN ARRAY[
                    'columns: ' || (SELECT pg_catalog.string_agg(pg_catalog.format('%s %s', a.attname,
                                               pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
                                      FROM pg_catalog.pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0),
                    'options: ' || COALESCE((SELECT pg_catalog.string_agg(o, ', ' ORDER BY o)
                                               FROM pg_catalog.unnest(r.reloptions) AS o), 'none')]
                WHEN r.relkind = 'S' THEN '{}'      -- compared by compare_sequences
                ELSE ARRAY[
                    'row security: ' || r.relrowsecurity, 'forced row security: ' || r.relforcerowsecurity,
                    'replica identity: ' || r.relreplident::text,
                    'partitioned by: ' || COALESCE((
                        SELECT p.partstrat::text || ' ' || pg_catalog.string_agg(
                                   COALESCE(a.attname::text, '(expression)'), ', ' ORDER BY k.position)
                          FROM pg_catalog.pg_partitioned_table p
                          CROSS JOIN LATERAL pg_catalog.unnest(p.partattrs::int2[])
                                             WITH ORDINALITY AS k (number, position)
                          LEFT JOIN pg_catalog.pg_attribute a
                            ON a.attrelid = p.partrelid AND a.attnum = k.number AND k.number > 0
                         WHERE p.partrelid = r.oid GROUP BY p.partstrat), 'nothing'),
                    'bound: ' || COALESCE(pg_catalog.pg_get_expr(r.relpartbound, r.oid), 'none')] END AS facts
      FROM relation r
    UNION ALL
    SELECT 'pg_catalog.pg_attribute'::pg_catalog.regclass, r.oid, 'column',
           r.name || '.' || '"' || pg_catalog.replace(a.attname, '"', '""') || '"', r.oid,
           ARRAY['NOT NULL: ' || a.attnotnull,
                 'default: ' || (a.atthasdef AND a.attgenerated = ''),
                 -- Partitions say it from 17 on.
                 'identity: ' || CASE WHEN r.relispartition THEN 'no' WHEN a.attidentity = 'a' THEN 'always'
                                      WHEN a.attidentity = 'd' THEN 'by default' ELSE 'no' END,
                 'collation: ' || CASE WHEN co.oid IS NULL THEN 'none'
                                      ELSE pg_catalog.format('%s.%s', cn.nspname, co.collname) END]
      FROM relation r
      JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
      LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
     WHERE r.relkind IN ('r', 'p')
    UNION ALL
    -- Indexes of constraints are the constraints; those of partitions that follow a parent's follow it.
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, ic.oid, 'index',
           n.quoted || '.' || '"' || pg_catalog.replace(ic.relname, '"', '""') || '"', r.oid,
           ARRAY['on: ' || r.name, 'unique: ' || i.indisunique, 'method: ' || am.amname,
                 'columns: ' || (SELECT pg_catalog.string_agg(
                                            COALESCE(a.attname::text, '(expression)')
                                            || CASE WHEN k.position <= i.indnkeyatts AND i.indoption[k.position - 1] & 1 = 1
                                                    THEN ' DESC' ELSE '' END, ', ' ORDER BY k.position)
                                   FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
                                   LEFT JOIN pg_catalog.pg_attribute a
                                     ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number > 0),
                 'key columns: ' || i.indnkeyatts,
                 'NULLS NOT DISTINCT: ' || COALESCE(pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct', 'false'),
                 'WHERE: ' || (i.indpred IS NOT NULL), 'valid: ' || i.indisvalid]
      FROM pg_catalog.pg_index i
      JOIN relation r ON r.oid = i.indrelid
      JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid AND NOT ic.relispartition
      JOIN namespace n ON n.oid = ic.relnamespace
      JOIN pg_catalog.pg_am am ON am.oid = ic.relam
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint con
                        WHERE con.conindid = i.indexrelid AND con.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, con.oid,
           CASE con.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique constraint' WHEN 'f' THEN 'foreign key'
                            WHEN 'x' THEN 'exclusion constraint' ELSE 'check constraint' END,
           '"' || pg_catalog.replace(con.conname, '"', '""') || '"' || ' on ' || r.name, r.oid,
           ARRAY['columns: ' || COALESCE((SELECT pg_catalog.string_agg(a.attname::text, ', ' ORDER BY k.position)
                                            FROM pg_catalog.unnest(con.conkey) WITH ORDINALITY AS k (number, position)
                                            JOIN pg_catalog.pg_attribute a
                                              ON a.attrelid = con.conrelid AND a.attnum = k.number
                                           WHERE con.contype <> 'c'), ''),
                 'deferrable: ' || con.condeferrable, 'initially deferred: ' || con.condeferred,
                 'checked: ' || con.convalidated]
           || CASE WHEN con.contype = 'f' THEN ARRAY[
                 'table: ' || pg_catalog.format('%s.%s', fn.nspname, fc.relname),
                 'its columns: ' || (SELECT pg_catalog.string_agg(a.attname::text, ', ' ORDER BY k.position)
                                       FROM pg_catalog.unnest(con.confkey) WITH ORDINALITY AS k (number, position)
                                       JOIN pg_catalog.pg_attribute a
                                         ON a.attrelid = con.confrelid AND a.attnum = k.number),
                 'actions: ' || con.confupdtype::text || con.confdeltype::text || con.confmatchtype::text] ELSE '{}' END
           || CASE WHEN con.contype = 'u' THEN ARRAY[
                 'NULLS NOT DISTINCT: ' || COALESCE(pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct', 'false')]
                   ELSE '{}' END
      FROM pg_catalog.pg_constraint con
      JOIN relation r ON r.oid = con.conrelid
      LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = con.conindid
      LEFT JOIN pg_catalog.pg_class fc ON fc.oid = con.confrelid
      LEFT JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
     WHERE con.contype IN ('p', 'u', 'x', 'f', 'c') AND con.conparentid = 0 AND con.coninhcount = 0
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 'trigger',
           '"' || pg_catalog.replace(t.tgname, '"', '""') || '"' || ' on ' || r.name, r.oid,
           ARRAY['function: ' || pg_catalog.format('%s.%s', pn.nspname, p.proname),
                 'enabled: ' || t.tgenabled::text, 'events: ' || t.tgtype,
                 'deferrable: ' || t.tgdeferrable, 'initially deferred: ' || t.tginitdeferred,
                 'WHEN: ' || (t.tgqual IS NOT NULL), 'arguments: ' || pg_catalog.encode(t.tgargs, 'escape')]
      FROM pg_catalog.pg_trigger t
      JOIN relation r ON r.oid = t.tgrelid
      JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
      JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
     WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND pn.nspname <> 'switchover'
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, 'rule',
           '"' || pg_catalog.replace(w.rulename, '"', '""') || '"' || ' on ' || r.name, r.oid,
           ARRAY['event: ' || w.ev_type::text, 'instead: ' || w.is_instead, 'enabled: ' || w.ev_enabled::text]
      FROM pg_catalog.pg_rewrite w
      JOIN relation r ON r.oid = w.ev_class
     WHERE w.rulename <> '_RETURN'
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, 'policy',
           '"' || pg_catalog.replace(p.polname, '"', '""') || '"' || ' on ' || r.name, r.oid,
           ARRAY['command: ' || p.polcmd::text, 'permissive: ' || p.polpermissive,
                 'USING: ' || (p.polqual IS NOT NULL), 'WITH CHECK: ' || (p.polwithcheck IS NOT NULL),
                 'roles: ' || COALESCE((SELECT pg_catalog.string_agg(o.rolname::text, ', ' ORDER BY o.rolname)
                                          FROM pg_catalog.pg_roles o WHERE o.oid = ANY (p.polroles)), 'all')]
      FROM pg_catalog.pg_policy p
      JOIN relation r ON r.oid = p.polrelid
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 'statistics object',
           n.quoted || '.' || '"' || pg_catalog.replace(s.stxname, '"', '""') || '"', r.oid, '{}'
      FROM pg_catalog.pg_statistic_ext s
      JOIN namespace n ON n.oid = s.stxnamespace
      JOIN relation r ON r.oid = s.stxrelid
    UNION ALL
    -- What belongs to no relation.
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass, n.oid, 'schema', n.quoted, NULL, '{}'
      FROM namespace n
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid,
           CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
           n.quoted || '.' || '"' || pg_catalog.replace(p.proname, '"', '""') || '"('
           || COALESCE((SELECT pg_catalog.string_agg(pg_catalog.format_type(a.type, NULL), ', ' ORDER BY a.position)
                          FROM pg_catalog.unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a (type, position)), '') || ')', NULL,
           ARRAY['language: ' || l.lanname, 'result: ' || CASE WHEN p.proretset THEN 'SETOF ' ELSE '' END
                 || pg_catalog.format_type(p.prorettype, NULL),
                 'volatility: ' || p.provolatile::text, 'strict: ' || p.proisstrict,
                 'SECURITY DEFINER: ' || p.prosecdef, 'leakproof: ' || p.proleakproof,
                 'settings: ' || COALESCE(pg_catalog.array_to_string(p.proconfig, ', '), 'none'),
                 'body: ' || CASE WHEN l.lanname IN ('c', 'internal') THEN '' ELSE pg_catalog.md5(p.prosrc) END]
      FROM pg_catalog.pg_proc p
      JOIN namespace n ON n.oid = p.pronamespace
      JOIN pg_catalog.pg_language l ON l.oid = p.prolang
     -- A range type brings its own.
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
                          AND d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.deptype = 'i')
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid,
           CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END,
           n.quoted || '.' || '"' || pg_catalog.replace(t.typname, '"', '""') || '"', NULL,
           CASE t.typtype
               WHEN 'e' THEN ARRAY['labels: ' || COALESCE((
                   SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
                     FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), '')]
               WHEN 'c' THEN ARRAY['columns: ' || COALESCE((
                   SELECT pg_catalog.string_agg(pg_catalog.format('%s %s', a.attname,
                              pg_catalog.format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
                     FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '')]
               WHEN 'd' THEN ARRAY['base: ' || pg_catalog.format_type(t.typbasetype, t.typtypmod),
                                   'NOT NULL: ' || t.typnotnull, 'default: ' || (t.typdefault IS NOT NULL),
                                   'constraints: ' || COALESCE((
                   SELECT pg_catalog.string_agg(con.conname::text, ', ' ORDER BY con.conname)
                     FROM pg_catalog.pg_constraint con WHERE con.contypid = t.oid AND con.contype = 'c'), 'none')]
               WHEN 'r' THEN ARRAY['subtype: ' || (SELECT pg_catalog.format_type(g.rngsubtype, NULL)
                                                     FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid)]
               ELSE '{}' END
      FROM pg_catalog.pg_type t
      JOIN namespace n ON n.oid = t.typnamespace
      LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
     -- Not the row types, arrays and multiranges that come with others.
     WHERE (t.typrelid = 0 OR c.relkind = 'c') AND t.typtype <> 'm'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)
    UNION ALL
    SELECT o.class, o.oid, i.type, i.identity, NULL, '{}'
      FROM (SELECT 'pg_catalog.pg_extension'::pg_catalog.regclass::oid AS class, e.oid FROM pg_catalog.pg_extension e
            UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_operator o
            UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_opclass o
            UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_opfamily o
            UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_collation o
                       WHERE o.collnamespace <> 'pg_catalog'::pg_catalog.regnamespace
            UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_conversion o
            -- A range type brings one of its own, from 14 on.
            UNION ALL SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_cast o
                       WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                                          WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass
                                            AND d.objid = o.oid AND d.deptype = 'i')
            UNION ALL SELECT 'pg_catalog.pg_language'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_language o
            UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_ts_config o
            UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_ts_dict o
            UNION ALL SELECT 'pg_catalog.pg_ts_parser'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_ts_parser o
            UNION ALL SELECT 'pg_catalog.pg_ts_template'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_ts_template o
            UNION ALL SELECT 'pg_catalog.pg_transform'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_transform o
            UNION ALL SELECT 'pg_catalog.pg_foreign_data_wrapper'::pg_catalog.regclass, o.oid
                        FROM pg_catalog.pg_foreign_data_wrapper o
            UNION ALL SELECT 'pg_catalog.pg_foreign_server'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_foreign_server o
            UNION ALL SELECT 'pg_catalog.pg_event_trigger'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_event_trigger o
            UNION ALL SELECT 'pg_catalog.pg_default_acl'::pg_catalog.regclass, o.oid FROM pg_catalog.pg_default_acl o) AS o
      CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) AS i
     -- What every database has from the start.
     WHERE o.oid >= 16384 AND i.schema IS DISTINCT FROM 'switchover'
)
SELECT o.class, o.oid, o.kind, o.name, o.relation, o.facts
  FROM object o
 WHERE NOT EXISTS (SELECT FROM member m WHERE m.classid = o.class AND m.objid = o.oid)
 ORDER BY o.kind, o.name
