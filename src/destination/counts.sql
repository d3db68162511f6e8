-- What the destination has counted. One that an older version has made counts no copies.
SELECT COALESCE((pg_catalog.to_jsonb(s) ->> 'copies')::int8, 0), s.cycle FROM switchover.state s
