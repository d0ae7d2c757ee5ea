/*-------------------------------------------------------------------------
 *
 * expiry.h
 *	  When a note expires.
 *
 * Tokens and ids count milliseconds since the Unix epoch, PostgreSQL counts
 * microseconds since 2000-01-01.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_EXPIRY_H
#define BURN_EXPIRY_H

#include "datatype/timestamp.h"

extern uint64 expiry_after(TimestampTz now, const Interval *expires_in);

/* From one epoch to the other, in microseconds. */
#define EPOCHS_APART	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * USECS_PER_SEC)

/*
 * Milliseconds since the Unix epoch, negative before it; and a time from them.
 */
static inline int64
unix_milliseconds(TimestampTz time)
{
	return (time + EPOCHS_APART) / 1000;
}

static inline TimestampTz
from_unix_milliseconds(uint64 milliseconds)
{
	return (TimestampTz) milliseconds * 1000 - EPOCHS_APART;
}

#endif							/* BURN_EXPIRY_H */
