-- burn_create(): what it takes and what it refuses
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS burn_note CASCADE;
RESET client_min_messages;

-- a token has a fixed shape, for secret scanners and log filters
SELECT burn_create('attack at dawn') AS token \gset
SELECT :'token' ~ '^bn1_[A-Za-z0-9_-]{56}$' AS token_has_its_shape;

-- the row holds neither the note nor the token
SELECT position('attack at dawn'::bytea IN sealed) = 0 AS note_is_sealed,
	octet_length(sealed) = 4 + 128 + 16 AS short_notes_have_one_length,
	fuse
FROM burn_note WHERE id = burn_note_id(:'token');

-- two notes with the same text have nothing in common
CREATE TEMP TABLE same AS SELECT burn_create('same') AS token FROM generate_series(1, 3);
SELECT count(DISTINCT sealed) AS different, count(*) AS notes
FROM same JOIN burn_note ON id = burn_note_id(token);

-- expiry: the default, one given, the longest
SELECT s.expires_at - s.created_at BETWEEN interval '7 days' AND interval '7 days 1 ms' AS seven_days
FROM burn_status(:'token') AS s;
SELECT s.expires_at - s.created_at BETWEEN interval '1 h' AND interval '1 h 1 ms' AS one_hour
FROM burn_status(burn_create('x', '1 hour')) AS s;
SELECT s.expires_at - s.created_at BETWEEN interval '90 days' AND interval '90 days 1 ms' AS ninety_days
FROM burn_status(burn_create('x', '90 days')) AS s;
SET burn_note.default_ttl = '10min';
SELECT s.expires_at - s.created_at BETWEEN interval '10 min' AND interval '10 min 1 ms' AS ten_minutes
FROM burn_status(burn_create('x')) AS s;
RESET burn_note.default_ttl;

-- the shortest life is rounded up to a millisecond
SELECT s.expires_at - s.created_at BETWEEN interval '1 us' AND interval '1.001 ms' AS short
FROM burn_status(burn_create('x', '1 microsecond')) AS s;

-- refused, naming the limit
SELECT burn_create(NULL);
SELECT burn_create('x', '0');
SELECT burn_create('x', '-1 day');
SELECT burn_create('x', '-1000000 years');
SELECT burn_create('x', '91 days');
SELECT burn_create('x', '170000 years');
SELECT burn_create('x', make_interval(months => 2147483647));
SET burn_note.max_ttl = '1h';
SELECT burn_create('x');
SELECT burn_create('x', '61 minutes');
SELECT burn_create('x', '60 minutes') IS NOT NULL AS at_the_limit;
RESET burn_note.max_ttl;
SET burn_note.max_note_size = 10;
SELECT burn_create('12345678901');
SELECT burn_create('12345678€');
SELECT burn_read(burn_create('1234567890')) AS at_the_limit;
SELECT burn_read(burn_create('1234567€')) AS at_the_limit;
RESET burn_note.max_note_size;

-- an empty note is a note
SELECT burn_read(burn_create('')) = '' AS empty_note;

-- a note out of line, one compressed where it came from
CREATE TEMP TABLE source AS SELECT repeat('a long story ', 100000) AS story;
SELECT burn_read(burn_create(story)) = story AS same FROM source;

-- settings refuse nonsense
\set VERBOSITY sqlstate
SET burn_note.default_ttl = 0;
SET burn_note.max_note_size = '257MB';
\set VERBOSITY default
SET burn_note.shard = 1;
SET burn_note.no_such_setting = 1;

-- nothing is created where nothing can be written
BEGIN READ ONLY;
SELECT burn_create('x');
ROLLBACK;
