-- What the sessions of a program that we have started do: whether any works, and when something has
-- happened last. $name is its application_name.
SET statement_timeout = 0;
SET ROLE NONE;
SELECT pg_catalog.set_config('search_path', '', false);
SELECT COALESCE(pg_catalog.bool_or(a.wait_event_type IS DISTINCT FROM 'Client'), false) AS works,
       pg_catalog.concat_ws(' ', pg_catalog.count(*), max(a.state_change)) AS last
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.application_name = $name;
