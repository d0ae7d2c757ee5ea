/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Rows of the extension's tables, whatever their columns, reached without SQL.
 *
 * Rows are found through the primary keys, written through the table and index
 * access methods, and deleted with table_tuple_delete().  No statement text
 * exists, so there is no search_path to attack and nothing for auto_explain or
 * pg_stat_statements to show.  Whoever may EXECUTE our functions reaches the
 * tables through them and needs no right on the tables themselves.
 *
 * Looks use a dirty snapshot: it takes no predicate locks, finds a row that
 * was committed after the caller's snapshot was taken, and tells of a delete
 * in progress.  A look never waits.
 *
 * Where a table has a trigger, a CHECK, another index or another column, rows
 * go through the executor's simple-relation calls, which honour them all.
 * AFTER triggers then fire before we return to the caller, that is, before any
 * fuse is lit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"

#include "src/compat.h"
#include "src/fuse.h"
#include "src/table.h"
#include "src/token.h"

#define ID_COLUMN		1

/* Those that were ever opened. */
static BurnShape *shapes = NULL;

static void
forget(Datum arg, Oid relid)
{
	for (BurnShape *shape = shapes; shape != NULL; shape = shape->next)
		if (!OidIsValid(relid) || relid == shape->heap)
			shape->unchanged = shape->up_to_date = false;
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
	fits = index_fits(index, ID_COLUMN) && index->rd_index->indimmediate;
	index_close(index, AccessShareLock);
	return fits;
}

/*
 * May this one of the shape's columns, counted from 0, be NULL?
 */
static bool
may_be_null(const BurnShape *shape, int column)
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
 * rows in which its column is NULL, as row_insert() makes no entry there.
 */
static bool
is_plain(Relation rel, const BurnShape *shape)
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
find_later_columns(BurnShape *shape, TupleDesc tupdesc)
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
learn(BurnShape *shape)
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

	shape->key = shape->has_pkey ? RelationGetPrimaryKeyIndex(rel, false) : index_on(rel, ID_COLUMN);
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
void
burn_table_open(BurnTable *table, BurnShape *shape, Oid function, LOCKMODE lockmode)
{
	if (shapes == NULL)
		CacheRegisterRelcacheCallback(forget, (Datum) 0);
	if (!shape->known)
	{
		shape->known = true;
		shape->next = shapes;
		shapes = shape;
	}

	/* Taking the lock accepts invalidations: the OID may be stale. */
	for (;;)
	{
		if (!shape->up_to_date)
			shape->heap = find_table(function, shape->name);
		shape->unchanged = true;
		LockRelationOid(shape->heap, lockmode);
		if (shape->unchanged || shape->heap == find_table(function, shape->name))
			break;
		UnlockRelationOid(shape->heap, lockmode);
	}

	/*
	 * What changes meanwhile respects the lock, but is to be learnt the next
	 * time.
	 */
	if (!shape->up_to_date)
	{
		shape->unchanged = true;
		learn(shape);
		shape->up_to_date = shape->unchanged;
	}

	table->shape = shape;
	table->heap = table_open(shape->heap, NoLock);
	table->key = index_open(shape->key, lockmode);
	table->second = shape->second;
	memcpy(table->later_at, shape->later_at, sizeof(table->later_at));
	table->plain = shape->plain;
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
 * Waits for a moment, for what has been awaited since then.  False, at once, where that
 * is longer than lock_patience().
 */
bool
lock_wait(TimestampTz since)
{
	if (TimestampDifferenceExceeds(since, GetCurrentTimestamp(), lock_patience()))
		return false;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 1, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/*
 * The row as a virtual tuple of the table's; columns that are not ours are NULL.
 */
static TupleTableSlot *
make_slot(const BurnTable *table, const BurnRow *row)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(table->heap), &TTSOpsVirtual);

	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	for (int i = 0; i < (int) lengthof(row->values); i++)
	{
		AttrNumber	column = i < COLUMNS_MAX ? i + 1 : table->later_at[i - COLUMNS_MAX];

		if (row->is_set[i] && column != 0)
		{
			slot->tts_values[column - 1] = row->values[i];
			slot->tts_isnull[column - 1] = false;
		}
	}
	return ExecStoreVirtualTuple(slot);
}

/*
 * Inserts a row.  Errors out where a trigger keeps it from being inserted: the
 * caller's promise would rest on a row that is not there.
 */
void
row_insert(const BurnTable *table, const BurnRow *row)
{
	Relation	rel = table->heap;
	TupleTableSlot *slot = make_slot(table, row);
	const int	second_key = table->shape->second_key;

	if (table->plain)
	{
		table_tuple_insert(rel, slot, GetCurrentCommandId(true), 0, NULL);
		insert_entry(rel, table->key, slot);
		if (second_key > 0 && row->is_set[second_key - 1])
		{
			Relation	second = index_open(table->second, RowExclusiveLock);

			insert_entry(rel, second, slot);
			index_close(second, NoLock);
		}
	}
	else
	{
		ResultRelInfo *result_rel;
		EState	   *estate = begin_executor(rel, &result_rel);
		int			nesting = NewGUCNestLevel();

		/* AFTER triggers fire in end_executor(), as patient as their user is. */
		(void) set_config_option("lock_timeout", psprintf("%d", lock_patience()),
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
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Deletes the row in slot, waiting for nobody.
 */
BurnDelete
row_delete(const BurnTable *table, TupleTableSlot *slot)
{
	Relation	rel = table->heap;
	bool		plain = !row_delete_fires(table);
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
void
scan_index(BurnScan *scan, const BurnTable *table, ScanKey keys, int count,
		   bool in_range)
{
	scan->shape = table->shape;
	scan->heap = table->heap;
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
void
scan_for(BurnScan *scan, const BurnTable *table, const unsigned char *id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum((const pg_uuid_t *) id));
	scan_index(scan, table, &key, 1, false);
}

void
scan_range(BurnScan *scan, const BurnTable *table, const unsigned char *from,
		   const unsigned char *bound)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], 1, BTGreaterEqualStrategyNumber, F_UUID_GE,
				UUIDPGetDatum((const pg_uuid_t *) from));
	if (bound != NULL)
		ScanKeyInit(&keys[1], 1, BTLessStrategyNumber, F_UUID_LT,
					UUIDPGetDatum((const pg_uuid_t *) bound));
	scan_index(scan, table, keys, bound != NULL ? 2 : 1, true);
}

/*
 * The id under which a scan of a range has found its row.  This, and not what the
 * row says, is in order: a row may be damaged.
 */
const unsigned char *
scan_id(const BurnScan *scan)
{
	bool		isnull;

	return DatumGetUUIDP(index_getattr(scan->index_scan->xs_itup, 1,
									   scan->index_scan->xs_itupdesc, &isnull))->data;
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
 * Do the columns of a row fill its tuple, as far as it goes and no farther, with none
 * NULL that must not be?
 */
static bool
row_fits(const TupleTableSlot *slot, const BurnShape *shape)
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
		columns < shape->columns || columns > tupdesc->natts ||
		header->t_hoff != MAXALIGN(SizeofHeapTupleHeader + (has_nulls ? BITMAPLEN(columns) : 0)))
		return false;
	bytes = tuple->t_len - header->t_hoff;

	for (int i = 0; i < columns; i++)
	{
		const Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		size_t		length;

		if (has_nulls && att_isnull(i, header->t_bits))
		{
			if (!may_be_null(shape, i))
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
 * The next row that is, or was until a delete in progress, in the table.
 */
bool
scan_next(BurnScan *scan)
{
	for (;;)
	{
		bool		found = scan->index_scan != NULL
			? index_getnext_slot(scan->index_scan, ForwardScanDirection, scan->slot)
			: table_scan_getnextslot(scan->table_scan, ForwardScanDirection, scan->slot);

		if (!found)
			return false;

		/*
		 * Another transaction's insert in progress is not there yet, but for
		 * who purges.
		 */
		if (scan->with_coming || !TransactionIdIsValid(scan->snapshot.xmin))
		{
			scan->fits = row_fits(scan->slot, scan->shape);
			return true;
		}
	}
}

static void
end_scan(BurnScan *scan)
{
	if (scan->index_scan != NULL)
		index_endscan(scan->index_scan);
	else
		table_endscan(scan->table_scan);
}

void
scan_close(BurnScan *scan)
{
	end_scan(scan);
	ExecDropSingleTupleTableSlot(scan->slot);
}

/*
 * Looks for the row with this id, in a scan that has ended but for the row's slot, which
 * keeps its page pinned: the caller owes an ExecDropSingleTupleTableSlot().  False: it owes
 * nothing.
 */
bool
row_find(BurnScan *scan, const BurnTable *table, const unsigned char *id)
{
	bool		found;

	scan_for(scan, table, id);
	found = scan_next(scan);
	end_scan(scan);
	if (!found)
		ExecDropSingleTupleTableSlot(scan->slot);
	return found;
}

/*
 * Deletes rows whose ids sort from one on and below another, limit at most, until
 * that time (0 for no limit), and adds how many to *deleted.  True if no more are
 * left to try.  Waits for nobody: a row that is being changed stays, and *from then
 * is its id; otherwise the last one's.
 */
bool
rows_delete(const BurnTable *table, unsigned char *from, const unsigned char *bound,
			int64 limit, TimestampTz until, int64 *deleted)
{
	BurnScan	scan;
	bool		busy = false;
	bool		done = false;

	/* This command may have inserted some of them. */
	CommandCounterIncrement();

	scan_range(&scan, table, from, bound);
	while (limit > 0 && !done && (until == 0 || GetCurrentTimestamp() < until))
	{
		CHECK_FOR_INTERRUPTS();
		done = !scan_next(&scan);
		if (done)
			break;
		if (!busy)
			memcpy(from, scan_id(&scan), NOTE_ID_BYTES);
		if (!TransactionIdIsValid(scan.snapshot.xmax) &&
			row_delete(table, scan.slot) == DELETE_DONE)
		{
			(*deleted)++;
			limit--;
		}
		else
			busy = true;
	}
	scan_close(&scan);
	return done;
}

/*
 * The lowest id of a table's rows, from one on; false if there are none.  Rows that
 * other transactions are inserting or deleting count.
 */
bool
rows_first(const BurnTable *table, const unsigned char *from, unsigned char *id)
{
	BurnScan	scan;
	bool		found;

	scan_range(&scan, table, from, NULL);
	found = index_getnext_slot(scan.index_scan, ForwardScanDirection, scan.slot);
	if (found)
		memcpy(id, scan_id(&scan), NOTE_ID_BYTES);
	scan_close(&scan);
	return found;
}
