-- what is refused, by the SQLSTATEs of README.md's table
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

SELECT burn_create('kept') AS token \gset
\set VERBOSITY sqlstate

-- not a token
SELECT burn_read('x');
SELECT burn_read(burn_receipt_token(:'token'));
SELECT burn_status('x');
SELECT burn_receipt_token('x');
SELECT burn_note_id('x');
SELECT burn_verify_receipt('x');

-- NULL token, NULL note
SELECT burn_read(NULL);
SELECT burn_status(NULL);
SELECT burn_create(NULL);

-- expires_in
SELECT burn_create('x', '0');
SELECT burn_create('x', '-1 s');
SELECT burn_create('x', '90 days 1 s');
SELECT burn_create('x', '178000000 years');

-- too large
SET burn_note.max_note_size = 0;
SELECT burn_create('x');
RESET burn_note.max_note_size;

-- passphrase
SELECT burn_create('x', passphrase => '');
SELECT burn_read(:'token', passphrase => '');

-- read-only
BEGIN READ ONLY;
SELECT burn_create('x');
ROLLBACK;
BEGIN READ ONLY;
SELECT burn_read(:'token');
ROLLBACK;
BEGIN READ ONLY;
SELECT burn_purge();
ROLLBACK;

-- text that the client's encoding cannot show; nothing burned
SELECT burn_create(U&'caf\00E9 \20AC') AS euro \gset
SET client_encoding = 'LATIN1';
SELECT burn_read(:'euro');
RESET client_encoding;
SELECT burn_read(:'euro') = U&'caf\00E9 \20AC' AS nothing_was_burned;

-- the row does not authenticate
CREATE TEMP TABLE kept AS SELECT * FROM burn_note WHERE id = burn_note_id(:'token');
DELETE FROM burn_note WHERE id IN (SELECT id FROM kept);
INSERT INTO burn_note SELECT id, created_at + interval '1 us', fuse, creator, sealed FROM kept;
SELECT burn_read(:'token');
DELETE FROM burn_note WHERE id IN (SELECT id FROM kept);
INSERT INTO burn_note SELECT * FROM kept;

-- its note already has a receipt
SELECT burn_read(:'token');
INSERT INTO burn_note SELECT * FROM kept;
SELECT burn_read(:'token');
DELETE FROM burn_note WHERE id IN (SELECT id FROM kept);
