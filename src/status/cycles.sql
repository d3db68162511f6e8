-- The last confirmed cycles, youngest first.
SELECT c.cycle, c.final, c.tables, c.keys, c.rows, c.read_ms,
       (EXTRACT(epoch FROM c.applied_at - c.started_at) * 1000)::float8,
       pg_catalog.to_char(c.applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  FROM switchover.confirmation c
 ORDER BY c.cycle DESC
 LIMIT 10
