-- who may do what
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

CREATE ROLE regress_burn_nobody;
CREATE ROLE regress_burn_sender;
CREATE ROLE regress_burn_reader;
CREATE ROLE regress_burn_auditor;
GRANT EXECUTE ON FUNCTION burn_create(text, interval, text) TO regress_burn_sender;
GRANT EXECUTE ON FUNCTION burn_read(text, inet, text) TO regress_burn_reader;
GRANT EXECUTE ON FUNCTION burn_status(text), burn_receipt_token(text), burn_note_id(text), burn_verify_receipt(text) TO regress_burn_auditor;

-- nothing is given to PUBLIC
SELECT count(*) > 10 AS all_of_them, bool_or(has_function_privilege('regress_burn_nobody', p.oid, 'EXECUTE')) AS any_to_public
FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'burn_note';
SELECT relname, has_table_privilege('regress_burn_nobody', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS any_to_public
FROM pg_class WHERE relname IN ('burn_note', 'burn_receipt') ORDER BY relname;

SET ROLE regress_burn_nobody;
SELECT burn_create('x');
SELECT burn_read('x');
SELECT burn_status('x');
SELECT burn_purge();
SELECT FROM burn_note;
SELECT FROM burn_receipt;

-- a sender needs no right on the tables, and gets no other one
SET ROLE regress_burn_sender;
SELECT burn_create('attack at dawn') AS token \gset
SELECT burn_read(:'token');
SELECT FROM burn_note;
SET burn_note.max_ttl = '1000d';
SET burn_note.max_note_size = '100MB';
SET burn_note.receipt_retention = '1s';
SET burn_note.default_ttl = '1d';
RESET burn_note.default_ttl;

SET ROLE regress_burn_reader;
SELECT burn_read(:'token');
SELECT burn_create('x');
SELECT FROM burn_receipt;

SET ROLE regress_burn_auditor;
SELECT state, actor = session_user AS by_session_user FROM burn_status(:'token');
SELECT burn_verify_receipt(:'token');
SELECT burn_read(:'token');

RESET ROLE;
DROP OWNED BY regress_burn_sender, regress_burn_reader, regress_burn_auditor;
DROP ROLE regress_burn_nobody, regress_burn_sender, regress_burn_reader, regress_burn_auditor;

-- every object of the extension has a comment that a user can act on
SELECT pg_describe_object(d.classid, d.objid, 0) AS without_comment
FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'burn_note'
	AND NOT EXISTS (SELECT FROM pg_type AS t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typrelid <> 0 OR t.typelem <> 0))
	AND obj_description(d.objid, d.classid::regclass::name) IS NULL;

-- the functions that derive are not folded into a plan, those that write are not run in parallel
SELECT p.proname, p.provolatile, p.proparallel, p.prosecdef
FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'burn_note' AND p.proname NOT LIKE 'burn_fuse%'
ORDER BY p.proname;
