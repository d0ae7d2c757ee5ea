/*-------------------------------------------------------------------------
 *
 * purge.h
 *	  Purging: finishing rolled-back burns, expiring notes, removing receipts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_PURGE_H
#define BURN_PURGE_H

#include "src/backlog.h"

/* One purge, in one or more transactions. */
typedef struct Purge
{
	TimestampTz until;			/* stop then: 0 for never */
	uint64		now;			/* when it began, as ids have it */
	BacklogPosition position;	/* as of the last batch */
	bool		expired_done;
	bool		receipts_done;
	bool		attempts_done;
	int			listed;			/* so many notes were listed when it began */
	int			tried;			/* so many of them were tried */
	unsigned char list[BACKLOG_NOTES][NOTE_ID_BYTES];
} Purge;

extern void purge_begin(Purge *purge, bool sweeper, TimestampTz until);
extern bool purge_batch(Purge *purge, Oid function)
			__attribute__((warn_unused_result));
extern int64 purge_now(Oid function, int64 limit);

#endif							/* BURN_PURGE_H */
