/*-------------------------------------------------------------------------
 *
 * hash.h
 *	  The one hash that every derived value of burn_note is built from.
 *
 * H_n(label, data) is the first n bytes of BLAKE2b-512(label || data)
 * (RFC 7693, unkeyed).  A label is exactly 16 ASCII bytes, so that no label
 * is a prefix of another and nearly every hash here is one 128-byte block.
 * pgcrypto's digest(data, 'blake2b512') and Python's hashlib.blake2b compute
 * the same, which is how the tests and burn_verify_receipt() check us.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_HASH_H
#define BURN_HASH_H

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include <sodium.h>

#define HASH_BYTES_MAX	64		/* BLAKE2b-512 */
#define HASH_LABEL_BYTES 16
#define HASH_DATA_MAX	192

/* Every label in use: one purpose each. */
#define HASH_LABEL_CHECK	"burn_note chk v1"	/* a token's check bytes */
#define HASH_LABEL_RECEIPT	"burn_note rct v1"	/* token -> receipt token */
#define HASH_LABEL_NOTE_ID	"burn_note nid v1"	/* receipt token -> note id */
#define HASH_LABEL_SALT		"burn_note slt v1"	/* token -> passphrase salt */
#define HASH_LABEL_KEY		"burn_note key v1"	/* token and fuse -> note key */
#define HASH_LABEL_SEAL		"burn_note rcp v1"	/* a receipt's seal */

/*
 * out := H_out_bytes(label, data).  out_bytes is at most HASH_BYTES_MAX and
 * data_bytes at most HASH_DATA_MAX.  Leaves no copy of data behind.
 */
static inline void
burn_hash(unsigned char *out, size_t out_bytes, const char *label,
		  const unsigned char *data, size_t data_bytes)
{
	unsigned char input[HASH_LABEL_BYTES + HASH_DATA_MAX];
	unsigned char digest[HASH_BYTES_MAX];

	assert(strlen(label) == HASH_LABEL_BYTES);
	assert(out_bytes <= HASH_BYTES_MAX && data_bytes <= HASH_DATA_MAX);

	memcpy(input, label, HASH_LABEL_BYTES);
	memcpy(input + HASH_LABEL_BYTES, data, data_bytes);

	/* Fails only for sizes out of range, which these constants are not. */
	if (crypto_generichash_blake2b(digest, sizeof(digest), input,
								   HASH_LABEL_BYTES + data_bytes, NULL, 0) != 0)
		sodium_misuse();
	memcpy(out, digest, out_bytes);

	sodium_memzero(input, HASH_LABEL_BYTES + data_bytes);
	sodium_memzero(digest, sizeof(digest));
}

#endif							/* BURN_HASH_H */
