/*-------------------------------------------------------------------------
 *
 * end.c
 *	  Ending a note by its token: reading and revoking.
 *
 * Whoever ends a note deletes its row and inserts its receipt in the caller's
 * transaction, and then lights its fuse, which the caller cannot roll back.  The
 * order is what keeps the promises: all that can fail comes first; what comes
 * last cannot be undone; and the row's lock, which the delete takes, is what lets
 * only one caller get that far.  Only wrong passphrases light a fuse without
 * that lock (see attempts.c), because nobody gets a note by it.
 *
 * Other transactions' ends are waited for in two places, both bounded by
 * lock_patience(): in wait_for_row(), and in receipt_insert().  Beside that there is
 * what every statement waits for, locks on tables; hashes of passphrases, whose holders
 * wait for nobody; and synchronous standbys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "utils/bytea.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "src/attempts.h"
#include "src/compat.h"
#include "src/encoding.h"
#include "src/end.h"
#include "src/expiry.h"
#include "src/finish.h"
#include "src/settings.h"
#include "src/standby.h"
#include "src/stats.h"

/*
 * Makes the note's fuse a tombstone.  Nothing undoes that but a crash before
 * *lsn is flushed.  False where it is no longer the fuse that the note had; that
 * attempts were counted meanwhile does not matter.
 */
bool
ending_light(BurnStore *store, BurnNote *note, const BurnFuse *tombstone,
			 XLogRecPtr *lsn)
{
	while (!fuse_swap(store->notes.heap, note_buffer(note), note->fuse_on_page,
					  &note->fuse, tombstone, lsn))
	{
		BurnFuse	now;

		note_fuse(note, &now);
		if (!fuse_same_half(&now, &note->fuse))
			return false;
		note->fuse = now;
		sodium_memzero(&now, sizeof(now));
	}
	note->fuse = *tombstone;
	return true;
}

/*
 * The receipt of this call's note, sealed, and the tombstone that can stand in
 * for it.
 */
void
ending_receipt(const Ending *e, BurnOutcome outcome, BurnReceipt *receipt,
			   BurnFuse *tombstone)
{
	memcpy(receipt->id, e->id, sizeof(receipt->id));
	receipt->created_at = e->note.created_at;
	receipt->closed_at = e->now;
	receipt->outcome = outcome;
	witness_now(&receipt->witness, e->client_ip, burn_actor);
	seal_receipt(receipt->seal, token_secret(&e->receipt_token), receipt->id,
				 receipt->outcome, receipt->created_at, receipt->closed_at,
				 &receipt->witness.claimed);
	receipt->has_seal = true;
	fuse_make_tombstone(tombstone, receipt->outcome, receipt->closed_at,
						&receipt->witness, receipt->seal);
}

/*
 * Inserts a receipt, and notifies of it when the transaction commits.
 */
void
ending_give(BurnStore *store, const BurnReceipt *receipt)
{
	receipt_insert(store, receipt);

	if (burn_notify_channel[0] != '\0')
	{
		Datum		id = UUIDPGetDatum((const pg_uuid_t *) receipt->id);

		Async_Notify(burn_notify_channel,
					 psprintf("%s %s",
							  DatumGetCString(DirectFunctionCall1(uuid_out, id)),
							  fuse_state_name(receipt->outcome)));
	}
}

/*
 * Errors out where a note of bytes is read as text, or the reverse.
 */
static void
refuse_other_kind(const Ending *e, int flags)
{
	if ((flags & SEAL_IS_BYTES) != e->flags)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 (flags & SEAL_IS_BYTES) ?
				 errmsg("burn note holds bytes, not text") :
				 errmsg("burn note holds text, not bytes"),
				 errhint("Read it with %s. It is not burned.",
						 (flags & SEAL_IS_BYTES) ? "burn_read_bytes()" : "burn_read()")));
}

static void
refuse_forged(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("burn note does not authenticate"),
			 errdetail_internal("%s", detail)));
}

/*
 * Opens the note that was found, as one of the secrets.  NULL where its passphrase is
 * missing or wrong.  Errors out, with nothing burned, where the row does not
 * authenticate or the note cannot be shown as it is asked for.
 */
static text *
open_note(Ending *e)
{
	bytea	   *sealed = DatumGetByteaPP(e->note.sealed);
	const unsigned char *bytes = (unsigned char *) VARDATA_ANY(sealed);
	const size_t sealed_bytes = VARSIZE_ANY_EXHDR(sealed);
	const bool	has_passphrase = e->note.fuse.attempts_allowed > 0;
	SealParts	parts = {.secret = token_secret(&e->token),.half = e->note.fuse.half};
	SealBinding binding;
	bool		is_open;
	uint8		flags;
	text	   *opened;
	size_t		note_bytes;

	if (has_passphrase)
	{
		const int	stored_flags = seal_flags(bytes, sealed_bytes);

		if ((stored_flags & ~SEAL_FLAGS_KNOWN) != 0 || !(stored_flags & SEAL_HAS_PASSPHRASE))
			refuse_forged("Its row was altered.");
		if (e->passphrase == NULL)
			return NULL;
		refuse_other_kind(e, stored_flags);
	}

	/*
	 * The sealed length takes as many bytes as a varlena's header.  So open
	 * the note where its header belongs, and it is a text without a copy.
	 */
	StaticAssertStmt(SEAL_LENGTH_BYTES == VARHDRSZ, "the length makes room for the header");
	opened = palloc(Max(sealed_bytes, VARHDRSZ));
	secrets_add(&e->secrets, opened, sealed_bytes);

	if (has_passphrase)
	{
		unsigned char *hash = secrets_alloc(&e->secrets, SEAL_PASSPHRASE_BYTES);

		/* From here to attempt_end() nothing can fail but the passphrase. */
		if (!attempt_begin(e, hash))
			return NULL;
		parts.passphrase = hash;
	}

	note_bind(&binding, e->id, e->note.created_at, &e->note.fuse);
	is_open = seal_open((unsigned char *) opened, &note_bytes, &flags, bytes, sealed_bytes,
						&parts, &binding) == 0;
	e->opened_fuse = e->note.fuse;
	if (has_passphrase)
	{
		attempt_end(e, is_open);
		if (!is_open)
			return NULL;
	}
	if (!is_open)
		refuse_forged("Its row was altered, or was sealed in another database.");

	SET_VARSIZE(opened, VARHDRSZ + note_bytes);
	if ((Pointer) sealed != DatumGetPointer(e->note.sealed))
		pfree(sealed);

	refuse_other_kind(e, flags);
	if (!(flags & SEAL_IS_BYTES))
		return encoding_to_server(&e->secrets, opened);
	if (bytea_output == BYTEA_OUTPUT_ESCAPE && note_bytes > MaxAllocSize / 4 - 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("burn note is too large for bytea_output \"escape\""),
				 errhint("Set bytea_output to hex. The note is not burned.")));
	return opened;
}

/*
 * Another transaction has the row, its fuse not lit.  A reader has it for a
 * moment only, so look again soon.  But it may be a person's DELETE or SELECT
 * FOR UPDATE: give up after lock_patience().
 */
static void
wait_for_row(TimestampTz since)
{
	if (!lock_wait(since))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on burn note"),
				 errdetail("Another transaction has locked its row for longer than %d ms. The note is not burned.",
						   lock_patience())));
}

/*
 * Burns the note that was found, opened if it is to be read, and deleted.  When
 * this returns, no rollback, crash or failover to a synchronous standby brings
 * it back.
 */
static void
burn(Ending *e)
{
	BurnReceipt receipt;
	BurnFuse	tombstone;
	XLogRecPtr	lsn;

	ending_receipt(e, e->outcome, &receipt, &tombstone);
	ending_give(&e->store, &receipt);
	if (e->outcome == OUTCOME_READ)
		standby_require();
	CHECK_FOR_INTERRUPTS();

	if (!ending_light(&e->store, &e->note, &tombstone, &lsn))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not burn note because it was locked by wrong passphrases meanwhile")));
	XLogFlush(lsn);
	if (standby_confirm(lsn))
	{
		stats_count(e->outcome == OUTCOME_READ ? COUNT_READ : COUNT_REVOKED);
		return;
	}

	if (e->outcome != OUTCOME_READ)
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("burn note is revoked here, but no synchronous standby confirmed"),
				 errdetail("After a failover it could still be read.")));

	ending_receipt(e, OUTCOME_WITHHELD, &receipt, &tombstone);
	(void) ending_light(&e->store, &e->note, &tombstone, &lsn);
	XLogFlush(lsn);
	stats_count(COUNT_WITHHELD);
	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("burn note is burned and withheld: no synchronous standby confirmed"),
			 errdetail("After a failover it could have been read a second time."),
			 errhint("Nobody has read it, and nobody will: create another one.")));
}

/*
 * Ends the note of e->id: true where this call did, with the note if it was to be read;
 * false where there is none to be had.
 */
static bool
end_row(Ending *e, text **opened)
{
	bool		is_open = false;

	while (note_find(&e->store, e->id, &e->note))
	{
		bool		live = e->note.fuse.state == FUSE_LIVE;
		BurnDelete	deleted = DELETE_BUSY;

		if (live && e->outcome == OUTCOME_READ && !is_open)
		{
			*opened = open_note(e);
			is_open = *opened != NULL;
			if (!is_open)
			{
				note_release(&e->note);
				return false;
			}
		}

		if (!e->note.busy && (live || fuse_is_lit(&e->note.fuse)))
			deleted = note_delete(&e->store, &e->note);

		if (deleted == DELETE_DONE)
		{
			/* Whether we burn it or finish a burn is decided only now. */
			live = e->note.fuse.state == FUSE_LIVE;
			if (live && e->outcome == OUTCOME_READ &&
				!(is_open && fuse_same_half(&e->note.fuse, &e->opened_fuse)))
				refuse_forged("Its row was replaced while it was being read.");
			if (live)
				burn(e);
			else
			{
				finish_burn(&e->store, &e->note);
				stats_count(COUNT_FINISHED);
			}
		}
		note_release(&e->note);

		if (deleted == DELETE_DONE)
			return live;
		if (!live)
			return false;
		if (deleted == DELETE_BUSY)
			wait_for_row(e->now);
	}
	return false;
}

/*
 * Ends the note that e->token leads to, and the call, which secrets_begin() began.  True
 * where this call ended it: *note then is the note, if it was to be read.
 */
bool
end_note(Ending *e, Oid function, text **note)
{
	text	   *opened = NULL;
	bool		ended;

	token_derive(&e->receipt_token, e->id, &e->token);
	e->now = GetCurrentTimestamp();
	ended = from_unix_milliseconds(note_id_expires(e->id)) > e->now;
	if (ended)
	{
		store_open(&e->store, function, RowExclusiveLock);
		ended = end_row(e, &opened);
		store_close(&e->store);
	}

	if (e->outcome == OUTCOME_READ)
		*note = opened;
	secrets_end(&e->secrets, ended ? opened : NULL);
	return ended;
}
