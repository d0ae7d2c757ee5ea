/*-------------------------------------------------------------------------
 *
 * vectors.c
 *	  Recomputes test/vectors.txt with src/hash.h, src/token.c and src/seal.c.
 *
 * Usage: vectors FILE.  Prints an `ok` or `not ok` line for each block of the
 * file and exits 1 if one disagrees or nothing was checked.  The file was
 * written by test/vectors.py, which shares no code with what is tested here.
 *
 * Beyond equality: whatever bit of a sealed note, of what it is bound to or of
 * its key is flipped, it must not open, nor with a passphrase's hash too many or
 * too few; and no text that is not exactly a token must parse as one.
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "src/hash.h"
#include "src/seal.h"
#include "src/token.h"

#define FILE_MAX		(256 * 1024)
#define FIELDS_MAX		128
#define BYTES_MAX		4096	/* the longest hex value, decoded */
#define PADDED_PREFIX	"padded_of_"

typedef struct Field
{
	const char *name;
	const char *value;
} Field;

/* The block being checked. */
static Field fields[FIELDS_MAX];
static int	field_count;
static bool block_ok;

/* What seal_open() needs: enough to open the block's note. */
typedef struct Sealed
{
	unsigned char bytes[BYTES_MAX];
	size_t		count;
	unsigned char secret[TOKEN_SECRET_BYTES];
	unsigned char half[SEAL_HALF_BYTES];
	bool		has_passphrase;
	unsigned char passphrase[SEAL_PASSPHRASE_BYTES];	/* its hash */
	SealBinding binding;
} Sealed;

static void
die(const char *message, const char *what)
{
	fprintf(stderr, "vectors: %s: %s\n", message, what);
	exit(2);
}

static void
expect(bool good, const char *what)
{
	if (!good)
		printf("# differs or is accepted: %s\n", what);
	block_ok = block_ok && good;
}

static const char *
find_text(const char *name)
{
	for (int i = 0; i < field_count; i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].value;
	return NULL;
}

static const char *
get_text(const char *name)
{
	const char *value = find_text(name);

	if (value == NULL)
		die("no such field in a block", name);
	return value;
}

static int64_t
get_number(const char *name)
{
	char	   *end;
	int64_t		number;

	errno = 0;
	number = strtoll(get_text(name), &end, 10);
	if (errno != 0 || end == get_text(name) || *end != '\0')
		die("not a number", name);
	return number;
}

/*
 * A hex value's bytes, at most BYTES_MAX, and how many they are.
 */
static size_t
get_bytes(unsigned char *bytes, const char *name)
{
	const char *value = get_text(name);
	const char *end;
	size_t		count;

	if (sodium_hex2bin(bytes, BYTES_MAX, value, strlen(value), NULL, &count, &end) != 0 ||
		*end != '\0')
		die("not hex", name);
	return count;
}

static void
get_exactly(unsigned char *bytes, size_t count, const char *name)
{
	unsigned char value[BYTES_MAX];

	if (get_bytes(value, name) != count)
		die("wrong length", name);
	memcpy(bytes, value, count);
}

static void
get_address(SealAddress *address, const char *name)
{
	char		text[INET6_ADDRSTRLEN];
	char	   *mask;

	memset(address, 0, sizeof(*address));
	if (strcmp(get_text(name), "none") == 0)
		return;

	snprintf(text, sizeof(text), "%s", get_text(name));
	mask = strchr(text, '/');
	if (mask == NULL)
		die("no mask length", name);
	*mask++ = '\0';
	address->family = strchr(text, ':') != NULL ? 6 : 4;
	address->mask = (uint8_t) atoi(mask);
	if (inet_pton(address->family == 6 ? AF_INET6 : AF_INET, text, address->address) != 1)
		die("not an address", name);
}

static void
expect_bytes(const unsigned char *bytes, size_t count, const char *name)
{
	unsigned char value[BYTES_MAX];

	expect(get_bytes(value, name) == count && memcmp(bytes, value, count) == 0, name);
}

static void
expect_token(const BurnToken *token, const char *name)
{
	char		text[TOKEN_CHARS + 1];
	BurnToken	parsed;

	token_print(text, token);
	expect(strcmp(text, get_text(name)) == 0, name);
	expect(token_parse(&parsed, text, TOKEN_CHARS) == 0 &&
		   parsed.is_receipt == token->is_receipt &&
		   memcmp(parsed.body, token->body, TOKEN_BODY_BYTES) == 0, "token_parse");
}

/*
 * Every other byte at every place, and every other length.
 */
static void
refuse_malformed(const char *name)
{
	char		text[TOKEN_CHARS + 2];
	BurnToken	parsed;

	snprintf(text, sizeof(text), "%s=", get_text(name));
	for (size_t length = 0; length <= TOKEN_CHARS + 1; length++)
		if (length != TOKEN_CHARS)
			expect(token_parse(&parsed, text, length) != 0, "a token of another length");

	for (int i = 0; i < TOKEN_CHARS; i++)
	{
		/* The check bytes are the same behind "bn1_" and "br1_". */
		const int	other_prefix = i == 1;
		const char	original = text[i];
		int			accepted = 0;

		for (int byte = 0; byte <= UINT8_MAX; byte++)
		{
			text[i] = (char) byte;
			if (text[i] != original && token_parse(&parsed, text, TOKEN_CHARS) == 0)
				accepted++;
		}
		text[i] = original;
		expect(accepted == other_prefix, "an altered token");
		if (accepted != other_prefix)
			printf("# for '%c' at %d, %d other bytes\n", original, i, accepted);
	}

	memset(text + TOKEN_CHARS - 2, '=', 2);
	expect(token_parse(&parsed, text, TOKEN_CHARS) != 0, "a padded token");
}

static SealParts
parts_of(const Sealed *s)
{
	SealParts	parts = {.secret = s->secret,.half = s->half};

	if (s->has_passphrase)
		parts.passphrase = s->passphrase;
	return parts;
}

/*
 * The note opens into opened, whole, behind its length; returns its length.
 */
static int
open_sealed(const Sealed *s, unsigned char *opened, size_t *note_bytes)
{
	const SealParts parts = parts_of(s);
	uint8_t		flags;

	return seal_open(opened, note_bytes, &flags, s->bytes, s->count, &parts, &s->binding);
}

/*
 * bytes lie in *s: with any of their bits flipped it must not open.
 */
static void
refuse_flipped(const Sealed *s, void *bytes, size_t count, const char *what)
{
	unsigned char *flipped = bytes;
	unsigned char opened[BYTES_MAX];
	size_t		note_bytes;
	bool		refused = true;

	for (size_t bit = 0; bit < 8 * count; bit++)
	{
		flipped[bit / 8] ^= 1 << bit % 8;
		refused &= open_sealed(s, opened, &note_bytes) != 0;
		flipped[bit / 8] ^= 1 << bit % 8;
	}
	expect(refused, what);
}

static void
refuse_altered(Sealed *s)
{
	const size_t count = s->count;
	unsigned char opened[BYTES_MAX];
	size_t		note_bytes;

	refuse_flipped(s, s->bytes, s->count, "a flipped bit in sealed");
	refuse_flipped(s, s->secret, sizeof(s->secret), "a flipped bit in the secret");
	refuse_flipped(s, s->half, sizeof(s->half), "a flipped bit in the half");
	if (s->has_passphrase)
		refuse_flipped(s, s->passphrase, sizeof(s->passphrase), "a flipped bit in the passphrase's hash");
	refuse_flipped(s, &s->binding.database, sizeof(s->binding.database), "another database");
	refuse_flipped(s, s->binding.id, sizeof(s->binding.id), "another id");
	refuse_flipped(s, &s->binding.created_at, sizeof(s->binding.created_at), "another created_at");
	refuse_flipped(s, &s->binding.attempts_allowed, 1, "other attempts allowed");

	for (s->count = 0; s->count < count; s->count++)
		expect(open_sealed(s, opened, &note_bytes) != 0, "a truncated note");
	s->count = count + 1;
	expect(open_sealed(s, opened, &note_bytes) != 0, "a lengthened note");
	s->count = count;

	s->has_passphrase = !s->has_passphrase;
	expect(open_sealed(s, opened, &note_bytes) != 0,
		   s->has_passphrase ? "a passphrase for a note without" : "a missing passphrase");
	s->has_passphrase = !s->has_passphrase;
}

/*
 * An authentic note with a flag that this version does not know, and headers
 * of another version or with an epoch.
 */
static void
refuse_unknown_header(const Sealed *s)
{
	const uint8_t unknown_flag = 0x80;
	Sealed		other = *s;
	const SealParts parts = parts_of(&other);
	unsigned char opened[BYTES_MAX];
	size_t		note_bytes;

	other.count = seal_sealed_bytes(0);
	seal_note(other.bytes, s->bytes, 0, unknown_flag, &parts, &other.binding);
	expect(open_sealed(&other, opened, &note_bytes) != 0, "an unknown flag");

	for (int i = 0; i < SEAL_HEADER_BYTES; i++)
	{
		const bool	is_flags = i == 1;

		memcpy(other.bytes, s->bytes, SEAL_HEADER_BYTES);
		other.bytes[i] ^= unknown_flag;
		expect((seal_flags(other.bytes, other.count) == -1) != is_flags, "an unknown header");
	}
	expect(seal_flags(s->bytes, SEAL_HEADER_BYTES - 1) == -1, "half a header");
}

/*
 * token, check, rkey, receipt_token, note_id.  Fills in both tokens, and of *s
 * the secret and the id.
 */
static void
check_token(Sealed *s, BurnToken *token, BurnToken *receipt)
{
	const size_t open_bytes = TOKEN_BODY_BYTES - TOKEN_SECRET_BYTES;
	const uint64_t expires = (uint64_t) get_number("expires");
	unsigned char check[3];
	unsigned char *id = s->binding.id;
	unsigned char again_id[NOTE_ID_BYTES];
	unsigned char first[NOTE_ID_BYTES];
	char		uuid[2 * NOTE_ID_BYTES + 5];
	BurnToken	again;

	/* token_make() draws a secret: ours takes its place. */
	token_make(token, expires, (uint8_t) get_number("shard"));
	get_exactly(s->secret, sizeof(s->secret), "secret");
	memcpy(token->body + open_bytes, s->secret, TOKEN_SECRET_BYTES);
	expect(memcmp(token_secret(token), s->secret, TOKEN_SECRET_BYTES) == 0, "token_secret");
	expect_token(token, "token");
	refuse_malformed("token");

	burn_hash(check, sizeof(check), HASH_LABEL_CHECK, token->body, TOKEN_BODY_BYTES);
	expect_bytes(check, sizeof(check), "check");

	token_to_receipt(receipt, token);
	expect_bytes(token_secret(receipt), TOKEN_SECRET_BYTES, "rkey");
	expect_token(receipt, "receipt_token");
	refuse_malformed("receipt_token");
	token_to_receipt(&again, receipt);
	expect_token(&again, "receipt_token");

	token_derive(&again, id, token);
	token_derive(&again, again_id, receipt);
	expect(memcmp(id, again_id, NOTE_ID_BYTES) == 0, "the receipt token's note_id");
	snprintf(uuid, sizeof(uuid),
			 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			 id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7],
			 id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]);
	expect(strcmp(uuid, get_text("note_id")) == 0, "note_id");
	expect(note_id_expires(id) == expires, "note_id_expires");
	note_id_first(first, expires);
	expect(memcmp(first, id, NOTE_ID_BYTES) < 0, "note_id_first");
}

/*
 * salt, passphrase_hash.  Fills in *s.
 */
static void
check_passphrase(Sealed *s, const BurnToken *token)
{
	unsigned char passphrase[BYTES_MAX];
	unsigned char salt[crypto_pwhash_argon2id_SALTBYTES];
	size_t		count;

	memset(s->passphrase, 0, sizeof(s->passphrase));
	s->has_passphrase = find_text("passphrase") != NULL;
	if (!s->has_passphrase)
		return;

	count = get_bytes(passphrase, "passphrase");
	burn_hash(salt, sizeof(salt), HASH_LABEL_SALT, token->body, TOKEN_BODY_BYTES);
	expect_bytes(salt, sizeof(salt), "salt");
	expect(seal_passphrase(s->passphrase, token, (char *) passphrase, count) == 0,
		   "seal_passphrase");
	expect_bytes(s->passphrase, sizeof(s->passphrase), "passphrase_hash");
}

/*
 * key, sealed, forged; and that sealed opens, and nothing near it does.
 */
static void
check_note(Sealed *s)
{
	unsigned char note[BYTES_MAX];
	const size_t note_bytes = get_bytes(note, "note");
	const uint8_t flags = (uint8_t) get_number("flags");
	const SealParts parts = parts_of(s);
	unsigned char key_input[TOKEN_SECRET_BYTES + SEAL_HEADER_BYTES + SEAL_HALF_BYTES +
							SEAL_PASSPHRASE_BYTES];
	size_t		key_bytes = TOKEN_SECRET_BYTES + SEAL_HEADER_BYTES + SEAL_HALF_BYTES;
	unsigned char key[32];
	unsigned char opened[BYTES_MAX];
	size_t		opened_bytes;

	get_exactly(s->half, sizeof(s->half), "half");
	s->binding.database = (uint32_t) get_number("database");
	s->binding.created_at = get_number("created_at");
	s->binding.attempts_allowed = (uint8_t) get_number("attempts_allowed");

	s->count = seal_sealed_bytes(note_bytes);
	seal_note(s->bytes, note, note_bytes, flags & SEAL_IS_BYTES, &parts, &s->binding);
	expect_bytes(s->bytes, s->count, "sealed");
	expect(seal_flags(s->bytes, s->count) == flags, "seal_flags");

	memcpy(key_input, s->secret, TOKEN_SECRET_BYTES);
	memcpy(key_input + TOKEN_SECRET_BYTES, s->bytes, SEAL_HEADER_BYTES);
	memcpy(key_input + TOKEN_SECRET_BYTES + SEAL_HEADER_BYTES, s->half, SEAL_HALF_BYTES);
	if (s->has_passphrase)
	{
		memcpy(key_input + key_bytes, s->passphrase, SEAL_PASSPHRASE_BYTES);
		key_bytes += SEAL_PASSPHRASE_BYTES;
	}
	burn_hash(key, sizeof(key), HASH_LABEL_KEY, key_input, key_bytes);
	expect_bytes(key, sizeof(key), "key");

	expect(open_sealed(s, opened, &opened_bytes) == 0 && opened_bytes == note_bytes &&
		   memcmp(opened + SEAL_LENGTH_BYTES, note, note_bytes) == 0, "seal_open");
	refuse_altered(s);
	refuse_unknown_header(s);

	if (find_text("forged") != NULL)
	{
		s->count = get_bytes(s->bytes, "forged");
		expect(open_sealed(s, opened, &opened_bytes) != 0, "forged");
	}
}

static void
check_receipt(const Sealed *s, const BurnToken *receipt)
{
	SealAddress client_ip;
	unsigned char seal[SEAL_RECEIPT_BYTES];

	get_address(&client_ip, "client_ip");
	seal_receipt(seal, token_secret(receipt), s->binding.id, get_text("outcome")[0],
				 s->binding.created_at, get_number("closed_at"), &client_ip);
	expect_bytes(seal, sizeof(seal), "seal");
}

/*
 * The block of padded lengths; false if this is another one.
 */
static bool
check_lengths(void)
{
	const size_t prefix = strlen(PADDED_PREFIX);
	bool		any = false;

	for (int i = 0; i < field_count; i++)
		if (strncmp(fields[i].name, PADDED_PREFIX, prefix) == 0)
		{
			const size_t note_bytes = strtoull(fields[i].name + prefix, NULL, 10);
			const size_t padded = (size_t) get_number(fields[i].name);

			any = true;
			expect(seal_padded_bytes(note_bytes) == padded &&
				   seal_sealed_bytes(note_bytes) == SEAL_HEADER_BYTES + padded + SEAL_TAG_BYTES,
				   fields[i].name);
		}
	return any;
}

static bool
check_block(void)
{
	block_ok = true;
	if (!check_lengths())
	{
		Sealed		sealed;
		BurnToken	token;
		BurnToken	receipt;

		check_token(&sealed, &token, &receipt);
		check_passphrase(&sealed, &token);
		check_note(&sealed);
		check_receipt(&sealed, &receipt);
	}
	printf("%s - vectors.c: %s\n", block_ok ? "ok" : "not ok", get_text("case"));
	return block_ok;
}

/*
 * Takes the next block off *text, whose lines it cuts into fields; false at
 * the end.
 */
static bool
next_block(char **text)
{
	char	   *line;

	field_count = 0;
	while ((line = strsep(text, "\n")) != NULL)
	{
		char	   *equals = strstr(line, " =");

		if (line[0] == '\0' && field_count > 0)
			return true;
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if (equals == NULL || field_count == FIELDS_MAX)
			die("not a field, or too many", line);
		*equals = '\0';
		fields[field_count].name = line;
		fields[field_count].value = equals + (equals[2] == ' ' ? 3 : 2);
		field_count++;
	}
	return field_count > 0;
}

int
main(int argc, char **argv)
{
	static char text[FILE_MAX];
	char	   *rest = text;
	FILE	   *file;
	int			blocks = 0;
	int			failed = 0;

	if (argc != 2 || sodium_init() < 0)
		die("usage", "vectors FILE");
	file = fopen(argv[1], "r");
	if (file == NULL || fread(text, 1, sizeof(text) - 1, file) == sizeof(text) - 1)
		die("cannot read, or too long", argv[1]);
	fclose(file);

	for (; next_block(&rest); blocks++)
		failed += !check_block();
	return blocks == 0 || failed != 0;
}
