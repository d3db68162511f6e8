-- What every session sets before anything else, as pg_dump does, so that values keep their text on
-- the way and no setting of the role or of the database ends a long statement.
-- In one message, so that it costs one round trip.
-- First of all, for a short one would end this very message.
SET statement_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET xmloption = content;
SET lc_monetary = 'C';
SET row_security = off;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET default_transaction_isolation = 'read committed';
SET default_transaction_read_only = off;
SET default_transaction_deferrable = off;
SET check_function_bodies = off;
SET jit = off;
-- Everything that is forgotten or promised is so after a commit that is on disk.
SELECT pg_catalog.set_config('synchronous_commit', 'on', false)
 WHERE pg_catalog.current_setting('synchronous_commit') <> 'remote_apply';
-- Younger servers have more that would end a session: idle_session_timeout (14), transaction_timeout (17).
SELECT pg_catalog.set_config(name, '0', false)
  FROM pg_catalog.unnest(ARRAY['idle_session_timeout', 'transaction_timeout']) AS name
 WHERE pg_catalog.current_setting(name, true) IS NOT NULL;
-- A server that is cut off from us for good must not keep our locks for the two hours after which its
-- kernel would look.
SET tcp_keepalives_idle = 60;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
-- As the role that has connected: one that a setting of the role has put on may not see its own session.
BEGIN;
SET LOCAL ROLE NONE;
SELECT pg_catalog.pg_backend_pid() AS pid,
       pg_catalog.current_setting('server_version_num') AS version,
       pg_catalog.current_setting('server_version') AS version_text,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       -- In microseconds: with the pid it names this server process among all.
       (SELECT (EXTRACT(epoch FROM a.backend_start) OPERATOR(pg_catalog.*) 1000000)::int8
          FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a) AS started;
COMMIT;
