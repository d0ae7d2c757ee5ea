-- What is derived from a token: token -> receipt token -> note id.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

-- The published values: test/vectors.txt, its blocks 1, 2, 7 and 8
SELECT burn_receipt_token(token), burn_note_id(token)
FROM (VALUES
	(1, 'bn1_AZt22qgAAC942KoBN3G64jQb3Vo1K15Xl7cJjoGKDxZpvsKr2Y4VVhcD'),
	(2, 'bn1_AZt8AQR7ALlRIHtQ4wYZQJqTtdyiuOoAk6NFmNDNhCrD_DNe-iRUiesv'),
	(3, 'bn1_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAALNg6'),
	(4, 'bn1_____________________________________________________9mba')
) AS vectors (n, token)
ORDER BY n;

-- A receipt token is its own receipt token, and leads to the same id
SELECT burn_receipt_token(receipt_token) = receipt_token AS same_receipt_token,
	burn_note_id(receipt_token) = '019b76da-a800-8ec9-b86e-38c925198238' AS same_id
FROM (VALUES ('br1_AZt22qgAADQV9vRvMlQhTbEreHtpd4oVMHpjMqf6iK-B7Akfymxa31Wb')) AS vector (receipt_token);

-- A fresh token, recomputed with pgcrypto
SELECT burn_create('burn after reading', '1 hour') AS token \gset

CREATE FUNCTION pg_temp.token_bytes(token text) RETURNS bytea
	LANGUAGE sql IMMUTABLE
	RETURN decode(translate(substr(token, 5), '-_', '+/'), 'base64');
CREATE FUNCTION pg_temp.hash_of(size integer, label text, data bytea) RETURNS bytea
	LANGUAGE sql IMMUTABLE
	RETURN substr(digest(label::bytea || data, 'blake2b512'), 1, size);
CREATE FUNCTION pg_temp.bits(data bytea) RETURNS text
	LANGUAGE sql IMMUTABLE
	RETURN (SELECT string_agg(get_byte(data, i)::bit(8)::text, '' ORDER BY i)
		FROM generate_series(0, length(data) - 1) AS i);

WITH given AS (
	SELECT :'token' AS token,
		burn_receipt_token(:'token') AS receipt_token,
		burn_note_id(:'token') AS id
), parts AS (
	SELECT *,
		substr(pg_temp.token_bytes(token), 1, 39) AS body,
		substr(pg_temp.token_bytes(receipt_token), 1, 39) AS receipt_body,
		pg_temp.bits(uuid_send(id)) AS id_bits
	FROM given
), hashes AS (
	SELECT *,
		pg_temp.bits(pg_temp.hash_of(10, 'burn_note nid v1', receipt_body)) AS free
	FROM parts
)
SELECT token ~ '^bn1_[A-Za-z0-9_-]{56}$' AS token_shape,
	receipt_token ~ '^br1_[A-Za-z0-9_-]{56}$' AS receipt_token_shape,
	substr(pg_temp.token_bytes(token), 40)
		= pg_temp.hash_of(3, 'burn_note chk v1', body) AS check_bytes,
	substr(pg_temp.token_bytes(receipt_token), 40)
		= pg_temp.hash_of(3, 'burn_note chk v1', receipt_body) AS receipt_check_bytes,
	receipt_body
		= substr(body, 1, 7) || pg_temp.hash_of(32, 'burn_note rct v1', body) AS receipt_token,
	id_bits
		= pg_temp.bits(substr(body, 1, 6)) || '1000' || substr(free, 1, 12)
		|| '10' || substr(free, 13, 62) AS note_id,
	(SELECT expires_at FROM burn_status(token))
		= timestamptz 'epoch' + ('x' || encode(substr(body, 1, 6), 'hex'))::bit(48)::bigint
		* interval '1 millisecond' AS expires,
	get_byte(body, 6) = current_setting('burn_note.shard')::integer AS shard
FROM hashes
\gx

-- A letter of two bytes is not two of base64url's '_'
SELECT burn_note_id(replace('bn1_____________________________________________________9mba', '1___', '1_é'));
