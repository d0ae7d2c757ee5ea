/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  Counters of what happens to notes, for monitoring.
 *
 * They lie in shared memory if the library is preloaded, count for all of the
 * server's databases since its start or the last burn_stats_reset(), and are
 * atomic: no lock is taken.  What is counted has happened, even if the caller's
 * transaction then rolls back; but for a note that was created so.  Not
 * preloaded, nothing is counted and burn_stats_counters() answers NULLs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "src/record.h"
#include "src/stats.h"

typedef struct SharedStats
{
	pg_atomic_uint64 counters[COUNTERS];
	pg_atomic_uint64 reset_at;	/* a TimestampTz */
} SharedStats;

/* NULL unless preloaded. */
static SharedStats *stats = NULL;

PG_FUNCTION_INFO_V1(burn_stats_counters);
PG_FUNCTION_INFO_V1(burn_stats_reset);

void
stats_request_memory(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(SharedStats)));
}

static void
reset(void)
{
	for (int i = 0; i < COUNTERS; i++)
		pg_atomic_write_u64(&stats->counters[i], 0);
	pg_atomic_write_u64(&stats->reset_at, GetCurrentTimestamp());
}

/*
 * The caller holds AddinShmemInitLock.
 */
void
stats_attach_memory(void)
{
	bool		found;

	stats = ShmemInitStruct("burn_note", sizeof(SharedStats), &found);
	if (!found)
	{
		for (int i = 0; i < COUNTERS; i++)
			pg_atomic_init_u64(&stats->counters[i], 0);
		pg_atomic_init_u64(&stats->reset_at, GetCurrentTimestamp());
	}
}

void
stats_count(BurnCounter counter)
{
	if (stats != NULL)
		pg_atomic_fetch_add_u64(&stats->counters[counter], 1);
}

/*
 * burn_stats_counters() -> burn_counters: since when, then the counters in order
 */
Datum
burn_stats_counters(PG_FUNCTION_ARGS)
{
	Datum		values[COUNTERS + 1] = {0};
	bool		isnull[COUNTERS + 1] = {0};

	if (stats == NULL)
		memset(isnull, true, sizeof(isnull));
	else
	{
		values[0] = TimestampTzGetDatum(pg_atomic_read_u64(&stats->reset_at));
		for (int i = 0; i < COUNTERS; i++)
			values[1 + i] = Int64GetDatum(pg_atomic_read_u64(&stats->counters[i]));
	}

	PG_RETURN_DATUM(record_datum(fcinfo, lengthof(values), values, isnull));
}

/*
 * burn_stats_reset() -> void
 */
Datum
burn_stats_reset(PG_FUNCTION_ARGS)
{
	if (stats != NULL)
		reset();
	PG_RETURN_VOID();
}
