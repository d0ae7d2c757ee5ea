/*-------------------------------------------------------------------------
 *
 * store.h
 *	  Notes, receipts and attempts, as rows of their tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_STORE_H
#define BURN_STORE_H

#include <sodium.h>

#include "miscadmin.h"

#include "src/fuse.h"
#include "src/table.h"
#include "src/token.h"
#include "src/witness.h"

#define NOTE_TABLE		"burn_note"
#define RECEIPT_TABLE	"burn_receipt"
#define ATTEMPT_TABLE	"burn_attempt"

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
	bool		busy;			/* is another transaction inserting or
								 * deleting the row? */
	TupleTableSlot *slot;
	BurnFuse   *fuse_on_page;
	Datum		sealed;			/* as it is stored, perhaps out of line */
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

typedef enum BurnReceiptLook
{
	RECEIPT_ABSENT,
	RECEIPT_THERE,
	RECEIPT_COMING				/* another transaction is inserting it */
} BurnReceiptLook;

extern void store_open(BurnStore *store, Oid function, LOCKMODE lockmode);
extern void store_close(BurnStore *store);

extern void note_insert(BurnStore *store, const unsigned char *id,
						TimestampTz created_at, const BurnFuse *fuse,
						bytea *sealed, Oid creator);
extern int	notes_of_creator(BurnStore *store, Oid creator, int limit);
extern bool note_find(BurnStore *store, const unsigned char *id, BurnNote *note)
			__attribute__((warn_unused_result));
extern void note_fuse(const BurnNote *note, BurnFuse *fuse);
extern void note_check_id(BurnStore *store, const BurnNote *note);
extern BurnDelete note_delete(BurnStore *store, BurnNote *note)
			__attribute__((warn_unused_result));

extern void notes_between(BurnScan *scan, BurnStore *store, const unsigned char *from,
						  const unsigned char *bound);
extern void notes_all(BurnScan *scan, BurnStore *store, BlockNumber from, bool with_coming);
extern bool notes_next(BurnScan *scan, BurnNote *note)
			__attribute__((warn_unused_result));
extern bool notes_first(BurnStore *store, unsigned char *id);

extern Datum receipt_seal(const BurnReceipt *receipt);
extern void receipt_insert(BurnStore *store, const BurnReceipt *receipt);
extern BurnReceiptLook receipt_look(BurnStore *store, const unsigned char *id)
			__attribute__((warn_unused_result));
extern bool receipt_find(BurnStore *store, const unsigned char *id, BurnReceipt *receipt)
			__attribute__((warn_unused_result));
extern bool receipts_first(BurnStore *store, const unsigned char *from, unsigned char *id);
extern bool receipts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
							int64 limit, TimestampTz until, int64 *deleted);

extern void attempt_insert(BurnStore *store, const unsigned char *id, TimestampTz at,
						   const BurnWitness *witness);
extern bool attempts_first(BurnStore *store, const unsigned char *from, unsigned char *id);
extern bool attempts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
							int64 limit, TimestampTz until, int64 *deleted);

/*
 * The buffer that holds note->fuse_on_page, pinned until note_release().
 */
static inline Buffer
note_buffer(const BurnNote *note)
{
	return ((BufferHeapTupleTableSlot *) note->slot)->buffer;
}

static inline void
note_release(BurnNote *note)
{
	ExecDropSingleTupleTableSlot(note->slot);
	sodium_memzero(note, sizeof(*note));
}

/*
 * What a note is bound to, when it is sealed and when it is opened.
 */
static inline void
note_bind(SealBinding *binding, const unsigned char *id, TimestampTz created_at,
		  const BurnFuse *fuse)
{
	binding->database = MyDatabaseId;
	memcpy(binding->id, id, sizeof(binding->id));
	binding->created_at = created_at;
	binding->attempts_allowed = fuse->attempts_allowed;
}

#endif							/* BURN_STORE_H */
