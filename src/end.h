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
#include "src/store.h"
#include "src/token.h"

/*
 * One call of burn_read(), burn_read_bytes() or burn_revoke().  It holds
 * secrets: wipe_ending() it.
 */
typedef struct Ending
{
	BurnOutcome outcome;		/* what the call is for: read or revoked */
	uint8		flags;			/* reading: SEAL_IS_BYTES, or 0 for text */
	const text *given_passphrase;	/* reading: NULL for none */
	inet	   *client_ip;		/* NULL for none */
	TimestampTz now;
	BurnToken	token;
	BurnToken	receipt_token;
	unsigned char id[NOTE_ID_BYTES];
	BurnStore	store;
	BurnNote	note;
	unsigned char passphrase[SEAL_PASSPHRASE_BYTES];	/* its hash */
	char	   *passphrase_copy;	/* NULL, or a copy of the passphrase */
	BurnFuse	opened_fuse;	/* of the row that was opened */
	text	   *opened;			/* NULL, or the note and its padding */
	size_t		opened_bytes;
	text	   *converted;		/* NULL, or the note in the server's encoding */
	text	   *result;			/* NULL, opened or converted */
} Ending;

typedef enum BurnEnd
{
	END_DONE,
	END_BUSY,					/* another transaction has what it takes */
	END_FAILED
} BurnEnd;

extern bool end_note_of(Ending *e, Oid function);
extern BurnEnd end_note_found(BurnStore *store, BurnNote *note, TimestampTz now);
extern void receipt_from_tombstone(BurnReceipt *receipt, const BurnNote *note);
extern void wipe_ending(Ending *e, const text *keep);

#endif							/* BURN_END_H */
