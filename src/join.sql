-- $1 keys are going to be looked up in table $2, both sorted. The planner takes them for few. If they are many of
-- the table's rows, walking its index once is faster than descending into it for each; it is no more than
-- three times as many rows either way. A table that was never analyzed is taken to be full of small rows.
SELECT pg_catalog.set_config(setting, 'off', true)
  FROM pg_catalog.unnest('{enable_nestloop, enable_hashjoin}'::text[]) AS setting
 WHERE 3 * $1 >=
       (SELECT pg_catalog.sum(COALESCE(c.reltuples / NULLIF(c.relpages, 0), 100)
                              * pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8)
          FROM switchover.captured_member m
          JOIN pg_catalog.pg_class c ON c.oid = m.member_id
         WHERE m.table_id = $2)
