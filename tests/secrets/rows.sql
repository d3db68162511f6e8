-- What mallory does to the tables, in the session that $hostile has prepared.
INSERT INTO evil.by_number VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO evil.by_text VALUES ('a', 1), ('b', 2), ('c', 3);
INSERT INTO evil.by_mood VALUES ('bad', 1), ('good', 2);
INSERT INTO evil.by_pair VALUES ('(1,bad)', 1), ('(2,good)', 2);
INSERT INTO evil.by_span VALUES ('[1,3)', 1), ('[5,9)', 2);
INSERT INTO evil.by_moods VALUES ('{bad,good}', 1), ('{good}', 2);
INSERT INTO evil.by_age VALUES (1, 1), (2, 2);
INSERT INTO evil.by_word VALUES ('a', 'bad', 1), ('b', 'good', 2);
INSERT INTO evil.by_short VALUES ('a', 1), ('b', 2);
INSERT INTO evil.keyless VALUES ('bad', '(1,bad)', '[1,2)', 1);
