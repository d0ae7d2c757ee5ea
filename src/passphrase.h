/*-------------------------------------------------------------------------
 *
 * passphrase.h
 *	  Hashing passphrases, a few at a time across the server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_PASSPHRASE_H
#define BURN_PASSPHRASE_H

#include "src/token.h"

extern void passphrase_begin(void);
extern void passphrase_hash(unsigned char *hash, const BurnToken *token,
							const text *passphrase);
extern bool passphrase_alone(void);
extern void passphrase_end(void);

#endif							/* BURN_PASSPHRASE_H */
