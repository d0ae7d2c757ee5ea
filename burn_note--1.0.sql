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
	-- in front of sealed: its index would follow a damaged length
	creator oid,
	sealed bytea NOT NULL
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
COMMENT ON COLUMN burn_note.creator IS 'role that it is counted for under burn_note.max_pending; NULL if there was no limit';
COMMENT ON COLUMN burn_note.sealed IS 'header, then XChaCha20-Poly1305 of the padded note';

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
) USING heap WITH (
	-- they go in the order of their ids, so what is dead lies where a look for the oldest
	-- begins: by default a fifth of the table would have to be dead first
	autovacuum_vacuum_scale_factor = 0.01,
	autovacuum_vacuum_threshold = 10000
);
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

CREATE TYPE burn_note_status AS (
	state text, created_at timestamptz, expires_at timestamptz, has_passphrase boolean, attempts_left integer,
	closed_at timestamptz, client_ip inet, peer inet, actor text, seal bytea);
COMMENT ON TYPE burn_note_status IS
'what burn_status() answers; later versions may add columns, after these';

CREATE FUNCTION burn_status(token text) RETURNS burn_note_status
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
		WHEN sealed.letter IS NOT NULL THEN
			coalesce(
				noted.id = ('x' || encode(uuid_send(noted.answered_id), 'hex'))::bit(128)
				AND status.seal = substr($pgcrypto$.digest(
					'burn_note rcp v1'::bytea
					|| noted.rkey
					|| uuid_send(noted.answered_id)
					|| sealed.letter
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
	FROM noted, @extschema@.burn_status(noted.receipt_token) AS status,
		LATERAL (SELECT CASE status.state
			WHEN 'read' THEN 'r'::bytea WHEN 'revoked' THEN 'v'::bytea
			WHEN 'locked' THEN 'l'::bytea WHEN 'withheld' THEN 'w'::bytea END AS letter) AS sealed;
END
$create$, '$pgcrypto$', (SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pgcrypto'));
	PERFORM set_config('search_path', '@extschema@, pg_temp', true);
END $script$;
REVOKE ALL ON FUNCTION burn_verify_receipt(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_verify_receipt(text) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_verify_receipt(text) IS
'true if the seal fits the receipt''s outcome, times and client_ip, false if not; NULL if the note has no sealed receipt; says nothing of peer and actor, nor against who has the token or receipt token and may INSERT receipts';

-- Purging.

CREATE FUNCTION burn_purge(max_notes integer DEFAULT 1000) RETURNS bigint
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION burn_purge(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_purge(integer) TO @extowner@ WITH GRANT OPTION;
COMMENT ON FUNCTION burn_purge(integer) IS
'finishes burns that were rolled back, ends notes that have expired, removes as many receipts past burn_note.receipt_retention; returns how many rows it removed, 0 if there is nothing to do; waits for nobody';

-- Counting.

CREATE TYPE burn_counters AS (
	stats_reset timestamptz, created bigint, read bigint, misses bigint, wrong_passphrases bigint,
	locked bigint, revoked bigint, expired bigint, withheld bigint, finished bigint);
COMMENT ON TYPE burn_counters IS
'what burn_stats_counters() answers: since when, and how many of each since then';

CREATE FUNCTION burn_stats_counters() RETURNS burn_counters
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

CREATE TYPE burn_facts AS (
	preloaded boolean, version text, pending bigint, pending_bytes bigint, overdue bigint);
COMMENT ON TYPE burn_facts IS
'what burn_check_facts() answers: is the library preloaded, its version, how many notes can be read and the bytes that they take sealed, how many expired over an hour ago and were not swept';

CREATE FUNCTION burn_check_facts() RETURNS burn_facts
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL RESTRICTED;
REVOKE ALL ON FUNCTION burn_check_facts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_check_facts() TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION burn_check_facts() TO pg_monitor;
COMMENT ON FUNCTION burn_check_facts() IS
'for burn_check() and burn_stats, whose callers need it: what only the library knows';

CREATE VIEW burn_stats AS
	SELECT c.created, c.read, c.misses, c.wrong_passphrases, c.locked, c.revoked, c.expired, c.withheld,
		c.finished, c.stats_reset, f.pending AS pending_notes, f.pending_bytes
	FROM @extschema@.burn_stats_counters() AS c, @extschema@.burn_check_facts() AS f;
REVOKE ALL ON burn_stats FROM PUBLIC;
GRANT SELECT ON burn_stats TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON burn_stats TO pg_monitor;
COMMENT ON VIEW burn_stats IS
'counters of all of the server''s databases since stats_reset, and this database''s notes that wait to be read, with the bytes that they take sealed';

-- Checking.  What SQL cannot see comes from burn_check_facts(), above: see src/check.c.  The
-- rest is read as the caller, who gets NULL where he may not look.  Like
-- burn_verify_receipt(), it is parsed with nothing but pg_catalog in the path, and so
-- does not mind when the schema is renamed.
--
-- The facts come first, as an argument: they lock the tables, so that DROP EXTENSION
-- waits until all is answered.  In the body they would be looked up after a while in
-- which they may be dropped.

SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
CREATE FUNCTION @extschema@.burn_check(facts @extschema@.burn_facts DEFAULT @extschema@.burn_check_facts(),
		OUT "check" text, OUT ok boolean, OUT detail text) RETURNS SETOF record
	LANGUAGE sql VOLATILE PARALLEL RESTRICTED
BEGIN ATOMIC
	WITH known AS (
		SELECT (facts).*
	), setting AS (
		-- this session's, and what other roles' sessions in this database begin with
		SELECT name, setting AS value, '' AS holder FROM pg_settings
		UNION
		SELECT split_part(entry, '=', 1), substr(entry, strpos(entry, '=') + 1),
			concat(' for ' || nullif(setrole, 0)::regrole, CASE setdatabase WHEN 0 THEN '' ELSE ' in this database' END)
		FROM pg_db_role_setting, unnest(setconfig) AS entry
		WHERE setdatabase = 0 OR setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
	), weak AS (
		SELECT checked, string_agg(format('%s = %s%s', name, value, holder), ', ' ORDER BY name, holder) AS settings
		FROM setting JOIN (VALUES
			('redaction', 'burn_note.redact', '{on,quiet}'),
			('statements', 'auto_explain.log_min_duration', '{-1}'),
			('statements', 'debug_print_parse', '{off,false,no,0}'),
			('statements', 'debug_print_plan', '{off,false,no,0}'),
			('statements', 'debug_print_raw_parse', '{off,false,no,0}'),
			('statements', 'debug_print_rewritten', '{off,false,no,0}'),
			('statements', 'log_min_duration_sample', '{-1}'),
			('statements', 'log_min_duration_statement', '{-1}'),
			('statements', 'log_min_error_statement', '{panic}'),
			('statements', 'log_parameter_max_length_on_error', '{0}'),
			('statements', 'log_statement', '{none}'),
			('statements', 'log_transaction_sample_rate', '{0}'),
			('statements', 'pg_stat_statements.track', '{none}'),
			('statements', 'pgaudit.log', '{none}'),
			('core files', 'burn_note.dumpable', '{off,false,no,0}'),
			('crash safety', 'fsync', '{on}'),
			('crash safety', 'full_page_writes', '{on}'),
			('kept WAL', 'archive_mode', '{off}'),
			('kept WAL', 'wal_keep_size', '{0}')) AS good (checked, name, among) USING (name)
		WHERE lower(value) <> ALL (among::text[])
		GROUP BY checked
	), listed AS (
		SELECT setting.name, place, regexp_replace(btrim(library, ' "'), '^.*/|\.so$', '', 'g') AS library
		FROM setting, string_to_table(value, ',') WITH ORDINALITY AS each (library, place)
		WHERE setting.name IN ('shared_preload_libraries', 'session_preload_libraries', 'local_preload_libraries')
			AND value <> ''
	), earlier AS (
		SELECT library FROM listed
		WHERE name = 'shared_preload_libraries' AND place <=
			(SELECT max(place) FROM listed WHERE name = 'shared_preload_libraries' AND library = 'burn_note')
	), ours AS (
		-- the extension's functions, and whether each takes a note, a token or a passphrase
		SELECT pg_proc.oid, proname, '{text,bytea}'::regtype[]::oid[] && proargtypes::oid[] AS takes_secret
		FROM pg_depend JOIN pg_extension AS e ON e.oid = refobjid AND refclassid = 'pg_extension'::regclass
			JOIN pg_proc ON pg_proc.oid = objid AND classid = 'pg_proc'::regclass
		WHERE extname = 'burn_note' AND deptype = 'e'
	), own AS (
		SELECT * FROM pg_class
		WHERE oid IN ('@extschema@.burn_note'::regclass, '@extschema@.burn_receipt'::regclass, '@extschema@.burn_attempt'::regclass)
	), granted AS (
		(
			SELECT relname, grantee, privilege_type FROM own, aclexplode(relacl) WHERE grantee <> relowner
			EXCEPT ALL
			SELECT relname, acl.grantee, acl.privilege_type
			FROM own JOIN pg_init_privs AS made ON made.objoid = own.oid AND made.classoid = 'pg_class'::regclass AND made.objsubid = 0,
				aclexplode(made.initprivs) AS acl
		)
		UNION ALL
		SELECT relname, acl.grantee, acl.privilege_type
		FROM own JOIN pg_attribute ON attrelid = own.oid, aclexplode(attacl) AS acl
	), altered AS (
		SELECT relname || ' has the trigger ' || tgname AS what FROM own JOIN pg_trigger ON tgrelid = own.oid
		WHERE NOT tgisinternal AND tgfoid <> '@extschema@.burn_note_refuse_update()'::regprocedure
			-- of the others, those that may change a row before it is inserted: row 1, before 2, insert 4
			AND (relname = 'burn_note' OR tgtype & 7 = 7)
		UNION ALL
		SELECT 'burn_note does not refuse an UPDATE'
		WHERE NOT EXISTS (SELECT FROM pg_trigger
			WHERE tgrelid = '@extschema@.burn_note'::regclass AND tgenabled = 'A'
				AND tgfoid = '@extschema@.burn_note_refuse_update()'::regprocedure)
		UNION ALL
		SELECT relname || ' has the rule ' || rulename FROM own JOIN pg_rewrite ON ev_class = own.oid
		UNION ALL
		SELECT relname || ' has row security' FROM own WHERE relrowsecurity
		UNION ALL
		SELECT relname || ' is unlogged' FROM own WHERE relpersistence <> 'p'
		UNION ALL
		SELECT 'burn_note has a replica identity' FROM own WHERE relname = 'burn_note' AND relreplident <> 'n'
		UNION ALL
		SELECT 'the index ' || indexrelid::regclass || ' may copy fuses or sealed notes'
		FROM pg_index
		WHERE indrelid = '@extschema@.burn_note'::regclass
			AND EXISTS (SELECT FROM unnest(indkey::smallint[]) AS key
				LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = key
				WHERE attname IS NULL OR attname IN ('fuse', 'sealed'))
		UNION ALL
		SELECT 'the index ' || indexrelid::regclass || ' is not valid: unless REINDEX CONCURRENTLY is at work, DROP it if its name ends in _ccnew or _ccold, else REINDEX it'
		FROM pg_index JOIN own ON indrelid = own.oid WHERE NOT (indisvalid AND indisready AND indislive)
		UNION ALL
		-- without those of the other tables, burn_check_facts() refuses
		SELECT 'burn_attempt has no btree index on id alone, or one that is not valid or not of all rows'
		WHERE NOT EXISTS (SELECT FROM pg_index JOIN pg_class AS i ON i.oid = indexrelid JOIN pg_am AS am ON am.oid = relam
			WHERE indrelid = '@extschema@.burn_attempt'::regclass AND amname = 'btree'
				AND indisvalid AND indisready AND indislive AND indnatts = 1
				AND coalesce(pg_get_expr(indpred, indrelid), '(id IS NOT NULL)') = '(id IS NOT NULL)'
				AND indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = 'id'))
		UNION ALL
		SELECT 'ANALYZE copies burn_note.' || attname FROM pg_attribute
		WHERE attrelid = '@extschema@.burn_note'::regclass AND attname IN ('fuse', 'sealed') AND coalesce(attstattarget, -1) <> 0
		UNION ALL
		SELECT 'ANALYZE computes the statistics ' || stxname || ' of burn_note' FROM pg_statistic_ext
		WHERE stxrelid = '@extschema@.burn_note'::regclass
	), standby AS (
		SELECT application_name, sync_state FROM pg_stat_replication AS r
		WHERE NOT EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND slot_type = 'logical')
	), synchronous AS (
		-- how many must confirm, and of how many names; 'a, b' stands for FIRST 1 (a, b)
		SELECT value, coalesce(part[2]::bigint, 1) AS wanted, lower(part[1]) = 'any' AS by_quorum,
			coalesce(part[3], value) AS names
		FROM (SELECT value, regexp_match(value, '^\s*(?:(any|first)\s+)?(\d+)\s*\((.*)\)\s*$', 'i') AS part FROM setting
			WHERE name = 'synchronous_standby_names' AND value ~ '\S' AND NOT pg_is_in_recovery()) AS parsed
	)
	-- A check is its name; what is wrong, NULL if nothing; what that weakens and what to
	-- do; whether the caller may not see it; what to say if nothing is wrong.
	SELECT name,
		CASE WHEN wrong IS NOT NULL THEN false WHEN hidden THEN NULL ELSE true END,
		CASE WHEN wrong IS NOT NULL THEN wrong || '. ' || advice
			WHEN hidden THEN 'You may not see it. It takes the rights of pg_read_all_settings and pg_read_all_stats, as pg_monitor has them.'
			ELSE fine END
	FROM known, LATERAL (VALUES
		('preloaded',
			CASE WHEN NOT preloaded THEN concat('burn_note is not in shared_preload_libraries',
				', and statements are written down: ' || (SELECT settings FROM weak WHERE checked = 'statements')) END,
			'Sealed: what a session logs before its first call of burn_note is not redacted. Witnessed: nothing is swept uncalled. Put it there, last, and restart.',
			false, 'burn_note is in shared_preload_libraries'),
		('preload order',
			CASE WHEN EXISTS (SELECT FROM earlier) THEN
				(SELECT 'loaded after burn_note: ' || string_agg(DISTINCT library, ', ')
					FROM listed WHERE library NOT IN (SELECT library FROM earlier)) END,
			'Sealed: what is loaded later logs what burn_note has not redacted. Put burn_note last into shared_preload_libraries, and nothing into session_preload_libraries and local_preload_libraries.',
			preloaded AND NOT EXISTS (SELECT FROM earlier),
			CASE WHEN preloaded THEN 'nothing is loaded after burn_note' ELSE 'see preloaded' END),
		('redaction',
			(SELECT settings FROM weak WHERE checked = 'redaction')
				|| ', and statements are written down: ' || (SELECT settings FROM weak WHERE checked = 'statements'),
			'Sealed: notes and tokens that stand in a statement, or make it fail, go with it. Set burn_note.redact to on, or change those settings.',
			false, CASE WHEN preloaded THEN 'what has a note or a token is redacted, or nothing is written down' ELSE 'see preloaded' END),
		('wrappers',
			(SELECT 'called by functions of this database: ' || string_agg(oid::regprocedure::text, ', ' ORDER BY oid) FROM pg_proc
				WHERE concat(prosrc, pg_get_function_sqlbody(oid))
						~* (SELECT format('\m(%s)\M', string_agg(proname, '|')) FROM ours WHERE takes_secret)
					AND oid NOT IN (SELECT oid FROM ours)
				HAVING NOT EXISTS (SELECT FROM setting WHERE name = 'burn_note.redact' AND lower(value) = 'quiet')
					OR EXISTS (SELECT FROM setting WHERE name = 'burn_note.redact' AND lower(value) <> 'quiet')),
			'Sealed: what a session gives to its first such call may be written down, bound or not. Set burn_note.redact to quiet for the database.',
			false, 'no function of this database calls burn_note, or its sessions are quiet'),
		('core files',
			(SELECT settings FROM weak WHERE checked = 'core files'),
			'Sealed: the core file of a backend has the notes that it handled. Set it to off.',
			false, 'burn_note.dumpable is off'),
		-- pg_hba.conf is for superusers only, and the order of its lines matters
		('TLS',
			(SELECT 'ssl is off and listen_addresses is ' || value FROM setting
				WHERE name = 'listen_addresses' AND value !~ '^\s*((localhost|127\.[0-9.]+|::1)\s*(,\s*|$))*$'
					AND (SELECT value FROM setting WHERE name = 'ssl') = 'off'),
			'Sealed: notes and tokens cross the network in the clear. Turn ssl on, and use hostssl in pg_hba.conf.',
			false,
			CASE (SELECT value FROM setting WHERE name = 'ssl') WHEN 'on' THEN 'ssl is on; hostssl in pg_hba.conf insists on it'
				ELSE 'the server listens on this machine only' END),
		('crash safety',
			(SELECT settings FROM weak WHERE checked = 'crash safety'),
			'Gone: a crash can bring back what was burned. Set it to on.',
			false, 'fsync and full_page_writes are on'),
		('kept WAL',
			(SELECT string_agg(what, ', ') FROM (
				SELECT settings AS what FROM weak WHERE checked = 'kept WAL'
				UNION ALL
				SELECT format('the inactive slot %s keeps WAL from %s on', slot_name, restart_lsn) FROM pg_replication_slots
				WHERE NOT active AND restart_lsn IS NOT NULL) AS kept),
			'Gone: WAL from before a burn, with the token, opens the note again. Keep it, and base backups, no longer than you need, and drop slots that nobody uses.',
			false, 'WAL is neither archived nor kept for an inactive slot; pg_wal has the key halves of burned notes until its files are overwritten'),
		('standbys',
			(SELECT 'not synchronous: ' || string_agg(application_name, ', ' ORDER BY application_name) FROM standby
				WHERE sync_state IN ('async', 'potential')),
			'Gone: failing over to it can bring back what was read last. Name it in synchronous_standby_names, or do not fail over to it.',
			EXISTS (SELECT FROM standby WHERE sync_state IS NULL), 'no standby is asynchronous'),
		('missing standbys',
			(SELECT format('synchronous standbys that stream: %s of %s', there, wanted) FROM synchronous,
				(SELECT count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) AS there, count(*) FILTER (WHERE sync_state IS NULL) AS unseen
					FROM standby) AS counted
				WHERE there < wanted AND unseen = 0),
			'Until they are back, reading is an error, UB004, that burns nothing. Start them, or change synchronous_standby_names. (One that stops answering while a note is burned has its reader wait: statement_timeout and a cancel end that, lock_timeout does not.)',
			EXISTS (SELECT FROM standby WHERE sync_state IS NULL), 'as many standbys stream as have to confirm'),
		('quorum',
			(SELECT 'synchronous_standby_names is ' || value FROM synchronous
				WHERE by_quorum AND (names ~ '\*' OR wanted < regexp_count(names, '"(?:[^"]|"")*"|[^\s,"]+'))),
			'Gone: failing over to one that had not confirmed can bring back what was read last. Promote the one with the highest pg_last_wal_receive_lsn(), or have all confirm.',
			false, 'no standby may lag behind a quorum'),
		('publications',
			(SELECT string_agg(format('%s publishes %s', pubname, tablename), ', ' ORDER BY pubname, tablename)
				FROM pg_publication_tables JOIN pg_namespace AS n ON nspname = schemaname
					JOIN own ON relname = tablename AND relnamespace = n.oid),
			'Gone: what a subscriber got stays there when it goes here. Publish other tables only.',
			false, 'no publication has the tables'),
		('grants',
			(SELECT string_agg(what, ', ' ORDER BY what) FROM (
				SELECT format('%s may %s %s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
					string_agg(DISTINCT privilege_type, ', ' ORDER BY privilege_type), relname) AS what
				FROM granted GROUP BY grantee, relname) AS foreigners),
			'Gone: who reads burn_note can keep a copy of its fuses. Witnessed: who writes can delete notes and receipts. Nobody needs a right on the tables: REVOKE it.',
			false, 'nobody has a right on the tables that CREATE EXTENSION did not give'),
		('tables',
			(SELECT string_agg(what, ', ' ORDER BY what) FROM altered),
			'Gone: copies of a row outlive its burn. Witnessed: a receipt may say something else, or not be seen. Undo it.',
			false, 'the tables are as CREATE EXTENSION made them'),
		('version',
			(SELECT CASE WHEN extversion <> version THEN format('the extension is %s, the library %s', extversion, version)
					WHEN version <> default_version THEN format('the library is %s, the installed files are %s', version, default_version) END
				FROM pg_extension LEFT JOIN pg_available_extensions ON name = extname WHERE extname = 'burn_note'),
			'All four: neither was tested with the other. Restart, so that the installed library is loaded, then ALTER EXTENSION burn_note UPDATE.',
			false, 'extension and library are ' || version),
		('sweeping',
			CASE WHEN overdue > 0 THEN 'notes that expired over an hour ago and were not swept: ' || overdue END,
			'Witnessed: they have no receipt yet. Preload burn_note and name this database in burn_note.databases, or call burn_purge() until it answers 0, every minute or so.',
			false, 'no note waits to be swept'),
		-- no weakness, but who is about to move by dump should know
		('pending notes', NULL, NULL, false,
			format('notes that wait to be read: %s; pg_dump leaves them behind, pg_upgrade and standbys carry them', pending))
		) AS checked (name, wrong, advice, hidden, fine);
END;
SELECT pg_catalog.set_config('search_path', '@extschema@, pg_temp', true);
REVOKE ALL ON FUNCTION burn_check(burn_facts) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION burn_check(burn_facts) TO @extowner@ WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION burn_check(burn_facts) TO pg_monitor;
COMMENT ON FUNCTION burn_check(burn_facts) IS
'what in this server''s set-up weakens a promise, and what to do about it: rows where ok is not true; NULL is what the caller may not see; call it where the notes are, as pg_monitor or a superuser';
