/*-------------------------------------------------------------------------
 *
 * record.c
 *	  The records that SQL functions return.
 *
 * Between the installation of another version of the library and ALTER EXTENSION
 * ... UPDATE, the type that a function returns is of another version than the
 * library.  Later versions add columns to such a type, after those that are there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "src/record.h"

/*
 * What the function that is being called returns, from the columns that this version
 * knows.  Those that its type does not have are left out, and those that only the type
 * has are NULL.
 */
Datum
record_datum(FunctionCallInfo fcinfo, int columns, const Datum *values, const bool *isnull)
{
	TupleDesc	tupdesc;
	Datum	   *all;
	bool	   *all_isnull;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	all = palloc0(Max(tupdesc->natts, columns) * sizeof(*all));
	all_isnull = palloc(Max(tupdesc->natts, columns) * sizeof(*all_isnull));
	memset(all_isnull, true, tupdesc->natts * sizeof(*all_isnull));
	memcpy(all, values, columns * sizeof(*all));
	memcpy(all_isnull, isnull, columns * sizeof(*all_isnull));

	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), all, all_isnull));
}
