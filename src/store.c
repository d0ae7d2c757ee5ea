/*-------------------------------------------------------------------------
 *
 * store.c
 *	  Notes, receipts and attempts, as rows of their tables.
 *
 * A row's fuse may change in its page at any time, so it is copied out under
 * the buffer's lock (fuse_read), and a look keeps its page pinned so that the
 * row stays where it is until the fuse is lit.
 *
 * A look trusts a row of burn_note with nothing, whatever damaged it: see look().
 * What damages the page's header and line pointers, or the tuple's transaction ids
 * and flags, is for PostgreSQL to survive, as it is for any table.
 *
 * This file must never UPDATE burn_note: the old row version would keep a live
 * key half.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/detoast.h"
#include "access/heapam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "src/backlog.h"
#include "src/compat.h"
#include "src/expiry.h"
#include "src/store.h"

/* Columns, as burn_note--1.0.sql orders them. */
enum
{
	NOTE_ID = 1,
	NOTE_CREATED_AT,
	NOTE_FUSE,
	NOTE_CREATOR,
	NOTE_SEALED,
	NOTE_COLUMNS = NOTE_SEALED
};

enum
{
	RECEIPT_ID = 1,
	RECEIPT_CREATED_AT,
	RECEIPT_CLOSED_AT,
	RECEIPT_OUTCOME,
	RECEIPT_CLIENT_IP,
	RECEIPT_PEER,
	RECEIPT_ACTOR,
	RECEIPT_SEAL,
	RECEIPT_COLUMNS = RECEIPT_SEAL
};

enum
{
	ATTEMPT_ID = 1,
	ATTEMPT_AT,
	ATTEMPT_CLIENT_IP,
	ATTEMPT_PEER,
	ATTEMPT_ACTOR,
	ATTEMPT_COLUMNS = ATTEMPT_ACTOR
};

static BurnShape note_shape = {
	.name = NOTE_TABLE,.columns = NOTE_COLUMNS,.required = NOTE_SEALED,
	.types = {UUIDOID, TIMESTAMPTZOID, InvalidOid, OIDOID, BYTEAOID},
	.has_pkey = true,
	.second_key = NOTE_CREATOR
};

static BurnShape receipt_shape = {
	.name = RECEIPT_TABLE,.columns = RECEIPT_COLUMNS,.required = RECEIPT_OUTCOME,
	.types = {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, CHAROID,
	INETOID, INETOID, TEXTOID, BYTEAOID},
#ifdef BURN_TEST_LATER_COLUMN
	.later = {{"later", TEXTOID}},
#endif
	.has_pkey = true
};

static BurnShape attempt_shape = {
	.name = ATTEMPT_TABLE,.columns = ATTEMPT_COLUMNS,.required = ATTEMPT_AT,
	.types = {UUIDOID, TIMESTAMPTZOID, INETOID, INETOID, TEXTOID}
};

/* Sealing adds less than an eighth. */
#define SEALED_BYTES_MAX (SEAL_NOTE_BYTES_MAX / 8 * 9)

/* In what way a row was damaged, for report_damage(). */
static const char damaged_fuse[] = "its fuse is none that this version writes";
static const char other_id[] = "its id does not lead to it";

/*
 * Opens the tables of notes and receipts.  function is any function of the
 * extension.
 */
void
store_open(BurnStore *store, Oid function, LOCKMODE lockmode)
{
	store->function = function;
	store->lockmode = lockmode;
	burn_table_open(&store->notes, &note_shape, function, lockmode);

	/*
	 * Where this transaction has rewritten the table, as CLUSTER does, its
	 * rollback would bring the old file back, and every fuse in it.
	 */
	if (lockmode != AccessShareLock &&
		store->notes.heap->rd_firstRelfilelocatorSubid != InvalidSubTransactionId)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" was rewritten by this transaction",
						RelationGetRelationName(store->notes.heap)),
				 errdetail("If it rolled back, notes that are burned now would come back."),
				 errhint("Commit first.")));

	burn_table_open(&store->receipts, &receipt_shape, function, lockmode);
}

void
store_close(BurnStore *store)
{
	burn_table_close(&store->receipts);
	burn_table_close(&store->notes);
}

/*
 * Sets the columns client_ip, peer and actor, which stand in this order.
 */
static void
set_witness(BurnRow *row, AttrNumber client_ip, const BurnWitness *witness)
{
	if (witness->client_ip != NULL)
		row_set(row, client_ip, InetPGetDatum(witness->client_ip));
	if (witness->peer != NULL)
		row_set(row, client_ip + 1, InetPGetDatum(witness->peer));
	if (witness->actor != NULL)
		row_set(row, client_ip + 2, PointerGetDatum(witness->actor));
}

/*
 * Is this no longer than what seal_note() makes, and, out of line, in rel's TOAST table?
 * Ciphertext is never compressed.
 */
static bool
sealed_fits(Relation rel, Datum sealed)
{
	const struct varlena *value = (const struct varlena *) DatumGetPointer(sealed);
	size_t		bytes;

	if (VARATT_IS_EXTERNAL(value))
	{
		struct varatt_external pointer;

		VARATT_EXTERNAL_GET_POINTER(pointer, value);
		bytes = (size_t) pointer.va_rawsize - VARHDRSZ;
		if (pointer.va_toastrelid != rel->rd_rel->reltoastrelid ||
			pointer.va_extinfo != bytes)
			return false;
	}
	else if (VARATT_IS_COMPRESSED(value))
		return false;
	else
		bytes = VARSIZE_ANY_EXHDR(value);
	return bytes <= SEALED_BYTES_MAX;
}

/*
 * Fills in what a look at the scan's row sees.  NULL, or in what way the row was
 * damaged: then note->slot is filled in, and note->id, with zeros if need be.
 *
 * Whatever bytes the row consists of, after NULL the slot gives its columns without
 * leaving the tuple, sealed can be fetched or fails to be, and a heap_delete()
 * removes no other table's TOAST values.  Whether the note was altered is for
 * seal_open() to say.
 */
static const char *
look(const BurnScan *scan, BurnNote *note)
{
	TupleTableSlot *slot = scan->slot;

	note->slot = slot;
	memset(note->id, 0, NOTE_ID_BYTES);
	if (!scan->fits)
		return "its columns do not fit";

	slot_getsomeattrs(slot, NOTE_SEALED);
	memcpy(note->id, DatumGetUUIDP(slot->tts_values[NOTE_ID - 1])->data, NOTE_ID_BYTES);
	note->sealed = slot->tts_values[NOTE_SEALED - 1];
	if (!sealed_fits(scan->heap, note->sealed))
		return "its sealed note has an impossible length";

	note->created_at = DatumGetTimestampTz(slot->tts_values[NOTE_CREATED_AT - 1]);
	note->busy = TransactionIdIsValid(scan->snapshot.xmin) || TransactionIdIsValid(scan->snapshot.xmax);
	note->fuse_on_page = (BurnFuse *) DatumGetPointer(slot->tts_values[NOTE_FUSE - 1]);
	if (!fuse_read(&note->fuse, note_buffer(note), note->fuse_on_page))
		return damaged_fuse;
	return NULL;
}

static void
report_damage(int level, const BurnNote *note, const char *damage)
{
	ItemPointer place = &note->slot->tts_tid;

	ereport(level,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("row of burn note is damaged: %s", damage),
			 errdetail("Its ctid is (%u,%u). Nothing is burned.",
					   ItemPointerGetBlockNumber(place), ItemPointerGetOffsetNumber(place))));
}

/*
 * Adds a note.  Later commands of this transaction see it, and so do later
 * calls in the same statement.  creator is the role to count it for, InvalidOid
 * for none: then it costs no index entry.
 */
void
note_insert(BurnStore *store, const unsigned char *id, TimestampTz created_at,
			const BurnFuse *fuse, bytea *sealed, Oid creator)
{
	BurnRow		row = {0};

	row_set(&row, NOTE_ID, UUIDPGetDatum((const pg_uuid_t *) id));
	row_set(&row, NOTE_CREATED_AT, TimestampTzGetDatum(created_at));
	row_set(&row, NOTE_FUSE, PointerGetDatum(fuse));
	row_set(&row, NOTE_SEALED, PointerGetDatum(sealed));
	if (OidIsValid(creator))
		row_set(&row, NOTE_CREATOR, ObjectIdGetDatum(creator));
	row_insert(&store->notes, &row);
	CommandCounterIncrement();
}

/*
 * How many notes of creator wait to be read, but no more than limit.  Those of
 * transactions in progress count: they may yet be committed.
 */
int
notes_of_creator(BurnStore *store, Oid creator, int limit)
{
	Relation	index = index_open(store->notes.second, store->lockmode);
	BurnTable	by_creator = store->notes;
	uint64		now = unix_milliseconds(GetCurrentTimestamp());
	ScanKeyData key;
	BurnScan	scan;
	int			count = 0;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(creator));
	by_creator.key = index;
	scan_index(&scan, &by_creator, &key, 1, false);
	scan.with_coming = true;
	while (count < limit && scan_next(&scan))
	{
		const Datum *values = scan.slot->tts_values;

		CHECK_FOR_INTERRUPTS();
		if (!scan.fits)
			continue;
		slot_getsomeattrs(scan.slot, NOTE_FUSE);
		if (((BurnFuse *) DatumGetPointer(values[NOTE_FUSE - 1]))->state == FUSE_LIVE &&
			note_id_expires(DatumGetUUIDP(values[NOTE_ID - 1])->data) > now)
			count++;
	}
	scan_close(&scan);
	index_close(index, NoLock);
	return count;
}

/*
 * Looks for a note.  True: the caller owes a note_release().  Errors out where its
 * row was damaged, or the index leads to another note's.
 */
bool
note_find(BurnStore *store, const unsigned char *id, BurnNote *note)
{
	BurnScan	scan;
	const char *damage;

	if (!row_find(&scan, &store->notes, id))
		return false;
	damage = look(&scan, note);
	if (damage == NULL && memcmp(note->id, id, NOTE_ID_BYTES) != 0)
		damage = other_id;
	if (damage != NULL)
		report_damage(ERROR, note, damage);
	return true;
}

/*
 * Copies the note's fuse as it is now.  Errors out where it was damaged meanwhile.
 */
void
note_fuse(const BurnNote *note, BurnFuse *fuse)
{
	if (!fuse_read(fuse, note_buffer(note), note->fuse_on_page))
		report_damage(ERROR, note, damaged_fuse);
}

/*
 * Errors out where the note's id does not lead to its row, because either was damaged.
 * For who met the row without asking for an id, and has deleted it: until then
 * somebody else may, and VACUUM remove its index entry.
 */
void
note_check_id(BurnStore *store, const BurnNote *note)
{
	BurnScan	scan;
	ItemPointer place;

	scan_for(&scan, &store->notes, note->id);
	do
		place = index_getnext_tid(scan.index_scan, ForwardScanDirection);
	while (place != NULL && !ItemPointerEquals(place, &note->slot->tts_tid));
	if (place == NULL)
		report_damage(ERROR, note, other_id);
	scan_close(&scan);
}

/*
 * Deletes the note's row in the caller's transaction, waiting for nobody.
 * After DELETE_DONE no other transaction can light or delete it before this
 * one ends, and note->fuse is as of the delete.
 */
BurnDelete
note_delete(BurnStore *store, BurnNote *note)
{
	BurnDelete	result = row_delete(&store->notes, note->slot);

	if (result == DELETE_DONE)
	{
		if (row_delete_fires(&store->notes))
		{
			BurnNote	again;

			if (note_find(store, note->id, &again))
			{
				note_release(&again);
				ereport(ERROR,
						(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
						 errmsg("a trigger on table \"%s\" skipped a delete that burn_note relies on",
								RelationGetRelationName(store->notes.heap))));
			}
		}
		note_fuse(note, &note->fuse);

		/*
		 * If this is rolled back, the row is there again, its fuse lit
		 * perhaps.
		 */
		backlog_watch(note->id);
	}
	return result;
}

/*
 * Scans of notes: those whose ids sort from one on and below another, in order of
 * expiry; or all of them from a block of the table on, in the order of their rows.
 * notes_next() reuses its page pin: a BurnNote that it fills is valid until the next
 * call, and is not the caller's to release.
 */
void
notes_between(BurnScan *scan, BurnStore *store, const unsigned char *from,
			  const unsigned char *bound)
{
	scan_range(scan, &store->notes, from, bound);
	scan->with_coming = true;
}

void
notes_all(BurnScan *scan, BurnStore *store, BlockNumber from, bool with_coming)
{
	Relation	heap = store->notes.heap;
	BlockNumber blocks = RelationGetNumberOfBlocks(heap);

	scan->shape = &note_shape;
	scan->heap = heap;
	InitDirtySnapshot(scan->snapshot);
	scan->slot = table_slot_create(heap, NULL);
	scan->in_range = false;
	scan->with_coming = with_coming;
	scan->index_scan = NULL;
	scan->table_scan = table_beginscan_strat(heap, &scan->snapshot, 0, NULL, true, false);

	/*
	 * The table may have become shorter. What is added now is not for this
	 * scan.
	 */
	from = Min(from, blocks);
	heap_setscanlimits(scan->table_scan, from < blocks ? from : 0, blocks - from);
}

/*
 * The next note.  One whose row is damaged is passed over, with a WARNING in an hour.
 */
bool
notes_next(BurnScan *scan, BurnNote *note)
{
	while (scan_next(scan))
	{
		const char *damage = look(scan, note);
		unsigned char place[NOTE_ID_BYTES] = {0};

		if (damage == NULL && scan->in_range &&
			memcmp(note->id, scan_id(scan), NOTE_ID_BYTES) != 0)
			damage = other_id;
		if (damage == NULL)
			return true;

		memcpy(place, &scan->slot->tts_tid, sizeof(ItemPointerData));
		if (backlog_may_warn(place))
			report_damage(WARNING, note, damage);
	}
	return false;
}

/*
 * The receipt's seal as a bytea.
 */
Datum
receipt_seal(const BurnReceipt *receipt)
{
	bytea	   *seal = palloc(VARHDRSZ + SEAL_RECEIPT_BYTES);

	SET_VARSIZE(seal, VARHDRSZ + SEAL_RECEIPT_BYTES);
	memcpy(VARDATA(seal), receipt->seal, SEAL_RECEIPT_BYTES);
	return PointerGetDatum(seal);
}

/*
 * Adds a receipt.  Errors out where the note already has one: it has ended
 * before, and this row of it is a copy that somebody put back.  Also where another
 * transaction is writing one and does not end within lock_patience().
 */
void
receipt_insert(BurnStore *store, const BurnReceipt *receipt)
{
	BurnRow		row = {0};
	MemoryContext caller = CurrentMemoryContext;
	const int	lock_timeout = LockTimeout;

	row_set(&row, RECEIPT_ID, UUIDPGetDatum((const pg_uuid_t *) receipt->id));
	row_set(&row, RECEIPT_CREATED_AT, TimestampTzGetDatum(receipt->created_at));
	row_set(&row, RECEIPT_CLOSED_AT, TimestampTzGetDatum(receipt->closed_at));
	row_set(&row, RECEIPT_OUTCOME, CharGetDatum(receipt->outcome));
	set_witness(&row, RECEIPT_CLIENT_IP, &receipt->witness);
	if (receipt->has_seal)
		row_set(&row, RECEIPT_SEAL, receipt_seal(receipt));
#ifdef BURN_TEST_LATER_COLUMN
	row_set(&row, LATER_COLUMN(0), CStringGetTextDatum("a later version"));
#endif

	PG_TRY();
	{
		/* Where users' code may run, row_insert() does that for a part of it. */
		if (store->receipts.plain)
			LockTimeout = lock_patience();
		row_insert(&store->receipts, &row);
		if (store->receipts.plain)
			LockTimeout = lock_timeout;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (store->receipts.plain)
			LockTimeout = lock_timeout;
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (store->receipts.plain && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		{
			FlushErrorState();
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not obtain lock on burn note"),
					 errdetail("Another transaction has been writing its receipt for longer than %d ms.",
							   lock_patience())));
		}
		if (error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION ||
			error->constraint_name == NULL ||
			strcmp(error->constraint_name, RelationGetRelationName(store->receipts.key)) != 0)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("burn note already has a receipt"),
				 errdetail("Its row was put back into the table after the note had ended.")));
	}
	PG_END_TRY();

	/* Its triggers may have had their own mind. */
	if (!store->receipts.plain)
	{
		CommandCounterIncrement();
		if (receipt_look(store, receipt->id) != RECEIPT_THERE)
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					 errmsg("a trigger on table \"%s\" removed a row that burn_note relies on",
							RelationGetRelationName(store->receipts.heap))));
	}
}

/*
 * Is there a receipt for this note?  The answer is for finish_for_sweep(), which
 * must not wait for the transaction that is writing one.
 */
BurnReceiptLook
receipt_look(BurnStore *store, const unsigned char *id)
{
	BurnScan	scan;
	BurnReceiptLook result = RECEIPT_ABSENT;

	scan_for(&scan, &store->receipts, id);
	scan.with_coming = true;
	if (scan_next(&scan))
		result = TransactionIdIsValid(scan.snapshot.xmin) ? RECEIPT_COMING : RECEIPT_THERE;
	scan_close(&scan);
	return result;
}

/*
 * Looks for a receipt; what it fills in is allocated in the caller's context.
 */
bool
receipt_find(BurnStore *store, const unsigned char *id, BurnReceipt *receipt)
{
	BurnScan	scan;
	const Datum *values;
	const bool *isnull;

	if (!row_find(&scan, &store->receipts, id))
		return false;
	if (!scan.fits)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("receipt of burn note is damaged: its columns do not fit")));
	slot_getallattrs(scan.slot);
	values = scan.slot->tts_values;
	isnull = scan.slot->tts_isnull;

	memset(receipt, 0, sizeof(*receipt));
	memcpy(receipt->id, id, NOTE_ID_BYTES);
	receipt->created_at = DatumGetTimestampTz(values[RECEIPT_CREATED_AT - 1]);
	receipt->closed_at = DatumGetTimestampTz(values[RECEIPT_CLOSED_AT - 1]);
	receipt->outcome = DatumGetChar(values[RECEIPT_OUTCOME - 1]);
	if (!isnull[RECEIPT_CLIENT_IP - 1])
		receipt->witness.client_ip = (inet *) PG_DETOAST_DATUM_COPY(values[RECEIPT_CLIENT_IP - 1]);
	if (!isnull[RECEIPT_PEER - 1])
		receipt->witness.peer = (inet *) PG_DETOAST_DATUM_COPY(values[RECEIPT_PEER - 1]);
	if (!isnull[RECEIPT_ACTOR - 1])
		receipt->witness.actor = DatumGetTextPCopy(values[RECEIPT_ACTOR - 1]);
	if (!isnull[RECEIPT_SEAL - 1])
	{
		bytea	   *seal = DatumGetByteaPP(values[RECEIPT_SEAL - 1]);

		receipt->has_seal = VARSIZE_ANY_EXHDR(seal) == SEAL_RECEIPT_BYTES;
		if (receipt->has_seal)
			memcpy(receipt->seal, VARDATA_ANY(seal), SEAL_RECEIPT_BYTES);
	}
	ExecDropSingleTupleTableSlot(scan.slot);
	return true;
}

bool
notes_first(BurnStore *store, unsigned char *id)
{
	const unsigned char lowest[NOTE_ID_BYTES] = {0};

	return rows_first(&store->notes, lowest, id);
}

bool
receipts_first(BurnStore *store, const unsigned char *from, unsigned char *id)
{
	return rows_first(&store->receipts, from, id);
}

bool
receipts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
				int64 limit, TimestampTz until, int64 *deleted)
{
	return rows_delete(&store->receipts, from, bound, limit, until, deleted);
}

/*
 * Records a wrong passphrase.
 */
void
attempt_insert(BurnStore *store, const unsigned char *id, TimestampTz at,
			   const BurnWitness *witness)
{
	BurnTable	table;
	BurnRow		row = {0};

	row_set(&row, ATTEMPT_ID, UUIDPGetDatum((const pg_uuid_t *) id));
	row_set(&row, ATTEMPT_AT, TimestampTzGetDatum(at));
	set_witness(&row, ATTEMPT_CLIENT_IP, witness);

	burn_table_open(&table, &attempt_shape, store->function, store->lockmode);
	row_insert(&table, &row);
	burn_table_close(&table);
}

bool
attempts_first(BurnStore *store, const unsigned char *from, unsigned char *id)
{
	BurnTable	table;
	bool		found;

	burn_table_open(&table, &attempt_shape, store->function, store->lockmode);
	found = rows_first(&table, from, id);
	burn_table_close(&table);
	return found;
}

bool
attempts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
				int64 limit, TimestampTz until, int64 *deleted)
{
	BurnTable	table;
	bool		done;

	burn_table_open(&table, &attempt_shape, store->function, store->lockmode);
	done = rows_delete(&table, from, bound, limit, until, deleted);
	burn_table_close(&table);
	return done;
}
