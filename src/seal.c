/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Sealing a note, opening it, and sealing its receipt: bytes in, bytes out.
 *
 * Owns the formats that seal.h states.  Must never keep a key: each one lives
 * in one function's frame and is wiped there.  All cryptography is libsodium's.
 *
 * No PostgreSQL header: test/vectors.c links this file alone.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <sodium.h>

#include "src/hash.h"
#include "src/seal.h"

#define SEAL_VERSION	1
#define KEY_BYTES		crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define AAD_BYTES		(4 + NOTE_ID_BYTES + 8 + SEAL_HEADER_BYTES + 1)
#define PADDED_MIN		128
#define ARGON2_PASSES	2
#define ARGON2_BYTES	(64 * 1024 * 1024)

/*
 * The nonce is fixed: a key is derived from a secret and a fuse half that are
 * drawn for one note, seals that one note once, and is never used again.
 */
static const unsigned char nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES] = {0};

static unsigned char *
put_bytes(unsigned char *out, const void *bytes, size_t count)
{
	memcpy(out, bytes, count);
	return out + count;
}

static unsigned char *
put_integer(unsigned char *out, uint64_t value, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--)
	{
		out[i] = (unsigned char) (value & 0xFF);
		value >>= 8;
	}
	return out + bytes;
}

static void
derive_key(unsigned char *key, const SealParts *parts, const unsigned char *header)
{
	unsigned char input[TOKEN_SECRET_BYTES + SEAL_HEADER_BYTES +
						SEAL_HALF_BYTES + SEAL_PASSPHRASE_BYTES];
	unsigned char *end = input;

	end = put_bytes(end, parts->secret, TOKEN_SECRET_BYTES);
	end = put_bytes(end, header, SEAL_HEADER_BYTES);
	end = put_bytes(end, parts->half, SEAL_HALF_BYTES);
	if (parts->passphrase != NULL)
		end = put_bytes(end, parts->passphrase, SEAL_PASSPHRASE_BYTES);
	burn_hash(key, KEY_BYTES, HASH_LABEL_KEY, input, end - input);

	sodium_memzero(input, sizeof(input));
}

static void
make_aad(unsigned char *aad, const SealBinding *binding,
		 const unsigned char *header)
{
	aad = put_integer(aad, binding->database, 4);
	aad = put_bytes(aad, binding->id, NOTE_ID_BYTES);
	aad = put_integer(aad, (uint64_t) binding->created_at, 8);
	aad = put_bytes(aad, header, SEAL_HEADER_BYTES);
	*aad = binding->attempts_allowed;
}

static unsigned int
floor_log2(size_t value)
{
	unsigned int log = 0;

	while (value >>= 1)
		log++;
	return log;
}

/*
 * How long length || note || zeros is: hides a short note's length wholly and
 * lets O(log log n) bits of a long one's through, for at most 12 % more bytes.
 */
size_t
seal_padded_bytes(size_t note_bytes)
{
	size_t		length = SEAL_LENGTH_BYTES + note_bytes;
	unsigned int exponent;
	size_t		mask;

	if (length <= PADDED_MIN)
		return PADDED_MIN;

	exponent = floor_log2(length);
	mask = ((size_t) 1 << (exponent - (floor_log2(exponent) + 1))) - 1;
	return (length + mask) & ~mask;
}

size_t
seal_sealed_bytes(size_t note_bytes)
{
	return SEAL_HEADER_BYTES + seal_padded_bytes(note_bytes) + SEAL_TAG_BYTES;
}

/*
 * hash := the SEAL_PASSPHRASE_BYTES that a passphrase adds to the key.  Slow, and
 * takes ARGON2_BYTES of memory meanwhile; returns -1 where it cannot have them.
 */
int
seal_passphrase(unsigned char *hash, const BurnToken *token,
				const char *passphrase, size_t passphrase_bytes)
{
	unsigned char salt[crypto_pwhash_argon2id_SALTBYTES];

	burn_hash(salt, sizeof(salt), HASH_LABEL_SALT, token->body, TOKEN_BODY_BYTES);
	return crypto_pwhash_argon2id(hash, SEAL_PASSPHRASE_BYTES, passphrase,
								  passphrase_bytes, salt, ARGON2_PASSES, ARGON2_BYTES,
								  crypto_pwhash_argon2id_ALG_ARGON2ID13);
}

/*
 * Seals a note into the seal_sealed_bytes(note_bytes) at sealed.  The note is
 * encrypted where it will lie: no other copy of it is made.  flags may be
 * SEAL_IS_BYTES; parts tell whether there is a passphrase.
 */
void
seal_note(unsigned char *sealed, const unsigned char *note, size_t note_bytes,
		  uint8_t flags, const SealParts *parts, const SealBinding *binding)
{
	const size_t padded = seal_padded_bytes(note_bytes);
	unsigned char *body = sealed + SEAL_HEADER_BYTES;
	unsigned char *end;
	unsigned char key[KEY_BYTES];
	unsigned char aad[AAD_BYTES];

	sealed[0] = SEAL_VERSION;
	sealed[1] = flags | (parts->passphrase != NULL ? SEAL_HAS_PASSPHRASE : 0);
	sealed[2] = sealed[3] = 0;	/* epoch: none */

	end = put_integer(body, note_bytes, SEAL_LENGTH_BYTES);
	end = put_bytes(end, note, note_bytes);
	memset(end, 0, body + padded - end);

	derive_key(key, parts, sealed);
	make_aad(aad, binding, sealed);
	if (crypto_aead_xchacha20poly1305_ietf_encrypt_detached(body, body + padded, NULL,
															body, padded,
															aad, sizeof(aad),
															NULL, nonce, key) != 0)
		sodium_misuse();
	sodium_memzero(key, sizeof(key));
}

/*
 * The header's flags, which are not authenticated until seal_open() has
 * succeeded; -1 where this version cannot have sealed it.
 */
int
seal_flags(const unsigned char *sealed, size_t sealed_bytes)
{
	if (sealed_bytes < SEAL_HEADER_BYTES || sealed[0] != SEAL_VERSION ||
		sealed[2] != 0 || sealed[3] != 0)
		return -1;
	return sealed[1];
}

/*
 * Opens what seal_note() has sealed: verifies first, then writes the length,
 * the note and its padding to opened, in all sealed_bytes - SEAL_HEADER_BYTES -
 * SEAL_TAG_BYTES.  The note's *note_bytes begin at opened + SEAL_LENGTH_BYTES.
 * Returns 0, or -1 (and nothing to wipe) where anything does not authenticate.
 */
int
seal_open(unsigned char *opened, size_t *note_bytes, uint8_t *flags,
		  const unsigned char *sealed, size_t sealed_bytes,
		  const SealParts *parts, const SealBinding *binding)
{
	const unsigned char *body = sealed + SEAL_HEADER_BYTES;
	size_t		padded;
	unsigned char key[KEY_BYTES];
	unsigned char aad[AAD_BYTES];
	int			result;

	if (sealed_bytes < seal_sealed_bytes(0) ||
		(seal_flags(sealed, sealed_bytes) & ~SEAL_FLAGS_KNOWN) != 0)
		return -1;
	*flags = sealed[1];
	if (((*flags & SEAL_HAS_PASSPHRASE) != 0) != (parts->passphrase != NULL))
		return -1;
	padded = sealed_bytes - SEAL_HEADER_BYTES - SEAL_TAG_BYTES;

	derive_key(key, parts, sealed);
	make_aad(aad, binding, sealed);
	result = crypto_aead_xchacha20poly1305_ietf_decrypt_detached(opened, NULL,
																 body, padded, body + padded,
																 aad, sizeof(aad), nonce, key);
	sodium_memzero(key, sizeof(key));
	if (result != 0)
		return -1;

	*note_bytes = 0;
	for (int i = 0; i < SEAL_LENGTH_BYTES; i++)
		*note_bytes = *note_bytes << 8 | opened[i];
	if (*note_bytes > padded - SEAL_LENGTH_BYTES ||
		seal_padded_bytes(*note_bytes) != padded)
	{
		/* Authentic, yet not what seal_note() writes. */
		sodium_memzero(opened, padded);
		return -1;
	}
	return 0;
}

/*
 * seal := the SEAL_RECEIPT_BYTES by which whoever holds the token or the
 * receipt token can tell a receipt that burn_note wrote from any other.
 */
void
seal_receipt(unsigned char *seal, const unsigned char *rkey,
			 const unsigned char *id, char outcome, int64_t created_at,
			 int64_t closed_at, const SealAddress *client_ip)
{
	unsigned char input[TOKEN_SECRET_BYTES + NOTE_ID_BYTES + 1 + 8 + 8 +
						2 + SEAL_ADDRESS_BYTES];
	unsigned char *end = input;

	end = put_bytes(end, rkey, TOKEN_SECRET_BYTES);
	end = put_bytes(end, id, NOTE_ID_BYTES);
	end = put_integer(end, (unsigned char) outcome, 1);
	end = put_integer(end, (uint64_t) created_at, 8);
	end = put_integer(end, (uint64_t) closed_at, 8);
	end = put_integer(end, client_ip->family, 1);
	end = put_integer(end, client_ip->mask, 1);
	end = put_bytes(end, client_ip->address, SEAL_ADDRESS_BYTES);
	burn_hash(seal, SEAL_RECEIPT_BYTES, HASH_LABEL_SEAL, input, end - input);

	sodium_memzero(input, sizeof(input));
}
