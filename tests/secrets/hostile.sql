-- What mallory, who owns some tables and may create things in schemas and temporary tables, has laid out
-- for whoever comes by with more rights. Runs as a superuser on either side.
CREATE ROLE mallory LOGIN;
GRANT CREATE ON SCHEMA public TO mallory;
CREATE SCHEMA evil AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA evil TO PUBLIC;

SET ROLE mallory;
SET search_path = evil;

-- Writes as whom it runs into the server's log.
CREATE FUNCTION spring(how text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE WARNING 'trap of % sprung by %', how, current_user;
    RETURN true;
END
$$;

CREATE TYPE mood AS ENUM ('bad', 'good', 'better');
CREATE TYPE pair AS (a int, b mood);
CREATE TYPE span AS RANGE (subtype = int4);
CREATE DOMAIN age AS int CHECK (evil.spring('a domain''s check'));
CREATE DOMAIN word AS text CHECK (evil.spring('a domain''s check'));

CREATE FUNCTION mood_text(mood) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN PERFORM evil.spring('the cast of an enum to text'); RETURN 'x'; END$$;
CREATE FUNCTION pair_text(pair) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN PERFORM evil.spring('the cast of a composite to text'); RETURN 'x'; END$$;
CREATE FUNCTION span_text(span) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN PERFORM evil.spring('the cast of a range to text'); RETURN 'x'; END$$;
CREATE FUNCTION mood_json(mood) RETURNS json LANGUAGE plpgsql AS
    $$BEGIN PERFORM evil.spring('the cast of an enum to json'); RETURN '1'; END$$;
CREATE FUNCTION mood_int(mood) RETURNS int LANGUAGE plpgsql AS
    $$BEGIN PERFORM evil.spring('the cast of an enum to int'); RETURN 1; END$$;
CREATE CAST (mood AS text) WITH FUNCTION mood_text(mood) AS ASSIGNMENT;
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair) AS ASSIGNMENT;
CREATE CAST (span AS text) WITH FUNCTION span_text(span) AS ASSIGNMENT;
CREATE CAST (mood AS json) WITH FUNCTION mood_json(mood);
CREATE CAST (mood AS int) WITH FUNCTION mood_int(mood) AS ASSIGNMENT;

CREATE FUNCTION text_mood(text) RETURNS mood LANGUAGE plpgsql AS
    $$BEGIN PERFORM evil.spring('the cast of text to an enum'); RETURN enum_first(NULL::evil.mood); END$$;
CREATE FUNCTION text_pair(text) RETURNS pair LANGUAGE plpgsql AS
    $$BEGIN PERFORM evil.spring('the cast of text to a composite'); RETURN NULL; END$$;
CREATE CAST (text AS mood) WITH FUNCTION text_mood(text) AS ASSIGNMENT;
CREATE CAST (text AS pair) WITH FUNCTION text_pair(text) AS ASSIGNMENT;

-- A type whose values have a length, as those of some extensions do; only superusers make such.
RESET ROLE;
CREATE TYPE short;
CREATE FUNCTION short_in(cstring, oid, int4) RETURNS short LANGUAGE internal IMMUTABLE STRICT AS 'varcharin';
CREATE FUNCTION short_out(short) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'varcharout';
CREATE TYPE short (INPUT = short_in, OUTPUT = short_out, LIKE = pg_catalog.varchar, COLLATABLE = true,
                   TYPMOD_IN = pg_catalog.varchartypmodin, TYPMOD_OUT = pg_catalog.varchartypmodout);
CREATE CAST (short AS text) WITHOUT FUNCTION AS IMPLICIT;
ALTER TYPE short OWNER TO mallory;
SET ROLE mallory;
CREATE FUNCTION shorten(short, int, boolean) RETURNS short LANGUAGE plpgsql AS $$
BEGIN
    PERFORM evil.spring(CASE WHEN $1 IS NULL THEN 'the length of NULL' ELSE 'the length of a value' END);
    RETURN $1;
END
$$;
CREATE CAST (short AS short) WITH FUNCTION shorten(short, int, boolean) AS IMPLICIT;

-- Operators and functions of the names that everybody uses.
CREATE FUNCTION same(int, int) RETURNS boolean LANGUAGE sql AS $$SELECT evil.spring('int = int')$$;
CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE sql AS $$SELECT evil.spring('text = text')$$;
CREATE FUNCTION same(oid, oid) RETURNS boolean LANGUAGE sql AS $$SELECT evil.spring('oid = oid')$$;
CREATE FUNCTION joined(text, text) RETURNS text LANGUAGE sql AS $$SELECT evil.spring('||')::text$$;
CREATE OPERATOR = (FUNCTION = same, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR = (FUNCTION = same, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR = (FUNCTION = same, LEFTARG = oid, RIGHTARG = oid);
CREATE OPERATOR <> (FUNCTION = same, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR || (FUNCTION = joined, LEFTARG = text, RIGHTARG = text);
CREATE FUNCTION format(text, text) RETURNS text LANGUAGE sql AS $$SELECT evil.spring('format()')::text$$;
CREATE FUNCTION pg_sequence_last_value(regclass) RETURNS bigint LANGUAGE sql AS
    $$SELECT NULL::bigint FROM evil.spring('pg_sequence_last_value()')$$;
CREATE FUNCTION pg_xact_status(xid8) RETURNS text LANGUAGE sql AS
    $$SELECT evil.spring('pg_xact_status()')::text$$;
CREATE FUNCTION flipped() RETURNS boolean LANGUAGE sql AS $$SELECT NOT evil.spring('flipped()')$$;

CREATE TABLE by_number (id int PRIMARY KEY, n int);
CREATE TABLE by_text (id text PRIMARY KEY, n int);
CREATE TABLE by_mood (id mood PRIMARY KEY, n int);
CREATE TABLE by_pair (id pair PRIMARY KEY, n int);
CREATE TABLE by_span (id span PRIMARY KEY, n int);
CREATE TABLE by_moods (id mood[] PRIMARY KEY, n int);
CREATE TABLE by_age (id age PRIMARY KEY, n int);
CREATE TABLE by_word (id word, id2 mood, n int, PRIMARY KEY (id, id2));
CREATE TABLE by_short (id short(20) PRIMARY KEY, n int);
CREATE TABLE keyless (m mood, p pair, s span, a age);
