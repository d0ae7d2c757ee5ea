/*-------------------------------------------------------------------------
 *
 * token.h
 *	  Tokens, receipt tokens and note ids: parse, print, derive.
 *
 * The only place that knows the token's format.  All sizes are in bytes, all
 * times in milliseconds since the Unix epoch, all integers big-endian.
 *
 *	  token          "bn1_" || base64url(expires 6 | shard 1 | secret 32 | check 3)
 *	  receipt token  "br1_" || base64url(expires 6 | shard 1 | rkey   32 | check 3)
 *	  note id        UUID, RFC 9562 version 8, that begins with expires
 *
 *	  check = H_3("burn_note chk v1", the 39 bytes before it)
 *	  rkey  = H_32("burn_note rct v1", the token's first 39 bytes)
 *	  id's 74 free bits = the first 74 bits of
 *			H("burn_note nid v1", the receipt token's first 39 bytes)
 *
 * The chain runs one way: who has the token has the receipt token and the id,
 * who has the receipt token has the id, and nobody gets back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_TOKEN_H
#define BURN_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOKEN_CHARS			60	/* printed, without the closing NUL */
#define TOKEN_EXPIRES_BYTES	6
#define TOKEN_SECRET_BYTES	32
#define TOKEN_BODY_BYTES	(TOKEN_EXPIRES_BYTES + 1 + TOKEN_SECRET_BYTES)
#define NOTE_ID_BYTES		16

#define TOKEN_EXPIRES_MAX	((UINT64_C(1) << (8 * TOKEN_EXPIRES_BYTES)) - 1)

/*
 * A token or a receipt token.  Both have the same shape; is_receipt tells
 * which.  A BurnToken holds a secret: wipe it with sodium_memzero().
 */
typedef struct BurnToken
{
	bool		is_receipt;
	unsigned char body[TOKEN_BODY_BYTES];
} BurnToken;

extern void token_make(BurnToken *token, uint64_t expires, uint8_t shard);
extern int	token_parse(BurnToken *token, const char *text, size_t text_bytes)
			__attribute__((warn_unused_result));
extern void token_print(char *text, const BurnToken *token);
extern void token_to_receipt(BurnToken *receipt, const BurnToken *token);
extern void token_derive(BurnToken *receipt, unsigned char *id, const BurnToken *token);

extern void note_id_first(unsigned char *id, uint64_t expires);

/*
 * The TOKEN_SECRET_BYTES of a token's secret, or of a receipt token's rkey.
 */
static inline const unsigned char *
token_secret(const BurnToken *token)
{
	return token->body + TOKEN_BODY_BYTES - TOKEN_SECRET_BYTES;
}

static inline uint64_t
note_id_expires(const unsigned char *id)
{
	uint64_t	expires = 0;

	for (int i = 0; i < TOKEN_EXPIRES_BYTES; i++)
		expires = expires << 8 | id[i];
	return expires;
}

#endif							/* BURN_TOKEN_H */
