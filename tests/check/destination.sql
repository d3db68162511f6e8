-- A destination for source.sql that has some of its tables, none of them quite right.
CREATE TABLE plain (id int PRIMARY KEY, v text NOT NULL);
INSERT INTO plain VALUES (1, 'x');
CREATE TABLE forgetful (id int PRIMARY KEY);
CREATE TABLE checked (id int PRIMARY KEY, a int UNIQUE, b bigint);
ALTER TABLE checked ADD CONSTRAINT unproven CHECK (a > 0);
CREATE TABLE parent (id bigint);
CREATE TABLE stray (id int PRIMARY KEY, p int CONSTRAINT stray_reference REFERENCES plain);

CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER awake BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION pass();
ALTER TABLE plain ENABLE ALWAYS TRIGGER awake;
CREATE RULE tell AS ON INSERT TO checked DO ALSO NOTIFY written;
ALTER TABLE checked ENABLE REPLICA RULE tell;
CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch_there ON sql_drop EXECUTE FUNCTION note_ddl();
CREATE TYPE mood AS ENUM ('good');
CREATE SCHEMA other;
