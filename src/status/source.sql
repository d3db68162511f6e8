-- How far the switchover is, as the source knows it.
SELECT s.phase,
       s.use_next_db,
       s.destination_name,
       pg_catalog.to_char(s.switched_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       pg_catalog.to_char(s.verified_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       (SELECT pg_catalog.count(*) FROM switchover.captured),
       (SELECT pg_catalog.count(*) FROM switchover.logged()),
       (SELECT EXTRACT(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.min(l.written_at))::float8
          FROM switchover.logged() l)
  FROM switchover.state s
