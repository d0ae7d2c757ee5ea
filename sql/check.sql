-- burn_check(): its rows, and who may see them; t/504_check.pl provokes each
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

-- the same rows whatever the server is like, and each says something
SELECT "check", detail <> '' AS says_something FROM burn_check();

-- the library knows whether it was preloaded
SELECT ok = (current_setting('burn_note.databases', true) IS NOT NULL) AS right FROM burn_check() WHERE "check" = 'preloaded';

-- who may see nothing still gets an answer, which says what is missing
CREATE ROLE regress_burn_operator;
SET ROLE regress_burn_operator;
SELECT FROM burn_check();
SELECT burn_check_facts();
RESET ROLE;
GRANT EXECUTE ON FUNCTION burn_check(burn_facts), burn_check_facts() TO regress_burn_operator;
SET ROLE regress_burn_operator;
SELECT count(*) FROM burn_check();
SELECT FROM burn_note;

-- even in a read-only transaction
BEGIN READ ONLY;
SELECT count(*) FROM burn_check();
ROLLBACK;
RESET ROLE;
GRANT pg_monitor TO regress_burn_operator;
SET ROLE regress_burn_operator;
SELECT count(ok) FROM burn_check();
RESET ROLE;

-- names and operators are not the caller's
SELECT extnamespace::regnamespace AS notes FROM pg_extension WHERE extname = 'burn_note' \gset
CREATE SCHEMA evil;
CREATE FUNCTION evil.differs(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''an operator of the caller''; END';
CREATE OPERATOR evil.<> (FUNCTION = evil.differs, LEFTARG = text, RIGHTARG = text);
BEGIN;
SET LOCAL search_path = evil, pg_catalog;
SELECT count(*) FROM :notes.burn_check();
SELECT 'a'::text <> 'b'::text AS theirs_would_run;
ROLLBACK;
DROP OPERATOR evil.<> (text, text);
DROP FUNCTION evil.differs(text, text);
DROP SCHEMA evil;

-- it survives its schema's renaming, and being written down and read again, as by pg_upgrade
SELECT md5(string_agg(c::text, '')) AS answer FROM burn_check() AS c \gset
SELECT pg_get_functiondef('burn_check'::regproc) AS definition \gset
BEGIN;
:definition;
ALTER SCHEMA :notes RENAME TO renamed;
SELECT md5(string_agg(c::text, '')) = :'answer' AS same_answer FROM renamed.burn_check() AS c;
ROLLBACK;

DROP OWNED BY regress_burn_operator;
DROP ROLE regress_burn_operator;
