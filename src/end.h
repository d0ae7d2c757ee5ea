/*-------------------------------------------------------------------------
 *
 * end.h
 *	  Ending a note: reading, revoking, locking, expiring.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_END_H
#define BURN_END_H

#include "src/seal.h"
#include "src/secret.h"
#include "src/store.h"
#include "src/token.h"

/*
 * One call of burn_read(), burn_read_bytes() or burn_revoke().  It lies among its
 * secrets.
 */
typedef struct Ending
{
	Secrets    *secrets;
	BurnOutcome outcome;		/* what the call is for: read or revoked */
	uint8		flags;			/* reading: SEAL_IS_BYTES, or 0 for text */
	const text *passphrase;		/* reading: as given, NULL for none */
	inet	   *client_ip;		/* NULL for none */
	TimestampTz now;
	BurnToken	token;
	BurnToken	receipt_token;
	unsigned char id[NOTE_ID_BYTES];
	BurnStore	store;
	BurnNote	note;
	BurnFuse	opened_fuse;	/* of the row that was opened */
} Ending;

typedef enum BurnEnd
{
	END_DONE,
	END_BUSY,					/* another transaction has what it takes */
	END_FAILED
} BurnEnd;

extern Ending *ending_begin(BurnOutcome outcome);
extern bool ending_finish(Ending *e, Oid function, text **note);
extern BurnEnd end_for_sweep(BurnStore *store, BurnNote *note, TimestampTz now);
extern void receipt_from_tombstone(BurnReceipt *receipt, const BurnNote *note);

#endif							/* BURN_END_H */
