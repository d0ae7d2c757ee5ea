-- burn_note.require_parameters: a literal where a note, a token or a passphrase belongs is refused
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;
LOAD 'burn_note';
\set VERBOSITY terse
SELECT burn_create('sealed before') AS token \gset
PREPARE create_note(text, text) AS SELECT burn_create($1, '1 day', $2) IS NOT NULL AS created;
PREPARE prepared_before AS SELECT burn_create('x');
CREATE FUNCTION bound(note text, passphrase text DEFAULT NULL) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	RETURN burn_create(note, '1 day', passphrase) IS NOT NULL;
END $$;
CREATE FUNCTION literal_in_body() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN burn_create('x');
END $$;
CREATE FUNCTION literal_in_sql_body() RETURNS text LANGUAGE sql VOLATILE SET work_mem FROM CURRENT
	BEGIN ATOMIC SELECT burn_create('x'); END;
CREATE FUNCTION literal_in_inlined_body() RETURNS text LANGUAGE sql VOLATILE
	BEGIN ATOMIC SELECT burn_create('x'); END;
CREATE FUNCTION literal_in_inlined_text() RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT burn_create('x') $$;
CREATE FUNCTION literal_in_inlined_set() RETURNS TABLE (token text) LANGUAGE sql STABLE AS $$ SELECT burn_receipt_token('x') $$;
CREATE FUNCTION inlined(note text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT burn_create(note) $$;
CREATE VIEW literal_in_view AS SELECT burn_create('x');
CREATE PROCEDURE takes(text) LANGUAGE plpgsql AS 'BEGIN END';
SET burn_note.require_parameters = on;

-- each argument that is a secret, of each function
\set VERBOSITY default
SELECT burn_create('x');
\set VERBOSITY sqlstate
SELECT burn_create('x');
\set VERBOSITY terse
SELECT burn_create_bytes('\x00');
SELECT burn_create(current_user, '1 day', 'x');
SELECT burn_create(note => current_user, passphrase => 'x');
SELECT burn_create(passphrase => 'x', note => current_user);
SELECT burn_read(:'token');
SELECT burn_read_bytes(:'token');
SELECT burn_read(current_user, '203.0.113.7', 'x');
SELECT burn_revoke(:'token');
SELECT * FROM burn_status(:'token');
SELECT burn_receipt_token(:'token');
SELECT burn_note_id(:'token');
SELECT burn_verify_receipt(:'token');

-- what is a literal: whatever the statement's text alone says
SELECT burn_create('x'::varchar);
SELECT burn_create(CAST(7 AS text));
SELECT burn_create('x' || 'y' || 1::text);
SELECT burn_create(upper('x'));
SELECT burn_create(format('%s', 'x'));
SELECT burn_create(coalesce(NULL, 'x'));
SELECT burn_create(CASE WHEN true THEN 'x' END);
SELECT burn_create((ARRAY['x', 'y'])[1]);
SELECT burn_create((SELECT 'x'));
SELECT burn_create(U&'\0078');
SELECT U&"burn\005Fcreate"('x');
SELECT public.burn_create('x');

-- and what is not
SELECT burn_create(NULL);
SELECT burn_create(current_user, '1 day', NULL) IS NOT NULL AS created;
SELECT burn_create(note, '1 day') IS NOT NULL AS created FROM (SELECT 'note ' || i AS note FROM generate_series(1, 2) AS i) AS notes;
SELECT burn_read(burn_create(current_user), '203.0.113.7') = current_user AS nested_calls;
SELECT burn_create(random()::text || 'x') IS NOT NULL AS created;
SELECT bound('x'), bound('x', 'y');
DO $$
DECLARE
	note text := 'x';
	read text;
BEGIN
	EXECUTE 'SELECT burn_read(burn_create($1), $2)' INTO read USING note, '203.0.113.7'::inet;
	RAISE INFO '%', read;
	-- the sixth time, its plan may have the parameters as constants
	FOR i IN 1 .. 7 LOOP
		EXECUTE 'SELECT burn_create($1)' INTO read USING note;
		PERFORM bound(note);
	END LOOP;
END $$;

-- every kind of statement
CALL takes(burn_create('x'));
DO $$ BEGIN PERFORM burn_create('x'); END $$;
DO $$ BEGIN EXECUTE format('SELECT burn_create(%L)', 'x'); END $$;
COPY (SELECT burn_create('x')) TO STDOUT;
BEGIN;
DECLARE c CURSOR FOR SELECT burn_create('x');
ROLLBACK;
CREATE TABLE tokens AS SELECT burn_create('x');
SELECT burn_create('x') INTO tokens;
CREATE MATERIALIZED VIEW tokens AS SELECT burn_create('x');
CREATE VIEW tokens AS SELECT burn_create('x');
EXPLAIN SELECT burn_create('x');
EXPLAIN (ANALYZE, COSTS off) SELECT burn_create('x');
PREPARE another AS SELECT burn_create('x');
WITH made AS (SELECT burn_create('x') AS token) SELECT token FROM made;
VALUES (burn_create('x'));
CREATE TEMP TABLE kept (token text);
INSERT INTO kept VALUES (burn_create('x'));
INSERT INTO kept SELECT burn_create('x');
UPDATE kept SET token = burn_create('x');
DELETE FROM kept WHERE token = burn_create('x');
SELECT 1 WHERE EXISTS (SELECT burn_create('x'));
SELECT literal_in_body();
SELECT literal_in_sql_body();
SELECT literal_in_inlined_body();
SELECT literal_in_inlined_text();
SELECT * FROM literal_in_inlined_set();
SELECT inlined(current_user) IS NOT NULL AS created;
SELECT * FROM literal_in_view;
CREATE FUNCTION another() RETURNS text LANGUAGE sql AS $$ SELECT burn_create('x') $$;

-- literals for a prepared statement that makes secrets of them
EXECUTE create_note('x', NULL);
EXECUTE create_note(NULL, 'x');
EXECUTE create_note('x' || 'y', NULL);
EXPLAIN EXECUTE create_note('x', NULL);
CREATE TABLE tokens AS EXECUTE create_note('x', NULL);
EXECUTE create_note(current_user, NULL);
EXECUTE prepared_before;

-- which may have to be analyzed again to know it
CREATE SCHEMA other;
CREATE FUNCTION other.burn_create(a text) RETURNS text LANGUAGE sql AS 'SELECT a';
SET search_path = other, public;
PREPARE either(text) AS SELECT burn_create($1) IS NOT NULL AS created;
PREPARE either_kept(text) AS INSERT INTO kept VALUES (burn_create($1));
EXECUTE either('x');
EXECUTE either_kept('x');
RESET search_path;
EXECUTE either('x');
EXECUTE either_kept('x');
DROP FUNCTION other.burn_create;
DROP SCHEMA other;

-- in what is given to any prepared statement, and behind an operator
PREPARE echo(text) AS SELECT $1 IS NOT NULL AS given;
EXECUTE echo('x');
EXECUTE echo(burn_create('x'));
EXPLAIN (ANALYZE, COSTS off) EXECUTE echo(burn_create('x'));
CREATE OPERATOR ### (rightarg = text, function = burn_note_id);
SELECT ### 'x'::text;
SELECT ### :'token'::text;
DROP OPERATOR ### (NONE, text);
CREATE OPERATOR ### (leftarg = text, rightarg = inet, function = burn_revoke);
SELECT 'x' ### ANY (ARRAY['192.0.2.1'::inet]);
DROP OPERATOR ### (text, inet);

-- off again
RESET burn_note.require_parameters;
SELECT burn_read(:'token');
EXECUTE create_note('x', NULL);

-- only a superuser sets it
SET client_min_messages = warning;
CREATE ROLE regress_burn_user;
RESET client_min_messages;
SET ROLE regress_burn_user;
SET burn_note.require_parameters = off;
SET burn_note.redact = off;
SET burn_note.dumpable = on;
RESET ROLE;
DROP ROLE regress_burn_user;

DEALLOCATE ALL;
DROP FUNCTION bound, literal_in_body, literal_in_sql_body;
DROP PROCEDURE takes;
DROP VIEW literal_in_view;
DROP FUNCTION literal_in_inlined_body, literal_in_inlined_text, literal_in_inlined_set, inlined;
