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
extern int64 unix_milliseconds(TimestampTz time);
extern TimestampTz from_unix_milliseconds(uint64 milliseconds);

#endif							/* BURN_EXPIRY_H */
