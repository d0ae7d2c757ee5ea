/*-------------------------------------------------------------------------
 *
 * backlog.c
 *	  What waits for the sweeper.
 *
 * No index can know which burns were rolled back, since a fuse changes in
 * place.  But whoever rolls one back knows, and says so here.  A transaction
 * that deletes a note's row, or lights its fuse without the row, has the note
 * watched, in memory of its own; if it aborts, or prepares to commit, the note
 * goes to a list in shared memory, and so it does at the abort of a
 * subtransaction.  Whoever sweeps looks at what is listed, and need not read the
 * table.  Processes that end do abort; where one is killed, shared memory starts
 * afresh, and so do the sweeps: by reading all rows.
 *
 * What is due by the clock needs no list, since ids begin with the expiry.  But
 * so that nobody has to look whether it is time, each database also has the time
 * before which nothing is due.  Who creates a note lowers it.  Who has swept
 * works it out again: backlog_forget_due(), then a look at the tables, then
 * backlog_due_by().  A row that the look did not see was inserted after that
 * began, and who inserted it finds a time that is to be lowered.
 *
 * Nothing is lost by what has no room here.  If the list is full, the database
 * that has most of it gives its part up, and all of its rows are read instead.
 * A database that finds no place is always due, and read whole.
 *
 * What runs at an abort must not fail: it allocates nothing, and waits for
 * nothing but the one lock, which nobody holds for longer than it takes to walk
 * through the list once for each note that a transaction burned.  Where the library is not preloaded there is no shared
 * memory, and each purge reads all rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "src/backlog.h"
#include "src/expiry.h"

#define DATABASES		128
#define WATCHED_AT_FIRST 16

/* Warnings: one for each note and hour, and so many notes at a time. */
#define WARNED_NOTES	256
#define WARNED_FOR		(SECS_PER_HOUR * USECS_PER_SEC)

/* In milliseconds since the Unix epoch, as ids have it. */
#define NEVER			PG_UINT64_MAX

typedef struct DatabaseState
{
	Oid			oid;			/* InvalidOid: nobody's place */
	int			listed;			/* so many of the list's notes are its */
	bool		read_all;		/* is the next sweep to read all rows? */
	BacklogPosition position;	/* of the sweeper */
	pg_atomic_uint64 due;		/* nothing is due before */
} DatabaseState;

typedef struct ListedNote
{
	Oid			database;
	unsigned char id[NOTE_ID_BYTES];
} ListedNote;

typedef struct WarnedNote
{
	ListedNote	note;
	TimestampTz at;
} WarnedNote;

typedef struct Warned
{
	WarnedNote	notes[WARNED_NOTES];
	TimestampTz of_more_at;		/* when it was last said that there are more */
} Warned;

/* All of it under the lock but for due. */
typedef struct Backlog
{
	uint32		passes;			/* that began to read all rows */
	DatabaseState databases[DATABASES];
	int			listed;
	ListedNote	list[BACKLOG_NOTES];
	Warned		warned;
} Backlog;

/* NULL unless preloaded. */
static Backlog *backlog = NULL;
static LWLock *lock;

/* Where there is no shared memory. */
static Warned own_warned;

/*
 * What this transaction is to list if it aborts.  Those of a subtransaction are
 * the last ones.
 */
typedef struct Watched
{
	SubTransactionId subid;
	unsigned char id[NOTE_ID_BYTES];
} Watched;

static Watched watched_at_first[WATCHED_AT_FIRST];
static Watched *watched = watched_at_first;
static int	watched_room = WATCHED_AT_FIRST;
static int	watched_count = 0;
static bool watched_too_many = false;

/* No note's id: stands for all of the database. */
static const unsigned char all_notes[NOTE_ID_BYTES];

/* ----------
 * Shared memory
 * ----------
 */

void
backlog_request_memory(void)
{
	RequestAddinShmemSpace(MAXALIGN(sizeof(Backlog)));
	RequestNamedLWLockTranche("burn_note", 1);
}

/*
 * The caller holds AddinShmemInitLock.
 */
void
backlog_attach_memory(void)
{
	bool		found;

	backlog = ShmemInitStruct("burn_note backlog", sizeof(Backlog), &found);
	lock = &GetNamedLWLockTranche("burn_note")[0].lock;
	if (!found)
	{
		memset(backlog, 0, sizeof(*backlog));
		for (int i = 0; i < DATABASES; i++)
			pg_atomic_init_u64(&backlog->databases[i].due, NEVER);
	}
}

/*
 * The place of a database, or NULL.  The caller holds the lock.
 */
static DatabaseState *
find_state(Oid database)
{
	for (int i = 0; i < DATABASES; i++)
		if (backlog->databases[i].oid == database)
			return &backlog->databases[i];
	return NULL;
}

/*
 * The same, and if it has none yet, it gets one: all of its rows are to be read.
 */
static DatabaseState *
make_state(Oid database)
{
	DatabaseState *state = find_state(database);

	if (state == NULL)
	{
		state = find_state(InvalidOid);
		if (state != NULL)
		{
			state->oid = database;
			state->read_all = true;
		}
	}
	return state;
}

/*
 * The place of our own database, without the lock.  It stays that database's
 * while somebody is connected; where the launcher took it away nevertheless, all
 * rows are going to be read, and what is said to it is of no account.
 */
static DatabaseState *
own_state(void)
{
	static DatabaseState *state = NULL;

	if (backlog != NULL && (state == NULL || state->oid != MyDatabaseId))
	{
		LWLockAcquire(lock, LW_SHARED);
		state = find_state(MyDatabaseId);
		LWLockRelease(lock);
	}
	return state;
}

static void
lower(DatabaseState *state, uint64 milliseconds)
{
	uint64		due = pg_atomic_read_u64(&state->due);

	while (milliseconds < due &&
		   !pg_atomic_compare_exchange_u64(&state->due, &due, milliseconds))
		;
}

/* ----------
 * The list.  Callers hold the lock, alone if anything changes.
 * ----------
 */

static int
find_listed(Oid database, const unsigned char *id)
{
	for (int i = 0; i < backlog->listed; i++)
		if (backlog->list[i].database == database &&
			memcmp(backlog->list[i].id, id, NOTE_ID_BYTES) == 0)
			return i;
	return -1;
}

static void
unlist(DatabaseState *state, int i)
{
	state->listed--;
	backlog->list[i] = backlog->list[--backlog->listed];
}

static void
unlist_all(DatabaseState *state)
{
	for (int i = backlog->listed - 1; i >= 0; i--)
		if (backlog->list[i].database == state->oid)
			unlist(state, i);
}

/*
 * Makes room: the database that has most of the list gives it up.
 */
static void
make_room(void)
{
	DatabaseState *most = &backlog->databases[0];

	for (int i = 1; i < DATABASES; i++)
		if (backlog->databases[i].listed > most->listed)
			most = &backlog->databases[i];
	unlist_all(most);
	most->read_all = true;
}

static void
list(DatabaseState *state, const unsigned char *id, uint64 now)
{
	if (memcmp(id, all_notes, NOTE_ID_BYTES) == 0)
		state->read_all = true;
	else if (note_id_expires(id) <= now)
		lower(state, note_id_expires(id));
	else if (find_listed(state->oid, id) < 0)
	{
		ListedNote *note;

		if (backlog->listed == BACKLOG_NOTES)
			make_room();
		note = &backlog->list[backlog->listed++];
		note->database = state->oid;
		memcpy(note->id, id, NOTE_ID_BYTES);
		state->listed++;
	}
}

/*
 * Lists what is watched, from the one with that number on.  Takes the lock.
 */
static void
list_watched(int first)
{
	uint64		now = unix_milliseconds(GetCurrentTimestamp());
	DatabaseState *state;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	state = find_state(MyDatabaseId);
	if (state != NULL)
	{
		for (int i = first; i < watched_count; i++)
			list(state, watched[i].id, now);
		if (watched_too_many)
			state->read_all = true;
	}
	LWLockRelease(lock);
	watched_count = first;
}

/* ----------
 * Transactions
 * ----------
 */

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			if (watched_count > 0)
				list_watched(0);
			break;
		case XACT_EVENT_COMMIT:
			break;
		default:
			return;
	}
	watched = watched_at_first;
	watched_room = WATCHED_AT_FIRST;
	watched_count = 0;
	watched_too_many = false;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId subid,
					  SubTransactionId parent, void *arg)
{
	int			first = watched_count;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;

	while (first > 0 && watched[first - 1].subid == subid)
	{
		first--;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			watched[first].subid = parent;
	}
	if (event == SUBXACT_EVENT_ABORT_SUB && (first < watched_count || watched_too_many))
		list_watched(first);
}

/*
 * Has the note listed if the current subtransaction does not commit.  To be
 * called after the row was deleted and before the fuse is lit; or, where the
 * fuse is lit first, before that.
 */
void
backlog_watch(const unsigned char *id)
{
	static bool registered = false;
	SubTransactionId subid = GetCurrentSubTransactionId();
	Watched    *last = watched_count > 0 ? &watched[watched_count - 1] : NULL;

	if (backlog == NULL ||
		(last != NULL && last->subid == subid && memcmp(last->id, id, NOTE_ID_BYTES) == 0))
		return;

	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
		registered = true;
	}

	if (watched_count == BACKLOG_NOTES)
	{
		watched_too_many = true;
		return;
	}
	if (watched_count == watched_room)
	{
		Watched    *more = MemoryContextAlloc(TopTransactionContext,
											  BACKLOG_NOTES * sizeof(Watched));

		memcpy(more, watched, watched_count * sizeof(Watched));
		watched = more;
		watched_room = BACKLOG_NOTES;
	}
	watched[watched_count].subid = subid;
	memcpy(watched[watched_count].id, id, NOTE_ID_BYTES);
	watched_count++;
}

/*
 * Lists a note whatever becomes of the transaction.
 */
void
backlog_add(const unsigned char *id)
{
	DatabaseState *state;

	if (backlog == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	state = find_state(MyDatabaseId);
	if (state != NULL)
		list(state, id, unix_milliseconds(GetCurrentTimestamp()));
	LWLockRelease(lock);
}

/*
 * Something is due at that time, in milliseconds since the Unix epoch.  To be
 * called after the row that says so was inserted.
 */
void
backlog_due_by(uint64 milliseconds)
{
	DatabaseState *state = own_state();

	if (state != NULL)
	{
		/* The row is there before we look whether there is anything to do. */
		pg_memory_barrier();
		lower(state, milliseconds);
	}
}

/* ----------
 * Sweeping
 * ----------
 */

/*
 * Where a sweep of our database begins.  The sweeper goes on where it was when
 * its time was up.  Others begin at the beginning, and their position is not
 * kept: they may roll back, and all rows are read then.
 */
void
backlog_begin(BacklogPosition *position, bool sweeper)
{
	DatabaseState *state;

	memset(position, 0, sizeof(*position));
	position->reading = true;
	if (backlog == NULL)
		return;
	if (!sweeper)
		backlog_watch(all_notes);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	state = make_state(MyDatabaseId);
	if (state == NULL)
		 /* as if there were no shared memory */ ;
	else if (sweeper)
	{
		/* What is being read is read to its end first. */
		if (state->read_all && !state->position.reading)
		{
			state->read_all = false;
			state->position = *position;
			state->position.pass = ++backlog->passes;
		}
		*position = state->position;
	}
	else if (state->read_all || state->position.reading)
		state->read_all = false;
	else
	{
		*position = state->position;
		memset(position->expired_from, 0, NOTE_ID_BYTES);
	}
	LWLockRelease(lock);
}

/*
 * Keeps how far the sweeper has come, when that has been committed.
 */
void
backlog_keep(const BacklogPosition *position)
{
	DatabaseState *state;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	state = find_state(MyDatabaseId);
	if (state != NULL && state->position.pass == position->pass)
		state->position = *position;
	LWLockRelease(lock);
}

/*
 * Copies our database's listed notes, BACKLOG_NOTES at most, and returns how many.
 */
int
backlog_notes(unsigned char (*ids)[NOTE_ID_BYTES])
{
	int			count = 0;

	if (backlog == NULL)
		return 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < backlog->listed; i++)
		if (backlog->list[i].database == MyDatabaseId)
			memcpy(ids[count++], backlog->list[i].id, NOTE_ID_BYTES);
	LWLockRelease(lock);
	return count;
}

/*
 * The note waits no longer.  Where our own transaction has ended it, it is
 * watched, and listed again should that roll back.
 */
void
backlog_remove(const unsigned char *id)
{
	int			i;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	i = find_listed(MyDatabaseId, id);
	if (i >= 0)
		unlist(find_state(MyDatabaseId), i);
	LWLockRelease(lock);
}

/*
 * The sweeper is about to look when anything is due next.
 */
void
backlog_forget_due(void)
{
	DatabaseState *state = own_state();

	if (state != NULL)
		(void) pg_atomic_exchange_u64(&state->due, NEVER);
}

/*
 * May it be said now that this note cannot be ended?  Once in an hour.  Where so
 * many notes cannot that there is no room for this one, that is said instead.
 */
bool
backlog_may_warn(const unsigned char *id)
{
	Warned	   *warned = backlog != NULL ? &backlog->warned : &own_warned;
	TimestampTz now = GetCurrentTimestamp();
	WarnedNote *found = NULL;
	bool		may_warn = false;
	bool		may_warn_of_more = false;

	if (backlog != NULL)
		LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < WARNED_NOTES; i++)
	{
		WarnedNote *warning = &warned->notes[i];
		bool		is_old = warning->at > now || warning->at <= now - WARNED_FOR;

		if (warning->note.database == MyDatabaseId &&
			memcmp(warning->note.id, id, NOTE_ID_BYTES) == 0)
		{
			found = warning;
			may_warn = is_old;
			break;
		}
		if (is_old)
		{
			found = warning;
			may_warn = true;
		}
	}
	if (may_warn)
	{
		found->note.database = MyDatabaseId;
		memcpy(found->note.id, id, NOTE_ID_BYTES);
		found->at = now;
	}
	else if (found == NULL &&
			 (warned->of_more_at > now || warned->of_more_at <= now - WARNED_FOR))
	{
		warned->of_more_at = now;
		may_warn_of_more = true;
	}
	if (backlog != NULL)
		LWLockRelease(lock);

	if (may_warn_of_more)
		ereport(WARNING,
				(errmsg("could not end more than %d burn notes", WARNED_NOTES),
				 errdetail("The others are not named for an hour.")));
	return may_warn;
}

/* ----------
 * The launcher
 * ----------
 */

/*
 * When the database is to be swept next: DT_NOBEGIN for as soon as may be, DT_NOEND
 * for never.
 */
TimestampTz
backlog_due(Oid database)
{
	TimestampTz result = DT_NOBEGIN;
	DatabaseState *state;

	LWLockAcquire(lock, LW_SHARED);
	state = find_state(database);
	if (state != NULL && state->listed == 0 && !state->read_all && !state->position.reading)
	{
		uint64		due = pg_atomic_read_u64(&state->due);

		result = due > TOKEN_EXPIRES_MAX ? DT_NOEND : from_unix_milliseconds(due);
	}
	LWLockRelease(lock);
	return result;
}

/*
 * Has all rows of the database read by its next sweep.
 */
void
backlog_read_all(Oid database)
{
	DatabaseState *state;

	if (backlog == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	state = make_state(database);
	if (state != NULL)
		state->read_all = true;
	LWLockRelease(lock);
}

/*
 * Forgets a database, or all of them for InvalidOid.
 */
void
backlog_forget(Oid database)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < DATABASES; i++)
	{
		DatabaseState *state = &backlog->databases[i];

		if (OidIsValid(state->oid) && (state->oid == database || !OidIsValid(database)))
		{
			unlist_all(state);
			state->oid = InvalidOid;
			memset(&state->position, 0, sizeof(state->position));
			pg_atomic_write_u64(&state->due, NEVER);
		}
	}
	LWLockRelease(lock);
}
