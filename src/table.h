/*-------------------------------------------------------------------------
 *
 * table.h
 *	  Rows of the extension's tables, whatever their columns, reached without SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_TABLE_H
#define BURN_TABLE_H

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "storage/proc.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

#define COLUMNS_MAX		8
#define LATER_COLUMNS_MAX 4

/*
 * What this library expects of a table, and what burn_table_open() found out about
 * it in this database.  Any change to the table, and so DROP EXTENSION, makes
 * what was found out invalid.
 *
 * The library also serves the tables of each earlier release, which lack what came
 * later.  So a column that is not in 1.0 is found by its name, as others may have
 * added theirs before it came, and is left out where it has not come yet.
 */
typedef struct BurnShape
{
	const char *name;
	int			columns;		/* in 1.0; the first is the id */
	int			required;		/* so many first columns are never NULL */
	Oid			types[COLUMNS_MAX]; /* InvalidOid stands for burn_fuse */
	struct
	{
		const char *name;		/* NULL ends the list */
		Oid			type;
	}			later[LATER_COLUMNS_MAX];	/* may be NULL, have no default */
	bool		has_pkey;		/* else it is found by another index on id */
	int			second_key;		/* column of its second index, which may be
								 * NULL; 0 if it has one */

	struct BurnShape *next;		/* of those that were ever opened */
	bool		known;			/* among these? */
	bool		unchanged;		/* since burn_table_open() looked? */
	bool		up_to_date;		/* is what follows? */
	Oid			heap;
	Oid			key;
	Oid			second;
	AttrNumber	later_at[LATER_COLUMNS_MAX];	/* 0: not there */
	bool		plain;
} BurnShape;

/*
 * A row to insert: the columns of 1.0 by their numbers, then those that came later.  What
 * is not set is NULL.
 */
typedef struct BurnRow
{
	Datum		values[COLUMNS_MAX + LATER_COLUMNS_MAX];
	bool		is_set[COLUMNS_MAX + LATER_COLUMNS_MAX];
} BurnRow;

#define LATER_COLUMN(i) (COLUMNS_MAX + 1 + (i))

/* One of the extension's tables, opened for one call. */
typedef struct BurnTable
{
	const BurnShape *shape;
	Relation	heap;
	Relation	key;			/* its index on id */

	/* The shape's, which may be found out anew while this one is open. */
	Oid			second;
	AttrNumber	later_at[LATER_COLUMNS_MAX];
	bool		plain;			/* see is_plain() */
} BurnTable;

typedef enum BurnDelete
{
	DELETE_DONE,
	DELETE_BUSY,				/* another transaction has it, look again */
	DELETE_GONE					/* somebody else's delete has committed */
} BurnDelete;

/* A scan over rows. */
typedef struct BurnScan
{
	const BurnShape *shape;
	Relation	heap;
	SnapshotData snapshot;
	IndexScanDesc index_scan;	/* or */
	TableScanDesc table_scan;
	bool		in_range;		/* of ids, in their order? */
	bool		with_coming;	/* also rows that are being inserted? */
	TupleTableSlot *slot;
	bool		fits;			/* is the row sound? Only then ask slot for a
								 * column */
} BurnScan;

extern void burn_table_open(BurnTable *table, BurnShape *shape, Oid function, LOCKMODE lockmode);

extern bool lock_wait(TimestampTz since)
			__attribute__((warn_unused_result));

extern void row_insert(const BurnTable *table, const BurnRow *row);
extern bool row_find(BurnScan *scan, const BurnTable *table, const unsigned char *id)
			__attribute__((warn_unused_result));
extern BurnDelete row_delete(const BurnTable *table, TupleTableSlot *slot)
			__attribute__((warn_unused_result));
extern bool rows_first(const BurnTable *table, const unsigned char *from, unsigned char *id);
extern bool rows_delete(const BurnTable *table, unsigned char *from, const unsigned char *bound,
						int64 limit, TimestampTz until, int64 *deleted);

extern void scan_index(BurnScan *scan, const BurnTable *table, ScanKey keys, int count,
					   bool in_range);
extern void scan_for(BurnScan *scan, const BurnTable *table, const unsigned char *id);
extern void scan_range(BurnScan *scan, const BurnTable *table, const unsigned char *from,
					   const unsigned char *bound);
extern const unsigned char *scan_id(const BurnScan *scan);
extern bool scan_next(BurnScan *scan)
			__attribute__((warn_unused_result));
extern void scan_close(BurnScan *scan);

static inline void
burn_table_close(BurnTable *table)
{
	index_close(table->key, NoLock);
	table_close(table->heap, NoLock);
}

/*
 * How many milliseconds to wait for another transaction: lock_timeout, or, where there
 * is none, the time after which a deadlock is found.
 */
static inline int
lock_patience(void)
{
	return LockTimeout > 0 ? LockTimeout : DeadlockTimeout;
}

static inline void
row_set(BurnRow *row, AttrNumber column, Datum value)
{
	row->values[column - 1] = value;
	row->is_set[column - 1] = true;
}

/*
 * Does deleting a row fire triggers, which may skip it?
 */
static inline bool
row_delete_fires(const BurnTable *table)
{
	const TriggerDesc *triggers = table->heap->trigdesc;

	return triggers != NULL &&
		(triggers->trig_delete_before_row || triggers->trig_delete_after_row);
}

#endif							/* BURN_TABLE_H */
