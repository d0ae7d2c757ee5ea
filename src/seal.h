/*-------------------------------------------------------------------------
 *
 * seal.h
 *	  Sealing a note, opening it, and sealing its receipt: bytes in, bytes out.
 *
 * All sizes are in bytes, all integers big-endian.
 *
 *	  key    = H_32("burn_note key v1", secret 32 || header || fuse half 32 [|| passphrase hash 32])
 *	  sealed = header || XChaCha20-Poly1305-IETF(key, AAD, length 4 || note || zeros)
 *	  header = version 1 | flags 1 | epoch 2
 *	  AAD    = database oid 4 || id 16 || created_at 8 || header || attempts allowed 1
 *	  seal   = H_16("burn_note rcp v1", rkey 32 || id 16 || outcome 1 ||
 *					created_at 8 || closed_at 8 || client_ip: family 1, mask 1, address 16)
 *
 * The nonce is 24 zero bytes: a key seals one note, once.  The passphrase's
 * hash is Argon2id (RFC 9106) of its UTF-8 in Unicode's normalization form C, 2 passes
 * over 64 MiB, 1 lane, with salt = H_16("burn_note slt v1", the token's first 39 bytes).
 *
 * Times are microseconds since 2000-01-01 00:00 UTC, as timestamptz_send()
 * prints them.  family is 4, 6, or 0 for none; what an address does not fill
 * is zero.  length || note || zeros is 128 bytes, or for longer notes the
 * Padmé length (Nikitin et al., "Reducing Metadata Leakage from Encrypted
 * Files and Communication with PURBs", PoPETs 2019, section 4).
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_SEAL_H
#define BURN_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "src/token.h"

#define SEAL_HEADER_BYTES	4
#define SEAL_LENGTH_BYTES	4
#define SEAL_TAG_BYTES		16
#define SEAL_HALF_BYTES		32	/* the half of the key that lies in the fuse */
#define SEAL_RECEIPT_BYTES	16
#define SEAL_NOTE_BYTES_MAX	(256 * 1024 * 1024) /* the largest note */
#define SEAL_PASSPHRASE_BYTES 32	/* a passphrase's hash */

/* Flags in the header. */
#define SEAL_IS_BYTES		0x01	/* the note is bytea, not UTF-8 text */
#define SEAL_HAS_PASSPHRASE	0x02
#define SEAL_FLAGS_KNOWN	(SEAL_IS_BYTES | SEAL_HAS_PASSPHRASE)

/* What a note's key is made from. */
typedef struct SealParts
{
	const unsigned char *secret;	/* TOKEN_SECRET_BYTES, from the token */
	const unsigned char *half;	/* SEAL_HALF_BYTES, from the fuse */
	const unsigned char *passphrase;	/* SEAL_PASSPHRASE_BYTES, or NULL for
										 * none */
} SealParts;

/* What a sealed note is bound to: changing any of it makes the tag fail. */
typedef struct SealBinding
{
	uint32_t	database;		/* pg_database.oid */
	unsigned char id[NOTE_ID_BYTES];
	int64_t		created_at;
	uint8_t		attempts_allowed;
} SealBinding;

/* An address as the receipt's seal and the fuse know it. */
#define SEAL_ADDRESS_BYTES	16
typedef struct SealAddress
{
	uint8_t		family;			/* 4, 6, or 0 for none */
	uint8_t		mask;			/* length of the network part, in bits */
	unsigned char address[SEAL_ADDRESS_BYTES];
} SealAddress;

extern size_t seal_padded_bytes(size_t note_bytes);
extern size_t seal_sealed_bytes(size_t note_bytes);
extern int	seal_passphrase(unsigned char *hash, const BurnToken *token,
							const char *passphrase, size_t passphrase_bytes)
			__attribute__((warn_unused_result));
extern void seal_note(unsigned char *sealed, const unsigned char *note,
					  size_t note_bytes, uint8_t flags, const SealParts *parts,
					  const SealBinding *binding);
extern int	seal_flags(const unsigned char *sealed, size_t sealed_bytes)
			__attribute__((warn_unused_result));
extern int	seal_open(unsigned char *opened, size_t *note_bytes, uint8_t *flags,
					  const unsigned char *sealed, size_t sealed_bytes,
					  const SealParts *parts, const SealBinding *binding)
			__attribute__((warn_unused_result));
extern void seal_receipt(unsigned char *seal, const unsigned char *rkey,
						 const unsigned char *id, char outcome,
						 int64_t created_at, int64_t closed_at,
						 const SealAddress *client_ip);

#endif							/* BURN_SEAL_H */
