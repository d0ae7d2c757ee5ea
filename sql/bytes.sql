-- burn_create_bytes() and burn_read_bytes(): exact, and no text
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

SELECT burn_read_bytes(burn_create_bytes('\x00ff00ff0a0d5c27'));
SELECT burn_read_bytes(burn_create_bytes('')) = '' AS empty;
SELECT size, burn_read_bytes(burn_create_bytes(note)) = note AS same
FROM (SELECT size, decode(repeat('00', size), 'hex') FROM unnest('{1,123,124,125,100000}'::int[]) AS size) AS notes (size, note);

-- with everything that a text has
SELECT burn_create_bytes('\x0102', '1 hour', 'secret') AS token \gset
SELECT state, has_passphrase, expires_at - created_at < interval '61 min' AS expires FROM burn_status(:'token');
SELECT burn_read_bytes(:'token', '203.0.113.7', 'wrong') IS NULL AS wrong;
SELECT burn_read_bytes(:'token', '203.0.113.7', 'secret');
SELECT state, client_ip, burn_verify_receipt(:'token') FROM burn_status(:'token');
SELECT burn_create_bytes('\x0102') AS token \gset
BEGIN; SELECT burn_read_bytes(:'token'); ROLLBACK;
SELECT burn_read_bytes(:'token') IS NULL AS rollback_does_not_unburn;

-- the wrong function burns nothing
SELECT burn_create_bytes('\x0102') AS bytes, burn_create('text') AS text \gset
SELECT burn_read(:'bytes');
SELECT burn_read_bytes(:'text');
SELECT burn_read_bytes(:'bytes'), burn_read(:'text');

-- the limit is exact
SET burn_note.max_note_size = 10;
SELECT burn_read_bytes(burn_create_bytes('\x00112233445566778899'));
SELECT burn_create_bytes('\x00112233445566778899aa');
RESET burn_note.max_note_size;

\set VERBOSITY sqlstate
SELECT burn_create_bytes(NULL);
SELECT burn_create_bytes('', '0');
SELECT burn_create_bytes('', NULL, '');
SELECT burn_read_bytes(NULL);
SELECT burn_read_bytes('x');
BEGIN READ ONLY;
SELECT burn_create_bytes('');
ROLLBACK;
BEGIN READ ONLY;
SELECT burn_read_bytes(:'token');
ROLLBACK;
