/*-------------------------------------------------------------------------
 *
 * check.c
 *	  What burn_check() has to know and SQL cannot tell it.
 *
 * burn_check() itself is SQL, in the install script.  Nearly all that it looks at
 * is in the catalogs and in pg_settings: read there, it keeps its shape from one
 * major to the next, every caller sees what his rights let him see, and no SQL
 * text is in the library.  What is left is here: whether this library was
 * preloaded, which version it is, and what lies in burn_note, which callers need
 * no right on, and which SQL could not read past a damaged row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/detoast.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "src/compat.h"
#include "src/expiry.h"
#include "src/record.h"
#include "src/settings.h"
#include "src/store.h"

/* Who has not swept an expired note for so long does not sweep. */
#define OVERDUE_USECS	USECS_PER_HOUR

PG_FUNCTION_INFO_V1(burn_check_facts);

/*
 * Counts the notes that can still be read, with the bytes that they take sealed, and
 * those that expired long ago and were not swept.
 */
static void
count_notes(Oid function, int64 *pending, int64 *pending_bytes, int64 *overdue)
{
	TimestampTz now = GetCurrentTimestamp();
	BurnStore	store;
	BurnScan	scan;
	BurnNote	note;

	store_open(&store, function, AccessShareLock);
	notes_all(&scan, &store, 0, false);
	while (notes_next(&scan, &note))
	{
		TimestampTz expires = from_unix_milliseconds(note_id_expires(note.id));

		CHECK_FOR_INTERRUPTS();
		if (expires < now - OVERDUE_USECS)
			(*overdue)++;
		else if (note.fuse.state == FUSE_LIVE && expires > now)
		{
			(*pending)++;
			*pending_bytes += toast_datum_size(note.sealed);
		}
	}
	scan_close(&scan);
	store_close(&store);
	sodium_memzero(&note, sizeof(note));
}

/*
 * burn_check_facts() -> burn_facts
 */
Datum
burn_check_facts(PG_FUNCTION_ARGS)
{
	enum
	{
		PRELOADED, VERSION, PENDING, PENDING_BYTES, OVERDUE, COLUMNS
	};
	Datum		values[COLUMNS];
	bool		isnull[COLUMNS] = {0};
	int64		pending = 0;
	int64		pending_bytes = 0;
	int64		overdue = 0;

	/* First, since it locks the tables: DROP EXTENSION then waits for us. */
	count_notes(fcinfo->flinfo->fn_oid, &pending, &pending_bytes, &overdue);

	values[PRELOADED] = BoolGetDatum(burn_databases != NULL);
	values[VERSION] = CStringGetTextDatum(BURN_VERSION);
	values[PENDING] = Int64GetDatum(pending);
	values[PENDING_BYTES] = Int64GetDatum(pending_bytes);
	values[OVERDUE] = Int64GetDatum(overdue);

	PG_RETURN_DATUM(record_datum(fcinfo, COLUMNS, values, isnull));
}
