/*-------------------------------------------------------------------------
 *
 * end.c
 *	  Ending a note: reading, revoking, locking, expiring.
 *
 * Whoever ends a note deletes its row and inserts its receipt in the caller's
 * transaction, and then lights its fuse, which the caller cannot roll back.  The
 * order is what keeps the promises: all that can fail comes first; what comes
 * last cannot be undone; and the row's lock, which the delete takes, is what lets
 * only one caller get that far.  Only wrong passphrases light a fuse without
 * that lock, because nobody gets a note by it.
 *
 * Other transactions' ends are waited for in two places, both bounded by
 * lock_patience(): in wait_for_other(), for the row, and in receipt_insert().  Beside
 * that there is what every statement waits for, locks on tables; hashes of passphrases,
 * whose holders wait for nobody; and synchronous standbys.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "src/backlog.h"
#include "src/compat.h"
#include "src/encoding.h"
#include "src/end.h"
#include "src/expiry.h"
#include "src/passphrase.h"
#include "src/settings.h"
#include "src/standby.h"
#include "src/stats.h"

/*
 * Errors out, before anything is burned, where text in the server's encoding
 * could not be sent to the client.
 */
static void
try_conversion_to_client(const text *note)
{
	size_t		sent_bytes;
	char	   *sent = encoding_convert(VARDATA(note), VARSIZE(note) - VARHDRSZ,
										GetDatabaseEncoding(), pg_get_client_encoding(),
										&sent_bytes);

	if (sent == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("burn note has characters that the client's encoding %s cannot show",
						pg_get_client_encoding_name()),
				 errdetail("The note is not burned."),
				 errhint("Set client_encoding to UTF8 and read it again.")));
	encoding_free(sent, VARDATA(note), sent_bytes);
}

/*
 * Makes the fuse of e->note a tombstone.  Nothing undoes that but a crash before
 * *lsn is flushed.  False where it is no longer the fuse that the note had; that
 * attempts were counted meanwhile does not matter.
 */
static bool
light_fuse(BurnStore *store, BurnNote *note, const BurnFuse *tombstone,
		   XLogRecPtr *lsn)
{
	while (!fuse_swap(store->notes.heap, note_buffer(note), note->fuse_on_page,
					  &note->fuse, tombstone, lsn))
	{
		BurnFuse	now;

		note_fuse(note, &now);
		if (!fuse_same_half(&now, &note->fuse))
			return false;
		note->fuse = now;
		sodium_memzero(&now, sizeof(now));
	}
	note->fuse = *tombstone;
	return true;
}

/*
 * The receipt of this call's note, sealed, and the tombstone that can stand in
 * for it.
 */
static void
make_receipt(const Ending *e, BurnOutcome outcome, BurnReceipt *receipt,
			 BurnFuse *tombstone)
{
	SealAddress client_ip;

	memcpy(receipt->id, e->id, sizeof(receipt->id));
	receipt->created_at = e->note.created_at;
	receipt->closed_at = e->now;
	receipt->outcome = outcome;
	witness_now(&receipt->witness, e->client_ip, burn_actor);

	witness_address(&client_ip, e->client_ip);
	seal_receipt(receipt->seal, token_secret(&e->receipt_token), receipt->id,
				 receipt->outcome, receipt->created_at, receipt->closed_at,
				 &client_ip);
	receipt->has_seal = true;
	fuse_make_tombstone(tombstone, receipt->outcome, receipt->closed_at,
						&receipt->witness, receipt->seal);
}

/*
 * Inserts a receipt, and notifies of it when the transaction commits.
 */
static void
give_receipt(BurnStore *store, const BurnReceipt *receipt)
{
	receipt_insert(store, receipt);

	if (burn_notify_channel[0] != '\0')
	{
		Datum		id = UUIDPGetDatum((const pg_uuid_t *) receipt->id);

		Async_Notify(burn_notify_channel,
					 psprintf("%s %s",
							  DatumGetCString(DirectFunctionCall1(uuid_out, id)),
							  fuse_state_name(receipt->outcome)));
	}
}

/*
 * Changes how many attempts the note has left, whatever becomes of the caller's
 * transaction: by one less where one is left, or by one more.  False where the
 * note has ended, or none is left.  The caller flushes *lsn if it matters.
 */
static bool
change_attempts(Ending *e, int change, XLogRecPtr *lsn)
{
	BurnNote   *note = &e->note;
	bool		changed = false;

	while (!changed && note->fuse.state == FUSE_LIVE &&
		   note->fuse.attempts_left + change >= 0 &&
		   note->fuse.attempts_left + change <= note->fuse.attempts_allowed)
	{
		BurnFuse	replacement = note->fuse;

		replacement.attempts_left += change;
		changed = fuse_swap(e->store.notes.heap, note_buffer(note), note->fuse_on_page,
							&note->fuse, &replacement, lsn);
		if (changed)
			note->fuse = replacement;
		else
			note_fuse(note, &note->fuse);
		sodium_memzero(&replacement, sizeof(replacement));
	}
	return changed;
}

/*
 * Locks the note if its attempts are used up, once nobody is hashing a passphrase
 * for it any more: one of those may be right.  So a note is locked by its last
 * wrong passphrase, or, where a crash has cut that short, by the next call with
 * one.  Lighting the fuse comes first: nothing that fails after it may leave the
 * note open to more.
 */
static void
lock_if_used_up(Ending *e)
{
	BurnNote   *note = &e->note;
	BurnReceipt receipt;
	BurnFuse	tombstone;
	XLogRecPtr	lsn;
	bool		locked;

	make_receipt(e, OUTCOME_LOCKED, &receipt, &tombstone);
	backlog_watch(e->id);
	passphrase_begin_alone(e->id);
	note_fuse(note, &note->fuse);
	locked = note->fuse.state == FUSE_LIVE && note->fuse.attempts_left == 0 &&
		fuse_swap(e->store.notes.heap, note_buffer(note), note->fuse_on_page,
				  &note->fuse, &tombstone, &lsn);
	passphrase_end_alone(e->id);
	if (!locked)
		return;

	note->fuse = tombstone;
	XLogFlush(lsn);
	stats_count(COUNT_LOCKED);
	if (note_delete(&e->store, note) == DELETE_DONE)
		give_receipt(&e->store, &receipt);
	else
		backlog_add(e->id);
}

/*
 * A wrong passphrase was given.
 */
static void
refuse_passphrase(Ending *e)
{
	BurnWitness witness;

	stats_count(COUNT_WRONG_PASSPHRASES);
	if (e->note.fuse.attempts_left == 0)
		lock_if_used_up(e);

	witness_now(&witness, e->client_ip, burn_actor);
	attempt_insert(&e->store, e->id, e->now, &witness);
}

/*
 * Errors out where a note of bytes is read as text, or the reverse.
 */
static void
refuse_other_kind(const Ending *e, int flags)
{
	if ((flags & SEAL_IS_BYTES) != e->flags)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 (flags & SEAL_IS_BYTES) ?
				 errmsg("burn note holds bytes, not text") :
				 errmsg("burn note holds text, not bytes"),
				 errhint("Read it with %s. It is not burned.",
						 (flags & SEAL_IS_BYTES) ? "burn_read_bytes()" : "burn_read()")));
}

static void
refuse_forged(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("burn note does not authenticate"),
			 errdetail_internal("%s", detail)));
}

/*
 * Takes an attempt and hashes the passphrase.  True: the caller owes a
 * passphrase_end().  False: there is no attempt left to take.
 */
static bool
begin_attempt(Ending *e, unsigned char *hash)
{
	size_t		bytes;
	const char *normalized = passphrase_normalize(e->secrets, e->passphrase, &bytes);
	XLogRecPtr	lsn;

	for (;;)
	{
		passphrase_begin(e->id);
		if (change_attempts(e, -1, &lsn))
			break;
		passphrase_end();

		/* Somebody may have the last one, and give it back. */
		lock_if_used_up(e);
		if (e->note.fuse.state != FUSE_LIVE)
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	XLogFlush(lsn);

	if (passphrase_hash(hash, &e->token, normalized, bytes))
		return true;

	(void) change_attempts(e, 1, &lsn);
	passphrase_end();
	passphrase_report_memory();
	return false;
}

/*
 * What was opened, UTF-8, in the server's encoding, in which the client can be sent it.
 * It is one of the secrets, as what is given is.
 */
static text *
convert_note(Ending *e, text *opened)
{
	const size_t bytes = VARSIZE(opened) - VARHDRSZ;
	size_t		server_bytes;
	char	   *server = encoding_convert(VARDATA(opened), bytes, PG_UTF8,
										  GetDatabaseEncoding(), &server_bytes);
	const bool	converted = server != VARDATA(opened);
	text	   *note = opened;

	if (server == NULL)
		elog(ERROR, "burn note cannot be converted back to the server's encoding");
	if (converted)
		note = cstring_to_text_with_len(server, server_bytes);
	encoding_free(server, VARDATA(opened), server_bytes);
	if (converted)
		secrets_add(e->secrets, note, VARSIZE(note));
	try_conversion_to_client(note);
	return note;
}

/*
 * Opens the note that was found, as one of the secrets.  NULL where its passphrase is
 * missing or wrong.  Errors out, with nothing burned, where the row does not
 * authenticate or the note cannot be shown as it is asked for.
 */
static text *
open_note(Ending *e)
{
	Datum		stored = note_sealed(&e->note);
	bytea	   *sealed = DatumGetByteaPP(stored);
	size_t		sealed_bytes = VARSIZE_ANY_EXHDR(sealed);
	int			flags = seal_flags((unsigned char *) VARDATA_ANY(sealed), sealed_bytes);
	SealParts	parts = {0};
	SealBinding binding;
	bool		has_passphrase;
	bool		is_open;
	text	   *opened;
	size_t		note_bytes;

	parts.secret = token_secret(&e->token);
	parts.half = e->note.fuse.half;
	has_passphrase = flags >= 0 && (flags & SEAL_HAS_PASSPHRASE);
	if ((flags & ~SEAL_FLAGS_KNOWN) != 0 ||
		has_passphrase != (e->note.fuse.attempts_allowed > 0))
		refuse_forged("Its row was altered.");
	if (has_passphrase && e->passphrase == NULL)
		return NULL;
	if (has_passphrase)
		refuse_other_kind(e, flags);

	/*
	 * The sealed length takes as many bytes as a varlena's header.  So open
	 * the note where its header belongs, and it is a text without a copy.
	 */
	StaticAssertStmt(SEAL_LENGTH_BYTES == VARHDRSZ, "the length makes room for the header");
	opened = palloc(Max(sealed_bytes, VARHDRSZ));
	secrets_add(e->secrets, opened, sealed_bytes);

	if (has_passphrase)
	{
		unsigned char *hash = secrets_alloc(e->secrets, SEAL_PASSPHRASE_BYTES);

		/* From here to passphrase_end() nothing can fail but the passphrase. */
		if (!begin_attempt(e, hash))
			return NULL;
		parts.passphrase = hash;
	}

	binding.database = MyDatabaseId;
	memcpy(binding.id, e->id, sizeof(binding.id));
	binding.created_at = e->note.created_at;
	binding.attempts_allowed = e->note.fuse.attempts_allowed;

	is_open = seal_open((unsigned char *) opened, &note_bytes,
						(const unsigned char *) VARDATA_ANY(sealed), sealed_bytes,
						&parts, &binding) == 0;
	e->opened_fuse = e->note.fuse;
	if (has_passphrase)
	{
		XLogRecPtr	lsn;

		/* A right one costs nothing; a crash may still take it. */
		if (is_open)
			(void) change_attempts(e, 1, &lsn);
		passphrase_end();
		if (!is_open)
		{
			refuse_passphrase(e);
			return NULL;
		}
	}
	if (!is_open)
		refuse_forged("Its row was altered, or was sealed in another database.");

	SET_VARSIZE(opened, VARHDRSZ + note_bytes);
	if ((Pointer) sealed != DatumGetPointer(stored))
		pfree(sealed);

	refuse_other_kind(e, flags);
	if (!(flags & SEAL_IS_BYTES))
		return convert_note(e, opened);
	if (bytea_output == BYTEA_OUTPUT_ESCAPE && note_bytes > MaxAllocSize / 4 - 1)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("burn note is too large for bytea_output \"escape\""),
				 errhint("Set bytea_output to hex. The note is not burned.")));
	return opened;
}

/*
 * Another transaction has the row, its fuse not lit.  A reader has it for a
 * moment only, so look again soon.  But it may be a person's DELETE or SELECT
 * FOR UPDATE: give up after lock_patience().
 */
static void
wait_for_other(TimestampTz since)
{
	if (!lock_wait(since))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on burn note"),
				 errdetail("Another transaction has locked its row for longer than %d ms. The note is not burned.",
						   lock_patience())));
}

/*
 * Burns the note that was found, opened if it is to be read, and deleted.  When
 * this returns, no rollback, crash or failover to a synchronous standby brings
 * it back.
 */
static void
burn_note(Ending *e)
{
	BurnReceipt receipt;
	BurnFuse	tombstone;
	XLogRecPtr	lsn;

	make_receipt(e, e->outcome, &receipt, &tombstone);
	give_receipt(&e->store, &receipt);
	if (e->outcome == OUTCOME_READ)
		standby_require();
	CHECK_FOR_INTERRUPTS();

	if (!light_fuse(&e->store, &e->note, &tombstone, &lsn))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not burn note because it was locked by wrong passphrases meanwhile")));
	XLogFlush(lsn);
	if (standby_confirm(lsn))
	{
		stats_count(e->outcome == OUTCOME_READ ? COUNT_READ : COUNT_REVOKED);
		return;
	}

	if (e->outcome != OUTCOME_READ)
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("burn note is revoked here, but no synchronous standby confirmed"),
				 errdetail("After a failover it could still be read.")));

	make_receipt(e, OUTCOME_WITHHELD, &receipt, &tombstone);
	(void) light_fuse(&e->store, &e->note, &tombstone, &lsn);
	XLogFlush(lsn);
	stats_count(COUNT_WITHHELD);
	ereport(ERROR,
			(errcode(ERRCODE_IO_ERROR),
			 errmsg("burn note is burned and withheld: no synchronous standby confirmed"),
			 errdetail("After a failover it could have been read a second time."),
			 errhint("Nobody has read it, and nobody will: create another one.")));
}

/*
 * What the lit fuse of a note says of its end.
 */
void
receipt_from_tombstone(BurnReceipt *receipt, const BurnNote *note)
{
	memcpy(receipt->id, note->id, sizeof(receipt->id));
	receipt->created_at = note->created_at;
	receipt->closed_at = fuse_closed_at(&note->fuse);
	receipt->outcome = note->fuse.state;
	fuse_witness(&receipt->witness, &note->fuse);
	receipt->has_seal = receipt->outcome != OUTCOME_EXPIRED;
	memcpy(receipt->seal, note->fuse.seal, sizeof(receipt->seal));
}

/*
 * Writes the receipt of a note whose fuse is lit and whose row the caller's
 * transaction has deleted.
 */
static void
write_receipt_from_tombstone(BurnStore *store, const BurnNote *note)
{
	BurnReceipt receipt;

	switch (receipt_look(store, note->id))
	{
		case RECEIPT_ABSENT:
			break;
		case RECEIPT_THERE:
			/* Somebody put the row back after its end. */
			return;
		case RECEIPT_COMING:
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("another transaction is writing the burn note's receipt")));
	}

	receipt_from_tombstone(&receipt, note);
	give_receipt(store, &receipt);
}

/*
 * Ends the note of e->id: true where this call did, with the note if it was to be read;
 * false where there is none to be had.
 */
static bool
end_by_id(Ending *e, text **opened)
{
	bool		is_open = false;

	while (note_find(&e->store, e->id, &e->note))
	{
		bool		live = e->note.fuse.state == FUSE_LIVE;
		BurnDelete	deleted = DELETE_BUSY;

		if (live && e->outcome == OUTCOME_READ && !is_open)
		{
			*opened = open_note(e);
			is_open = *opened != NULL;
			if (!is_open)
			{
				note_release(&e->note);
				return false;
			}
		}

		if (!e->note.busy && (live || fuse_is_lit(&e->note.fuse)))
			deleted = note_delete(&e->store, &e->note);

		if (deleted == DELETE_DONE)
		{
			/* Whether we burn it or finish a burn is decided only now. */
			live = e->note.fuse.state == FUSE_LIVE;
			if (live && is_open && !fuse_same_half(&e->note.fuse, &e->opened_fuse))
				refuse_forged("Its row was replaced while it was being read.");
			if (live)
				burn_note(e);
			else
			{
				write_receipt_from_tombstone(&e->store, &e->note);
				stats_count(COUNT_FINISHED);
			}
		}
		note_release(&e->note);

		if (deleted == DELETE_DONE)
			return live;
		if (!live)
			return false;
		if (deleted == DELETE_BUSY)
			wait_for_other(e->now);
	}
	return false;
}

/*
 * Begins a call that is to end a note.
 */
Ending *
ending_begin(BurnOutcome outcome)
{
	Secrets    *secrets = secrets_begin();
	Ending	   *e = secrets_alloc(secrets, sizeof(Ending));

	e->secrets = secrets;
	e->outcome = outcome;
	return e;
}

/*
 * Ends the note that e->token leads to, and the call.  True where the call did end it:
 * *note then is it, if it was to be read.
 */
bool
ending_finish(Ending *e, Oid function, text **note)
{
	text	   *opened = NULL;
	bool		ended;

	token_to_receipt(&e->receipt_token, &e->token);
	token_note_id(e->id, &e->receipt_token);
	e->now = GetCurrentTimestamp();
	ended = from_unix_milliseconds(note_id_expires(e->id)) > e->now;
	if (ended)
	{
		store_open(&e->store, function, RowExclusiveLock);
		ended = end_by_id(e, &opened);
		store_close(&e->store);
	}

	if (e->outcome == OUTCOME_READ)
	{
		ended = ended && opened != NULL;
		*note = opened;
		if (ended)
			secrets_keep(e->secrets, opened);
	}
	secrets_end(e->secrets);
	return ended;
}

/*
 * Ends a note that a scan has found expired or lit, and tells whether it did:
 * not where another transaction has the row.
 */
static bool
end_dead(BurnStore *store, BurnNote *note, TimestampTz now)
{
	if (note->busy || note_delete(store, note) != DELETE_DONE)
		return false;
	note_check_id(store, note);

	if (!fuse_is_lit(&note->fuse))
	{
		BurnFuse	tombstone;
		XLogRecPtr	lsn;

		/*
		 * The key half must not lie about in the dead row.  This needs no
		 * flush: a note that a crash brings back has still expired.
		 */
		fuse_make_tombstone(&tombstone, OUTCOME_EXPIRED, now, &(BurnWitness) {0}, NULL);
		if (note->fuse.state == FUSE_VOID)
			note->fuse = tombstone;
		else if (!light_fuse(store, note, &tombstone, &lsn))
			note_fuse(note, &note->fuse);
	}
	write_receipt_from_tombstone(store, note);
	return true;
}

/*
 * The same, so that one note that cannot be ended, because a constraint refuses
 * its receipt say, does not keep the others from it: END_FAILED, and a WARNING in
 * an hour.  Nor does one whose receipt, or what a trigger on that wants, is locked
 * by somebody else: END_BUSY.  What would fail for the others too is an error.
 */
BurnEnd
end_for_sweep(BurnStore *store, BurnNote *note, TimestampTz now)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const bool	was_lit = fuse_is_lit(&note->fuse);
	volatile BurnEnd result = END_BUSY;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		bool		ended = end_dead(store, note, now);

		ReleaseCurrentSubTransaction();
		if (ended)
		{
			result = END_DONE;
			stats_count(was_lit ? COUNT_FINISHED : COUNT_EXPIRED);
		}
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(caller);
		CurrentResourceOwner = owner;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
			ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYSTEM_ERROR)
			ReThrowError(error);
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		{
			result = END_FAILED;
			if (backlog_may_warn(note->id))
				/* A trigger's message is not ours: hush.c must not take it for that. */
				ereport(WARNING,
						(errcode(error->sqlerrcode),
						 errmsg_internal("%s", psprintf("could not end burn note %s: %s",
														DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum((pg_uuid_t *) note->id))),
														error->message))));
		}
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return result;
}
