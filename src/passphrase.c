/*-------------------------------------------------------------------------
 *
 * passphrase.c
 *	  Hashing passphrases, a few at a time across the server.
 *
 * Argon2id is slow and large on purpose (see seal.h).  So that a crowd of
 * guesses does not take the server's memory and processors, each hash holds
 * one of HASHES_AT_ONCE places.  And so that a note is not locked while
 * somebody's hash may yet prove right, each hash also shares its note's lock,
 * which whoever wants to lock the note takes alone.
 *
 * Both are heavyweight locks: whoever has to wait shows in pg_locks, obeys
 * lock_timeout and can be cancelled, and an error gives them back.  They are
 * advisory ones of no database, which SQL cannot name.  Between begin and end
 * nobody waits for anything and no user's code runs, so they cannot take part
 * in a deadlock, and nobody holds them for longer than a hash takes.
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
#define PLACE_KEY		0x6275726E	/* "burn" */

/* The last field of the lock tags. SQL's advisory locks have 1 and 2 there. */
#define PLACE_CLASS		2
#define NOTE_CLASS		3

/* The locks that this backend holds, between passphrase_begin() and _end(). */
static LOCKTAG place;
static LOCKTAG sharing;
static bool is_sharing;

/*
 * The lock of the note with this id.  Two notes with the same one (64 bits of
 * their ids are compared) would only wait for each other.
 */
static LOCKTAG
note_tag(const unsigned char *id)
{
	uint32		key[2];
	LOCKTAG		tag;

	memcpy(key, id + NOTE_ID_BYTES - sizeof(key), sizeof(key));
	SET_LOCKTAG_ADVISORY(tag, InvalidOid, key[0], key[1], NOTE_CLASS);
	return tag;
}

/*
 * Waits for a place, any free one, else a certain one; and, where id is not NULL,
 * until nobody is about to lock that note.
 */
void
passphrase_begin(const unsigned char *id)
{
	bool		taken = false;

	for (int i = 0; i < HASHES_AT_ONCE && !taken; i++)
	{
		SET_LOCKTAG_ADVISORY(place, InvalidOid, PLACE_KEY, (MyProcPid + i) % HASHES_AT_ONCE, PLACE_CLASS);
		taken = LockAcquire(&place, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
	}
	if (!taken)
		(void) LockAcquire(&place, ExclusiveLock, false, false);

	is_sharing = id != NULL;
	if (is_sharing)
	{
		sharing = note_tag(id);
		(void) LockAcquire(&sharing, ShareLock, false, false);
	}
}

/*
 * A passphrase as it is hashed: UTF-8 in Unicode's normalization form C, whatever the
 * server's encoding and the keyboard.  It may lie in the argument itself; else it is one of
 * the secrets.
 */
const char *
passphrase_normalize(Secrets *secrets, const text *passphrase, size_t *bytes)
{
	const char *given = VARDATA_ANY(passphrase);
	size_t		utf8_bytes;
	char	   *utf8 = encoding_to_utf8(given, VARSIZE_ANY_EXHDR(passphrase), "passphrase", &utf8_bytes);
	char	   *nfc;

	if (utf8_bytes > NFC_BYTES_MAX)
	{
		encoding_free(utf8, given, utf8_bytes);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("passphrase exceeds %d bytes", NFC_BYTES_MAX),
				 errdetail("Its bytes are counted in UTF-8.")));
	}
	nfc = encoding_to_nfc(utf8, utf8_bytes, bytes);
	if (nfc != utf8)
		encoding_free(utf8, given, utf8_bytes);
	if (nfc != given)
		secrets_add(secrets, nfc, *bytes);
	return nfc;
}

/*
 * hash := the SEAL_PASSPHRASE_BYTES of a normalized passphrase; false where there is
 * not the memory.
 */
bool
passphrase_hash(unsigned char *hash, const BurnToken *token, const char *passphrase, size_t bytes)
{
	return seal_passphrase(hash, token, passphrase, bytes) == 0;
}

/*
 * Gives both locks back.
 */
void
passphrase_end(void)
{
	if (is_sharing)
		(void) LockRelease(&sharing, ShareLock, false);
	(void) LockRelease(&place, ExclusiveLock, false);
}

/*
 * Waits until nobody is hashing a passphrase for the note, and keeps everybody
 * from beginning to until passphrase_end_alone().
 */
void
passphrase_begin_alone(const unsigned char *id)
{
	LOCKTAG		tag = note_tag(id);

	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
passphrase_end_alone(const unsigned char *id)
{
	LOCKTAG		tag = note_tag(id);

	(void) LockRelease(&tag, ExclusiveLock, false);
}

/*
 * Errors out, for who was told that there is not the memory.
 */
void
passphrase_report_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory"),
			 errdetail("Hashing a passphrase takes 64 MiB.")));
}
