/*-------------------------------------------------------------------------
 *
 * shared.c
 *	  What lies in shared memory: the counters and the backlog.
 *
 * Both are there only if the library is preloaded, and do without if it is not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "src/backlog.h"
#include "src/shared.h"
#include "src/stats.h"

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	stats_request_memory();
	backlog_request_memory();
}

static void
attach_memory(void)
{
	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	stats_attach_memory();
	backlog_attach_memory();
	LWLockRelease(AddinShmemInitLock);
}

/*
 * For _PG_init(): asks for the memory if the library is being preloaded.
 */
void
shared_start(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;

	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_memory;
}
