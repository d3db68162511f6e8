-- What the demonstration's tables lack: a big one, rows out of line, many indexes, and many small tables.

CREATE TABLE wide (id int PRIMARY KEY, title text NOT NULL, body text NOT NULL);
ALTER TABLE wide ALTER body SET STORAGE EXTERNAL;
INSERT INTO wide
SELECT i, 'title ' || i, (SELECT string_agg(md5(format('%s %s', i, n)), ' ') FROM generate_series(1, 150) n)
FROM generate_series(1, :rows / 100) i;

CREATE TABLE indexed (
    id int PRIMARY KEY, a int, b int, c text, d timestamptz, e numeric, big bigint REFERENCES big
);
INSERT INTO indexed
SELECT i, i * 7919::bigint % 300007, i % 100, md5(i::text), timestamptz '2026-01-01' + i * interval '1 second', i / 3.0, i
FROM generate_series(1, :rows / 4) i;
CREATE INDEX ON indexed (a);
CREATE INDEX ON indexed (b, a);
CREATE INDEX ON indexed (c);
CREATE INDEX ON indexed (d);
CREATE INDEX ON indexed (e);
CREATE INDEX ON indexed (big);

CREATE SCHEMA many;
SELECT format('CREATE TABLE many.t%s (id int PRIMARY KEY, note text, branch int REFERENCES pgbench_branches)', i),
       format('INSERT INTO many.t%s SELECT i, ''note '' || i, 1 + i %% 5 FROM generate_series(1, 100) i', i)
FROM generate_series(1, 200) i
\gexec
