-- the type burn_fuse: prints a state, and what is made from text opens nothing
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

SELECT burn_create('x') AS token \gset
SELECT fuse, burn_fuse_send(fuse) FROM burn_note WHERE id = burn_note_id(:'token');
BEGIN;
SELECT burn_read(:'token');
ROLLBACK;
SELECT fuse, burn_fuse_send(fuse) FROM burn_note WHERE id = burn_note_id(:'token');

-- whatever is printed is taken, and is void
SELECT name, name::burn_fuse FROM unnest('{sealed,void,read,expired,revoked,locked,withheld}'::text[]) AS name;
SELECT 'live'::burn_fuse;
SELECT ''::burn_fuse;
SELECT pg_column_size('void'::burn_fuse);

-- a row written from text opens nothing
SELECT burn_create('x') AS token \gset
CREATE TEMP TABLE written AS SELECT id, created_at, fuse::text, sealed FROM burn_note WHERE id = burn_note_id(:'token');
DELETE FROM burn_note WHERE id IN (SELECT id FROM written);
INSERT INTO burn_note SELECT id, created_at, fuse::burn_fuse, NULL, sealed FROM written;
SELECT burn_read(:'token') IS NULL AS void_opens_nothing;
SELECT state, created_at IS NOT NULL AS row_is_there FROM burn_status(:'token');
SELECT burn_verify_receipt(:'token') IS NULL AS nothing_to_verify;

-- ANALYZE leaves no trace of fuses and sealed notes
SELECT count(burn_create('x')) FROM generate_series(1, 100);
ANALYZE burn_note;
SELECT attname FROM pg_stats WHERE tablename = 'burn_note' ORDER BY attname;
