-- burn_note.max_pending: how many notes of a role may wait to be read
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
CREATE ROLE regress_burn_sender;
CREATE ROLE regress_burn_other;
RESET client_min_messages;
GRANT EXECUTE ON FUNCTION burn_create(text, interval, text), burn_read(text, inet, text),
	burn_revoke(text, inet), burn_purge(integer) TO regress_burn_sender, regress_burn_other;

LOAD 'burn_note';

-- a superuser sets it; its role cannot
SET burn_note.max_pending = 2;
SET ROLE regress_burn_sender;
SET burn_note.max_pending = 3;

-- reading, revoking and expiring make room
SELECT burn_create('one') AS one \gset
SELECT burn_create('two') AS two \gset
SELECT burn_create('three');
SELECT burn_read(:'one');
SELECT burn_create('three') AS three \gset
SELECT burn_create('four');
SELECT burn_revoke(:'two');
SELECT burn_create('four', '5 ms') AS four \gset
SELECT pg_sleep(0.01);
SELECT burn_create('five') AS five \gset

-- a burn that was rolled back made room as well, a creation that was has taken none
BEGIN; SELECT burn_read(:'five'); ROLLBACK;
SELECT burn_create('six') AS six \gset
SELECT burn_create('seven');
SELECT burn_read(:'six');
BEGIN; SELECT burn_create('seven') IS NOT NULL AS created; ROLLBACK;
SELECT burn_create('eight') AS eight \gset

-- each role has its own
SET ROLE regress_burn_other;
SELECT burn_create('one') IS NOT NULL AND burn_create('two') IS NOT NULL AS created;
SELECT burn_create('three');
\set VERBOSITY sqlstate
SELECT burn_create('three');
\set VERBOSITY default

-- without a limit nothing is counted
RESET ROLE;
RESET burn_note.max_pending;
SET ROLE regress_burn_other;
SELECT count(burn_create('x')) FROM generate_series(1, 5);
RESET ROLE;
SELECT creator::regrole, count(*) FROM burn_note WHERE creator IS NOT NULL GROUP BY creator ORDER BY 1;

-- also where the table has a trigger, and its rows take the slow path
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER nothing BEFORE INSERT ON burn_note FOR EACH ROW EXECUTE FUNCTION nothing();
SET burn_note.max_pending = 3;
SET ROLE regress_burn_other;
SELECT burn_create('three') IS NOT NULL AS created;
SELECT burn_create('four');
RESET ROLE;
DROP TRIGGER nothing ON burn_note;
DROP FUNCTION nothing();
RESET burn_note.max_pending;

SET burn_note.max_pending = -1;
DROP OWNED BY regress_burn_sender, regress_burn_other;
DROP ROLE regress_burn_sender, regress_burn_other;
