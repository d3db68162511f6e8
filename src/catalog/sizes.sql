-- $1 oid[]: tables. How large each is: bytes of the heap and TOAST, pages of the main fork.
-- A size takes a lock, so what somebody has locked has the size that was last noted.
WITH locked AS MATERIALIZED (
    SELECT l.relation FROM pg_catalog.pg_locks l
     WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d
                          WHERE d.datname = pg_catalog.current_database())
)
SELECT c.oid,
       CASE WHEN c.oid IN (SELECT l.relation FROM locked l)
            THEN c.relpages * pg_catalog.current_setting('block_size')::int8
            ELSE pg_catalog.pg_table_size(c.oid) END AS bytes,
       CASE WHEN c.oid IN (SELECT l.relation FROM locked l) THEN c.relpages::int8
            ELSE pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int8
            END AS pages
  FROM pg_catalog.pg_class c
 WHERE c.oid = ANY ($1) AND c.relkind = 'r'
