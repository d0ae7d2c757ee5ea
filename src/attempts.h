/*-------------------------------------------------------------------------
 *
 * attempts.h
 *	  Attempts at a note's passphrase, and the lock that the last one is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_ATTEMPTS_H
#define BURN_ATTEMPTS_H

#include "src/end.h"

extern bool attempt_begin(Ending *e, unsigned char *hash)
			__attribute__((warn_unused_result));
extern void attempt_end(Ending *e, bool right);

#endif							/* BURN_ATTEMPTS_H */
