-- Tablespaces of this server.
SELECT t.spcname::text FROM pg_catalog.pg_tablespace t
