/*-------------------------------------------------------------------------
 *
 * stats.h
 *	  Counters of what happens to notes, for monitoring.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_STATS_H
#define BURN_STATS_H

/* In the order of burn_counters' columns, which begin with stats_reset. */
typedef enum BurnCounter
{
	COUNT_CREATED,
	COUNT_READ,
	COUNT_MISSES,				/* burn_read() found nothing to be had */
	COUNT_WRONG_PASSPHRASES,
	COUNT_LOCKED,
	COUNT_REVOKED,
	COUNT_EXPIRED,
	COUNT_WITHHELD,
	COUNT_FINISHED,				/* burns that were rolled back, then finished */
	COUNTERS
} BurnCounter;

extern void stats_request_memory(void);
extern void stats_attach_memory(void);
extern void stats_count(BurnCounter counter);

#endif							/* BURN_STATS_H */
