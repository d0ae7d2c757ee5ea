/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  The secrets that a call holds: wiped when it ends, and by an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_SECRET_H
#define BURN_SECRET_H

#include "utils/palloc.h"

typedef struct Secret
{
	struct Secret *next;
	void	   *memory;
	size_t		bytes;
} Secret;

/*
 * Where the memory that secrets_begin() gives begins: the first member of a call's
 * struct, or all of it.
 */
typedef struct Secrets
{
	struct Secrets *next;		/* of calls that have not ended */
	MemoryContext context;
	MemoryContextCallback callback;
	Secret	   *first;
	Secret		rest;			/* of that struct */
} Secrets;

extern void *secrets_begin(size_t bytes);
extern void *secrets_alloc(Secrets *secrets, size_t bytes);
extern void secrets_add(Secrets *secrets, void *memory, size_t bytes);
extern void secrets_end(Secrets *secrets, const void *kept);

#endif							/* BURN_SECRET_H */
