-- burn_revoke(): destroyed unread
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

-- with the token
SELECT burn_create('regretted') AS token \gset
SELECT burn_revoke(:'token', '203.0.113.7');
SELECT state, client_ip, actor = session_user AS by_session_user, burn_verify_receipt(:'token') FROM burn_status(:'token');
SELECT burn_read(:'token') IS NULL AS gone, burn_revoke(:'token') AS again;

-- with the receipt token, which cannot read
SELECT burn_create('regretted') AS token \gset
SELECT burn_revoke(burn_receipt_token(:'token'));
SELECT state, client_ip, burn_verify_receipt(:'token') FROM burn_status(:'token');
SELECT burn_read(:'token') IS NULL AS gone;

-- without its passphrase
SELECT burn_create('regretted', NULL, 'secret') AS token \gset
SELECT burn_revoke(:'token');
SELECT burn_read(:'token', NULL, 'secret') IS NULL AS gone;

-- a rollback does not bring it back
SELECT burn_create('regretted') AS token \gset
BEGIN;
SELECT burn_revoke(:'token', '203.0.113.7');
ROLLBACK;
SELECT burn_read(:'token') IS NULL AS rollback_does_not_unrevoke;
SELECT outcome, client_ip, burn_verify_receipt(:'token') FROM burn_receipt WHERE id = burn_note_id(:'token');

-- what has ended cannot be revoked
SELECT burn_create('read') AS token \gset
BEGIN; SELECT burn_read(:'token'); ROLLBACK;
SELECT burn_revoke(:'token') AS read, state FROM burn_status(:'token');
SELECT burn_create('expired', '1 ms') AS token \gset
SELECT pg_sleep(0.005);
SELECT burn_revoke(:'token') AS expired, state FROM burn_status(:'token');

-- a tampered note can be revoked, though nobody can read it
SELECT burn_create('tampered') AS token \gset
ALTER TABLE burn_note DISABLE TRIGGER burn_note_refuse_update;
UPDATE burn_note SET sealed = '' WHERE id = burn_note_id(:'token');
ALTER TABLE burn_note ENABLE ALWAYS TRIGGER burn_note_refuse_update;
SELECT burn_revoke(:'token');
SELECT state, burn_verify_receipt(:'token') FROM burn_status(:'token');

\set VERBOSITY sqlstate
SELECT burn_revoke(NULL);
SELECT burn_revoke('x');
BEGIN READ ONLY;
SELECT burn_revoke(:'token');
ROLLBACK;
