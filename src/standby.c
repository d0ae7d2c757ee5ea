/*-------------------------------------------------------------------------
 *
 * standby.c
 *	  Synchronous standbys: asked before a burn, waited for after it.
 *
 * A note is returned when the standbys that synchronous_standby_names wants have
 * flushed the burn, so that no failover to one of them brings it back.  Where they
 * do not confirm it, the note is lost: burned, and withheld from its reader.  So
 * whoever is about to burn one asks first whether enough of them are there.  What
 * dies between the question and the answer still costs the note.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "src/compat.h"
#include "src/errors.h"
#include "src/standby.h"
#include "src/store.h"

/* A standby that has answered since then is taken to be there. */
#define FRESH_MS	2000

/*
 * Has the server synchronous standbys?  This session's synchronous_standby_names may
 * be older than the server's.
 */
static bool
are_defined(void)
{
	return max_wal_senders > 0 &&
		(((volatile WalSndCtlData *) WalSndCtl)->sync_standbys_status &
		 (SYNC_STANDBY_INIT | SYNC_STANDBY_DEFINED)) != SYNC_STANDBY_INIT;
}

/*
 * Have they flushed WAL up to lsn, as many as are wanted?
 */
static bool
have_flushed(XLogRecPtr lsn)
{
	XLogRecPtr	flushed;

	LWLockAcquire(SyncRepLock, LW_SHARED);
	flushed = WalSndCtl->lsn[SYNC_REP_WAIT_FLUSH];
	LWLockRelease(SyncRepLock);
	return lsn <= flushed;
}

/*
 * Has the standby answered lately?  It dates its answers by its own clock.
 */
static bool
is_fresh(const SyncRepStandbyData *standby)
{
	WalSnd	   *sender = &WalSndCtl->walsnds[standby->walsnd_index];
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz answered;

	SpinLockAcquire(&sender->mutex);
	answered = sender->replyTime;
	SpinLockRelease(&sender->mutex);
	return !TimestampDifferenceExceeds(Min(answered, now), Max(answered, now), FRESH_MS);
}

static void
report_missing(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_BURN_STANDBYS_MISSING),
			 errmsg("too few synchronous standbys are there to confirm that the note is burned"),
			 errdetail_internal("%s The note is not burned.", detail),
			 errhint("Try again when they are back, or change synchronous_standby_names.")));
}

/*
 * Waits until they have flushed what this transaction has written so far, though no
 * longer than for another transaction.
 */
static void
require_flush(void)
{
	const XLogRecPtr lsn = XactLastRecEnd;
	const TimestampTz since = GetCurrentTimestamp();

	XLogFlush(lsn);
	while (!have_flushed(lsn) && are_defined())
		if (!lock_wait(since))
			report_missing(psprintf("They have not answered for %d ms.", lock_patience()));
}

/*
 * For who is about to burn a note and has written all but that: errors out where
 * fewer synchronous standbys are streaming than are wanted.  A connection that has
 * died looks like streaming for a while.  So where they have not answered lately,
 * they are to flush what was written.
 */
void
standby_require(void)
{
	SyncRepStandbyData *standbys;
	int			streaming;
	int			fresh = 0;

	if (!are_defined())
		return;

	streaming = SyncRepGetCandidateStandbys(&standbys);
	for (int i = 0; i < streaming; i++)
		fresh += is_fresh(&standbys[i]);
	pfree(standbys);

	/* This session may not have heard yet of the setting. */
	if (SyncRepConfig != NULL && streaming < SyncRepConfig->num_sync)
		report_missing(psprintf("%d of %d are streaming.", streaming, SyncRepConfig->num_sync));
	if (SyncRepConfig == NULL || fresh < SyncRepConfig->num_sync)
		require_flush();
}

/*
 * Waits until the synchronous standbys, if there are any, have flushed WAL up to
 * lsn.  False where they have not: somebody cancelled the wait, and a failover could
 * bring the note back.
 */
bool
standby_confirm(XLogRecPtr lsn)
{
	int			nestlevel = 0;

	if (XLogRecPtrIsInvalid(lsn) || !are_defined())
		return true;

	/*
	 * The caller's own setting is about the caller's own commit.  The nest
	 * level restores it, on an error at the latest with the transaction.
	 */
	if (synchronous_commit < SYNCHRONOUS_COMMIT_REMOTE_FLUSH)
	{
		nestlevel = NewGUCNestLevel();
		(void) set_config_option("synchronous_commit", "on",
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}

	/* SyncRepWaitForLSN() wants interrupts held, and answers them itself. */
	HOLD_INTERRUPTS();
	SyncRepWaitForLSN(lsn, false);
	RESUME_INTERRUPTS();

	if (nestlevel != 0)
		AtEOXact_GUC(false, nestlevel);

	return have_flushed(lsn) || !are_defined();
}
