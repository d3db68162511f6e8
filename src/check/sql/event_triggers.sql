-- Event triggers that fire when we create or drop something, or connect ('login', from 17 on). An
-- extension's own are made for its own objects.
SELECT e.evtname::text, e.evtevent::text, e.evtfoid::pg_catalog.regproc::text
  FROM pg_catalog.pg_event_trigger e
 WHERE e.evtenabled IN ('O', 'A')
   AND e.evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop', 'login')
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass
                      AND d.objid = e.oid AND d.deptype = 'e')
 ORDER BY 1
