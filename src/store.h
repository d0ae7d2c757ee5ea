/*-------------------------------------------------------------------------
 *
 * store.h
 *	  The tables burn_note, burn_receipt and burn_attempt, reached without SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_STORE_H
#define BURN_STORE_H

#include "access/genam.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#include "src/fuse.h"
#include "src/token.h"
#include "src/witness.h"

/* One of the extension's tables, opened for one call. */
typedef struct BurnTable
{
	Relation	heap;
	Relation	key;			/* its index on id */
	bool		plain;			/* see is_plain() */
} BurnTable;

typedef struct BurnStore
{
	BurnTable	notes;
	BurnTable	receipts;
	Oid			function;		/* any function of the extension */
	LOCKMODE	lockmode;
} BurnStore;

/*
 * A look at a row of burn_note.  It pins the row's page: note_release() it.
 */
typedef struct BurnNote
{
	unsigned char id[NOTE_ID_BYTES];
	TimestampTz created_at;
	BurnFuse	fuse;			/* as of the look */
	bool		busy;			/* is another transaction inserting or deleting the row? */
	TupleTableSlot *slot;
	BurnFuse   *fuse_on_page;
} BurnNote;

typedef struct BurnReceipt
{
	unsigned char id[NOTE_ID_BYTES];
	TimestampTz created_at;
	TimestampTz closed_at;
	char		outcome;
	BurnWitness witness;
	bool		has_seal;
	unsigned char seal[SEAL_RECEIPT_BYTES];
} BurnReceipt;

typedef enum BurnDelete
{
	DELETE_DONE,
	DELETE_BUSY,				/* another transaction has it, look again */
	DELETE_GONE					/* somebody else's delete has committed */
} BurnDelete;

typedef enum BurnReceiptLook
{
	RECEIPT_ABSENT,
	RECEIPT_THERE,
	RECEIPT_COMING				/* another transaction is inserting it */
} BurnReceiptLook;

/* A scan over rows, for one note or for many. */
typedef struct BurnScan
{
	SnapshotData snapshot;
	IndexScanDesc index_scan;	/* or */
	TableScanDesc table_scan;
	bool		in_range;		/* of ids, in their order? */
	bool		with_coming;	/* also rows that are being inserted? */
	TupleTableSlot *slot;
} BurnScan;

extern void store_open(BurnStore *store, Oid function, LOCKMODE lockmode);
extern void store_close(BurnStore *store);
extern int	store_patience(void);
extern bool store_wait(TimestampTz since);

extern void note_insert(BurnStore *store, const unsigned char *id,
						TimestampTz created_at, const BurnFuse *fuse,
						bytea *sealed, Oid creator);
extern int	notes_of_creator(BurnStore *store, Oid creator, int limit);
extern bool note_find(BurnStore *store, const unsigned char *id, BurnNote *note);
extern void note_fuse(const BurnNote *note, BurnFuse *fuse);
extern void note_check_id(BurnStore *store, const BurnNote *note);
extern Datum note_sealed(const BurnNote *note);
extern Buffer note_buffer(const BurnNote *note);
extern BurnDelete note_delete(BurnStore *store, BurnNote *note);
extern void note_release(BurnNote *note);

extern void notes_between(BurnScan *scan, BurnStore *store, const unsigned char *from,
						  const unsigned char *bound);
extern void notes_all(BurnScan *scan, BurnStore *store, BlockNumber from, bool with_coming);
extern bool notes_next(BurnScan *scan, BurnNote *note);
extern void notes_end(BurnScan *scan);
extern bool notes_first(BurnStore *store, unsigned char *id);

extern void receipt_insert(BurnStore *store, const BurnReceipt *receipt);
extern BurnReceiptLook receipt_look(BurnStore *store, const unsigned char *id);
extern bool receipt_find(BurnStore *store, const unsigned char *id, BurnReceipt *receipt);
extern bool receipts_first(BurnStore *store, const unsigned char *from, unsigned char *id);
extern bool receipts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
							int64 limit, TimestampTz until, int64 *deleted);

extern void attempt_insert(BurnStore *store, const unsigned char *id, TimestampTz at,
						   const BurnWitness *witness);
extern bool attempts_first(BurnStore *store, const unsigned char *from, unsigned char *id);
extern bool attempts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
							int64 limit, TimestampTz until, int64 *deleted);

#endif							/* BURN_STORE_H */
