-- What is left to do on the destination, and whether the flip was seen committed.
SELECT (SELECT pg_catalog.count(*) FROM switchover.postponed p
         WHERE p.kind = 'foreign key' AND p.done_at IS NULL),
       (SELECT pg_catalog.to_char(s.switched_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
          FROM switchover.state s)
