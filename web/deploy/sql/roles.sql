-- The database, and a role for each thing that is done to it; what is there already is
-- changed where it differs. As a superuser:
--
--     psql -d postgres -f roles.sql
--
-- burn_note_owner   owns the database; `manage.py migrate`
-- burn_note_web     what the pages call, and nothing else; gunicorn
-- burn_note_keeper  purges and hears of receipts; reads and writes no note
--
-- None has a password: on one machine let pg_hba.conf ask the system who connects
-- (`local all all peer`, Debian's default), and for a server elsewhere give each one with
-- psql's \password and demand `hostssl ... scram-sha-256`.

\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['burn_note_owner', 'burn_note_web', 'burn_note_keeper']) AS name
WHERE to_regrole(name) IS NULL \gexec

SELECT 'CREATE DATABASE burn_note OWNER burn_note_owner ENCODING ''UTF8'' TEMPLATE template0'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'burn_note') \gexec
REVOKE ALL ON DATABASE burn_note FROM PUBLIC;
GRANT CONNECT ON DATABASE burn_note TO burn_note_web, burn_note_keeper;

-- The library knows its settings. Without it a value that is none would be stored.
LOAD 'burn_note';

-- What strangers can store: so many unread notes, of 10 MB at most, are 10 GB.
\set max_pending 1000
\getenv max_pending BURN_NOTE_MAX_PENDING
ALTER ROLE burn_note_web IN DATABASE burn_note SET burn_note.max_pending = :max_pending;

-- Nobody waits for ever, and nobody makes others wait.
ALTER ROLE burn_note_web IN DATABASE burn_note SET lock_timeout = '10s';
ALTER ROLE burn_note_web IN DATABASE burn_note SET statement_timeout = '30s';
ALTER ROLE burn_note_web IN DATABASE burn_note SET idle_in_transaction_session_timeout = '10s';
