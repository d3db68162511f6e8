SELECT pg_catalog.setval('switchover.fence', pg_catalog.pg_current_xact_id()::text::int8);
UPDATE switchover.state
   SET use_next_db = true, phase = 'switched', switched_at = pg_catalog.clock_timestamp();
COMMIT;
