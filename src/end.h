/*-------------------------------------------------------------------------
 *
 * end.h
 *	  Ending a note by its token: reading and revoking.
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
 * One call of burn_read(), burn_read_bytes() or burn_revoke().
 */
typedef struct Ending
{
	Secrets		secrets;
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

extern bool end_note(Ending *e, Oid function, text **note)
			__attribute__((warn_unused_result));

/* For those who end notes without burning them here. */
extern bool ending_light(BurnStore *store, BurnNote *note, const BurnFuse *tombstone,
						 XLogRecPtr *lsn);
extern void ending_receipt(const Ending *e, BurnOutcome outcome, BurnReceipt *receipt,
						   BurnFuse *tombstone);
extern void ending_give(BurnStore *store, const BurnReceipt *receipt);

#endif							/* BURN_END_H */
