-- burn_read(): once, and what is no note
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

SELECT burn_create('attack at dawn') AS token \gset
SELECT burn_read(:'token', '203.0.113.7');
SELECT burn_read(:'token', '203.0.113.7') IS NULL AS second_read_gets_nothing;
SELECT count(*) FROM burn_note WHERE id = burn_note_id(:'token');

-- created and read in one statement
SELECT burn_read(burn_create('in one breath'));

-- twice in one statement: the first call wins
SELECT burn_create('for one of us') AS token \gset
SELECT burn_read(:'token') AS first, burn_read(:'token') IS NULL AS second_gets_nothing;
SELECT count(burn_read(token)) AS notes
FROM (SELECT burn_create('n') AS token FROM generate_series(1, 20) OFFSET 0) AS created;

-- text of every kind comes back as it was
SELECT burn_read(burn_create(note)) = note AS same
FROM (VALUES ('häßlich, 秘密, 🔥'), (E'two\nlines\t and a tab'), (repeat('x', 123)),
	(repeat('x', 124)), (repeat('x', 125)), (repeat('ö', 5000))) AS notes (note);

-- never was, expired
SELECT burn_create('never was') AS token \gset
DELETE FROM burn_note WHERE id = burn_note_id(:'token');
SELECT burn_read(:'token') IS NULL AS never_was;
SELECT burn_create('too late', '1 ms') AS token \gset
SELECT pg_sleep(0.005);
SELECT burn_read(:'token') IS NULL AS expired, state FROM burn_status(:'token');

-- not a token
SELECT burn_create('still here') AS token \gset
SELECT burn_read(NULL);
SELECT burn_read('');
SELECT burn_read('attack at dawn');
SELECT burn_read(left(:'token', 59));
SELECT burn_read(:'token' || 'A');
SELECT burn_read(' ' || left(:'token', 59));
SELECT burn_read(translate(:'token', 'b', 'B'));
SELECT burn_read(overlay(:'token' placing '+' from 20));
SELECT burn_read(overlay(:'token' placing CASE substr(:'token', 20, 1) WHEN 'A' THEN 'B' ELSE 'A' END from 20));
SELECT burn_read(burn_receipt_token(:'token'));
-- a token that proves itself and names no note
SELECT burn_read('bn1_' || translate(encode(body || substr(digest('burn_note chk v1'::bytea || body, 'blake2b512'), 1, 3), 'base64'), '+/', '-_')) IS NULL
	AS forged_token_gets_nothing
FROM (SELECT substr(decode(translate(substr(:'token', 5, 52), '-_', '+/'), 'base64'), 1, 7)
	|| decode(repeat('00', 32), 'hex') AS body) AS forged;

-- where nothing can be written nothing is burned
BEGIN READ ONLY;
SELECT burn_read(:'token');
ROLLBACK;
SELECT burn_read(:'token') AS nothing_was_burned;

-- an address is recorded as it was given
SELECT burn_create('with an address') AS token \gset
SELECT burn_read(:'token', '2001:db8::1');
SELECT client_ip, peer, actor = session_user AS by_session_user FROM burn_status(:'token');

-- who reads, as the application knows them
SELECT burn_create('for alice') AS token \gset
SET burn_note.actor = 'alice@example.com';
SELECT burn_read(:'token');
RESET burn_note.actor;
SELECT state, client_ip, actor FROM burn_status(:'token');
