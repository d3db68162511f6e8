-- $1 oid[]: tables. Their constraints but those for NOT NULL (rows of their own from 18 on), with
-- plain unique indexes, which refuse rows like constraints do.
SELECT c.conrelid AS oid,
       c.conname::text AS name,
       c.contype::text AS kind,
       c.condeferrable AS deferrable,
       c.convalidated AS validated
  FROM pg_catalog.pg_constraint c
 WHERE c.conrelid = ANY ($1) AND c.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT i.indrelid, ic.relname::text, 'i', false, true
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
 WHERE i.indrelid = ANY ($1) AND i.indisunique
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k
                    WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
 ORDER BY 1, 2
