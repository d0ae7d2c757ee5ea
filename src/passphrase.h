/*-------------------------------------------------------------------------
 *
 * passphrase.h
 *	  Hashing passphrases, a few at a time across the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_PASSPHRASE_H
#define BURN_PASSPHRASE_H

#include "src/secret.h"
#include "src/token.h"

extern void passphrase_begin(const unsigned char *id);
extern const char *passphrase_normalize(Secrets *secrets, const text *passphrase, size_t *bytes);
extern bool passphrase_hash(unsigned char *hash, const BurnToken *token,
							const char *passphrase, size_t bytes)
			__attribute__((warn_unused_result));
extern void passphrase_end(void);
extern void passphrase_begin_alone(const unsigned char *id);
extern void passphrase_end_alone(const unsigned char *id);
extern void passphrase_report_memory(void);

#endif							/* BURN_PASSPHRASE_H */
