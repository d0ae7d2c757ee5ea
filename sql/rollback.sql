-- what a rollback cannot undo
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

CREATE FUNCTION pg_temp.ended_once(token text, ip inet) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN count(*) = 1 AND bool_and(r.outcome = 'r' AND r.client_ip IS NOT DISTINCT FROM ip AND burn_verify_receipt(token))
		THEN 'one receipt, sealed, with the first reader''s address' ELSE 'NO' END
	FROM burn_receipt AS r WHERE r.id = burn_note_id(token)
$$;

-- ROLLBACK
SELECT burn_create('rolled back') AS token \gset
BEGIN;
SELECT burn_read(:'token', '203.0.113.7');
SELECT closed_at FROM burn_status(:'token') \gset
ROLLBACK;
SELECT state, client_ip, closed_at = :'closed_at' AS time_is_the_reader_s FROM burn_status(:'token');
SELECT fuse FROM burn_note WHERE id = burn_note_id(:'token');
SELECT burn_read(:'token', '198.51.100.9') IS NULL AS rollback_does_not_unburn;
SELECT pg_temp.ended_once(:'token', '203.0.113.7');
SELECT closed_at = :'closed_at' AS time_is_the_reader_s FROM burn_status(:'token');

-- ROLLBACK TO SAVEPOINT, and the second attempt in the same transaction
SELECT burn_create('savepoint') AS token \gset
BEGIN;
SAVEPOINT s;
SELECT burn_read(:'token', '203.0.113.7');
ROLLBACK TO s;
SELECT state FROM burn_status(:'token');
SELECT burn_read(:'token') IS NULL AS savepoint_does_not_unburn;
SELECT state FROM burn_status(:'token');
COMMIT;
SELECT pg_temp.ended_once(:'token', '203.0.113.7');

-- finishing is rolled back as well, and done again
SELECT burn_create('twice rolled back') AS token \gset
BEGIN; SELECT burn_read(:'token', '203.0.113.7'); ROLLBACK;
BEGIN; SELECT burn_read(:'token') IS NULL AS gone; ROLLBACK;
SELECT burn_purge() > 0 AS purged;
SELECT pg_temp.ended_once(:'token', '203.0.113.7');

-- an exception block
SELECT burn_create('exception') AS token \gset
CREATE FUNCTION pg_temp.read_and_fail(token text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	note text;
BEGIN
	BEGIN
		note := burn_read(token, '203.0.113.7');
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		RETURN 'read: ' || note;
	END;
END $$;
SELECT pg_temp.read_and_fail(:'token');
SELECT pg_temp.read_and_fail(:'token') IS NULL AS exception_block_does_not_unburn;
SELECT burn_purge() >= 0 AS purged;
SELECT pg_temp.ended_once(:'token', '203.0.113.7');

-- a cast whose error message carries the note
SELECT burn_create('no number') AS token \gset
SELECT burn_read(:'token', '203.0.113.7')::int;
SELECT burn_read(:'token', '203.0.113.7') IS NULL AS cast_error_does_not_unburn;
SELECT pg_temp.ended_once(:'token', '203.0.113.7');

-- a cursor
SELECT burn_create('cursor') AS token \gset
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT burn_read(t, '203.0.113.7') FROM (VALUES (:'token')) AS v (t);
FETCH c;
ROLLBACK;
SELECT burn_read(:'token') IS NULL AS cursor_does_not_unburn;
SELECT pg_temp.ended_once(:'token', '203.0.113.7');

-- no address was given: the receipt has none, and says so under its seal
SELECT burn_create('nameless') AS token \gset
BEGIN; SELECT burn_read(:'token'); ROLLBACK;
SELECT burn_purge() > 0 AS purged;
SELECT pg_temp.ended_once(:'token', NULL);

-- a note created and read in a transaction that rolls back never was
BEGIN;
SELECT burn_create('never was') AS token \gset
SELECT burn_read(:'token');
ROLLBACK;
SELECT state, burn_read(:'token') IS NULL AS gone FROM burn_status(:'token');
