/*-------------------------------------------------------------------------
 *
 * hash.c
 *	  The one hash that every derived value of burn_note is built from.
 *
 * No PostgreSQL header: test/vectors.c links this file alone.
 *
 *-------------------------------------------------------------------------
 */
#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "src/hash.h"

/*
 * out := H_out_bytes(label, data).  out_bytes is at most HASH_BYTES_MAX and
 * data_bytes at most HASH_DATA_MAX.  Leaves no copy of data behind.
 */
void
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
