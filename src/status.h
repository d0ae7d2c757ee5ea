/*-------------------------------------------------------------------------
 *
 * status.h
 *	  What has become of a note.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_STATUS_H
#define BURN_STATUS_H

#include "src/store.h"

typedef struct BurnStatus
{
	const char *state;			/* sealed, expired, unknown, or the outcome's
								 * name */
	bool		found;			/* a note or a receipt? */
	int			has_passphrase; /* -1 where only the note could tell */
	int			attempts_left;	/* -1 where none are counted */
	TimestampTz expires_at;
	BurnReceipt receipt;		/* its outcome is 0 for a note that has not
								 * ended */
} BurnStatus;

extern void status_look(BurnStatus *status, Oid function, const unsigned char *id);

#endif							/* BURN_STATUS_H */
