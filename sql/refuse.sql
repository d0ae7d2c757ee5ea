-- what fails before the fuse is lit burns nothing
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

-- The error that a read ends in.
CREATE FUNCTION pg_temp.failure(token text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN 'none, it read: ' || burn_read(token);
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- a CHECK on receipts
SELECT burn_create('kept') AS token \gset
ALTER TABLE burn_receipt ADD CONSTRAINT no_reads CHECK (outcome <> 'r') NOT VALID;
SELECT pg_temp.failure(:'token');
ALTER TABLE burn_receipt DROP CONSTRAINT no_reads;
SELECT burn_read(:'token') AS failing_check_burns_nothing;

-- a NOT NULL on receipts
SELECT burn_create('kept') AS token \gset
DELETE FROM burn_receipt;
ALTER TABLE burn_receipt ALTER client_ip SET NOT NULL;
SELECT pg_temp.failure(:'token');
SELECT burn_read(:'token', '203.0.113.7') AS failing_not_null_burns_nothing;
ALTER TABLE burn_receipt ALTER client_ip DROP NOT NULL;

-- another unique index on receipts
SELECT burn_create('kept') AS token \gset
CREATE UNIQUE INDEX one_per_address ON burn_receipt (client_ip);
SELECT burn_read(:'token', '203.0.113.7');
SELECT burn_read(:'token', '203.0.113.8') AS failing_index_burns_nothing;
SELECT client_ip FROM burn_receipt WHERE client_ip > '203.0.113.7';
DROP INDEX one_per_address;

-- a CHECK on notes
ALTER TABLE burn_note ADD CONSTRAINT nothing CHECK (false) NOT VALID;
\set VERBOSITY terse
SELECT burn_create('never was');
\set VERBOSITY default
ALTER TABLE burn_note DROP CONSTRAINT nothing;

-- a trigger on receipts that fails, before and after
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'no, says % % on %', tg_when, tg_op, tg_table_name;
END $$;
SELECT burn_create('kept') AS token \gset
CREATE TRIGGER fail BEFORE INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION fail();
SELECT pg_temp.failure(:'token');
DROP TRIGGER fail ON burn_receipt;
CREATE TRIGGER fail AFTER INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION fail();
SELECT pg_temp.failure(:'token');
DROP TRIGGER fail ON burn_receipt;
SELECT burn_read(:'token') AS failing_trigger_burns_nothing;

-- a trigger on notes that fails
SELECT burn_create('kept') AS token \gset
CREATE TRIGGER fail BEFORE INSERT OR DELETE ON burn_note FOR EACH ROW EXECUTE FUNCTION fail();
SELECT burn_create('never was');
SELECT pg_temp.failure(:'token');
DROP TRIGGER fail ON burn_note;
CREATE TRIGGER fail AFTER DELETE ON burn_note FOR EACH ROW EXECUTE FUNCTION fail();
SELECT pg_temp.failure(:'token');
DROP TRIGGER fail ON burn_note;
SELECT burn_read(:'token') AS failing_trigger_burns_nothing;

-- a trigger that skips the row
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
SELECT burn_create('kept') AS token \gset
CREATE TRIGGER skip BEFORE INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION skip();
SELECT burn_read(:'token');
DROP TRIGGER skip ON burn_receipt;
CREATE TRIGGER skip BEFORE INSERT OR DELETE ON burn_note FOR EACH ROW EXECUTE FUNCTION skip();
SELECT burn_create('never was');
SELECT burn_read(:'token');
DROP TRIGGER skip ON burn_note;
SELECT burn_read(:'token') AS skipping_trigger_burns_nothing;
DROP FUNCTION skip(), fail();

-- AFTER INSERT triggers on receipts see the receipt: an outbox
CREATE TABLE outbox (outcome "char", client_ip inet, visible boolean);
CREATE FUNCTION post() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO outbox SELECT new.outcome, new.client_ip, EXISTS (SELECT FROM burn_receipt WHERE id = new.id);
	RETURN NULL;
END $$;
CREATE TRIGGER post AFTER INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION post();
SELECT burn_read(burn_create('x'), '203.0.113.7');
SELECT * FROM outbox;
DROP TRIGGER post ON burn_receipt;
DROP FUNCTION post();
DROP TABLE outbox;

-- a column that was added is NULL, or refuses
SELECT burn_create('kept') AS token \gset
ALTER TABLE burn_receipt ADD COLUMN extra integer;
ALTER TABLE burn_receipt ADD CONSTRAINT extra CHECK (extra IS NOT NULL) NOT VALID;
SELECT pg_temp.failure(:'token');
ALTER TABLE burn_receipt DROP CONSTRAINT extra;
SELECT burn_read(:'token') AS kept;
ALTER TABLE burn_receipt DROP COLUMN extra;
SELECT burn_read(burn_create('a dropped column is no obstacle'));

-- rows that were tampered with; the trigger that forbids it is off
ALTER TABLE burn_note DISABLE TRIGGER burn_note_refuse_update;
CREATE FUNCTION pg_temp.tampered(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	token text := burn_create('kept');
	failure text;
	keep burn_note;
BEGIN
	SELECT * INTO keep FROM burn_note WHERE id = burn_note_id(token);
	EXECUTE format('UPDATE burn_note SET %s WHERE id = $1', change) USING keep.id;
	BEGIN
		RETURN 'read: ' || burn_read(token);
	EXCEPTION WHEN data_corrupted THEN
		failure := SQLERRM;
	END;
	UPDATE burn_note SET created_at = keep.created_at, sealed = keep.sealed WHERE id = keep.id;
	RETURN failure || ', then ' || burn_read(token);
END $$;
SELECT change, pg_temp.tampered(change)
FROM (VALUES ('created_at = created_at + interval ''1 us'''),
	('sealed = set_byte(sealed, 0, 2)'), ('sealed = set_byte(sealed, 1, 1)'), ('sealed = set_byte(sealed, 1, 2)'), ('sealed = set_byte(sealed, 1, 4)'),
	('sealed = set_byte(sealed, 3, 1)'), ('sealed = set_byte(sealed, 4, get_byte(sealed, 4) # 1)'),
	('sealed = set_byte(sealed, 147, get_byte(sealed, 147) # 128)'),
	('sealed = substr(sealed, 1, 147)'), ('sealed = sealed || ''\x00'''), ('sealed = '''''),
	('sealed = (SELECT sealed FROM burn_note LIMIT 1)')) AS changes (change)
WHERE burn_create('another') IS NOT NULL;

-- two rows that were swapped
SELECT burn_create('one') AS one, burn_create('two') AS two \gset
CREATE TEMP TABLE swap AS SELECT * FROM burn_note WHERE id IN (burn_note_id(:'one'), burn_note_id(:'two'));
DELETE FROM burn_note WHERE id IN (SELECT id FROM swap);
INSERT INTO burn_note SELECT a.id, b.created_at, b.fuse, b.creator, b.sealed FROM swap AS a, swap AS b WHERE a.id <> b.id;
SELECT burn_read(:'one');
SELECT burn_read(:'two');
DELETE FROM burn_note WHERE id IN (SELECT id FROM swap);
INSERT INTO burn_note SELECT * FROM swap;
SELECT burn_read(:'one'), burn_read(:'two');

-- a copy that is put back after the note was read
INSERT INTO burn_note SELECT * FROM swap;
SELECT burn_read(:'one');
SELECT state FROM burn_status(:'one');
SELECT burn_verify_receipt(:'one');
DELETE FROM burn_note WHERE id IN (SELECT id FROM swap);
ALTER TABLE burn_note ENABLE ALWAYS TRIGGER burn_note_refuse_update;

-- nobody updates a note, a superuser neither
SELECT burn_create('kept') AS token \gset
UPDATE burn_note SET created_at = created_at WHERE id = burn_note_id(:'token');
SET session_replication_role = replica;
UPDATE burn_note SET created_at = created_at WHERE id = burn_note_id(:'token');
RESET session_replication_role;
SELECT burn_read(:'token');

-- the table is not as we made it
ALTER TABLE burn_receipt ALTER actor TYPE varchar;
SELECT burn_create('x');
SELECT burn_create('x');
ALTER TABLE burn_receipt ALTER actor TYPE text;
ALTER TABLE burn_receipt DROP CONSTRAINT burn_receipt_pkey;
SELECT burn_create('x');
ALTER TABLE burn_receipt ADD PRIMARY KEY (id) INCLUDE (actor);
SELECT burn_create('x');
ALTER TABLE burn_receipt DROP CONSTRAINT burn_receipt_pkey;
ALTER TABLE burn_receipt ADD PRIMARY KEY (id, closed_at);
SELECT burn_create('x');
ALTER TABLE burn_receipt DROP CONSTRAINT burn_receipt_pkey;
ALTER TABLE burn_receipt ADD PRIMARY KEY (id);
SELECT burn_read(burn_create('as it was'));

-- the table was rewritten: a rollback would bring the old file back, fuses and all
SELECT burn_create('kept') AS token \gset
BEGIN;
CLUSTER burn_note USING burn_note_pkey;
SELECT burn_read(:'token');
ROLLBACK;
BEGIN;
SAVEPOINT s;
CLUSTER burn_note USING burn_note_pkey;
SELECT state FROM burn_status(:'token');
ROLLBACK TO s;
SELECT burn_read(:'token') AS not_rewritten_any_more;
COMMIT;
BEGIN;
SELECT burn_create('kept') AS token \gset
COMMIT;
BEGIN;
SELECT burn_read(:'token');
CLUSTER burn_note USING burn_note_pkey;
ROLLBACK;
SELECT burn_read(:'token') IS NULL AS rewritten_afterwards;

-- a trigger that takes the receipt away again
CREATE FUNCTION take_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM burn_receipt WHERE id = new.id;
	RETURN NULL;
END $$;
SELECT burn_create('kept') AS token \gset
CREATE TRIGGER take_away AFTER INSERT ON burn_receipt FOR EACH ROW EXECUTE FUNCTION take_away();
SELECT burn_read(:'token');
DROP TRIGGER take_away ON burn_receipt;
DROP FUNCTION take_away();
SELECT burn_read(:'token') AS kept;

-- a receipt that cannot be one
SELECT burn_create('x') AS token \gset
DELETE FROM burn_note WHERE id = burn_note_id(:'token');
INSERT INTO burn_receipt (id, created_at, closed_at, outcome) VALUES (burn_note_id(:'token'), now(), now(), 'x');
SELECT burn_status(:'token');
SELECT burn_verify_receipt(:'token');
DELETE FROM burn_receipt WHERE id = burn_note_id(:'token');

-- text that the client cannot show: the message shows none of it
SELECT burn_create(U&'p\00E4ssw\2603rd') AS token \gset
SET client_encoding = 'LATIN1';
SELECT burn_read(:'token');
RESET client_encoding;
SELECT burn_read(:'token') = U&'p\00E4ssw\2603rd' AS kept;

-- the row is locked by this transaction itself
SELECT burn_create('mine') AS token \gset
BEGIN;
SELECT FROM burn_note WHERE id = burn_note_id(:'token') FOR UPDATE;
SELECT burn_read(:'token');
COMMIT;
BEGIN;
SELECT burn_create('mine') AS token \gset
DELETE FROM burn_note WHERE id = burn_note_id(:'token');
SELECT burn_read(:'token') IS NULL AS deleted_by_ourselves;
COMMIT;
