-- $1 run, $2 identity of the source. Makes this run the one that may write; waits for the commit of a
-- predecessor's last transaction.
INSERT INTO switchover.state AS s (run, source_identity) VALUES ($1, $2)
ON CONFLICT (singleton) DO UPDATE SET run = excluded.run
RETURNING s.cycle, s.copies, s.copied_at IS NOT NULL,
          s.schema_created_at IS NOT NULL, s.schema_finished_at IS NOT NULL, s.switched_at::text
