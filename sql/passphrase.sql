-- passphrases: what a wrong one costs, and what locks a note
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

SELECT burn_create('attack at dawn', NULL, 'correct horse') AS token \gset
SELECT state, has_passphrase, attempts_left FROM burn_status(:'token');

-- a missing one costs nothing
SELECT burn_read(:'token') IS NULL AS missing;
SELECT attempts_left FROM burn_status(:'token');
SELECT burn_read(:'token', NULL, '');

-- a wrong one costs an attempt and leaves a row
SELECT burn_read(:'token', '203.0.113.7', 'Correct horse') IS NULL AS wrong;
SET burn_note.actor = 'mallory';
SELECT burn_read(:'token', '203.0.113.8', 'correct horse ') IS NULL AS wrong;
RESET burn_note.actor;
SELECT state, attempts_left FROM burn_status(:'token');
SELECT at < now() AS earlier, client_ip, peer, actor = session_user AS by_session_user
FROM burn_attempt WHERE id = burn_note_id(:'token') ORDER BY at;

-- a rollback does not refund it
BEGIN;
SELECT burn_read(:'token', '203.0.113.9', 'rolled back') IS NULL AS wrong;
ROLLBACK;
SELECT attempts_left FROM burn_status(:'token');
SELECT count(*) FROM burn_attempt WHERE id = burn_note_id(:'token');

-- the right one reads
SELECT burn_read(:'token', '203.0.113.7', 'correct horse');
SELECT state, attempts_left, burn_verify_receipt(:'token') FROM burn_status(:'token');

-- the last wrong one locks the note, whatever becomes of the transaction
SET burn_note.max_attempts = 2;
SELECT burn_create('attack at dawn', NULL, 'correct horse') AS token \gset
RESET burn_note.max_attempts;
SELECT attempts_left FROM burn_status(:'token');
SELECT burn_read(:'token', '203.0.113.7', 'one') IS NULL AS wrong;
BEGIN;
SELECT burn_read(:'token', '203.0.113.8', 'two') IS NULL AS wrong;
SELECT state FROM burn_status(:'token');
ROLLBACK;
SELECT state, attempts_left, client_ip, burn_verify_receipt(:'token') FROM burn_status(:'token');
SELECT burn_read(:'token', '203.0.113.7', 'correct horse') IS NULL AS locked;
SELECT outcome, client_ip FROM burn_receipt WHERE id = burn_note_id(:'token');
SELECT state, burn_verify_receipt(:'token') FROM burn_status(:'token');

-- committed, it has its receipt at once, with its actor
SET burn_note.max_attempts = 1;
SELECT burn_create('attack at dawn', NULL, 'correct horse') AS token \gset
RESET burn_note.max_attempts;
SELECT burn_read(:'token', '203.0.113.8', 'wrong') IS NULL AS wrong;
SELECT state, client_ip, actor = session_user AS by_session_user, burn_verify_receipt(:'token') FROM burn_status(:'token');
SELECT count(*) FROM burn_note WHERE id = burn_note_id(:'token');

-- the right one costs nothing, even if the read then fails, and though it was the last
SET burn_note.max_attempts = 1;
SELECT burn_create_bytes('\x01', NULL, 'right') AS bytes, burn_create(U&'\706B', NULL, 'right') AS fire \gset
RESET burn_note.max_attempts;
SELECT burn_read(:'bytes', NULL, 'right');
SELECT burn_read(:'bytes', NULL, 'wrong');
SET client_encoding = 'LATIN1';
SELECT burn_read(:'fire', NULL, 'right');
RESET client_encoding;
SELECT attempts_left FROM burn_status(:'bytes') UNION ALL SELECT attempts_left FROM burn_status(:'fire');
SELECT burn_read_bytes(:'bytes', NULL, 'right'), burn_read(:'fire', NULL, 'right') = U&'\706B' AS fire;

-- a note without one ignores one
SELECT burn_read(burn_create('no passphrase'), NULL, 'any');

-- it is hashed as UTF-8, whatever the client's encoding
SELECT burn_create('umlaut', NULL, U&'\00FC') AS token \gset
SELECT burn_read(:'token', NULL, convert_from('\xfc', 'LATIN1'));

-- reading a rolled-back read leaves no attempt to count
SELECT burn_create('once', NULL, 'p') AS token \gset
BEGIN; SELECT burn_read(:'token', NULL, 'p'); ROLLBACK;
SELECT burn_read(:'token', NULL, 'p') IS NULL AS gone, state FROM burn_status(:'token');

-- a header without its passphrase, or with one it never had, opens nothing
ALTER TABLE burn_note DISABLE TRIGGER burn_note_refuse_update;
SELECT burn_create('stripped', NULL, 'p') AS token \gset
UPDATE burn_note SET sealed = set_byte(sealed, 1, 0) WHERE id = burn_note_id(:'token');
SELECT burn_read(:'token');
UPDATE burn_note SET sealed = set_byte(sealed, 1, 2) WHERE id = burn_note_id(:'token');
SELECT burn_read(:'token', NULL, 'p');
ALTER TABLE burn_note ENABLE ALWAYS TRIGGER burn_note_refuse_update;

-- attempts go with the receipts
SELECT count(*) > 0 AS attempts FROM burn_attempt;
SET burn_note.receipt_retention = '1s';
SELECT burn_create('x', '1 ms', 'p') AS token \gset
DELETE FROM burn_attempt;
INSERT INTO burn_attempt (id, at) SELECT burn_note_id(:'token'), now();
SELECT pg_sleep(1.1);
SELECT burn_purge() > 0 AS purged, burn_purge();
SELECT count(*) FROM burn_attempt;
RESET burn_note.receipt_retention;

SET burn_note.max_attempts = 0;
SET burn_note.max_attempts = 101;

-- however its accents were typed: as one character or as two
SELECT burn_create('composed', NULL, U&'caf\00E9') AS composed,
	burn_create('decomposed', NULL, U&'cafe\0301 \+01F525 \1112\1161\11AB') AS decomposed \gset
SELECT burn_read(:'composed', NULL, U&'cafe\0301'),
	burn_read(:'decomposed', NULL, U&'caf\00E9 \+01F525 \D55C');
-- but not what only looks alike, or is compatible
SELECT burn_create('compatible', NULL, U&'\FB01') AS token \gset
SELECT burn_read(:'token', NULL, 'fi') IS NULL AS wrong, burn_read(:'token', NULL, U&'\FB01');

-- its length has a limit
SELECT burn_create('long', NULL, repeat(U&'\0390', 512)) AS token \gset
SELECT burn_read(:'token', NULL, repeat('x', 1025));
SELECT attempts_left FROM burn_status(:'token');
SELECT burn_read(:'token', NULL, repeat(U&'\0390', 512));
SELECT burn_create('longer', NULL, repeat('x', 1025));
