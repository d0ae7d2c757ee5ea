/*-------------------------------------------------------------------------
 *
 * record.h
 *	  The records that SQL functions return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_RECORD_H
#define BURN_RECORD_H

#include "fmgr.h"

extern Datum record_datum(FunctionCallInfo fcinfo, int columns, const Datum *values, const bool *isnull);

#endif							/* BURN_RECORD_H */
