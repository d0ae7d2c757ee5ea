/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What has become of a note.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "src/compat.h"
#include "src/expiry.h"
#include "src/finish.h"
#include "src/fuse.h"
#include "src/seal.h"
#include "src/status.h"

static void
look_at_note(BurnStatus *status, const BurnNote *note)
{
	bytea	   *header = DatumGetByteaPSlice(note->sealed, 0, SEAL_HEADER_BYTES);
	int			flags = seal_flags((unsigned char *) VARDATA_ANY(header), VARSIZE_ANY_EXHDR(header));

	if (flags >= 0)
		status->has_passphrase = (flags & SEAL_HAS_PASSPHRASE) != 0;
	status->receipt.created_at = note->created_at;
	if (fuse_is_lit(&note->fuse))
		receipt_from_tombstone(&status->receipt, note);
	else if (note->fuse.state == FUSE_LIVE)
	{
		status->state = fuse_state_name(status->expires_at > GetCurrentTimestamp() ? FUSE_LIVE : OUTCOME_EXPIRED);
		if (note->fuse.attempts_allowed > 0)
			status->attempts_left = note->fuse.attempts_left;
	}
}

/*
 * Looks for the note with this id, and then for its receipt.  What of the receipt is no
 * number lies in the caller's memory context.
 */
void
status_look(BurnStatus *status, Oid function, const unsigned char *id)
{
	BurnStore	store;
	BurnNote	note;

	memset(status, 0, sizeof(*status));
	status->state = "unknown";
	status->has_passphrase = -1;
	status->attempts_left = -1;
	status->expires_at = from_unix_milliseconds(note_id_expires(id));

	store_open(&store, function, AccessShareLock);
	status->found = note_find(&store, id, &note);
	if (status->found)
	{
		look_at_note(status, &note);
		note_release(&note);
	}

	/* The note first: its row and its receipt change in one commit. */
	if (status->receipt.outcome == 0 && receipt_find(&store, id, &status->receipt))
		status->found = true;
	store_close(&store);

	if (status->receipt.outcome == 0)
		return;
	if (!fuse_is_outcome(status->receipt.outcome))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("receipt of burn note has an unknown outcome")));
	status->state = fuse_state_name(status->receipt.outcome);
}
