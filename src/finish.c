/*-------------------------------------------------------------------------
 *
 * finish.c
 *	  Ending a note without its token: finishing a burn that was rolled back, expiring.
 *
 * A lit fuse whose row is there says that its reader's transaction came to nothing.  All
 * that a receipt needs is in the fuse.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/uuid.h"

#include "src/backlog.h"
#include "src/compat.h"
#include "src/end.h"
#include "src/finish.h"
#include "src/stats.h"

/*
 * What the lit fuse of a note says of its end.
 */
void
receipt_from_tombstone(BurnReceipt *receipt, const BurnNote *note)
{
	memcpy(receipt->id, note->id, sizeof(receipt->id));
	receipt->created_at = note->created_at;
	receipt->closed_at = fuse_closed_at(&note->fuse);
	receipt->outcome = note->fuse.state;
	fuse_witness(&receipt->witness, &note->fuse);
	receipt->has_seal = receipt->outcome != OUTCOME_EXPIRED;
	memcpy(receipt->seal, note->fuse.seal, sizeof(receipt->seal));
}

/*
 * Writes the receipt of a note whose fuse is lit and whose row the caller's
 * transaction has deleted.
 */
void
finish_burn(BurnStore *store, const BurnNote *note)
{
	BurnReceipt receipt;

	switch (receipt_look(store, note->id))
	{
		case RECEIPT_ABSENT:
			break;
		case RECEIPT_THERE:
			/* Somebody put the row back after its end. */
			return;
		case RECEIPT_COMING:
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("another transaction is writing the burn note's receipt")));
	}

	receipt_from_tombstone(&receipt, note);
	ending_give(store, &receipt);
}

/*
 * Ends a note that a scan has found expired or lit, and tells whether it did:
 * not where another transaction has the row.
 */
static bool
end_dead(BurnStore *store, BurnNote *note, TimestampTz now)
{
	if (note->busy || note_delete(store, note) != DELETE_DONE)
		return false;
	note_check_id(store, note);

	if (!fuse_is_lit(&note->fuse))
	{
		BurnFuse	tombstone;
		const BurnWitness nobody = {0};
		XLogRecPtr	lsn;

		/*
		 * The key half must not lie about in the dead row.  This needs no
		 * flush: a note that a crash brings back has still expired.
		 */
		fuse_make_tombstone(&tombstone, OUTCOME_EXPIRED, now, &nobody, NULL);
		if (note->fuse.state == FUSE_VOID)
			note->fuse = tombstone;
		else if (!ending_light(store, note, &tombstone, &lsn))
			note_fuse(note, &note->fuse);
	}
	finish_burn(store, note);
	return true;
}

/*
 * The same, so that one note that cannot be ended, because a constraint refuses
 * its receipt say, does not keep the others from it: END_FAILED, and a WARNING in
 * an hour.  Nor does one whose receipt, or what a trigger on that wants, is locked
 * by somebody else: END_BUSY.  What would fail for the others too is an error.
 */
BurnEnd
finish_for_sweep(BurnStore *store, BurnNote *note, TimestampTz now)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const bool	was_lit = fuse_is_lit(&note->fuse);
	volatile BurnEnd result = END_BUSY;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		bool		ended = end_dead(store, note, now);

		ReleaseCurrentSubTransaction();
		if (ended)
		{
			result = END_DONE;
			stats_count(was_lit ? COUNT_FINISHED : COUNT_EXPIRED);
		}
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYSTEM_ERROR)
			ReThrowError(error);
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		{
			result = END_FAILED;
			if (backlog_may_warn(note->id))

				/*
				 * A trigger's message is not ours: hush.c must not take it
				 * for that.
				 */
				ereport(WARNING,
						(errcode(error->sqlerrcode),
						 errmsg_internal("%s", psprintf("could not end burn note %s: %s",
														DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum((pg_uuid_t *) note->id))),
														error->message))));
		}
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return result;
}
