-- Publications and logical slots: what others read from this database.
SELECT 'publication', p.pubname::text FROM pg_catalog.pg_publication p
UNION ALL
SELECT 'logical replication slot', s.slot_name::text
  FROM pg_catalog.pg_replication_slots s
 WHERE s.database = pg_catalog.current_database() AND NOT s.temporary
 ORDER BY 1, 2
