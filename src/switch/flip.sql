-- The fence takes this transaction's id, and counts only once that has committed (switchover.flipped()).
-- setval is not transactional: a crash after it leaves the id of a transaction that never committed, and no
-- other transaction ever gets that id. Its record in the write-ahead log carries the id (XLogRecordAssemble
-- puts GetCurrentTransactionIdIfAny() into xl_xid), and recovery begins to count behind every id that it has
-- met (ApplyWalRecord: AdvanceNextFullTransactionIdPastXid). If that record was lost, so is the fence: a page
-- is never on disk before its record. The id is a 64-bit one, so it does not come round again either.
SELECT pg_catalog.setval('switchover.fence', pg_catalog.pg_current_xact_id()::text::int8);
UPDATE switchover.state
   SET use_next_db = true, phase = 'switched', switched_at = pg_catalog.clock_timestamp();
COMMIT;
