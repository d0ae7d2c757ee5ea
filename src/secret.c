/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  The secrets that a call holds: wiped when it ends, and by an error.
 *
 * An error leads to a reset of the memory context in which the call began, at the latest
 * when its transaction has ended, and that wipes what secrets_end() has not: nobody has
 * to catch the error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "utils/memutils.h"

#include "src/secret.h"

typedef struct Secret
{
	struct Secret *next;
	void	   *memory;
	size_t		bytes;
} Secret;

struct Secrets
{
	MemoryContext context;
	MemoryContextCallback callback;
	Secret	   *first;
};

static void
wipe(void *argument)
{
	Secrets    *secrets = argument;

	for (Secret *secret = secrets->first; secret != NULL; secret = secret->next)
		sodium_memzero(secret->memory, secret->bytes);
	secrets->first = NULL;
}

/*
 * The secrets of a call that works in the current memory context.
 */
Secrets *
secrets_begin(void)
{
	Secrets    *secrets = palloc(sizeof(Secrets));

	secrets->context = CurrentMemoryContext;
	secrets->first = NULL;
	secrets->callback.func = wipe;
	secrets->callback.arg = secrets;
	MemoryContextRegisterResetCallback(secrets->context, &secrets->callback);
	return secrets;
}

/*
 * Memory for a secret, zeroed.  It is the context's to free.
 */
void *
secrets_alloc(Secrets *secrets, size_t bytes)
{
	void	   *memory = MemoryContextAllocZero(secrets->context, bytes);

	secrets_add(secrets, memory, bytes);
	return memory;
}

/*
 * Adds memory that has a secret, and that nobody frees before secrets_end() or the
 * context's reset.
 */
void
secrets_add(Secrets *secrets, void *memory, size_t bytes)
{
	Secret	   *secret = MemoryContextAllocExtended(secrets->context, sizeof(Secret), MCXT_ALLOC_NO_OOM);

	if (secret == NULL)
	{
		sodium_memzero(memory, bytes);
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	*secret = (Secret) {secrets->first, memory, bytes};
	secrets->first = secret;
}

/*
 * Leaves what was added to the caller, who returns it.
 */
void
secrets_keep(Secrets *secrets, const void *memory)
{
	for (Secret *secret = secrets->first; secret != NULL; secret = secret->next)
		if (secret->memory == memory)
			secret->bytes = 0;
}

/*
 * Wipes them.
 */
void
secrets_end(Secrets *secrets)
{
	wipe(secrets);
}
