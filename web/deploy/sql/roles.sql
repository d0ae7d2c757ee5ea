-- The database, and a role for each thing that is done to it. As a superuser:
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

CREATE ROLE burn_note_owner LOGIN;
CREATE ROLE burn_note_web LOGIN;
CREATE ROLE burn_note_keeper LOGIN;

CREATE DATABASE burn_note OWNER burn_note_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE burn_note FROM PUBLIC;
GRANT CONNECT ON DATABASE burn_note TO burn_note_web, burn_note_keeper;

-- The library knows its settings. Without it a value that is none would be stored.
LOAD 'burn_note';

-- What strangers can store: so many unread notes, of 10 MB at most, are 10 GB.
ALTER ROLE burn_note_web IN DATABASE burn_note SET burn_note.max_pending = 1000;

-- Nobody waits for ever, and nobody makes others wait.
ALTER ROLE burn_note_web IN DATABASE burn_note SET lock_timeout = '10s';
ALTER ROLE burn_note_web IN DATABASE burn_note SET statement_timeout = '30s';
ALTER ROLE burn_note_web IN DATABASE burn_note SET idle_in_transaction_session_timeout = '10s';
