/*-------------------------------------------------------------------------
 *
 * passphrase.c
 *	  Hashing passphrases, a few at a time across the server.
 *
 * Argon2id is slow and large on purpose (see seal.h).  So that a crowd of
 * guesses does not take the server's memory and processors, each hash holds
 * one of HASHES_AT_ONCE places.  A place is a heavyweight lock: whoever has to
 * wait shows in pg_locks, obeys lock_timeout and can be cancelled, and an error
 * gives the place back.  The locks are advisory ones of no database, which SQL
 * cannot name.  Nothing else is waited for while one is held, so they cannot
 * take part in a deadlock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/lock.h"

#include "src/compat.h"
#include "src/encoding.h"
#include "src/passphrase.h"
#include "src/seal.h"

#define HASHES_AT_ONCE	4
#define PLACE_CLASS		0x6275726E	/* "burn" */

/* The place that this backend holds, between passphrase_begin() and _end(). */
static int	place;

static LockAcquireResult
take_place(bool dont_wait)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, InvalidOid, PLACE_CLASS, place, 2);
	return LockAcquire(&tag, ExclusiveLock, false, dont_wait);
}

/*
 * Waits for a place: any free one, else a certain one.
 */
void
passphrase_begin(void)
{
	for (int i = 0; i < HASHES_AT_ONCE; i++)
	{
		place = (MyProcPid + i) % HASHES_AT_ONCE;
		if (take_place(true) != LOCKACQUIRE_NOT_AVAIL)
			return;
	}
	(void) take_place(false);
}

/*
 * hash := the SEAL_PASSPHRASE_BYTES of a passphrase, given in the server's encoding.
 * The caller holds a place.
 */
void
passphrase_hash(unsigned char *hash, const BurnToken *token, const text *passphrase)
{
	const char *given = VARDATA_ANY(passphrase);
	size_t		bytes = VARSIZE_ANY_EXHDR(passphrase);
	size_t		utf8_bytes;
	char	   *utf8 = encoding_to_utf8(given, bytes, "passphrase", &utf8_bytes);
	int			result = seal_passphrase(hash, token, utf8, utf8_bytes);

	encoding_free(utf8, given, utf8_bytes);
	if (result != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Hashing a passphrase takes 64 MiB.")));
}

/*
 * Gives the place back.
 */
void
passphrase_end(void)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, InvalidOid, PLACE_CLASS, place, 2);
	(void) LockRelease(&tag, ExclusiveLock, false);
}
