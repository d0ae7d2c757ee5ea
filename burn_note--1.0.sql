/* burn_note--1.0.sql */

\echo Use "CREATE EXTENSION burn_note" to load this file. \quit

-- The half of a note's key that a rollback cannot restore: see src/fuse.c.

CREATE TYPE burn_fuse;

CREATE FUNCTION burn_fuse_in(cstring) RETURNS burn_fuse
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_fuse_in(cstring) FROM PUBLIC;
CREATE FUNCTION burn_fuse_out(burn_fuse) RETURNS cstring
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_fuse_out(burn_fuse) FROM PUBLIC;
CREATE FUNCTION burn_fuse_recv(internal) RETURNS burn_fuse
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_fuse_recv(internal) FROM PUBLIC;
CREATE FUNCTION burn_fuse_send(burn_fuse) RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_fuse_send(burn_fuse) FROM PUBLIC;

CREATE TYPE burn_fuse (
	INPUT = burn_fuse_in,
	OUTPUT = burn_fuse_out,
	RECEIVE = burn_fuse_recv,
	SEND = burn_fuse_send,
	INTERNALLENGTH = 44,
	ALIGNMENT = char,
	STORAGE = plain
);
COMMENT ON TYPE burn_fuse IS
'half of a burn note''s key, or the tombstone of a note that has ended; prints the state only, and what is made from text opens nothing';
COMMENT ON FUNCTION burn_fuse_in(cstring) IS 'I/O';
COMMENT ON FUNCTION burn_fuse_out(burn_fuse) IS 'I/O';
COMMENT ON FUNCTION burn_fuse_recv(internal) IS 'I/O';
COMMENT ON FUNCTION burn_fuse_send(burn_fuse) IS 'I/O';

-- Notes that nobody has read yet.  pg_dump leaves them out: a dump must not be
-- able to bring a note back.

CREATE TABLE burn_note (
	id uuid PRIMARY KEY,
	created_at timestamptz NOT NULL,
	fuse burn_fuse NOT NULL,
	sealed bytea NOT NULL,
	creator oid
) USING heap WITH (
	-- a queue: rows come, live for days, and go
	autovacuum_vacuum_scale_factor = 0.02,
	autovacuum_vacuum_threshold = 1000,
	autovacuum_analyze_scale_factor = 0.2
);
REVOKE ALL ON burn_note FROM PUBLIC;
-- ciphertext does not compress
ALTER TABLE burn_note ALTER sealed SET STORAGE EXTERNAL;
-- ANALYZE would copy values into pg_statistic, where they survive their note
ALTER TABLE burn_note ALTER fuse SET STATISTICS 0;
ALTER TABLE burn_note ALTER sealed SET STATISTICS 0;
ALTER TABLE burn_note ALTER creator SET STATISTICS 0;

-- what rewrites the table from its changes, REPACK CONCURRENTLY say, would not see
-- a fuse being lit
ALTER TABLE burn_note REPLICA IDENTITY NOTHING;

COMMENT ON TABLE burn_note IS 'notes that nobody has read yet, sealed; never UPDATE it, never copy it';
COMMENT ON COLUMN burn_note.id IS 'burn_note_id(token); begins with the time of expiry';
COMMENT ON COLUMN burn_note.created_at IS 'when burn_create() was called';
COMMENT ON COLUMN burn_note.fuse IS 'half of the key; once the note is read, who read it and when, even if that transaction rolled back';
COMMENT ON COLUMN burn_note.sealed IS 'header, then XChaCha20-Poly1305 of the padded note';

COMMENT ON COLUMN burn_note.creator IS 'role that it is counted for under burn_note.max_pending; NULL if there was no limit';

CREATE INDEX burn_note_creator_idx ON burn_note (creator) WHERE creator IS NOT NULL;
COMMENT ON INDEX burn_note_creator_idx IS 'counts a role''s notes for burn_note.max_pending';

CREATE FUNCTION burn_note_refuse_update() RETURNS trigger
	AS 'MODULE_PATHNAME' LANGUAGE C;
REVOKE ALL ON FUNCTION burn_note_refuse_update() FROM PUBLIC;
COMMENT ON FUNCTION burn_note_refuse_update() IS
'refuses every UPDATE of burn_note: the older row version would keep a live key half';

CREATE TRIGGER burn_note_refuse_update BEFORE UPDATE ON burn_note
	FOR EACH ROW EXECUTE FUNCTION burn_note_refuse_update();
ALTER TABLE burn_note ENABLE ALWAYS TRIGGER burn_note_refuse_update;
COMMENT ON TRIGGER burn_note_refuse_update ON burn_note IS
'refuses every UPDATE: the older row version would keep a live key half';

-- How each note ended.  The primary key is also what keeps a copied row of a
-- note that has ended from being read again.

CREATE TABLE burn_receipt (
	id uuid PRIMARY KEY,
	created_at timestamptz NOT NULL,
	closed_at timestamptz NOT NULL,
	outcome "char" NOT NULL,
	client_ip inet,
	peer inet,
	actor text,
	seal bytea
) USING heap;
REVOKE ALL ON burn_receipt FROM PUBLIC;
-- a trusted extension's tables belong to a superuser, and who installed it must be able
-- to dump his database and to restore it
GRANT SELECT, INSERT ON burn_receipt TO @extowner@;

COMMENT ON TABLE burn_receipt IS 'how each note ended: one row for each note, written in the transaction that ended it';
COMMENT ON COLUMN burn_receipt.id IS 'burn_note_id(token); begins with the time of expiry';
COMMENT ON COLUMN burn_receipt.created_at IS 'when the note was created';
COMMENT ON COLUMN burn_receipt.closed_at IS 'when the note ended';
COMMENT ON COLUMN burn_receipt.outcome IS 'r read, e expired, v revoked, l locked, w withheld';
COMMENT ON COLUMN burn_receipt.client_ip IS 'the reader''s address, as the caller of burn_read() said';
COMMENT ON COLUMN burn_receipt.peer IS 'the database client''s address, as the server saw it; NULL for a Unix socket, or if equal to client_ip';
COMMENT ON COLUMN burn_receipt.actor IS 'who read it: burn_note.actor if the application set it, else the session user; NULL if the reader''s transaction rolled back';
COMMENT ON COLUMN burn_receipt.seal IS '16 bytes that burn_verify_receipt() checks; NULL if the note expired';

SELECT pg_catalog.pg_extension_config_dump('burn_receipt', '');

-- Wrong passphrases.  An attempt that is rolled back counts, but leaves no row.

CREATE TABLE burn_attempt (
	id uuid NOT NULL,
	at timestamptz NOT NULL,
	client_ip inet,
	peer inet,
	actor text
) USING heap;
CREATE INDEX burn_attempt_id_idx ON burn_attempt (id);
REVOKE ALL ON burn_attempt FROM PUBLIC;
GRANT SELECT, INSERT ON burn_attempt TO @extowner@;

COMMENT ON TABLE burn_attempt IS 'wrong passphrases: one row for each, unless its transaction rolled back';
COMMENT ON COLUMN burn_attempt.id IS 'burn_note_id(token) of the note';
COMMENT ON COLUMN burn_attempt.at IS 'when burn_read() was called';
COMMENT ON COLUMN burn_attempt.client_ip IS 'as in burn_receipt';
COMMENT ON COLUMN burn_attempt.peer IS 'as in burn_receipt';
COMMENT ON COLUMN burn_attempt.actor IS 'as in burn_receipt';

SELECT pg_catalog.pg_extension_config_dump('burn_attempt', '');

-- Creating and reading.

CREATE FUNCTION burn_create(note text, expires_in interval DEFAULT NULL, passphrase text DEFAULT NULL)
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION burn_create(text, interval, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_create(text, interval, text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_create(text, interval, text) IS
'seals a note and returns its token, 60 characters, the only thing that opens it, with the passphrase if one is given; expires_in defaults to burn_note.default_ttl';

CREATE FUNCTION burn_read(token text, client_ip inet DEFAULT NULL, passphrase text DEFAULT NULL)
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION burn_read(text, inet, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_read(text, inet, text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_read(text, inet, text) IS
'returns the note once and destroys it, whatever becomes of the transaction; NULL if the passphrase is missing or wrong, or the note has been read, has expired, or never was: see burn_status()';

CREATE FUNCTION burn_create_bytes(note bytea, expires_in interval DEFAULT NULL, passphrase text DEFAULT NULL)
	RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION burn_create_bytes(bytea, interval, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_create_bytes(bytea, interval, text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_create_bytes(bytea, interval, text) IS
'burn_create() for bytes: a file, or text in any encoding';

CREATE FUNCTION burn_read_bytes(token text, client_ip inet DEFAULT NULL, passphrase text DEFAULT NULL)
	RETURNS bytea
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION burn_read_bytes(text, inet, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_read_bytes(text, inet, text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_read_bytes(text, inet, text) IS
'burn_read() for a note that burn_create_bytes() made';

CREATE FUNCTION burn_revoke(token text, client_ip inet DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION burn_revoke(text, inet) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_revoke(text, inet) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_revoke(text, inet) IS
'destroys a note unread, by its token or receipt token, whatever becomes of the transaction; false if it had ended before';

-- Looking.  STABLE, so that the planner does not fold a token into a plan.

CREATE FUNCTION burn_status(token text,
	OUT state text, OUT created_at timestamptz, OUT expires_at timestamptz,
	OUT has_passphrase boolean, OUT attempts_left integer,
	OUT closed_at timestamptz, OUT client_ip inet, OUT peer inet, OUT actor text, OUT seal bytea)
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_status(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_status(text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_status(text) IS
'what became of a note, by its token or receipt token: sealed, read, expired, revoked, locked, withheld or unknown; changes nothing';

CREATE FUNCTION burn_receipt_token(token text) RETURNS text
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_receipt_token(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_receipt_token(text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_receipt_token(text) IS
'the receipt token of a token: shows the note''s status, cannot open it';

CREATE FUNCTION burn_note_id(token text) RETURNS uuid
	AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_note_id(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_note_id(text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_note_id(text) IS
'the id of a note''s row and of its receipt, by its token or receipt token; not a secret';

-- Recomputes what burn_status() answers with pgcrypto, not with the library
-- that wrote it; src/token.h and src/seal.h state the formats.
--
-- Whoever runs this script may own the schema and have put operators into it
-- that fit better than PostgreSQL's.  They must not run as whoever verifies a
-- receipt.  So the body is parsed with nothing but pg_catalog in the path.  (The
-- marker has a $, which the server refuses in the name of this schema.)

DO $script$
BEGIN
	PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
	EXECUTE replace($create$
CREATE FUNCTION @extschema@.burn_verify_receipt(token text) RETURNS boolean
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	WITH given AS MATERIALIZED (
		SELECT @extschema@.burn_receipt_token(token) AS receipt_token
	), body AS MATERIALIZED (
		SELECT receipt_token,
			substr(decode(translate(substr(receipt_token, 5), '-_', '+/'), 'base64'), 1, 39) AS bytes
		FROM given
	), named AS MATERIALIZED (
		SELECT receipt_token,
			substr(bytes, 1, 6) AS expires,
			substr(bytes, 8, 32) AS rkey,
			('x' || encode($pgcrypto$.digest('burn_note nid v1'::bytea || bytes, 'blake2b512'::text), 'hex'))::bit(74) AS free
		FROM body
	), noted AS MATERIALIZED (
		SELECT receipt_token, rkey,
			('x' || encode(expires, 'hex'))::bit(48) || B'1000' || substring(free FROM 1 FOR 12)
				|| B'10' || substring(free FROM 13 FOR 62) AS id,
			@extschema@.burn_note_id(receipt_token) AS answered_id
		FROM named
	)
	SELECT CASE
		WHEN status.state IN ('read', 'revoked', 'locked', 'withheld') THEN
			coalesce(
				noted.id = ('x' || encode(uuid_send(noted.answered_id), 'hex'))::bit(128)
				AND status.seal = substr($pgcrypto$.digest(
					'burn_note rcp v1'::bytea
					|| noted.rkey
					|| uuid_send(noted.answered_id)
					|| CASE status.state
						WHEN 'read' THEN 'r'::bytea WHEN 'revoked' THEN 'v'::bytea
						WHEN 'locked' THEN 'l'::bytea ELSE 'w'::bytea END
					|| timestamptz_send(status.created_at)
					|| timestamptz_send(status.closed_at)
					|| CASE WHEN status.client_ip IS NULL THEN decode(repeat('00', 18), 'hex') ELSE
						decode(lpad(to_hex(family(status.client_ip)), 2, '0')
							|| lpad(to_hex(masklen(status.client_ip)), 2, '0')
							|| rpad(encode(substr(inet_send(status.client_ip), 5), 'hex'), 32, '0'), 'hex') END,
					'blake2b512'::text), 1, 16),
				false)
		WHEN status.state = 'expired' AND status.closed_at < status.expires_at THEN false
		END
	FROM noted, @extschema@.burn_status(noted.receipt_token) AS status;
END
$create$, '$pgcrypto$', (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pgcrypto'));
	PERFORM set_config('search_path', '@extschema@, pg_temp', true);
END $script$;
REVOKE ALL ON FUNCTION burn_verify_receipt(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_verify_receipt(text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_verify_receipt(text) IS
'true if the receipt''s outcome, times and client_ip are what burn_note wrote for this token or receipt token, false if they were altered; NULL if the note has no sealed receipt; says nothing of peer and actor';

-- Purging.

CREATE FUNCTION burn_purge(max_notes integer DEFAULT 1000) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION burn_purge(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_purge(integer) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_purge(integer) IS
'finishes burns that were rolled back, ends notes that have expired, removes as many receipts past burn_note.receipt_retention; returns how many rows it removed, 0 if there is nothing to do; waits for nobody';

-- Counting.

CREATE FUNCTION burn_stats_counters(
	OUT created bigint, OUT read bigint, OUT misses bigint, OUT wrong_passphrases bigint,
	OUT locked bigint, OUT revoked bigint, OUT expired bigint, OUT withheld bigint,
	OUT finished bigint, OUT stats_reset timestamptz)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_stats_counters() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_stats_counters() TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION burn_stats_counters() TO pg_monitor;
COMMENT ON FUNCTION burn_stats_counters() IS
'what has happened to notes in all of the server''s databases since stats_reset; NULLs if burn_note is not preloaded';

CREATE FUNCTION burn_stats_reset() RETURNS void
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL SAFE;
REVOKE ALL ON FUNCTION burn_stats_reset() FROM PUBLIC;
COMMENT ON FUNCTION burn_stats_reset() IS 'sets the counters of burn_stats to zero, for all of the server''s databases';

CREATE VIEW burn_stats AS
	SELECT c.*, n.pending_notes, n.pending_bytes
	FROM @extschema@.burn_stats_counters() AS c,
		(SELECT pg_catalog.count(*) AS pending_notes,
			coalesce(pg_catalog.sum(pg_catalog.pg_column_size(sealed)), 0) AS pending_bytes
			FROM @extschema@.burn_note
			WHERE fuse::pg_catalog.text OPERATOR(pg_catalog.=) 'sealed') AS n;
REVOKE ALL ON burn_stats FROM PUBLIC;
GRANT SELECT ON burn_stats TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON burn_stats TO pg_monitor;
COMMENT ON VIEW burn_stats IS
'counters of all of the server''s databases since stats_reset, and this database''s notes that wait to be read, with the bytes that they take sealed';
