/*-------------------------------------------------------------------------
 *
 * token.c
 *	  Tokens, receipt tokens and note ids: parse, print, derive.
 *
 * Owns the formats that token.h states.  Must never touch the database, and
 * must never branch on a secret byte: base64url goes through libsodium's
 * constant-time codec, check bytes through sodium_memcmp().
 *
 * No PostgreSQL header: test/vectors.c links this file alone.
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include <sodium.h>

#include "src/hash.h"
#include "src/token.h"

#define PREFIX_CHARS	4
#define CHECK_BYTES		3
#define BINARY_BYTES	(TOKEN_BODY_BYTES + CHECK_BYTES)

static const char token_prefix[] = "bn1_";
static const char receipt_prefix[] = "br1_";

static void
put_expires(unsigned char *out, uint64_t expires)
{
	for (int i = TOKEN_EXPIRES_BYTES - 1; i >= 0; i--)
	{
		out[i] = (unsigned char) (expires & 0xFF);
		expires >>= 8;
	}
}

static void
compute_check(unsigned char *check, const unsigned char *body)
{
	burn_hash(check, CHECK_BYTES, HASH_LABEL_CHECK, body, TOKEN_BODY_BYTES);
}

/*
 * Draws a new token.  expires is at most TOKEN_EXPIRES_MAX.
 */
void
token_make(BurnToken *token, uint64_t expires, uint8_t shard)
{
	token->is_receipt = false;
	put_expires(token->body, expires);
	token->body[TOKEN_EXPIRES_BYTES] = shard;
	randombytes_buf(token->body + TOKEN_EXPIRES_BYTES + 1, TOKEN_SECRET_BYTES);
}

/*
 * Reads a token or a receipt token.  Returns 0, or -1 where the text is
 * neither: wrong length, prefix, alphabet or check bytes.
 */
int
token_parse(BurnToken *token, const char *text, size_t text_bytes)
{
	unsigned char binary[BINARY_BYTES];
	unsigned char check[CHECK_BYTES];
	unsigned char any = 0;
	size_t		binary_bytes;
	int			result = -1;

	if (text_bytes != TOKEN_CHARS)
		return -1;

	/* libsodium 1.0.18 reads bytes above 0x7F as '_' where char is signed. */
	for (size_t i = 0; i < text_bytes; i++)
		any |= (unsigned char) text[i];
	if (any > 0x7F)
		return -1;

	if (memcmp(text, token_prefix, PREFIX_CHARS) == 0)
		token->is_receipt = false;
	else if (memcmp(text, receipt_prefix, PREFIX_CHARS) == 0)
		token->is_receipt = true;
	else
		return -1;

	if (sodium_base642bin(binary, sizeof(binary), text + PREFIX_CHARS,
						  TOKEN_CHARS - PREFIX_CHARS, NULL, &binary_bytes, NULL,
						  sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
		binary_bytes == BINARY_BYTES)
	{
		memcpy(token->body, binary, TOKEN_BODY_BYTES);
		compute_check(check, token->body);
		result = sodium_memcmp(check, binary + TOKEN_BODY_BYTES, CHECK_BYTES);
	}

	sodium_memzero(binary, sizeof(binary));
	return result;
}

/*
 * Writes TOKEN_CHARS characters and a NUL to text.
 */
void
token_print(char *text, const BurnToken *token)
{
	unsigned char binary[BINARY_BYTES];

	memcpy(binary, token->body, TOKEN_BODY_BYTES);
	compute_check(binary + TOKEN_BODY_BYTES, token->body);

	memcpy(text, token->is_receipt ? receipt_prefix : token_prefix, PREFIX_CHARS);
	sodium_bin2base64(text + PREFIX_CHARS, TOKEN_CHARS - PREFIX_CHARS + 1,
					  binary, sizeof(binary),
					  sodium_base64_VARIANT_URLSAFE_NO_PADDING);

	sodium_memzero(binary, sizeof(binary));
}

/*
 * Derives the receipt token.  A receipt token is its own receipt token.
 */
void
token_to_receipt(BurnToken *receipt, const BurnToken *token)
{
	const size_t open_bytes = TOKEN_BODY_BYTES - TOKEN_SECRET_BYTES;

	if (token->is_receipt)
	{
		*receipt = *token;
		return;
	}

	receipt->is_receipt = true;
	memcpy(receipt->body, token->body, open_bytes);
	burn_hash(receipt->body + open_bytes, TOKEN_SECRET_BYTES,
			  HASH_LABEL_RECEIPT, token->body, TOKEN_BODY_BYTES);
}

/*
 * Derives the receipt token, and from it the NOTE_ID_BYTES of the note's id.  receipt may be
 * token.
 */
void
token_derive(BurnToken *receipt, unsigned char *id, const BurnToken *token)
{
	unsigned char h[10];		/* 74 bits and 6 that are dropped */

	token_to_receipt(receipt, token);
	burn_hash(h, sizeof(h), HASH_LABEL_NOTE_ID, receipt->body, TOKEN_BODY_BYTES);

	memcpy(id, receipt->body, TOKEN_EXPIRES_BYTES);
	id[6] = 0x80 | (h[0] >> 4); /* version 8, bits 0 to 3 */
	id[7] = (unsigned char) (h[0] << 4 | h[1] >> 4);	/* bits 4 to 11 */
	id[8] = 0x80 | ((h[1] << 2 | h[2] >> 6) & 0x3F);	/* variant, bits 12 to
														 * 17 */
	for (int i = 9; i < NOTE_ID_BYTES; i++) /* bits 18 to 73 */
		id[i] = (unsigned char) (h[i - 7] << 2 | h[i - 6] >> 6);
}

/*
 * The lowest value that sorts with the ids of notes expiring at expires: every
 * id below it belongs to a note that expires earlier.
 */
void
note_id_first(unsigned char *id, uint64_t expires)
{
	memset(id, 0, NOTE_ID_BYTES);
	put_expires(id, expires);
}
