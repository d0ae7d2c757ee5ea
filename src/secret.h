/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  The secrets that a call holds: wiped when it ends, and by an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_SECRET_H
#define BURN_SECRET_H

#include <stddef.h>

typedef struct Secrets Secrets;

extern Secrets *secrets_begin(void);
extern void *secrets_alloc(Secrets *secrets, size_t bytes);
extern void secrets_add(Secrets *secrets, void *memory, size_t bytes);
extern void secrets_keep(Secrets *secrets, const void *memory);
extern void secrets_end(Secrets *secrets);

#endif							/* BURN_SECRET_H */
