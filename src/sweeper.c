/*-------------------------------------------------------------------------
 *
 * sweeper.c
 *	  The background processes that do what burn_purge() does, uncalled.
 *
 * The launcher lives as long as the server is no standby.  It is connected to
 * no database.  Of the databases that burn_note.databases allows it takes those
 * for which the backlog says that something is due, the one that has been due for
 * longest first, and has one worker sweep each.  It looks at each interval, which
 * costs next to nothing; so nobody need wake it.
 *
 * A worker connects, purges in short transactions until there is nothing to do
 * or its time is up, tells the launcher how it went, and exits.
 * It must never stay: DROP DATABASE, ALTER DATABASE ... RENAME and CREATE
 * DATABASE ... TEMPLATE give up after five seconds of somebody else being
 * connected.  So it waits half a second at most for a lock, quietly leaving the
 * rest for the next time, and not at all for a standby.
 *
 * What fails in one database fails in its worker: it is in the log, and that
 * database is left alone for a while.  A worker that takes long keeps the
 * launcher for a few seconds only.
 *
 * Workers have a superuser's rights, and whoever may write triggers and
 * constraints for the extension's tables would have them run with these.  So
 * they run as the tables' owner does, as VACUUM would have them.  For the same
 * reason nothing is found by name alone: the owner of a schema, or of the
 * extension, may put things of the same name there.
 *
 * Nothing here reads a note, and no statement text exists.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "src/backlog.h"
#include "src/compat.h"
#include "src/purge.h"
#include "src/settings.h"
#include "src/store.h"
#include "src/sweeper.h"

#define LAUNCHER	"burn_note launcher"
#define WORKER		"burn_note sweeper"

/* A worker starts no transaction after so long, */
#define SLICE_MS	2000

/* and the launcher turns to other databases while it takes longer than this. */
#define PATIENCE_MS 10000

/* So many intervals pass before a database is tried again that failed or has no burn_note. */
#define RETRY		5

/* All rows of a database are read after so long, for what nobody has told. */
#define READ_ALL_AFTER	USECS_PER_DAY

/* After so many seconds the server starts a launcher again that has ended. */
#define RESTART		3

/* How a sweep went. */
typedef enum SweepResult
{
	SWEEP_FAILED,				/* also if the worker could not begin */
	SWEEP_ABSENT,				/* the database does not have the extension */
	SWEEP_LATER,				/* something kept it from going on, for now */
	SWEEP_DONE,					/* the backlog knows what comes next */
	SWEEP_MORE					/* there is more to do */
} SweepResult;

/* What the launcher tells a worker, in bgw_extra. */
typedef struct SweepOrder
{
	Oid			database;
	NameData	name;
	dsm_handle	result;			/* where to put the SweepResult */
} SweepOrder;

/* What the launcher knows of a database. */
typedef struct Database
{
	Oid			oid;			/* the hash key */
	NameData	name;
	bool		wanted;			/* does it exist, and is it to be swept? */
	TransactionId created;		/* by whom its row in pg_database was written */
	TimestampTz read_all;		/* when the backlog was last told to begin
								 * anew */
	TimestampTz started;		/* the latest sweep, 0 for none */
	int			idle_intervals; /* so many from there nothing is done, */
	bool		only_if_due;	/* and then only if the backlog says so */
	BackgroundWorkerHandle *worker; /* NULL for none */
	dsm_segment *result;		/* the worker's */
} Database;

static HTAB *databases;			/* of the launcher */

PGDLLEXPORT void sweeper_launcher_main(Datum unused);
PGDLLEXPORT void sweeper_worker_main(Datum unused);

/* ----------
 * Settings
 * ----------
 */

static bool
is_all(const List *names)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), "*") == 0)
		return true;
	return false;
}

/*
 * Check hook of burn_note.databases.
 */
bool
sweeper_check_databases(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		ok = SplitIdentifierString(copy, ',', &names);

	if (!ok)
		GUC_check_errdetail("It must be \"*\", or a list of database names separated by commas.");
	else if (is_all(names) && list_length(names) > 1)
	{
		GUC_check_errdetail("\"*\" stands for every database and cannot stand beside a name.");
		ok = false;
	}
	list_free(names);
	pfree(copy);
	return ok;
}

/*
 * Is burn_note.databases such that this database is swept?
 */
static bool
is_allowed(const NameData *database)
{
	static bool parsed = false;
	static List *names = NIL;
	ListCell   *lc;

	/* The setting cannot change while the server runs. */
	if (!parsed)
	{
		MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);

		(void) SplitIdentifierString(pstrdup(burn_databases), ',', &names);
		MemoryContextSwitchTo(caller);
		parsed = true;
	}

	if (is_all(names))
		return true;
	foreach(lc, names)
		if (strcmp(lfirst(lc), NameStr(*database)) == 0)
		return true;
	return false;
}

/* ----------
 * Launcher
 * ----------
 */

/*
 * Fills in what the launcher and its workers have in common.
 */
static void
describe_worker(BackgroundWorker *worker, const char *name, const char *function)
{
	memset(worker, 0, sizeof(*worker));
	strlcpy(worker->bgw_name, name, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, name, sizeof(worker->bgw_type));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(worker->bgw_library_name, "burn_note", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
}

/*
 * Has the server start the launcher, where the library is preloaded and
 * burn_note.databases is not empty.
 */
void
sweeper_start(void)
{
	BackgroundWorker worker;

	/* pg_upgrade wants nothing to change but what it changes. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade ||
		burn_databases[0] == '\0')
		return;

	describe_worker(&worker, LAUNCHER, "sweeper_launcher_main");
	worker.bgw_restart_time = RESTART;
	RegisterBackgroundWorker(&worker);
}

/*
 * Has everything of a database looked at by its next sweep.
 */
static void
begin_anew(Database *database)
{
	backlog_forget(database->oid);
	backlog_read_all(database->oid);
	database->read_all = GetCurrentTimestamp();
}

/*
 * Sleeps until something happens, so many milliseconds at most.
 */
static void
wait_for_latch(long milliseconds)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 milliseconds, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();

	/* Unless the server stops, it starts us again: not for exit code 0. */
	if (ShutdownRequestPending)
		proc_exit(1);
	if (ConfigReloadPending)
	{
		HASH_SEQ_STATUS all;
		Database   *database;

		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);

		/* A retention may have changed. */
		hash_seq_init(&all, databases);
		while ((database = hash_seq_search(&all)) != NULL)
			begin_anew(database);
	}
}

/*
 * If the database's worker has ended, takes down how the sweep went.  Returns
 * whether there is no worker any more.
 */
static bool
collect_worker(Database *database)
{
	pid_t		pid;

	if (database->worker == NULL)
		return true;
	if (GetBackgroundWorkerPid(database->worker, &pid) != BGWH_STOPPED)
		return false;

	switch (*(SweepResult *) dsm_segment_address(database->result))
	{
		case SWEEP_MORE:
			database->idle_intervals = 0;
			break;
		case SWEEP_LATER:
			database->idle_intervals = 1;
			break;
		case SWEEP_DONE:
			database->idle_intervals = 1;
			database->only_if_due = true;
			break;
		case SWEEP_ABSENT:
			database->idle_intervals = RETRY;
			database->only_if_due = true;
			break;
		case SWEEP_FAILED:
			database->idle_intervals = RETRY;
			break;
	}
	dsm_detach(database->result);
	database->result = NULL;
	pfree(database->worker);
	database->worker = NULL;
	return true;
}

/*
 * Brings what the launcher knows of the databases up to date.
 */
static void
read_databases(void)
{
	TimestampTz now = GetCurrentTimestamp();
	HASH_SEQ_STATUS all;
	Database   *database;
	Relation	catalog;
	TableScanDesc scan;
	HeapTuple	tuple;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
		database->wanted = false;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(catalog, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);
		bool		found;

		if (!form->datallowconn || form->datconnlimit == DATCONNLIMIT_INVALID_DB ||
			!is_allowed(&form->datname))
			continue;

		database = hash_search(databases, &form->oid, HASH_ENTER, &found);
		if (!found)
			memset(database, 0, sizeof(*database));
		database->oid = form->oid;
		database->name = form->datname;
		database->wanted = true;

		/* Under its OID there may be another one now. */
		if (!TransactionIdEquals(database->created, HeapTupleHeaderGetRawXmin(tuple->t_data)) ||
			database->read_all > now || database->read_all <= now - READ_ALL_AFTER)
			begin_anew(database);
		database->created = HeapTupleHeaderGetRawXmin(tuple->t_data);
	}
	table_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
		if (collect_worker(database) && !database->wanted)
		{
			backlog_forget(database->oid);
			(void) hash_search(databases, &database->oid, HASH_REMOVE, NULL);
		}
}

/*
 * The database that has been due for longest.  NULL: none is, and none will be
 * for *milliseconds.
 */
static Database *
find_due(long *milliseconds)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		interval = burn_purge_interval * USECS_PER_SEC;
	TimestampTz first = now + interval;
	Database   *result = NULL;
	HASH_SEQ_STATUS all;
	Database   *database;

	hash_seq_init(&all, databases);
	while ((database = hash_seq_search(&all)) != NULL)
	{
		TimestampTz due = database->started + database->idle_intervals * interval;

		if (database->only_if_due)
			due = Max(due, backlog_due(database->oid));

		/* Somebody may have set the clock back. */
		if (database->started > now)
			due = now;
		if (database->wanted && database->worker == NULL && due < first)
		{
			first = due;
			result = database;
		}
	}

	*milliseconds = TimestampDifferenceMilliseconds(now, first);
	return first <= now ? result : NULL;
}

/*
 * Is the database being dropped, renamed or copied?  A worker would have to
 * wait for the end of that before it could connect.
 */
static bool
is_locked(Oid database)
{
	LOCKTAG		tag;
	bool		locked;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	StartTransactionCommand();
	locked = LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL;
	CommitTransactionCommand();
	return locked;
}

/*
 * Starts a worker in the database, if that can be done now.
 */
static void
start_worker(Database *database)
{
	static bool complained = false;
	BackgroundWorker worker;
	SweepOrder	order;

	database->started = GetCurrentTimestamp();
	database->idle_intervals = 1;
	database->only_if_due = false;
	if (is_locked(database->oid))
		return;

	database->result = dsm_create(sizeof(SweepResult), 0);
	*(SweepResult *) dsm_segment_address(database->result) = SWEEP_FAILED;

	describe_worker(&worker, WORKER, "sweeper_worker_main");
	worker.bgw_flags |= BGWORKER_INTERRUPTIBLE;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	order.database = database->oid;
	order.name = database->name;
	order.result = dsm_segment_handle(database->result);
	StaticAssertStmt(sizeof(order) <= sizeof(worker.bgw_extra), "a worker can be told its order");
	memcpy(worker.bgw_extra, &order, sizeof(order));

	if (RegisterDynamicBackgroundWorker(&worker, &database->worker))
	{
		complained = false;
		return;
	}

	dsm_detach(database->result);
	database->result = NULL;
	database->worker = NULL;
	if (!complained)
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("burn_note cannot sweep because no background worker slot is free"),
				 errhint("You might need to increase max_worker_processes. This is said once.")));
	complained = true;
}

/*
 * The launcher.
 */
void
sweeper_launcher_main(Datum unused)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(Database)};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	SetConfigOption("application_name", LAUNCHER, PGC_USERSET, PGC_S_OVERRIDE);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	MemoryContextSwitchTo(TopMemoryContext);
	databases = hash_create("burn_note databases", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	backlog_forget(InvalidOid);

	for (;;)
	{
		Database   *database;
		long		pause;

		SetCurrentStatementStartTimestamp();
		read_databases();
		database = find_due(&pause);
		if (database == NULL)
		{
			pgstat_report_activity(STATE_IDLE, NULL);
			wait_for_latch(pause);
			continue;
		}

		pgstat_report_activity(STATE_RUNNING, "sweeping");
		start_worker(database);
		while (!collect_worker(database) &&
			   !TimestampDifferenceExceeds(database->started, GetCurrentTimestamp(), PATIENCE_MS))
			wait_for_latch(PATIENCE_MS);
	}
}

/* ----------
 * Worker
 * ----------
 */

/*
 * burn_purge(integer) of the extension in this database, or InvalidOid.  The
 * extension cannot be dropped before the transaction ends.
 */
static Oid
find_purge(void)
{
	Oid			purge = InvalidOid;
	Relation	relation;
	ObjectAddress extension;
	CatCList   *list;

	extension = get_object_address(OBJECT_EXTENSION, (Node *) makeString(pstrdup("burn_note")),
								   &relation, AccessShareLock, true);
	if (!OidIsValid(extension.objectId))
		return InvalidOid;

	/* The extension's owner may add functions to it, but none in C. */
	list = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum("burn_purge"));
	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(&list->members[i]->tuple);

		if (form->prolang == ClanguageId &&
			form->pronargs == 1 && form->proargtypes.values[0] == INT4OID &&
			getExtensionOfObject(ProcedureRelationId, form->oid) == extension.objectId)
			purge = form->oid;
	}
	ReleaseSysCacheList(list);
	return purge;
}

/*
 * The owner of the tables that purge works on, who is locked in with them.
 */
static Oid
find_owner(Oid purge)
{
	static const char *const tables[] = {NOTE_TABLE, RECEIPT_TABLE, ATTEMPT_TABLE};
	Oid			owner = InvalidOid;

	for (size_t i = 0; i < lengthof(tables); i++)
	{
		Oid			table = get_relname_relid(tables[i], get_func_namespace(purge));
		HeapTuple	tuple;
		Oid			its_owner;

		if (!OidIsValid(table))
			continue;			/* burn_purge() knows what to say */
		LockRelationOid(table, RowExclusiveLock);
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
		if (!HeapTupleIsValid(tuple))
			continue;
		its_owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);

		if (OidIsValid(owner) && its_owner != owner)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the tables of extension burn_note do not have the same owner"),
					 errdetail("burn_note sweeps as their owner, so that nobody else's triggers run with more rights."),
					 errhint("Use ALTER TABLE ... OWNER TO.")));
		owner = its_owner;
	}
	return owner;
}

/*
 * One transaction.
 */
static SweepResult
sweep_batch(Purge *purge)
{
	SweepResult result = SWEEP_ABSENT;
	Oid			user;
	int			security;
	Oid			function;

	GetUserIdAndSecContext(&user, &security);
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());

	function = find_purge();

	/* Who has made read-only the default wants nothing to change by itself. */
	if (OidIsValid(function) && XactReadOnly)
		result = SWEEP_LATER;
	else if (OidIsValid(function))
	{
		Oid			owner = find_owner(function);
		int			nesting = NewGUCNestLevel();

		if (OidIsValid(owner))
			SetUserIdAndSecContext(owner, security | SECURITY_RESTRICTED_OPERATION);
		result = purge_batch(purge, function) ? SWEEP_DONE : SWEEP_MORE;
		AtEOXact_GUC(false, nesting);
	}
	else
	{
		/* Where there is no extension nothing waits. */
		backlog_forget_due();
		for (int i = 0; i < purge->listed; i++)
			backlog_remove(purge->list[i]);
		purge->position.reading = false;
	}

	/* Still as the owner: deferred triggers fire now. */
	PopActiveSnapshot();
	CommitTransactionCommand();
	SetUserIdAndSecContext(user, security);
	backlog_keep(&purge->position);
	return result;
}

/*
 * Sweeps the database until there is nothing to do, or the time is up, or
 * somebody else has locked a table.
 */
static void
sweep(volatile SweepResult *result)
{
	TimestampTz until = GetCurrentTimestamp() + SLICE_MS * INT64CONST(1000);
	Purge	   *purge = MemoryContextAlloc(TopMemoryContext, sizeof(Purge));

	/* For whoever ends this process: it is no failure, and not the end of it. */
	*result = SWEEP_LATER;
	purge_begin(purge, true, until);

	do
	{
		PG_TRY();
		{
			*result = SWEEP_LATER;
			*result = sweep_batch(purge);
		}
		PG_CATCH();
		{
			if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			{
				*result = SWEEP_FAILED;
				PG_RE_THROW();
			}
			FlushErrorState();
			AbortCurrentTransaction();
		}
		PG_END_TRY();
	} while (*result == SWEEP_MORE && GetCurrentTimestamp() < until);
}

static void
tell_database(void *order)
{
	errcontext("sweeping database \"%s\"", NameStr(((SweepOrder *) order)->name));
}

/*
 * Settings under which nothing that somebody configured for clients makes a
 * worker fail, wait or look for names.
 */
static void
set_worker_settings(void)
{
	static const char *const settings[][2] = {
		{"application_name", WORKER},
		{"default_transaction_deferrable", "off"},
		{"default_transaction_isolation", "read committed"},
		{"idle_in_transaction_session_timeout", "0"},
		{"lock_timeout", "500ms"},
		{"search_path", ""},
		{"synchronous_commit", "local"},
		{"transaction_timeout", "0"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		/* Older servers do not have all of them. */
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * A worker.
 */
void
sweeper_worker_main(Datum unused)
{
	SweepOrder	order;
	ErrorContextCallback context = {.callback = tell_database,.arg = &order};
	dsm_segment *result;

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	context.previous = error_context_stack;
	error_context_stack = &context;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* A launcher that has ended meanwhile has taken it away. */
	result = dsm_attach(order.result);
	if (result == NULL)
		return;

	set_worker_settings();
	BackgroundWorkerInitializeConnectionByOid(order.database, InvalidOid, 0);
	set_ps_display(NameStr(order.name));
	pgstat_report_activity(STATE_RUNNING, "sweeping");
	sweep(dsm_segment_address(result));
}
