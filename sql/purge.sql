-- burn_purge(): expired notes, rolled-back burns, old receipts
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

DELETE FROM burn_note;
DELETE FROM burn_receipt;
SELECT burn_purge();

-- expired notes
CREATE TEMP TABLE expired AS SELECT burn_create('x', '1 ms') AS token FROM generate_series(1, 5);
CREATE TEMP TABLE alive AS SELECT burn_create('alive') AS token FROM generate_series(1, 3);
SELECT pg_sleep(0.005);
SELECT burn_purge(2), burn_purge(2), burn_purge(2), burn_purge(2);
SELECT state, count(*), bool_and(closed_at >= expires_at AND client_ip IS NULL AND actor IS NULL AND seal IS NULL) AS as_expected
FROM expired, burn_status(token) GROUP BY state;
SELECT count(*) FROM burn_note;

-- a purge that is rolled back: the notes have expired all the same
TRUNCATE expired;
INSERT INTO expired SELECT burn_create('x', '1 ms');
SELECT pg_sleep(0.005);
BEGIN; SELECT burn_purge(); ROLLBACK;
SELECT state, closed_at > expires_at AS closed FROM expired, burn_status(token);
SELECT burn_purge(), burn_purge();
SELECT state, closed_at > expires_at AS closed FROM expired, burn_status(token);

-- burns that were rolled back
BEGIN; SELECT count(burn_read(token, '203.0.113.7')) FROM alive; ROLLBACK;
SELECT burn_purge(2), burn_purge();
SELECT state, client_ip, burn_verify_receipt(token) FROM alive, burn_status(token);
SELECT count(*) FROM burn_note;

-- a note from text that expires has a receipt too
SELECT burn_create('x', '1 ms') AS token \gset
CREATE TEMP TABLE written AS SELECT id, created_at, fuse::text, sealed FROM burn_note;
DELETE FROM burn_note;
INSERT INTO burn_note SELECT id, created_at, fuse::burn_fuse, NULL, sealed FROM written;
SELECT pg_sleep(0.005);
SELECT burn_purge();
SELECT state FROM burn_status(:'token');

-- a row put back after its end goes, and its receipt stays
SELECT burn_create('x') AS token \gset
CREATE TEMP TABLE copied AS SELECT * FROM burn_note;
BEGIN; SELECT burn_read(:'token', '203.0.113.7'); ROLLBACK;
CREATE TEMP TABLE lit AS SELECT * FROM burn_note;
SELECT burn_purge();
INSERT INTO burn_note SELECT * FROM lit;
SELECT burn_purge();
SELECT count(*) FROM burn_note;
SELECT state, client_ip, burn_verify_receipt(:'token') FROM burn_status(:'token');

-- receipts go when their retention has passed, counted from the expiry
SELECT count(*) FROM burn_receipt;
SET burn_note.receipt_retention = '1h';
SELECT burn_purge();
SET burn_note.receipt_retention = '1s';
SELECT pg_sleep(1.1);
SELECT burn_purge(4), burn_purge(), burn_purge();
-- also those of notes that the same call, or the same statement, has ended
SELECT burn_create('x', '1 ms') AS one, burn_create('x', '1 ms') AS two, burn_create('x') AS three \gset
SELECT pg_sleep(1.1);
SELECT burn_read(:'three'), burn_purge(1), burn_purge(1), burn_purge();
SELECT outcome, count(*) FROM burn_receipt GROUP BY outcome;
-- the longest retention that can be said keeps everything
SET burn_note.receipt_retention = 2147483647;
SELECT burn_purge();
SET burn_note.receipt_retention = 0;
SELECT burn_purge();
RESET burn_note.receipt_retention;

-- a note that cannot be ended does not keep the others from it
SELECT burn_create('x', '1 ms') AS bad, burn_create('x') AS good \gset
BEGIN; SELECT burn_read(:'good'); ROLLBACK;
SELECT pg_sleep(0.005);
ALTER TABLE burn_receipt ADD CONSTRAINT sealed CHECK (seal IS NOT NULL) NOT VALID;
SET client_min_messages = error;
SELECT burn_purge();
RESET client_min_messages;
SELECT g.state AS good, count(*) AS rows_left
FROM burn_status(:'good') AS g, burn_note GROUP BY 1;
ALTER TABLE burn_receipt DROP CONSTRAINT sealed;
SELECT burn_purge();
SELECT state FROM burn_status(:'bad');

-- what it refuses
SELECT burn_purge(NULL);
SELECT burn_purge(0);
SELECT burn_purge(-1);
BEGIN READ ONLY;
SELECT burn_purge();
ROLLBACK;
