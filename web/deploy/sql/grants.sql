-- Who may call what, once `manage.py migrate` has made the extension. As a superuser:
--
--     psql -d burn_note -f grants.sql

\set ON_ERROR_STOP on

-- The pages. (burn_note_id is what burn_verify_receipt calls, as its caller.)
GRANT EXECUTE ON FUNCTION
	burn_create(text, interval, text),
	burn_create_bytes(bytea, interval, text),
	burn_note_id(text),
	burn_read(text, inet, text),
	burn_read_bytes(text, inet, text),
	burn_receipt_token(text),
	burn_revoke(text, inet),
	burn_status(text),
	burn_verify_receipt(text)
	TO burn_note_web;
-- who creates how much, and burn_note_flood
GRANT SELECT, INSERT, DELETE ON burn_note_sender TO burn_note_web;

-- burn_note_purge
GRANT EXECUTE ON FUNCTION burn_purge(integer) TO burn_note_keeper;
GRANT SELECT (forget_at), DELETE ON burn_note_sender TO burn_note_keeper;
-- burn_note_listen
GRANT SELECT ON burn_receipt TO burn_note_keeper;
GRANT SELECT, INSERT, DELETE ON burn_note_announcement TO burn_note_keeper;
