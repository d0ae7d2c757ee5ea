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
static bool alone;				/* does it hold all the others too? */

static LOCKTAG
place_tag(int number)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, InvalidOid, PLACE_CLASS, number, 2);
	return tag;
}

static bool
take_place(int number, bool dont_wait)
{
	LOCKTAG		tag = place_tag(number);

	return LockAcquire(&tag, ExclusiveLock, false, dont_wait) != LOCKACQUIRE_NOT_AVAIL;
}

static void
give_place(int number)
{
	LOCKTAG		tag = place_tag(number);

	(void) LockRelease(&tag, ExclusiveLock, false);
}

/*
 * Waits for a place: any free one, else a certain one.
 */
void
passphrase_begin(void)
{
	alone = false;
	for (int i = 0; i < HASHES_AT_ONCE; i++)
	{
		place = (MyProcPid + i) % HASHES_AT_ONCE;
		if (take_place(place, true))
			return;
	}
	(void) take_place(place, false);
}

/*
 * Is the caller, who holds a place, the only one?  True: so it is until it gives
 * its place back.
 */
bool
passphrase_alone(void)
{
	int			others = 1;

	while (others < HASHES_AT_ONCE && take_place((place + others) % HASHES_AT_ONCE, true))
		others++;
	alone = others == HASHES_AT_ONCE;
	if (!alone)
		while (--others > 0)
			give_place((place + others) % HASHES_AT_ONCE);
	return alone;
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
 * Gives the place back, all of them if the caller was alone.
 */
void
passphrase_end(void)
{
	for (int i = alone ? HASHES_AT_ONCE - 1 : 0; i >= 0; i--)
		give_place((place + i) % HASHES_AT_ONCE);
	alone = false;
}
