/*-------------------------------------------------------------------------
 *
 * secret.c
 *	  The secrets that a call holds: wiped when it ends, and by an error.
 *
 * An error resets the memory context in which the call began, or aborts the transaction
 * without that, as in PL/pgSQL's expressions.  Either wipes what secrets_end() has not:
 * nobody has to catch the error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "utils/memutils.h"

#include "src/secret.h"

/* Those of calls that have not ended. */
static Secrets *live = NULL;

static void
wipe(void *argument)
{
	Secrets    *secrets = argument;

	for (Secrets **place = &live; *place != NULL; place = &(*place)->next)
		if (*place == secrets)
		{
			*place = secrets->next;
			break;
		}

	for (Secret *secret = secrets->first; secret != NULL; secret = secret->next)
		sodium_memzero(secret->memory, secret->bytes);
	secrets->first = NULL;
}

static void
at_transaction_end(XactEvent event, void *argument)
{
	while (event == XACT_EVENT_ABORT && live != NULL)
		wipe(live);
}

/*
 * Memory of so many bytes, zeroed, for a call that works in the current memory context:
 * a Secrets, and behind it what the call holds, which is secret.
 */
void *
secrets_begin(size_t bytes)
{
	static bool registered = false;
	Secrets    *secrets = palloc0(bytes);

	Assert(bytes >= sizeof(Secrets));
	if (!registered)
		RegisterXactCallback(at_transaction_end, NULL);
	registered = true;

	secrets->context = CurrentMemoryContext;
	secrets->rest.memory = secrets + 1;
	secrets->rest.bytes = bytes - sizeof(Secrets);
	secrets->first = &secrets->rest;
	secrets->callback.func = wipe;
	secrets->callback.arg = secrets;
	MemoryContextRegisterResetCallback(secrets->context, &secrets->callback);
	secrets->next = live;
	live = secrets;
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
	secret->next = secrets->first;
	secret->memory = memory;
	secret->bytes = bytes;
	secrets->first = secret;
}

/*
 * Wipes them, but for what the caller returns: something added, or NULL.
 */
void
secrets_end(Secrets *secrets, const void *kept)
{
	for (Secret *secret = secrets->first; kept != NULL && secret != NULL; secret = secret->next)
		if (secret->memory == kept)
			secret->bytes = 0;
	wipe(secrets);
}
