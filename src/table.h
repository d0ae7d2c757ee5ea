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
#include "access/tableam.h"
#include "executor/tuptable.h"
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
	int			second_key;		/* column of its second index, which may be NULL; 0
								 * if it has one */

	struct BurnShape *next;		/* of those that were ever opened */
	bool		known;			/* among these? */
	bool		watched;		/* no change since burn_table_open() looked? */
	bool		valid;			/* is what follows? */
	Oid			heap;
	Oid			key;
	Oid			second;
	AttrNumber	later_at[LATER_COLUMNS_MAX];	/* 0: not there */
	bool		plain;
} BurnShape;

/* One of the extension's tables, opened for one call. */
typedef struct BurnTable
{
	Relation	heap;
	Relation	key;			/* its index on id */
	Oid			second;			/* and its other one, if second_key is not 0 */
	int			second_key;
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
	SnapshotData snapshot;
	IndexScanDesc index_scan;	/* or */
	TableScanDesc table_scan;
	bool		in_range;		/* of ids, in their order? */
	bool		with_coming;	/* also rows that are being inserted? */
	TupleTableSlot *slot;
} BurnScan;

extern void burn_table_open(BurnTable *table, BurnShape *shape, Oid function, LOCKMODE lockmode);
extern void burn_table_close(BurnTable *table);

extern int	lock_patience(void);
extern bool lock_wait(TimestampTz since);

extern TupleTableSlot *row_make(const BurnTable *table);
extern void row_set(TupleTableSlot *slot, AttrNumber column, Datum value);
extern void row_insert(const BurnTable *table, TupleTableSlot *slot);
extern BurnDelete row_delete(const BurnTable *table, TupleTableSlot *slot);
extern bool row_delete_fires(const BurnTable *table);
extern bool row_fits(const TupleTableSlot *slot, const BurnShape *shape);
extern bool rows_first(const BurnTable *table, const unsigned char *from, unsigned char *id);
extern bool rows_delete(const BurnTable *table, unsigned char *from, const unsigned char *bound,
						int64 limit, TimestampTz until, int64 *deleted);

extern void scan_index(BurnScan *scan, const BurnTable *table, ScanKey keys, int count,
					   bool in_range);
extern void scan_for(BurnScan *scan, const BurnTable *table, const unsigned char *id);
extern void scan_range(BurnScan *scan, const BurnTable *table, const unsigned char *from,
					   const unsigned char *bound);
extern const unsigned char *scan_id(const BurnScan *scan);
extern bool scan_next(BurnScan *scan);
extern void scan_end(BurnScan *scan);
extern void scan_close(BurnScan *scan);

#endif							/* BURN_TABLE_H */
