-- What a careful application does without burn_note, and without encrypting: the floor
-- that burn_note is measured against in docs/operations.md, "What it costs".

CREATE EXTENSION burn_note CASCADE;

CREATE TABLE plain_note (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	expires_at timestamptz NOT NULL,
	note text NOT NULL
);

CREATE TABLE plain_receipt (
	id uuid PRIMARY KEY,
	created_at timestamptz NOT NULL,
	closed_at timestamptz NOT NULL,
	outcome "char" NOT NULL,
	client_ip inet,
	actor text
);

-- what a statement that has nothing to do with notes reads
CREATE TABLE other (id integer PRIMARY KEY, value text NOT NULL);
INSERT INTO other SELECT id, 'value ' || id FROM generate_series(1, 100) AS id;
VACUUM ANALYZE other;
