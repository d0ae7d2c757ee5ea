/*-------------------------------------------------------------------------
 *
 * backlog.h
 *	  What waits for the sweeper.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_BACKLOG_H
#define BURN_BACKLOG_H

#include "datatype/timestamp.h"
#include "storage/itemptr.h"

#include "src/token.h"

/* So many notes of all databases are known one by one. */
#define BACKLOG_NOTES	1024

/*
 * How far a sweep of a database has come.  All zeros is the beginning.
 */
typedef struct BacklogPosition
{
	uint32		pass;			/* its number, among those that read all rows */
	bool		reading;		/* is it one that has rows of burn_note to
								 * read? */
	ItemPointerData read;		/* up to here it has read them */
	unsigned char expired_from[NOTE_ID_BYTES];	/* goes on with these ids */
	unsigned char receipts_from[NOTE_ID_BYTES];
	unsigned char attempts_from[NOTE_ID_BYTES];
} BacklogPosition;

extern void backlog_request_memory(void);
extern void backlog_attach_memory(void);

/* Whoever makes and ends notes says: */
extern void backlog_due_by(uint64 milliseconds);
extern void backlog_watch(const unsigned char *id);
extern void backlog_add(const unsigned char *id);

/* Whoever sweeps asks: */
extern void backlog_begin(BacklogPosition *position, bool sweeper);
extern void backlog_keep(const BacklogPosition *position);
extern int	backlog_notes(unsigned char (*ids)[NOTE_ID_BYTES]);
extern void backlog_remove(const unsigned char *id);
extern void backlog_forget_due(void);
extern bool backlog_may_warn(const unsigned char *id);

/* The launcher asks: */
extern TimestampTz backlog_due(Oid database);
extern void backlog_read_all(Oid database);
extern void backlog_forget(Oid database);

#endif							/* BURN_BACKLOG_H */
