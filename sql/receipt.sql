-- receipts: what they say, and how they are checked
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

SELECT burn_create('attack at dawn') AS token \gset
SELECT burn_receipt_token(:'token') AS receipt_token \gset
SELECT :'receipt_token' ~ '^br1_[A-Za-z0-9_-]{56}$' AS receipt_token_has_its_shape,
	burn_receipt_token(:'receipt_token') = :'receipt_token' AS its_own_receipt_token,
	burn_note_id(:'receipt_token') = burn_note_id(:'token') AS same_note;

-- before
SELECT state, created_at < now() AS created, expires_at > now() AS expires,
	has_passphrase, attempts_left, closed_at, client_ip, peer, actor, seal
FROM burn_status(:'token') \gx
SELECT burn_verify_receipt(:'token') IS NULL AS nothing_to_verify;

-- after: the same to the holder of either token
SELECT burn_read(:'token', '203.0.113.7');
SELECT state, closed_at > created_at AS closed, client_ip, peer, octet_length(seal)
FROM burn_status(:'receipt_token');
SELECT burn_status(:'token') = burn_status(:'receipt_token') AS same_status;
SELECT burn_verify_receipt(:'token'), burn_verify_receipt(:'receipt_token');

-- every address is under the seal as it was given
SELECT ip, s.client_ip = ip AS recorded, burn_verify_receipt(token) AS verified
FROM (SELECT ip, burn_create('x') AS token FROM unnest('{203.0.113.7,203.0.113.0/24,2001:db8::1,2001:db8::/32,::ffff:203.0.113.7}'::inet[]) AS ip OFFSET 0) AS created,
	LATERAL (SELECT burn_read(token, ip) OFFSET 0) AS read,
	LATERAL burn_status(token) AS s
WHERE burn_read IS NOT NULL;

-- whoever alters a receipt is found out
CREATE FUNCTION pg_temp.altered(change text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	token text := burn_create('x');
	verified boolean;
BEGIN
	PERFORM burn_read(token, '203.0.113.7');
	EXECUTE format('UPDATE burn_receipt SET %s WHERE id = $1', change) USING burn_note_id(token);
	RETURN burn_verify_receipt(token);
END $$;
SELECT change, pg_temp.altered(change) AS verified
FROM (VALUES ('id = id'), ('outcome = ''v'''), ('outcome = ''l'''), ('outcome = ''w'''),
	('created_at = created_at + interval ''1 us'''), ('closed_at = closed_at - interval ''1 us'''),
	('client_ip = NULL'), ('client_ip = ''203.0.113.8'''), ('client_ip = ''203.0.113.7/24'''),
	('client_ip = ''::ffff:203.0.113.7'''), ('seal = NULL'), ('seal = ''\x00'''),
	('seal = sha256(seal)'), ('seal = set_byte(seal, 15, get_byte(seal, 15) # 1)')) AS changes (change);

-- an expired note's receipt has no seal: there is nothing to verify, unless it lies
SELECT burn_create('x', '1 ms') AS token \gset
SELECT pg_sleep(0.005);
SELECT state, closed_at FROM burn_status(:'token');
SELECT burn_purge() > 0 AS purged;
SELECT state, closed_at > expires_at AS closed, seal FROM burn_status(:'token');
SELECT burn_verify_receipt(:'token') IS NULL AS nothing_to_verify;
UPDATE burn_receipt SET closed_at = created_at WHERE id = burn_note_id(:'token');
SELECT burn_verify_receipt(:'token') AS expired_before_its_expiry;

-- nothing is known of a token that was never given
SELECT state, created_at, has_passphrase, closed_at, seal
FROM (SELECT '\x01a22819e789'::bytea || decode(repeat('00', 33), 'hex') AS body) AS made,
	burn_status('br1_' || translate(encode(body || substr(digest('burn_note chk v1'::bytea || body, 'blake2b512'), 1, 3), 'base64'), '+/', '-_'));

-- not a token
SELECT burn_status(NULL);
SELECT burn_status('x');
SELECT burn_receipt_token('x');
SELECT burn_receipt_token(NULL);
SELECT burn_note_id('x');
SELECT burn_note_id(NULL);
SELECT burn_verify_receipt('x');
SELECT burn_verify_receipt(NULL);
