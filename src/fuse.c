/*-------------------------------------------------------------------------
 *
 * fuse.c
 *	  The half of a note's key that a rollback cannot restore.
 *
 * A row version belongs to its transaction: whatever a function writes, its
 * caller can roll back.  So half of each note's key lies in burn_note.fuse,
 * and whoever reads a note first overwrites that half where it lies in the
 * heap page, as heap_inplace_update() does for pg_class: under the buffer's
 * exclusive lock, in a critical section, WAL-logged, and flushed before the
 * note is returned.  Transaction abort does not know of it.
 *
 * fuse_swap() is the only function here that writes a page, and the only
 * thing that "once" rests on: it compares and swaps, so that of any number of
 * callers with the same fuse in hand one succeeds.
 *
 * The WAL record is a generic one (access/generic_xlog.h) in the form that
 * generic_redo() reads, written here because GenericXLogFinish() compares the
 * whole page byte by byte to find out what we know: which FUSE_BYTES changed.
 * Any standby replays it, this library need not be there.
 *
 * This file must never print, copy out or compare a key half anywhere but in
 * fuse_read() and fuse_swap(); the type's output shows the state only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/generic_xlog.h"
#include "access/rmgr.h"
#include "access/xloginsert.h"
#include "fmgr.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "src/fuse.h"

/* One fragment of a generic WAL record's delta; see writeFragment(). */
typedef struct FuseFragment
{
	OffsetNumber offset;
	OffsetNumber length;
	BurnFuse	fuse;
} FuseFragment;

StaticAssertDecl(sizeof(FuseFragment) == 2 * sizeof(OffsetNumber) + FUSE_BYTES,
				 "a fragment is packed");

/*
 * A fuse's version tells its state once more.  Any two of these versions differ in
 * four bits, and the states in one at least.  So damage to one byte of a fuse, or to
 * fewer than five bits, never makes another state of it.
 */
typedef struct FuseState
{
	char		state;
	uint8		version;
	const char *name;
} FuseState;

static const FuseState states[] =
{
	{FUSE_LIVE, 0x5A, "sealed"},
	{FUSE_VOID, 0x0F, "void"},
	{OUTCOME_READ, 0x33, "read"},
	{OUTCOME_EXPIRED, 0x3C, "expired"},
	{OUTCOME_REVOKED, 0x66, "revoked"},
	{OUTCOME_LOCKED, 0x69, "locked"},
	{OUTCOME_WITHHELD, 0x96, "withheld"}
};

PG_FUNCTION_INFO_V1(burn_fuse_in);
PG_FUNCTION_INFO_V1(burn_fuse_out);
PG_FUNCTION_INFO_V1(burn_fuse_recv);
PG_FUNCTION_INFO_V1(burn_fuse_send);

/*
 * What there is to know of a state; NULL if it is none.
 */
static const FuseState *
find_state(char state)
{
	for (size_t i = 0; i < lengthof(states); i++)
		if (states[i].state == state)
			return &states[i];
	return NULL;
}

static void
start_fuse(BurnFuse *fuse, char state)
{
	memset(fuse, 0, sizeof(*fuse));
	fuse->version = find_state(state)->version;
	fuse->state = state;
}

/*
 * A live fuse with a key half of its own.  attempts_allowed is how many wrong
 * passphrases lock the note, 0 for a note without one.
 */
void
fuse_make(BurnFuse *fuse, int attempts_allowed)
{
	start_fuse(fuse, FUSE_LIVE);
	fuse->attempts_allowed = fuse->attempts_left = attempts_allowed;
	randombytes_buf(fuse->half, sizeof(fuse->half));
}

/*
 * A lit fuse.  seal is SEAL_RECEIPT_BYTES long, or NULL where nobody who
 * holds a token ended the note.
 */
void
fuse_make_tombstone(BurnFuse *fuse, BurnOutcome outcome, TimestampTz closed_at,
					const BurnWitness *witness, const unsigned char *seal)
{
	/* There is room for one address: the claimed one, else the seen one. */
	const bool	is_peer = witness->client_ip == NULL && witness->peer != NULL;
	const SealAddress *address = is_peer ? &witness->seen : &witness->claimed;

	start_fuse(fuse, outcome);
	memcpy(fuse->closed_at, &closed_at, sizeof(fuse->closed_at));
	fuse->family = address->family | (is_peer ? FUSE_PEER : 0);
	fuse->mask = address->mask;
	memcpy(fuse->address, address->address, sizeof(fuse->address));

	if (seal != NULL)
		memcpy(fuse->seal, seal, sizeof(fuse->seal));
}

bool
fuse_is_lit(const BurnFuse *fuse)
{
	return fuse_is_outcome(fuse->state);
}

/*
 * Is it a way for a note to end?
 */
bool
fuse_is_outcome(char state)
{
	return state != FUSE_LIVE && state != FUSE_VOID && fuse_state_name(state) != NULL;
}

/*
 * When a lit fuse was lit.
 */
TimestampTz
fuse_closed_at(const BurnFuse *fuse)
{
	TimestampTz closed_at;

	memcpy(&closed_at, fuse->closed_at, sizeof(closed_at));
	return closed_at;
}

/*
 * What a lit fuse knows of who lit it.
 */
void
fuse_witness(BurnWitness *witness, const BurnFuse *fuse)
{
	SealAddress address;
	inet	   *ip;

	address.family = fuse->family & ~FUSE_PEER;
	address.mask = fuse->mask;
	memcpy(address.address, fuse->address, sizeof(address.address));
	ip = witness_inet(&address);

	memset(witness, 0, sizeof(*witness));
	if (fuse->family & FUSE_PEER)
		witness->peer = ip;
	else
		witness->client_ip = ip;
}

/*
 * A fuse's state or a receipt's outcome in words; NULL if it is neither.
 */
const char *
fuse_state_name(char state)
{
	const FuseState *known = find_state(state);

	return known != NULL ? known->name : NULL;
}

/*
 * Could fuse_make_tombstone() have written this lit fuse?
 */
static bool
is_tombstone(const BurnFuse *fuse)
{
	const TimestampTz closed_at = fuse_closed_at(fuse);
	const int	family = fuse->family & ~FUSE_PEER;
	const size_t address_bytes = family == 4 ? 4 : family == 6 ? 16 : 0;

	return IS_VALID_TIMESTAMP(closed_at) &&
		(address_bytes > 0 || fuse->family == 0) &&
		fuse->mask <= 8 * address_bytes &&
		sodium_is_zero(fuse->address + address_bytes, sizeof(fuse->address) - address_bytes) &&
		(fuse->state != OUTCOME_EXPIRED ||
		 (fuse->family == 0 && sodium_is_zero(fuse->seal, sizeof(fuse->seal))));
}

/*
 * Could this library have written this fuse?  What end.c and attempts.c do with
 * one, that they come to an end above all, rests on it.
 */
static bool
is_sound(const BurnFuse *fuse)
{
	const FuseState *known = find_state(fuse->state);

	if (known == NULL || fuse->version != known->version)
		return false;
	if (fuse->state == FUSE_VOID)
		return sodium_is_zero(&fuse->attempts_allowed,
							  FUSE_BYTES - offsetof(BurnFuse, attempts_allowed));
	if (fuse->state != FUSE_LIVE)
		return is_tombstone(fuse);
	return fuse->attempts_allowed <= FUSE_ATTEMPTS_MAX &&
		fuse->attempts_left <= fuse->attempts_allowed &&
		sodium_is_zero(fuse->unused, sizeof(fuse->unused));
}

/*
 * Copies a fuse out of its page, whole.  The caller holds a pin on the
 * buffer, which keeps the tuple where it is.  False, and zeros, where this library
 * cannot have written it: it was damaged, or is of a later version.
 */
bool
fuse_read(BurnFuse *fuse, Buffer buffer, const BurnFuse *on_page)
{
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	memcpy(fuse, on_page, sizeof(*fuse));
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);

	if (is_sound(fuse))
		return true;
	sodium_memzero(fuse, sizeof(*fuse));
	return false;
}

#ifdef BURN_TEST_NO_FUSE

/*
 * The control for the tests: a library that says it lit the fuse, and did not.
 */
bool
fuse_swap(Relation rel, Buffer buffer, BurnFuse *on_page,
		  const BurnFuse *expected, const BurnFuse *replacement,
		  XLogRecPtr *lsn)
{
	*lsn = InvalidXLogRecPtr;
	return true;
}

#else

/*
 * Writes the changed fuse to WAL.  The caller is in a critical section, holds
 * the buffer's exclusive lock, has changed the page and marked it dirty.
 */
static XLogRecPtr
log_fuse(Buffer buffer, const BurnFuse *on_page)
{
	Page		page = BufferGetPage(buffer);
	FuseFragment fragment;
	bool		checking = wal_consistency_checking[RM_GENERIC_ID];
	XLogRecPtr	lsn;

	fragment.offset = (const char *) on_page - (const char *) page;
	fragment.length = FUSE_BYTES;
	fragment.fuse = *on_page;

	XLogBeginInsert();
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
	XLogRegisterBufData(0, (char *) &fragment, sizeof(fragment));

	/*
	 * generic_mask() does not mask a heap page's hint bits, which a standby
	 * may set at other times than we do: under wal_consistency_checking =
	 * generic or all, replay of this record would stop a healthy standby.  So
	 * this one record goes without the check.  (The control build for the
	 * tests checks it, and stops its standby.)
	 */
#ifndef BURN_TEST_CHECK_WAL
	wal_consistency_checking[RM_GENERIC_ID] = false;
#endif
	lsn = XLogInsert(RM_GENERIC_ID, 0);
	wal_consistency_checking[RM_GENERIC_ID] = checking;
	sodium_memzero(&fragment, sizeof(fragment));

	PageSetLSN(page, lsn);
	return lsn;
}

/*
 * Compares and swaps: if the fuse on the page is as expected, it becomes
 * replacement and the result is true.  No transaction can undo that.
 *
 * The caller holds a pin on the buffer.  *lsn is the end of the WAL record,
 * InvalidXLogRecPtr for a table that is not logged: until it is flushed, a
 * crash can still undo the swap.
 */
bool
fuse_swap(Relation rel, Buffer buffer, BurnFuse *on_page,
		  const BurnFuse *expected, const BurnFuse *replacement,
		  XLogRecPtr *lsn)
{
	bool		swapped = false;

	*lsn = InvalidXLogRecPtr;
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);

	if (sodium_memcmp(on_page, expected, sizeof(*on_page)) == 0)
	{
		Page		page = BufferGetPage(buffer);
		PageHeader	header = (PageHeader) page;

		START_CRIT_SECTION();

		memcpy(on_page, replacement, sizeof(*on_page));

		/*
		 * Pruning moves tuples and leaves their old bytes behind in the
		 * page's free space, this fuse's live half perhaps among them.
		 * generic_redo() clears that space on a standby; so do we.
		 */
		memset(page + header->pd_lower, 0, header->pd_upper - header->pd_lower);

		MarkBufferDirty(buffer);
		if (RelationNeedsWAL(rel))
			*lsn = log_fuse(buffer, on_page);

		END_CRIT_SECTION();
		swapped = true;
	}

	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	return swapped;
}

#endif							/* BURN_TEST_NO_FUSE */

/*
 * A void fuse, from the name of any state: nothing that can be written down
 * opens a note.
 */
static BurnFuse *
void_fuse(const char *name, size_t length)
{
	for (size_t i = 0; i < lengthof(states); i++)
	{
		if (strlen(states[i].name) == length &&
			memcmp(states[i].name, name, length) == 0)
		{
			BurnFuse   *fuse = palloc(sizeof(BurnFuse));

			start_fuse(fuse, FUSE_VOID);
			return fuse;
		}
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s", "burn_fuse")));
}

/*
 * The name of the state of a fuse that is not in a page.  A damaged one opens nothing,
 * as a void one.
 */
static const char *
fuse_name(const BurnFuse *fuse)
{
	return fuse_state_name(is_sound(fuse) ? fuse->state : FUSE_VOID);
}

Datum
burn_fuse_in(PG_FUNCTION_ARGS)
{
	const char *name = PG_GETARG_CSTRING(0);

	PG_RETURN_POINTER(void_fuse(name, strlen(name)));
}

Datum
burn_fuse_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(pstrdup(fuse_name((BurnFuse *) PG_GETARG_POINTER(0))));
}

Datum
burn_fuse_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	int			length = message->len - message->cursor;

	PG_RETURN_POINTER(void_fuse(pq_getmsgbytes(message, length), length));
}

Datum
burn_fuse_send(PG_FUNCTION_ARGS)
{
	const char *name = fuse_name((BurnFuse *) PG_GETARG_POINTER(0));
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendbytes(&message, name, strlen(name));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}
