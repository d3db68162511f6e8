-- A source with one of everything that check has something to say about. Creates the roles it needs; the
-- destination gets none of them.
CREATE ROLE owner_here;
CREATE ROLE grantee_here;
CREATE ROLE policy_here;
ALTER DATABASE app SET search_path = app, public;
ALTER DATABASE app SET "extension.secret" = 'hunter2';

CREATE TABLE plain (id int PRIMARY KEY, v text);
CREATE TABLE keyless (a int, b text);
CREATE TABLE keyless_and_large AS SELECT g, repeat('x', 500) AS t FROM generate_series(1, 24000) AS g;
CREATE UNLOGGED TABLE forgetful (id int PRIMARY KEY);
CREATE TABLE deferring (id int PRIMARY KEY DEFERRABLE, u int,
                        CONSTRAINT late UNIQUE (u) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (a int) SERVER elsewhere;
CREATE TABLE split (id int, k int) PARTITION BY LIST (k);
CREATE TABLE split_1 PARTITION OF split FOR VALUES IN (1);
CREATE FOREIGN TABLE split_2 PARTITION OF split FOR VALUES IN (2) SERVER elsewhere;
CREATE MATERIALIZED VIEW "Gist" AS SELECT 1 AS one;
SELECT lo_create(0), lo_create(0);

CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE watched (id int PRIMARY KEY, p int REFERENCES parent);
CREATE TRIGGER asleep BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION pass();
ALTER TABLE watched DISABLE TRIGGER ALL;
CREATE TRIGGER pg_switchover_capture BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION pass();
CREATE RULE tell AS ON INSERT TO plain DO ALSO NOTIFY written;

CREATE SCHEMA app AUTHORIZATION owner_here;
CREATE TABLE app.secret (id int PRIMARY KEY);
ALTER TABLE app.secret OWNER TO owner_here;
GRANT SELECT ON app.secret TO grantee_here;
CREATE TABLE app.rows_apart (id int PRIMARY KEY);
ALTER TABLE app.rows_apart ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.rows_apart FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON app.rows_apart TO policy_here USING (true);
CREATE SEQUENCE app.numbers;

CREATE TABLE checked (id int PRIMARY KEY, a int, b int);
ALTER TABLE checked ADD CONSTRAINT unproven CHECK (a > 0) NOT VALID;

CREATE PUBLICATION news FOR TABLE plain;
CREATE SUBSCRIPTION feed CONNECTION 'dbname=nowhere' PUBLICATION x WITH (connect = false);
-- Enabled without a slot there is nothing to connect to: ALTER SUBSCRIPTION … ENABLE would refuse.
UPDATE pg_subscription SET subenabled = true;
CREATE FUNCTION note_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION note_ddl();
CREATE SCHEMA switchover;

BEGIN;
INSERT INTO parent VALUES (1);
PREPARE TRANSACTION 'first of two phases';
