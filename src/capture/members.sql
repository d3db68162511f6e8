-- What holds the rows of captured tables, where it is not what was noted: as it was then (4 columns), and
-- as it is now (3).
SELECT COALESCE(s.table_id, m.table_id) AS table_id,
       COALESCE(s.member_id, m.member_id) AS member_id,
       m.link, m.file, m.attributes, m.bound,
       s.link, s.file, s.attributes
  FROM switchover.members(ARRAY(SELECT c.table_id FROM switchover.captured c)) s
  FULL JOIN switchover.captured_member m ON m.table_id = s.table_id AND m.member_id = s.member_id
 WHERE s.link IS DISTINCT FROM m.link
    OR s.file IS DISTINCT FROM m.file
    OR s.attributes IS DISTINCT FROM m.attributes
 ORDER BY 1, 2
