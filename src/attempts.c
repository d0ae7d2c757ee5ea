/*-------------------------------------------------------------------------
 *
 * attempts.c
 *	  Attempts at a note's passphrase, and the lock that the last one is.
 *
 * The fuse counts them, so that no rollback gives one back.  An attempt is taken and
 * flushed before the passphrase is hashed, so that a crash does not give it back either,
 * and given back where the passphrase was right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xlog.h"
#include "miscadmin.h"

#include "src/attempts.h"
#include "src/backlog.h"
#include "src/compat.h"
#include "src/passphrase.h"
#include "src/settings.h"
#include "src/stats.h"

/*
 * Changes how many attempts the note has left, whatever becomes of the caller's
 * transaction: by one less where one is left, or by one more.  False where the
 * note has ended, or none is left.  The caller flushes *lsn if it matters.
 */
static bool
change_attempts(Ending *e, int change, XLogRecPtr *lsn)
{
	BurnNote   *note = &e->note;
	bool		changed = false;

	while (!changed && note->fuse.state == FUSE_LIVE &&
		   note->fuse.attempts_left + change >= 0 &&
		   note->fuse.attempts_left + change <= note->fuse.attempts_allowed)
	{
		BurnFuse	replacement = note->fuse;

		replacement.attempts_left += change;
		changed = fuse_swap(e->store.notes.heap, note_buffer(note), note->fuse_on_page,
							&note->fuse, &replacement, lsn);
		if (changed)
			note->fuse = replacement;
		else
			note_fuse(note, &note->fuse);
		sodium_memzero(&replacement, sizeof(replacement));
	}
	return changed;
}

/*
 * Locks the note if its attempts are used up, once nobody is hashing a passphrase
 * for it any more: one of those may be right.  So a note is locked by its last
 * wrong passphrase, or, where a crash has cut that short, by the next call with
 * one.  Lighting the fuse comes first: nothing that fails after it may leave the
 * note open to more.
 */
static void
lock_if_used_up(Ending *e)
{
	BurnNote   *note = &e->note;
	BurnReceipt receipt;
	BurnFuse	tombstone;
	XLogRecPtr	lsn;
	bool		locked;

	ending_receipt(e, OUTCOME_LOCKED, &receipt, &tombstone);
	backlog_watch(e->id);
	passphrase_begin_alone(e->id);
	note_fuse(note, &note->fuse);
	locked = note->fuse.state == FUSE_LIVE && note->fuse.attempts_left == 0 &&
		fuse_swap(e->store.notes.heap, note_buffer(note), note->fuse_on_page,
				  &note->fuse, &tombstone, &lsn);
	passphrase_end_alone(e->id);
	if (!locked)
		return;

	note->fuse = tombstone;
	XLogFlush(lsn);
	stats_count(COUNT_LOCKED);
	if (note_delete(&e->store, note) == DELETE_DONE)
		ending_give(&e->store, &receipt);
	else
		backlog_add(e->id);
}

/*
 * A wrong passphrase was given.
 */
static void
refuse_passphrase(Ending *e)
{
	BurnWitness witness;

	stats_count(COUNT_WRONG_PASSPHRASES);
	if (e->note.fuse.attempts_left == 0)
		lock_if_used_up(e);

	witness_now(&witness, e->client_ip, burn_actor);
	attempt_insert(&e->store, e->id, e->now, &witness);
}

/*
 * Takes an attempt and hashes the passphrase into SEAL_PASSPHRASE_BYTES.  True: the caller
 * owes an attempt_end().  False: there is no attempt left to take.
 */
bool
attempt_begin(Ending *e, unsigned char *hash)
{
	size_t		bytes;
	const char *normalized = passphrase_normalize(&e->secrets, e->passphrase, &bytes);
	XLogRecPtr	lsn;

	for (;;)
	{
		passphrase_begin(e->id);
		if (change_attempts(e, -1, &lsn))
			break;
		passphrase_end();

		/* Somebody may have the last one, and give it back. */
		lock_if_used_up(e);
		if (e->note.fuse.state != FUSE_LIVE)
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	XLogFlush(lsn);

	if (passphrase_hash(hash, &e->token, normalized, bytes))
		return true;

	(void) change_attempts(e, 1, &lsn);
	passphrase_end();
	passphrase_report_memory();
	return false;
}

/*
 * What attempt_begin() began: the passphrase was right, which costs nothing (though a
 * crash may still take the attempt), or wrong.
 */
void
attempt_end(Ending *e, bool right)
{
	XLogRecPtr	lsn;

	if (right)
		(void) change_attempts(e, 1, &lsn);
	passphrase_end();
	if (!right)
		refuse_passphrase(e);
}
