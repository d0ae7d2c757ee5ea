/*-------------------------------------------------------------------------
 *
 * purge.c
 *	  Purging: finishing rolled-back burns, expiring notes, removing receipts.
 *
 * A purge looks at four things: the notes that the backlog lists, the notes that
 * have expired, whose ids sort first, all rows of burn_note if the backlog says
 * so, and the receipts and attempts that are old enough.  Each goes on where it
 * was: behind a note that cannot be ended, and in the sweeper from one
 * transaction to the next, and from one worker to the next.
 *
 * The sweeper's transactions are short.  burn_purge() is one, its caller's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "src/backlog.h"
#include "src/expiry.h"
#include "src/finish.h"
#include "src/purge.h"
#include "src/settings.h"
#include "src/store.h"

/*
 * The sweeper's transactions try so many notes at most: each takes a
 * subtransaction, and snapshots list 64 of a transaction.  Receipts and attempts
 * take none.
 */
#define BATCH_NOTES	50
#define BATCH_ROWS	5000

/* How often a look at all rows looks at the clock, too. */
#define ROWS_PER_LOOK 64

/*
 * Begins a purge of our database, the sweeper's or burn_purge()'s, which stops at
 * that time (0 for never).
 */
void
purge_begin(Purge *purge, bool sweeper, TimestampTz until)
{
	memset(purge, 0, offsetof(Purge, list));
	purge->until = until;
	purge->now = unix_milliseconds(GetCurrentTimestamp());
	backlog_begin(&purge->position, sweeper);
	purge->listed = backlog_notes(purge->list);
}

static bool
time_is_up(const Purge *purge)
{
	return purge->until != 0 && GetCurrentTimestamp() >= purge->until;
}

static TimestampTz
purge_time(const Purge *purge)
{
	return from_unix_milliseconds(purge->now);
}

/*
 * The id that sorts next.
 */
static void
next_id(unsigned char *id)
{
	for (int i = NOTE_ID_BYTES - 1; i >= 0 && ++id[i] == 0; i--)
		;
}

/*
 * Tries to end a note that is listed.
 */
static bool
end_listed(Purge *purge, BurnStore *store, const unsigned char *id)
{
	BurnEnd		end = END_BUSY;
	unsigned char next[NOTE_ID_BYTES];
	bool		found;
	BurnScan	scan;
	BurnNote	note;

	/* It expired meanwhile, and is found as such. */
	if (note_id_expires(id) <= purge->now)
	{
		backlog_remove(id);
		return false;
	}

	/*
	 * It leaves the list before the look, so that who burns it after that
	 * lists it again, and comes back behind the others.
	 */
	backlog_watch(id);
	backlog_remove(id);

	memcpy(next, id, NOTE_ID_BYTES);
	next_id(next);
	notes_between(&scan, store, id, next);
	found = notes_next(&scan, &note);
	if (found && fuse_is_lit(&note.fuse))
		end = finish_for_sweep(store, &note, purge_time(purge));
	else if (found && !note.busy)
		found = false;			/* who was about to burn it gave up before */
	scan_close(&scan);
	sodium_memzero(&note, sizeof(note));

	if (found && end != END_DONE)
		backlog_add(id);
	return end == END_DONE;
}

/*
 * Tries to end notes that have expired.
 */
static int64
end_expired(Purge *purge, BurnStore *store, int64 *tries)
{
	unsigned char *from = purge->position.expired_from;
	int64		ended = 0;
	unsigned char bound[NOTE_ID_BYTES];
	BurnScan	scan;
	BurnNote	note;

	note_id_first(bound, purge->now + 1);
	notes_between(&scan, store, from, bound);
	while (!purge->expired_done && *tries > 0 && !time_is_up(purge))
	{
		CHECK_FOR_INTERRUPTS();
		if (notes_next(&scan, &note))
		{
			memcpy(from, note.id, NOTE_ID_BYTES);
			next_id(from);
			(*tries)--;
			if (finish_for_sweep(store, &note, purge_time(purge)) == END_DONE)
				ended++;
		}
		else
			purge->expired_done = true;
	}
	scan_close(&scan);
	sodium_memzero(&note, sizeof(note));
	return ended;
}

/*
 * Reads the rows of burn_note, and tries to end notes whose burns were rolled
 * back.
 */
static int64
end_lit(Purge *purge, BurnStore *store, int64 *tries)
{
	BacklogPosition *position = &purge->position;
	int64		ended = 0;
	uint64		rows = 0;
	BurnScan	scan;
	BurnNote	note;

	notes_all(&scan, store, ItemPointerGetBlockNumberNoCheck(&position->read), true);
	while (position->reading && *tries > 0 &&
		   (++rows % ROWS_PER_LOOK != 0 || !time_is_up(purge)))
	{
		CHECK_FOR_INTERRUPTS();
		if (!notes_next(&scan, &note))
			position->reading = false;
		else if (ItemPointerCompare(&note.slot->tts_tid, &position->read) > 0)
		{
			position->read = note.slot->tts_tid;
			if (fuse_is_lit(&note.fuse) && note_id_expires(note.id) > purge->now)
			{
				BurnEnd		end = finish_for_sweep(store, &note, purge_time(purge));

				/* Whoever has it may have prepared that before a crash. */
				if (end == END_DONE)
					ended++;
				else
					backlog_add(note.id);
				(*tries)--;
			}
		}
	}
	scan_close(&scan);
	sodium_memzero(&note, sizeof(note));
	return ended;
}

/*
 * Tries to end so many notes at most, and returns how many it has ended.  Those
 * that somebody else has, and those that cannot be ended, stay: it goes on
 * behind them.
 */
static int64
end_notes(Purge *purge, BurnStore *store, int64 tries)
{
	int64		ended = 0;

	if (tries > 0 && !purge->expired_done)
		ended += end_expired(purge, store, &tries);
	if (tries > 0 && purge->position.reading)
		ended += end_lit(purge, store, &tries);
	for (; tries > 0 && purge->tried < purge->listed && !time_is_up(purge); tries--)
	{
		CHECK_FOR_INTERRUPTS();
		if (end_listed(purge, store, purge->list[purge->tried++]))
			ended++;
	}
	return ended;
}

static bool
all_notes_done(const Purge *purge)
{
	return purge->tried == purge->listed && purge->expired_done && !purge->position.reading;
}

/*
 * Deletes so many receipts and so many attempts at most whose retention has
 * passed.  Returns how many.
 */
static int64
delete_rows(Purge *purge, BurnStore *store, int64 limit)
{
	BacklogPosition *position = &purge->position;
	int64		kept_since = (int64) purge->now - burn_receipt_retention * INT64CONST(1000);
	int64		deleted = 0;
	unsigned char bound[NOTE_ID_BYTES];

	if (burn_receipt_retention == 0 || kept_since <= 0)
		purge->receipts_done = purge->attempts_done = true;
	else
		note_id_first(bound, kept_since);

	if (!purge->receipts_done)
		purge->receipts_done = receipts_delete(store, position->receipts_from, bound,
											   limit, purge->until, &deleted);
	if (!purge->attempts_done)
		purge->attempts_done = attempts_delete(store, position->attempts_from, bound,
											   limit, purge->until, &deleted);
	return deleted;
}

/*
 * Tells the backlog when something will be due next.  What is due now and was
 * left is among it.
 */
static void
tell_due(const Purge *purge, BurnStore *store)
{
	const uint64 retention = burn_receipt_retention * UINT64CONST(1000);
	unsigned char id[NOTE_ID_BYTES];

	backlog_forget_due();
	if (notes_first(store, id))
		backlog_due_by(note_id_expires(id));
	if (retention > 0 && receipts_first(store, purge->position.receipts_from, id))
		backlog_due_by(note_id_expires(id) + retention + 1);
	if (retention > 0 && attempts_first(store, purge->position.attempts_from, id))
		backlog_due_by(note_id_expires(id) + retention + 1);
}

/*
 * The sweeper's next batch, in a transaction of its own.  True if it was the last
 * one.
 */
bool
purge_batch(Purge *purge, Oid function)
{
	BurnStore	store;
	bool		done;

	store_open(&store, function, RowExclusiveLock);
	(void) delete_rows(purge, &store, BATCH_ROWS);
	(void) end_notes(purge, &store, BATCH_NOTES);

	done = all_notes_done(purge) && purge->receipts_done && purge->attempts_done;
	if (done)
	{
		memset(purge->position.expired_from, 0, NOTE_ID_BYTES);
		tell_due(purge, &store);
	}
	store_close(&store);
	return done;
}

/*
 * All of it for burn_purge(): up to limit notes, and as many receipts and as many
 * attempts, in the caller's transaction.  Returns how many rows went.
 */
int64
purge_now(Oid function, int64 limit)
{
	Purge	   *purge = palloc(sizeof(Purge));
	int64		removed = 0;
	BurnStore	store;

	store_open(&store, function, RowExclusiveLock);
	purge_begin(purge, false, 0);
	while (removed < limit && !all_notes_done(purge))
		removed += end_notes(purge, &store, limit - removed);
	if (purge->position.reading)
		backlog_read_all(MyDatabaseId);
	removed += delete_rows(purge, &store, limit);
	store_close(&store);

	pfree(purge);
	return removed;
}
