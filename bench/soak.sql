-- What bench/soak runs, and the books that it keeps.

CREATE EXTENSION burn_note CASCADE;

CREATE TABLE soak_token (number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, token text NOT NULL, bytes boolean NOT NULL);

-- A committed token among the last ones: most calls find it in somebody else's hands.
CREATE FUNCTION soak_pick() RETURNS soak_token LANGUAGE sql VOLATILE AS $$
	SELECT t FROM soak_token AS t
	WHERE number > (SELECT max(number) FROM soak_token) - 50 ORDER BY random() LIMIT 1
$$;

CREATE FUNCTION soak_create() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	bytes boolean := random() < 0.3;
	passphrase text := CASE WHEN random() < 0.1 THEN 'right' END;
	expires_in interval := (1 + 20 * random()) * interval '1 s';
	note text := repeat('x', (10 ^ (4.5 * random()))::int);
BEGIN
	INSERT INTO soak_token (token, bytes) VALUES (CASE WHEN bytes
		THEN burn_create_bytes(convert_to(note, 'UTF8'), expires_in, passphrase)
		ELSE burn_create(note, expires_in, passphrase) END, bytes);
END $$;

-- Everything that ends a note, or fails to. Errors are part of it, but for those that
-- tell of a corrupt row.
CREATE FUNCTION soak_end() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	picked soak_token := soak_pick();
	dice float := random();
BEGIN
	IF picked IS NULL THEN
		RETURN;
	END IF;
	IF dice < 0.6 THEN
		IF picked.bytes THEN
			PERFORM burn_read_bytes(picked.token, '203.0.113.7', CASE WHEN random() < 0.5 THEN 'right' ELSE 'wrong' END);
		ELSE
			PERFORM burn_read(picked.token, '203.0.113.7', CASE WHEN random() < 0.5 THEN 'right' ELSE 'wrong' END);
		END IF;
	ELSIF dice < 0.7 THEN
		PERFORM burn_revoke(burn_receipt_token(picked.token), '203.0.113.8');
	ELSIF dice < 0.85 THEN
		PERFORM burn_status(picked.token);
	ELSIF dice < 0.95 THEN
		PERFORM burn_purge(20);
	ELSE
		PERFORM pg_cancel_backend(pid) FROM pg_stat_activity
		WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.2;
	END IF;
	IF random() < 0.2 THEN
		RAISE division_by_zero;
	END IF;
EXCEPTION WHEN division_by_zero OR query_canceled OR lock_not_available OR serialization_failure THEN
	NULL;
END $$;

CREATE VIEW soak_books AS
	SELECT *, tokens = receipts AND altered = 0 AND counted = receipted AS balanced
	FROM (SELECT count(*) AS tokens FROM soak_token) AS t,
		(SELECT count(*) AS receipts, array_agg(DISTINCT outcome) AS outcomes FROM burn_receipt) AS r,
		(SELECT count(*) AS altered FROM soak_token WHERE NOT burn_verify_receipt(token)) AS a,
		(SELECT ARRAY[read, revoked, locked] AS counted FROM burn_stats) AS c,
		(SELECT ARRAY[count(*) FILTER (WHERE outcome = 'r'), count(*) FILTER (WHERE outcome = 'v'),
			count(*) FILTER (WHERE outcome = 'l')] AS receipted FROM burn_receipt) AS o,
		(SELECT wrong_passphrases, finished FROM burn_stats) AS s;
