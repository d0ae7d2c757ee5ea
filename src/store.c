/*-------------------------------------------------------------------------
 *
 * store.c
 *	  The tables burn_note, burn_receipt and burn_attempt, reached without SQL.
 *
 * Rows are found through the primary keys, written through the table and index
 * access methods, and deleted with table_tuple_delete().  No statement text
 * exists, so there is no search_path to attack and nothing for auto_explain or
 * pg_stat_statements to show.  Whoever may EXECUTE our functions reaches the
 * tables through them and needs no right on the tables themselves.
 *
 * Looks use a dirty snapshot: it takes no predicate locks, finds a note that
 * was committed after the caller's snapshot was taken, and tells of a delete
 * in progress.  A look never waits.
 *
 * A row's fuse may change in its page at any time, so it is copied out under
 * the buffer's lock (fuse_read), and a look keeps its page pinned so that the
 * row stays where it is until the fuse is lit.
 *
 * A look trusts a row of burn_note with nothing, whatever damaged it: see look().
 * What damages the page's header and line pointers, or the tuple's transaction ids
 * and flags, is for PostgreSQL to survive, as it is for any table.
 *
 * Where a table has a trigger, a CHECK, another index or another column, rows
 * go through the executor's simple-relation calls, which honour them all.
 * AFTER triggers then fire before we return to the caller, that is, before any
 * fuse is lit.
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
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/tupmacs.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"

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

#define LATER_COLUMNS_MAX 4

/*
 * What this library expects of a table, and what open_table() found out about
 * it in this database.  Any change to the table, and so DROP EXTENSION, makes
 * what was found out invalid.
 *
 * The library also serves the tables of each earlier release, which lack what came
 * later.  So a column that is not in 1.0 is found by its name, as others may have
 * added theirs before it came, and is left out where it has not come yet.
 */
typedef struct Shape
{
	const char *name;
	int			columns;		/* in 1.0 */
	int			required;		/* so many first columns are never NULL */
	Oid			types[RECEIPT_COLUMNS]; /* InvalidOid stands for burn_fuse */
	struct
	{
		const char *name;		/* NULL ends the list */
		Oid			type;
	}			later[LATER_COLUMNS_MAX];	/* may be NULL, have no default */
	bool		has_pkey;		/* else it is found by another index on id */
	int			second_key;		/* column of its second index, which may be NULL; 0
								 * if it has one */

	bool		watched;		/* no change since open_table() looked? */
	bool		valid;			/* is what follows? */
	Oid			heap;
	Oid			key;
	Oid			second;
	AttrNumber	later_at[LATER_COLUMNS_MAX];	/* 0: not there */
	bool		plain;
} Shape;

static Shape note_shape = {
	.name = "burn_note",.columns = NOTE_COLUMNS,.required = NOTE_SEALED,
	.types = {UUIDOID, TIMESTAMPTZOID, InvalidOid, OIDOID, BYTEAOID},
	.has_pkey = true,
	.second_key = NOTE_CREATOR
};

static Shape receipt_shape = {
	.name = "burn_receipt",.columns = RECEIPT_COLUMNS,.required = RECEIPT_OUTCOME,
	.types = {UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, CHAROID,
	INETOID, INETOID, TEXTOID, BYTEAOID},
#ifdef BURN_TEST_LATER_COLUMN
	.later = {{"later", TEXTOID}},
#endif
	.has_pkey = true
};

static Shape attempt_shape = {
	.name = "burn_attempt",.columns = ATTEMPT_COLUMNS,.required = ATTEMPT_AT,
	.types = {UUIDOID, TIMESTAMPTZOID, INETOID, INETOID, TEXTOID}
};

/* In what way a row was damaged, for report_damage(). */
static const char damaged_fuse[] = "its fuse is none that this version writes";
static const char other_id[] = "its id does not lead to it";

static Shape *const shapes[] = {&note_shape, &receipt_shape, &attempt_shape};

static void
forget(Datum arg, Oid relid)
{
	for (size_t i = 0; i < lengthof(shapes); i++)
		if (!OidIsValid(relid) || relid == shapes[i]->heap)
			shapes[i]->watched = shapes[i]->valid = false;
}

/*
 * Does the index have nothing but the column, and every row's, or every row's where
 * it is not NULL?
 */
static bool
index_fits(Relation index, AttrNumber column)
{
	const FormData_pg_index *form = index->rd_index;
	List	   *predicate;
	bool		fits;

	if (index->rd_rel->relam != BTREE_AM_OID || !form->indisvalid || !form->indisready ||
		form->indnatts != 1 || form->indkey.values[0] != column)
		return false;

	predicate = RelationGetIndexPredicate(index);
	fits = predicate == NIL;
	if (list_length(predicate) == 1 && IsA(linitial(predicate), NullTest))
	{
		const NullTest *test = linitial_node(NullTest, predicate);

		fits = test->nulltesttype == IS_NOT_NULL && IsA(test->arg, Var) &&
			((Var *) test->arg)->varattno == column;
	}
	list_free_deep(predicate);
	return fits;
}

/*
 * An index of rel on the given column that fits.
 */
static Oid
index_on(Relation rel, AttrNumber column)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			found = InvalidOid;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		if (index_fits(index, column))
			found = RelationGetRelid(index);
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return found;
}

/*
 * Is the index, a primary key, what "one receipt for each note" can rely on?
 */
static bool
primary_key_fits(Oid key)
{
	Relation	index;
	bool		fits;

	if (!OidIsValid(key))
		return false;
	index = index_open(key, AccessShareLock);
	fits = index_fits(index, NOTE_ID) && index->rd_index->indimmediate;
	index_close(index, AccessShareLock);
	return fits;
}

/*
 * May this one of the shape's columns, counted from 0, be NULL?
 */
static bool
may_be_null(const Shape *shape, int column)
{
	return column >= shape->required || column + 1 == shape->second_key;
}

/*
 * Does the index leave rows out?
 */
static bool
is_partial(Oid index)
{
	Relation	rel = index_open(index, AccessShareLock);
	bool		partial = !heap_attisnull(rel->rd_indextuple, Anum_pg_index_indpred, NULL);

	index_close(rel, AccessShareLock);
	return partial;
}

/*
 * May rows of rel be inserted without the executor?  Only where nothing but its
 * own columns and indexes wants to know of them.  A second index must leave out the
 * rows for which note_insert() makes no entry.
 */
static bool
is_plain(Relation rel, const Shape *shape)
{
	const TriggerDesc *triggers = rel->trigdesc;
	const TupleDesc tupdesc = RelationGetDescr(rel);
	List	   *indexes = RelationGetIndexList(rel);
	int			columns = shape->columns;
	bool		plain;

	for (int i = 0; i < LATER_COLUMNS_MAX; i++)
		columns += shape->later_at[i] != 0;
	plain = tupdesc->natts == columns &&
		list_length(indexes) == (shape->second_key > 0 ? 2 : 1) &&
		(shape->second_key == 0 || is_partial(shape->second)) &&
		tupdesc->constr->num_check == 0 && tupdesc->constr->num_defval == 0 &&
		(triggers == NULL ||
		 !(triggers->trig_insert_before_row || triggers->trig_insert_after_row));
	for (int i = 0; i < shape->columns; i++)
		if (may_be_null(shape, i))
			plain = plain && !TupleDescAttr(tupdesc, i)->attnotnull;
	list_free(indexes);
	return plain;
}

/*
 * Finds the columns that came later than 1.0.  False where one of them is of another
 * type.
 */
static bool
find_later_columns(Shape *shape, TupleDesc tupdesc)
{
	memset(shape->later_at, 0, sizeof(shape->later_at));
	for (int i = 0; i < LATER_COLUMNS_MAX && shape->later[i].name != NULL; i++)
		for (int j = shape->columns; j < tupdesc->natts; j++)
		{
			Form_pg_attribute att = TupleDescAttr(tupdesc, j);

			if (att->attisdropped || strcmp(NameStr(att->attname), shape->later[i].name) != 0)
				continue;
			if (att->atttypid != shape->later[i].type)
				return false;
			shape->later_at[i] = att->attnum;
		}
	return true;
}

/*
 * Finds out about a table that the caller has locked.
 */
static void
learn_table(Shape *shape)
{
	Relation	rel = table_open(shape->heap, NoLock);
	TupleDesc	tupdesc = RelationGetDescr(rel);
	bool		fits = tupdesc->natts >= shape->columns &&
		rel->rd_tableam == GetHeapamTableAmRoutine();

	for (int i = 0; fits && i < shape->columns; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		Oid			type = shape->types[i];

		fits = (OidIsValid(type) ? att->atttypid == type : att->attlen == FUSE_BYTES) &&
			(att->attnotnull || may_be_null(shape, i));
	}
	fits = fits && find_later_columns(shape, tupdesc);

	shape->key = shape->has_pkey ? RelationGetPrimaryKeyIndex(rel, false) : index_on(rel, NOTE_ID);
	shape->second = shape->second_key > 0 ? index_on(rel, shape->second_key) : InvalidOid;
	if (!fits || !OidIsValid(shape->key) ||
		(shape->has_pkey && !primary_key_fits(shape->key)) ||
		(shape->second_key > 0 && !OidIsValid(shape->second)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not as this version of burn_note made it",
						RelationGetRelationName(rel)),
				 errhint("Run ALTER EXTENSION burn_note UPDATE, and undo what was altered in the table.")));
	shape->plain = is_plain(rel, shape);
	table_close(rel, NoLock);
}

/*
 * The table of that name in the extension that function belongs to.
 */
static Oid
find_table(Oid function, const char *name)
{
	Oid			extension = getExtensionOfObject(ProcedureRelationId, function);
	Oid			table = get_relname_relid(name, get_func_namespace(function));

	if (!OidIsValid(extension) || !OidIsValid(table) ||
		getExtensionOfObject(RelationRelationId, table) != extension)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" of extension burn_note does not exist", name),
				 errhint("Run CREATE EXTENSION burn_note.")));
	return table;
}

/*
 * Opens one of the extension's tables.  The lock is held to the end of the
 * transaction.
 */
static void
open_table(BurnTable *table, Shape *shape, Oid function, LOCKMODE lockmode)
{
	static bool watching = false;

	if (!watching)
	{
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
		watching = true;
	}

	/* Taking the lock accepts invalidations: the OID may be stale. */
	for (;;)
	{
		if (!shape->valid)
			shape->heap = find_table(function, shape->name);
		shape->watched = true;
		LockRelationOid(shape->heap, lockmode);
		if (shape->watched || shape->heap == find_table(function, shape->name))
			break;
		UnlockRelationOid(shape->heap, lockmode);
	}

	/* What changes meanwhile respects the lock, but is to be learnt the next time. */
	if (!shape->valid)
	{
		shape->watched = true;
		learn_table(shape);
		shape->valid = shape->watched;
	}

	table->heap = table_open(shape->heap, NoLock);
	table->key = index_open(shape->key, lockmode);
	table->plain = shape->plain;
}

static void
close_table(BurnTable *table)
{
	index_close(table->key, NoLock);
	table_close(table->heap, NoLock);
}

/*
 * Opens the tables of notes and receipts.  function is any function of the
 * extension.
 */
void
store_open(BurnStore *store, Oid function, LOCKMODE lockmode)
{
	store->function = function;
	store->lockmode = lockmode;
	open_table(&store->notes, &note_shape, function, lockmode);

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

	open_table(&store->receipts, &receipt_shape, function, lockmode);
}

void
store_close(BurnStore *store)
{
	close_table(&store->receipts);
	close_table(&store->notes);
}

/*
 * An executor state for one row of one table, and its end, at which AFTER
 * triggers fire.
 */
static EState *
begin_executor(Relation rel, ResultRelInfo **result_rel)
{
	EState	   *estate = CreateExecutorState();

	/*
	 * Range-table index 0: there is no range table, and a failing constraint
	 * would look an index up in it.
	 */
	*result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(*result_rel, rel, 0, NULL, 0);
	estate->es_opened_result_relations =
		lappend(estate->es_opened_result_relations, *result_rel);
	estate->es_output_cid = GetCurrentCommandId(true);
	AfterTriggerBeginQuery();
	ExecOpenIndices(*result_rel, false);
	return estate;
}

static void
end_executor(EState *estate, ResultRelInfo *result_rel)
{
	ExecCloseIndices(result_rel);
	AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	FreeExecutorState(estate);
}

/*
 * Inserts the index entry of the row that was just inserted.
 */
static void
insert_entry(Relation rel, Relation index, TupleTableSlot *slot)
{
	const int16 *columns = index->rd_index->indkey.values;
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS] = {0};

	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		values[i] = slot->tts_values[columns[i] - 1];
	index_insert(index, values, isnull, &slot->tts_tid, rel,
				 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
				 false, NULL);
}

/*
 * How many milliseconds to wait for another transaction: lock_timeout, or, where there
 * is none, the time after which a deadlock is found.
 */
int
store_patience(void)
{
	return LockTimeout > 0 ? LockTimeout : DeadlockTimeout;
}

/*
 * Waits for a moment, for what has been awaited since then.  False, at once, where that
 * is longer than store_patience().
 */
bool
store_wait(TimestampTz since)
{
	if (TimestampDifferenceExceeds(since, GetCurrentTimestamp(), store_patience()))
		return false;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 1, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/*
 * Inserts the row in slot.  Errors out where a trigger keeps it from being
 * inserted: the caller's promise would rest on a row that is not there.
 */
static void
insert_row(const BurnTable *table, TupleTableSlot *slot)
{
	Relation	rel = table->heap;

	if (table->plain)
	{
		table_tuple_insert(rel, slot, GetCurrentCommandId(true), 0, NULL);
		insert_entry(rel, table->key, slot);
	}
	else
	{
		ResultRelInfo *result_rel;
		EState	   *estate = begin_executor(rel, &result_rel);
		int			nesting = NewGUCNestLevel();

		/* AFTER triggers fire in end_executor(), as patient as their user is. */
		(void) set_config_option("lock_timeout", psprintf("%d", store_patience()),
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		ItemPointerSetInvalid(&slot->tts_tid);
		ExecSimpleRelationInsert(result_rel, estate, slot);
		AtEOXact_GUC(true, nesting);
		if (!ItemPointerIsValid(&slot->tts_tid))
			ereport(ERROR,
					(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
					 errmsg("a trigger on table \"%s\" skipped a row that burn_note relies on",
							RelationGetRelationName(rel))));
		end_executor(estate, result_rel);
	}
}

/*
 * An empty row for insert_row(); columns that are not ours are NULL.
 */
static TupleTableSlot *
make_row(const BurnTable *table)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(table->heap), &TTSOpsVirtual);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	return slot;
}

/*
 * Sets a column, unless it is 0: one that has not come yet.
 */
static void
set_column(TupleTableSlot *slot, AttrNumber column, Datum value)
{
	if (column == 0)
		return;
	slot->tts_values[column - 1] = value;
	slot->tts_isnull[column - 1] = false;
}

/*
 * Sets the columns client_ip, peer and actor, which stand in this order.
 */
static void
set_witness(TupleTableSlot *slot, AttrNumber client_ip, const BurnWitness *witness)
{
	if (witness->client_ip != NULL)
		set_column(slot, client_ip, InetPGetDatum(witness->client_ip));
	if (witness->peer != NULL)
		set_column(slot, client_ip + 1, InetPGetDatum(witness->peer));
	if (witness->actor != NULL)
		set_column(slot, client_ip + 2, PointerGetDatum(witness->actor));
}

static bool
has_no_delete_trigger(Relation rel)
{
	const TriggerDesc *triggers = rel->trigdesc;

	return triggers == NULL ||
		!(triggers->trig_delete_before_row || triggers->trig_delete_after_row);
}

/*
 * Deletes the row in slot, waiting for nobody.
 */
static BurnDelete
delete_row(const BurnTable *table, TupleTableSlot *slot)
{
	Relation	rel = table->heap;
	bool		plain = has_no_delete_trigger(rel);
	CommandId	cid = GetCurrentCommandId(true);
	TM_FailureData failure;
	TM_Result	result = TM_BeingModified;

	if (plain)
		result = table_tuple_delete(rel, &slot->tts_tid, cid, 0, InvalidSnapshot,
									InvalidSnapshot, false, &failure);

	/*
	 * Being modified may mean that this transaction itself has locked the
	 * row; and the executor would wait.  So get the row's lock or give way.
	 */
	if (result == TM_BeingModified)
	{
		TupleTableSlot *locked = table_slot_create(rel, NULL);

		result = table_tuple_lock(rel, &slot->tts_tid, GetActiveSnapshot(),
								  locked, cid, LockTupleExclusive,
								  LockWaitSkip, 0, &failure);
		ExecDropSingleTupleTableSlot(locked);
		if (result == TM_Ok && plain)
			result = table_tuple_delete(rel, &slot->tts_tid, cid, 0, InvalidSnapshot,
										InvalidSnapshot, true, &failure);
		else if (result == TM_Ok)
		{
			ResultRelInfo *result_rel;
			EState	   *estate = begin_executor(rel, &result_rel);
			EPQState	epqstate;

			EvalPlanQualInit(&epqstate, estate, NULL, NIL, -1, NIL);
			ExecSimpleRelationDelete(result_rel, estate, &epqstate, slot);
			EvalPlanQualEnd(&epqstate);
			end_executor(estate, result_rel);
		}
	}

	switch (result)
	{
		case TM_Ok:
			return DELETE_DONE;
		case TM_BeingModified:
		case TM_WouldBlock:
			return DELETE_BUSY;
		default:
			return DELETE_GONE;
	}
}

/*
 * Starts a scan in the order of the table's index, of the rows that the keys
 * want.  scan_id() is for those in a range of ids.
 */
static void
begin_index_scan(BurnScan *scan, const BurnTable *table, ScanKey keys, int count,
				 bool in_range)
{
	InitDirtySnapshot(scan->snapshot);
	scan->slot = table_slot_create(table->heap, NULL);
	scan->with_coming = false;
	scan->table_scan = NULL;
	scan->index_scan = index_beginscan(table->heap, table->key, &scan->snapshot, NULL, count, 0, SO_NONE);
	scan->index_scan->xs_want_itup = scan->in_range = in_range;
	index_rescan(scan->index_scan, keys, count, NULL, 0);
}

/*
 * The same by id: of the one equal to it, or of those from one on that sort below
 * another; NULL for all of these.
 */
static void
begin_lookup(BurnScan *scan, const BurnTable *table, const unsigned char *id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum((const pg_uuid_t *) id));
	begin_index_scan(scan, table, &key, 1, false);
}

static void
begin_range(BurnScan *scan, const BurnTable *table, const unsigned char *from,
			const unsigned char *bound)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_UUID_GE,
				UUIDPGetDatum((const pg_uuid_t *) from));
	if (bound != NULL)
		ScanKeyInit(&keys[1], 1, BTLessStrategyNumber, F_UUID_LT,
					UUIDPGetDatum((const pg_uuid_t *) bound));
	begin_index_scan(scan, table, keys, bound != NULL ? 2 : 1, true);
}

/*
 * The id under which a scan of a range has found its row.  This, and not what the
 * row says, is in order: a row may be damaged.
 */
static const unsigned char *
scan_id(const BurnScan *scan)
{
	bool		isnull;

	return DatumGetUUIDP(index_getattr(scan->index_scan->xs_itup, 1,
									   scan->index_scan->xs_itupdesc, &isnull))->data;
}

/*
 * The next row that is, or was until a delete in progress, in the table.
 */
static bool
next_row(BurnScan *scan)
{
	for (;;)
	{
		bool		found = scan->index_scan != NULL
			? index_getnext_slot(scan->index_scan, ForwardScanDirection, scan->slot)
			: table_scan_getnextslot(scan->table_scan, ForwardScanDirection, scan->slot);

		if (!found)
			return false;
		/* Another transaction's insert in progress is not there yet, but for who purges. */
		if (scan->with_coming || !TransactionIdIsValid(scan->snapshot.xmin))
			return true;
	}
}

/*
 * Ends the scan but for its slot, which keeps its page pinned.
 */
static void
end_scan(BurnScan *scan)
{
	if (scan->index_scan != NULL)
		index_endscan(scan->index_scan);
	else
		table_endscan(scan->table_scan);
}

/*
 * The bytes that a varlena takes at data, where some are available; 0 where it would
 * take more, or is something that no table holds.
 */
static size_t
varlena_bytes(const char *data, size_t available)
{
	size_t		bytes = 0;

	if (VARATT_IS_EXTERNAL(data))
	{
		if (available >= TOAST_POINTER_SIZE && VARTAG_EXTERNAL(data) == VARTAG_ONDISK)
			bytes = TOAST_POINTER_SIZE;
	}
	else if (VARATT_IS_SHORT(data))
		bytes = VARSIZE_SHORT(data);
	else if (available >= VARHDRSZ && VARSIZE(data) >= VARHDRSZ)
		bytes = VARSIZE(data);
	return bytes <= available ? bytes : 0;
}

/*
 * Do the columns of a row of burn_note fill its tuple, as far as it goes and no farther,
 * with none NULL that must not be?  Only then may the slot be asked for any of them.
 */
static bool
columns_fit(const TupleTableSlot *slot)
{
	const TupleDesc tupdesc = slot->tts_tupleDescriptor;
	const BufferHeapTupleTableSlot *stored = (const BufferHeapTupleTableSlot *) slot;
	const HeapTuple tuple = stored->base.tuple;
	const HeapTupleHeader header = tuple->t_data;
	const char *page = BufferGetPage(stored->buffer);
	const bool	has_nulls = HeapTupleHasNulls(tuple);
	const int	columns = HeapTupleHeaderGetNatts(header);
	const char *data = (const char *) header + header->t_hoff;
	size_t		bytes;
	size_t		offset = 0;

	if ((const char *) header + tuple->t_len > page + BLCKSZ ||
		tuple->t_len < header->t_hoff ||
		columns < NOTE_COLUMNS || columns > tupdesc->natts ||
		header->t_hoff != MAXALIGN(SizeofHeapTupleHeader + (has_nulls ? BITMAPLEN(columns) : 0)))
		return false;
	bytes = tuple->t_len - header->t_hoff;

	for (int i = 0; i < columns; i++)
	{
		const Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		size_t		length;

		if (has_nulls && att_isnull(i, header->t_bits))
		{
			if (!may_be_null(&note_shape, i))
				return false;
			continue;
		}
		if (offset >= bytes)
			return false;
		offset = att_align_pointer(offset, att->attalign, att->attlen, data + offset);
		if (offset >= bytes)
			return false;
		length = att->attlen > 0 ? (size_t) att->attlen :
			varlena_bytes(data + offset, bytes - offset);
		if (length == 0 || length > bytes - offset)
			return false;
		offset += length;
	}
	return offset == bytes;
}

/*
 * Is this of a length that seal_note() makes, and, out of line, in rel's TOAST table?
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
	return bytes <= seal_sealed_bytes(SEAL_NOTE_BYTES_MAX);
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
	Relation	rel = scan->index_scan != NULL ? scan->index_scan->heapRelation : scan->table_scan->rs_rd;

	note->slot = slot;
	memset(note->id, 0, NOTE_ID_BYTES);
	if (!columns_fit(slot))
		return "its columns do not fit";

	slot_getsomeattrs(slot, NOTE_SEALED);
	memcpy(note->id, DatumGetUUIDP(slot->tts_values[NOTE_ID - 1])->data, NOTE_ID_BYTES);
	if (!sealed_fits(rel, slot->tts_values[NOTE_SEALED - 1]))
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
	TupleTableSlot *slot = make_row(&store->notes);

	set_column(slot, NOTE_ID, UUIDPGetDatum((const pg_uuid_t *) id));
	set_column(slot, NOTE_CREATED_AT, TimestampTzGetDatum(created_at));
	set_column(slot, NOTE_FUSE, PointerGetDatum(fuse));
	set_column(slot, NOTE_SEALED, PointerGetDatum(sealed));
	if (OidIsValid(creator))
		set_column(slot, NOTE_CREATOR, ObjectIdGetDatum(creator));
	ExecStoreVirtualTuple(slot);

	insert_row(&store->notes, slot);
	if (OidIsValid(creator) && store->notes.plain)
	{
		Relation	index = index_open(note_shape.second, store->lockmode);

		insert_entry(store->notes.heap, index, slot);
		index_close(index, NoLock);
	}
	ExecDropSingleTupleTableSlot(slot);
	CommandCounterIncrement();
}

/*
 * How many notes of creator wait to be read, but no more than limit.  Those of
 * transactions in progress count: they may yet be committed.
 */
int
notes_of_creator(BurnStore *store, Oid creator, int limit)
{
	Relation	index = index_open(note_shape.second, store->lockmode);
	const BurnTable by_creator = {.heap = store->notes.heap,.key = index};
	uint64		now = unix_milliseconds(GetCurrentTimestamp());
	ScanKeyData key;
	BurnScan	scan;
	int			count = 0;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(creator));
	begin_index_scan(&scan, &by_creator, &key, 1, false);
	while (count < limit &&
		   index_getnext_slot(scan.index_scan, ForwardScanDirection, scan.slot))
	{
		const Datum *values = scan.slot->tts_values;

		CHECK_FOR_INTERRUPTS();
		if (!columns_fit(scan.slot))
			continue;
		slot_getsomeattrs(scan.slot, NOTE_FUSE);
		if (((BurnFuse *) DatumGetPointer(values[NOTE_FUSE - 1]))->state == FUSE_LIVE &&
			note_id_expires(DatumGetUUIDP(values[NOTE_ID - 1])->data) > now)
			count++;
	}
	end_scan(&scan);
	ExecDropSingleTupleTableSlot(scan.slot);
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
	bool		found;

	begin_lookup(&scan, &store->notes, id);
	found = next_row(&scan);
	if (found)
	{
		const char *damage = look(&scan, note);

		if (damage == NULL && memcmp(note->id, id, NOTE_ID_BYTES) != 0)
			damage = other_id;
		if (damage != NULL)
			report_damage(ERROR, note, damage);
	}
	else
		ExecDropSingleTupleTableSlot(scan.slot);
	end_scan(&scan);
	return found;
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

	begin_lookup(&scan, &store->notes, note->id);
	do
		place = index_getnext_tid(scan.index_scan, ForwardScanDirection);
	while (place != NULL && !ItemPointerEquals(place, &note->slot->tts_tid));
	if (place == NULL)
		report_damage(ERROR, note, other_id);
	notes_end(&scan);
}

/*
 * The sealed note as it is stored, perhaps out of line.
 */
Datum
note_sealed(const BurnNote *note)
{
	bool		isnull;
	Datum		sealed = slot_getattr(note->slot, NOTE_SEALED, &isnull);

	Assert(!isnull);
	return sealed;
}

/*
 * The buffer that holds note->fuse_on_page, pinned until note_release().
 */
Buffer
note_buffer(const BurnNote *note)
{
	return ((BufferHeapTupleTableSlot *) note->slot)->buffer;
}

/*
 * Deletes the note's row in the caller's transaction, waiting for nobody.
 * After DELETE_DONE no other transaction can light or delete it before this
 * one ends, and note->fuse is as of the delete.
 */
BurnDelete
note_delete(BurnStore *store, BurnNote *note)
{
	BurnDelete	result = delete_row(&store->notes, note->slot);

	if (result == DELETE_DONE)
	{
		if (!has_no_delete_trigger(store->notes.heap))
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

		/* If this is rolled back, the row is there again, its fuse lit perhaps. */
		backlog_watch(note->id);
	}
	return result;
}

void
note_release(BurnNote *note)
{
	ExecDropSingleTupleTableSlot(note->slot);
	sodium_memzero(note, sizeof(*note));
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
	begin_range(scan, &store->notes, from, bound);
	scan->with_coming = true;
}

void
notes_all(BurnScan *scan, BurnStore *store, BlockNumber from, bool with_coming)
{
	Relation	heap = store->notes.heap;
	BlockNumber blocks = RelationGetNumberOfBlocks(heap);

	InitDirtySnapshot(scan->snapshot);
	scan->slot = table_slot_create(heap, NULL);
	scan->in_range = false;
	scan->with_coming = with_coming;
	scan->index_scan = NULL;
	scan->table_scan = table_beginscan_strat(heap, &scan->snapshot, 0, NULL, true, false);

	/* The table may have become shorter. What is added now is not for this scan. */
	from = Min(from, blocks);
	heap_setscanlimits(scan->table_scan, from < blocks ? from : 0, blocks - from);
}

/*
 * The next note.  One whose row is damaged is passed over, with a WARNING in an hour.
 */
bool
notes_next(BurnScan *scan, BurnNote *note)
{
	while (next_row(scan))
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

void
notes_end(BurnScan *scan)
{
	end_scan(scan);
	ExecDropSingleTupleTableSlot(scan->slot);
}

/*
 * Adds a receipt.  Errors out where the note already has one: it has ended
 * before, and this row of it is a copy that somebody put back.  Also where another
 * transaction is writing one and does not end within store_patience().
 */
void
receipt_insert(BurnStore *store, const BurnReceipt *receipt)
{
	TupleTableSlot *slot = make_row(&store->receipts);
	MemoryContext caller = CurrentMemoryContext;
	const int	lock_timeout = LockTimeout;

	set_column(slot, RECEIPT_ID, UUIDPGetDatum((const pg_uuid_t *) receipt->id));
	set_column(slot, RECEIPT_CREATED_AT, TimestampTzGetDatum(receipt->created_at));
	set_column(slot, RECEIPT_CLOSED_AT, TimestampTzGetDatum(receipt->closed_at));
	set_column(slot, RECEIPT_OUTCOME, CharGetDatum(receipt->outcome));
	set_witness(slot, RECEIPT_CLIENT_IP, &receipt->witness);
	if (receipt->has_seal)
	{
		bytea	   *seal = palloc(VARHDRSZ + SEAL_RECEIPT_BYTES);

		SET_VARSIZE(seal, VARHDRSZ + SEAL_RECEIPT_BYTES);
		memcpy(VARDATA(seal), receipt->seal, SEAL_RECEIPT_BYTES);
		set_column(slot, RECEIPT_SEAL, PointerGetDatum(seal));
	}
#ifdef BURN_TEST_LATER_COLUMN
	set_column(slot, receipt_shape.later_at[0], CStringGetTextDatum("a later version"));
#endif
	ExecStoreVirtualTuple(slot);

	PG_TRY();
	{
		/* Where users' code may run, insert_row() does that for a part of it. */
		if (store->receipts.plain)
			LockTimeout = store_patience();
		insert_row(&store->receipts, slot);
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
							   store_patience())));
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
	ExecDropSingleTupleTableSlot(slot);

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
 * Is there a receipt for this note?  The answer is for end_note_found(), which
 * must not wait for the transaction that is writing one.
 */
BurnReceiptLook
receipt_look(BurnStore *store, const unsigned char *id)
{
	BurnScan	scan;
	BurnReceiptLook result = RECEIPT_ABSENT;

	begin_lookup(&scan, &store->receipts, id);
	if (index_getnext_slot(scan.index_scan, ForwardScanDirection, scan.slot))
		result = TransactionIdIsValid(scan.snapshot.xmin) ? RECEIPT_COMING : RECEIPT_THERE;
	notes_end(&scan);
	return result;
}

/*
 * Looks for a receipt; what it fills in is allocated in the caller's context.
 */
bool
receipt_find(BurnStore *store, const unsigned char *id, BurnReceipt *receipt)
{
	BurnScan	scan;
	bool		found;

	begin_lookup(&scan, &store->receipts, id);
	found = next_row(&scan);
	if (found)
	{
		TupleTableSlot *slot = scan.slot;
		const Datum *values = slot->tts_values;
		const bool *isnull = slot->tts_isnull;

		slot_getallattrs(slot);
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
	}
	end_scan(&scan);
	ExecDropSingleTupleTableSlot(scan.slot);
	return found;
}

/*
 * Deletes rows whose ids sort from one on and below another, limit at most, until
 * that time (0 for no limit), and adds how many to *deleted.  True if no more are
 * left to try.  Waits for nobody: a row that is being changed stays, and *from then
 * is its id; otherwise the last one's.
 */
static bool
delete_between(const BurnTable *table, unsigned char *from, const unsigned char *bound,
			   int64 limit, TimestampTz until, int64 *deleted)
{
	BurnScan	scan;
	bool		busy = false;
	bool		done = false;

	/* This command may have inserted some of them. */
	CommandCounterIncrement();

	begin_range(&scan, table, from, bound);
	while (limit > 0 && !done && (until == 0 || GetCurrentTimestamp() < until))
	{
		CHECK_FOR_INTERRUPTS();
		done = !next_row(&scan);
		if (done)
			break;
		if (!busy)
			memcpy(from, scan_id(&scan), NOTE_ID_BYTES);
		if (!TransactionIdIsValid(scan.snapshot.xmax) &&
			delete_row(table, scan.slot) == DELETE_DONE)
		{
			(*deleted)++;
			limit--;
		}
		else
			busy = true;
	}
	notes_end(&scan);
	return done;
}

/*
 * The lowest id of a table's rows, from one on; false if there are none.  Rows that
 * other transactions are inserting or deleting count.
 */
static bool
first_id(const BurnTable *table, const unsigned char *from, unsigned char *id)
{
	BurnScan	scan;
	bool		found;

	begin_range(&scan, table, from, NULL);
	found = index_getnext_slot(scan.index_scan, ForwardScanDirection, scan.slot);
	if (found)
		memcpy(id, scan_id(&scan), NOTE_ID_BYTES);
	notes_end(&scan);
	return found;
}

bool
notes_first(BurnStore *store, unsigned char *id)
{
	const unsigned char lowest[NOTE_ID_BYTES] = {0};

	return first_id(&store->notes, lowest, id);
}

bool
receipts_first(BurnStore *store, const unsigned char *from, unsigned char *id)
{
	return first_id(&store->receipts, from, id);
}

bool
receipts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
				int64 limit, TimestampTz until, int64 *deleted)
{
	return delete_between(&store->receipts, from, bound, limit, until, deleted);
}

/*
 * Records a wrong passphrase.
 */
void
attempt_insert(BurnStore *store, const unsigned char *id, TimestampTz at,
			   const BurnWitness *witness)
{
	BurnTable	table;
	TupleTableSlot *slot;

	open_table(&table, &attempt_shape, store->function, store->lockmode);
	slot = make_row(&table);
	set_column(slot, ATTEMPT_ID, UUIDPGetDatum((const pg_uuid_t *) id));
	set_column(slot, ATTEMPT_AT, TimestampTzGetDatum(at));
	set_witness(slot, ATTEMPT_CLIENT_IP, witness);
	ExecStoreVirtualTuple(slot);
	insert_row(&table, slot);
	ExecDropSingleTupleTableSlot(slot);
	close_table(&table);
}

bool
attempts_first(BurnStore *store, const unsigned char *from, unsigned char *id)
{
	BurnTable	table;
	bool		found;

	open_table(&table, &attempt_shape, store->function, store->lockmode);
	found = first_id(&table, from, id);
	close_table(&table);
	return found;
}

bool
attempts_delete(BurnStore *store, unsigned char *from, const unsigned char *bound,
				int64 limit, TimestampTz until, int64 *deleted)
{
	BurnTable	table;
	bool		done;

	open_table(&table, &attempt_shape, store->function, store->lockmode);
	done = delete_between(&table, from, bound, limit, until, deleted);
	close_table(&table);
	return done;
}
