-- $1 oid[]: relations. One row per column of every unique index that can identify a row: valid, over
-- plain NOT NULL columns, not partial. The best index of a relation comes first: the primary key,
-- then the replica identity, then the fewest columns; a deferrable one only when there is no other
-- (it is unique at every commit, so in every snapshot, which is all that identifying a row needs).
-- A key WITHOUT OVERLAPS (18) is a gist index, whose strategy 3 is another operator: rows that overlap
-- are not one row.
-- Written so that nothing is left to the planner: with old statistics of the catalog it would do all of it
-- anew for every operator class there is, which takes a minute for some thousand tables.
WITH key AS MATERIALIZED (
    SELECT i.*
      FROM pg_catalog.pg_index i
     WHERE i.indrelid = ANY ($1)
       AND i.indisunique AND i.indisvalid AND i.indislive
       AND i.indpred IS NULL AND i.indexprs IS NULL
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute n
                        WHERE n.attrelid = i.indrelid AND NOT n.attnotnull
                          AND n.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                       OFFSET 0)
), equality AS MATERIALIZED (
    SELECT opc.oid AS opclass, pg_catalog.format('OPERATOR(%I.%s)', opn.nspname, op.oprname) AS equals
      FROM pg_catalog.pg_opclass opc
      JOIN pg_catalog.pg_am am ON am.oid = opc.opcmethod
      JOIN pg_catalog.pg_amop ao ON ao.amopfamily = opc.opcfamily
                                AND ao.amoplefttype = opc.opcintype AND ao.amoprighttype = opc.opcintype
      JOIN pg_catalog.pg_operator op ON op.oid = ao.amopopr
       AND CASE am.amname WHEN 'btree' THEN ao.amopstrategy = 3 ELSE op.oprname = '=' END
      JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace
     -- Those in use are few.
     WHERE opc.oid = ANY (ARRAY(SELECT DISTINCT pg_catalog.unnest(k.indclass::oid[]) FROM key k))
)
SELECT i.indrelid,
       (SELECT ic.relname::text FROM pg_catalog.pg_class ic WHERE ic.oid = i.indexrelid) AS index_name,
       i.indisprimary,
       (SELECT a.attname::text FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[position]) AS column_name,
       (SELECT e.equals FROM equality e WHERE e.opclass = i.indclass[position]) AS equals,
       (SELECT pg_catalog.format('%I.%I', cn.nspname, co.collname)
          FROM pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
         WHERE co.oid = i.indcollation[position]) AS collation,
       COALESCE((SELECT co.collisdeterministic FROM pg_catalog.pg_collation co
                  WHERE co.oid = i.indcollation[position]), true) AS deterministic
  FROM key i
 CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS position
 ORDER BY i.indrelid, i.indisprimary AND i.indimmediate DESC, i.indimmediate DESC,
          i.indisreplident DESC, i.indnkeyatts, index_name, position
