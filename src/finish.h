/*-------------------------------------------------------------------------
 *
 * finish.h
 *	  Ending a note without its token: finishing a burn that was rolled back, expiring.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_FINISH_H
#define BURN_FINISH_H

#include "src/store.h"

typedef enum BurnEnd
{
	END_DONE,
	END_BUSY,					/* another transaction has what it takes */
	END_FAILED
} BurnEnd;

extern void receipt_from_tombstone(BurnReceipt *receipt, const BurnNote *note);
extern void finish_burn(BurnStore *store, const BurnNote *note);
extern BurnEnd finish_for_sweep(BurnStore *store, BurnNote *note, TimestampTz now)
			__attribute__((warn_unused_result));

#endif							/* BURN_FINISH_H */
