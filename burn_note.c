/*-------------------------------------------------------------------------
 *
 * burn_note.c
 *	  Notes that are encrypted, read once, destroyed and witnessed.
 *
 * burn_create() seals a note and returns its token, the only thing that opens
 * it.  burn_read() gives the note back once.  A note's life is:
 *
 *	  create	draw a token and a key half; seal the note under both; insert
 *				the row, the key half in its fuse
 *	  read		find the row, open the note; delete the row and insert the
 *				receipt in the caller's transaction; light the fuse, which no
 *				transaction can undo; return the note
 *	  finish	where the caller rolled back, the row is still there, its fuse
 *				lit and now a tombstone: delete it, write the receipt from it
 *	  expire	delete the row, write a receipt without a seal
 *
 * Everything that can fail comes before the fuse is lit, and nothing after it.
 *
 * Locking: a look takes no lock that outlives it.  The delete takes the row's
 * lock without waiting.  Who finds the row deleted by a transaction in progress
 * looks again until its fuse is lit, or the other transaction gave up; the only
 * wait for another transaction's end is bounded (see wait_for_other).
 *
 * src/token.c	tokens, receipt tokens, note ids
 * src/seal.c	sealing, opening, receipts' seals
 * src/fuse.c	the key half that a rollback cannot restore
 * src/store.c	the two tables
 * src/witness.c	who, and from where
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sodium.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/wait_event.h"

#include "src/fuse.h"
#include "src/seal.h"
#include "src/store.h"
#include "src/token.h"
#include "src/witness.h"

PG_MODULE_MAGIC;

#define MINUTE	60
#define DAY		(24 * 60 * MINUTE)

/* Settings. */
static int	default_ttl;		/* seconds */
static int	max_ttl;			/* seconds */
static int	max_note_size;		/* bytes */
static int	receipt_retention;	/* seconds, 0 keeps for ever */
static int	shard;
static char *actor;

PG_FUNCTION_INFO_V1(burn_create);
PG_FUNCTION_INFO_V1(burn_read);
PG_FUNCTION_INFO_V1(burn_status);
PG_FUNCTION_INFO_V1(burn_receipt_token);
PG_FUNCTION_INFO_V1(burn_note_id);
PG_FUNCTION_INFO_V1(burn_purge);
PG_FUNCTION_INFO_V1(burn_note_refuse_update);

void		_PG_init(void);

static void
define_settings(void)
{
	DefineCustomIntVariable("burn_note.default_ttl",
							"How long a note lives where burn_create() is not told.",
							"At most burn_note.max_ttl.",
							&default_ttl,
							7 * DAY,
							1,
							INT_MAX,
							PGC_USERSET,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("burn_note.max_ttl",
							"The longest life that burn_create() gives a note.",
							NULL,
							&max_ttl,
							90 * DAY,
							1,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("burn_note.max_note_size",
							"The largest note that burn_create() takes.",
							"Counted in bytes of UTF-8.",
							&max_note_size,
							16 * 1024 * 1024,
							0,
							256 * 1024 * 1024,
							PGC_SUSET,
							GUC_UNIT_BYTE,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("burn_note.receipt_retention",
							"How long after its note's expiry burn_purge() keeps a receipt.",
							"0 keeps receipts for ever.",
							&receipt_retention,
							365 * DAY,
							0,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("burn_note.shard",
							"Number of this server, written into every token that it makes.",
							"A router can send a token to the server that made it.",
							&shard,
							0,
							0,
							UINT8_MAX,
							PGC_SIGHUP,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomStringVariable("burn_note.actor",
							   "Who reads notes, as the application knows them; receipts record it.",
							   "Empty stands for the session user.",
							   &actor,
							   "",
							   PGC_USERSET,
							   0,
							   NULL,
							   NULL,
							   NULL);

	MarkGUCPrefixReserved("burn_note");
}

void
_PG_init(void)
{
	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not initialize libsodium")));

	define_settings();

#ifdef BURN_TEST_NO_FUSE
	ereport(WARNING,
			(errmsg("this burn_note library was built with BURN_TEST_NO_FUSE"),
			 errdetail("A rollback brings its notes back.")));
#endif
}

/* ----------
 * Arguments
 * ----------
 */

/*
 * For what writes, whatever the arguments: a replica or a read-only
 * transaction must hear of it before anything is opened.
 */
static void
require_read_write(const char *function)
{
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
}

static void
refuse_null(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

static void
refuse_passphrase(FunctionCallInfo fcinfo, int argument)
{
	if (!PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("passphrases are not supported yet")));
}

/*
 * The function's first argument as a token or a receipt token.
 */
static void
get_any_token(FunctionCallInfo fcinfo, BurnToken *token)
{
	text	   *value;

	refuse_null(fcinfo, 0, "burn note token");
	value = PG_GETARG_TEXT_PP(0);
	if (token_parse(token, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)) != 0)
	{
		sodium_memzero(token, sizeof(*token));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid burn note token"),
				 errhint("A token has %d characters. Was the link cut short or altered?",
						 TOKEN_CHARS)));
	}
}

/*
 * The function's first argument as a token that opens a note.
 */
static void
get_token(FunctionCallInfo fcinfo, BurnToken *token)
{
	get_any_token(fcinfo, token);
	if (token->is_receipt)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("invalid burn note token"),
				 errhint("This is a receipt token: it shows a note's status and cannot open it.")));
}

/*
 * Milliseconds since the Unix epoch, rounded down; and a time from them.
 */
static uint64
unix_milliseconds(TimestampTz time)
{
	return (time + SECS_PER_DAY * USECS_PER_SEC *
			(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)) / 1000;
}

static TimestampTz
from_unix_milliseconds(uint64 milliseconds)
{
	return (TimestampTz) milliseconds * 1000 - SECS_PER_DAY * USECS_PER_SEC *
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);
}

/*
 * When a note that is created now expires, in milliseconds since the Unix
 * epoch.  expires_in is NULL for the default.
 */
static uint64
expiry(TimestampTz now, const Interval *expires_in)
{
	const double month = (double) DAYS_PER_MONTH * USECS_PER_DAY;
	double		estimate = default_ttl * (double) USECS_PER_SEC;
	TimestampTz expires;

	/* A rough check first: the exact sum overflows for the likes of infinity. */
	if (expires_in != NULL)
		estimate = expires_in->month * month +
			expires_in->day * (double) USECS_PER_DAY + expires_in->time;
	if (estimate > 2.0 * max_ttl * USECS_PER_SEC + month)
		expires = DT_NOEND;
	else if (estimate < -month)
		expires = now;
	else if (expires_in == NULL)
		expires = now + default_ttl * USECS_PER_SEC;
	else
		expires = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														  TimestampTzGetDatum(now),
														  PointerGetDatum(expires_in)));

	if (expires <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires_in must be greater than zero")));
	if (expires - now > max_ttl * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a burn note cannot live longer than %d seconds", max_ttl),
				 errhint("The limit is the setting burn_note.max_ttl.")));
	return unix_milliseconds(expires - 1) + 1;
}

static void
refuse_size(size_t bytes)
{
	if (bytes > (size_t) max_note_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("burn note exceeds %d bytes", max_note_size),
				 errhint("The limit is the setting burn_note.max_note_size.")));
}

/* ----------
 * Creating
 * ----------
 */

/*
 * One call of burn_create().  It holds secrets: wipe_creating() it.
 */
typedef struct Creating
{
	BurnToken	token;
	BurnToken	receipt;
	BurnFuse	fuse;
	text	   *note;			/* NULL, or a detoasted copy of the argument */
	char	   *utf8;			/* NULL, or a converted copy of the note */
} Creating;

static void
wipe_creating(Creating *c)
{
	if (c->note != NULL)
		sodium_memzero(c->note, VARSIZE_ANY(c->note));
	if (c->utf8 != NULL)
		sodium_memzero(c->utf8, strlen(c->utf8));
	sodium_memzero(c, sizeof(*c));
}

/*
 * Seals bytes of UTF-8 and inserts the note.
 */
static void
create_note(Creating *c, Oid function, const char *note, size_t note_bytes,
			const Interval *expires_in)
{
	TimestampTz now = GetCurrentTimestamp();
	size_t		sealed_bytes = seal_sealed_bytes(note_bytes);
	SealBinding binding;
	BurnStore	store;
	bytea	   *sealed;

	refuse_size(note_bytes);
	token_make(&c->token, expiry(now, expires_in), shard);
	token_to_receipt(&c->receipt, &c->token);
	fuse_make(&c->fuse);

	binding.database = MyDatabaseId;
	token_note_id(binding.id, &c->receipt);
	binding.created_at = now;
	binding.attempts_allowed = c->fuse.attempts_allowed;

	sealed = palloc(VARHDRSZ + sealed_bytes);
	SET_VARSIZE(sealed, VARHDRSZ + sealed_bytes);
	seal_note((unsigned char *) VARDATA(sealed), (const unsigned char *) note,
			  note_bytes, 0, token_secret(&c->token), c->fuse.half, &binding);

	store_open(&store, function, RowExclusiveLock);
	note_insert(&store, binding.id, now, &c->fuse, sealed);
	store_close(&store);
	pfree(sealed);
}

/*
 * burn_create(note text, expires_in interval, passphrase text) -> text
 */
Datum
burn_create(PG_FUNCTION_ARGS)
{
	Creating	creating = {0};
	text	   *result = palloc(VARHDRSZ + TOKEN_CHARS + 1);

	require_read_write("burn_create()");
	refuse_null(fcinfo, 0, "burn note");
	refuse_passphrase(fcinfo, 2);

	PG_TRY();
	{
		text	   *note = PG_GETARG_TEXT_PP(0);
		size_t		note_bytes = VARSIZE_ANY_EXHDR(note);
		char	   *utf8;

		if ((Pointer) note != PG_GETARG_POINTER(0))
			creating.note = note;
		utf8 = pg_server_to_any(VARDATA_ANY(note), note_bytes, PG_UTF8);
		if (utf8 != VARDATA_ANY(note))
		{
			creating.utf8 = utf8;
			note_bytes = strlen(utf8);
		}
		create_note(&creating, fcinfo->flinfo->fn_oid, utf8, note_bytes,
					PG_ARGISNULL(1) ? NULL : PG_GETARG_INTERVAL_P(1));
		token_print(VARDATA(result), &creating.token);
		SET_VARSIZE(result, VARHDRSZ + TOKEN_CHARS);
	}
	PG_FINALLY();
	{
		wipe_creating(&creating);
	}
	PG_END_TRY();

	PG_RETURN_TEXT_P(result);
}

/* ----------
 * Reading
 * ----------
 */

/*
 * One call of burn_read().  It holds secrets: wipe_reading() it.
 */
typedef struct Reading
{
	BurnToken	token;
	BurnToken	receipt;
	unsigned char id[NOTE_ID_BYTES];
	TimestampTz now;
	BurnStore	store;
	BurnNote	note;
	text	   *opened;			/* NULL, or the note and its padding */
	size_t		opened_bytes;
	text	   *converted;		/* NULL, or the note in the server's encoding */
} Reading;

static void
wipe_reading(Reading *r, const text *result)
{
	if (r->opened != NULL && r->opened != result)
		sodium_memzero(r->opened, r->opened_bytes);
	if (r->converted != NULL && r->converted != result)
		sodium_memzero(r->converted, VARSIZE(r->converted));
	sodium_memzero(r, sizeof(*r));
}

/*
 * Errors out, before anything is burned, where text in the server's encoding
 * could not be sent to the client.
 */
static void
try_conversion_to_client(const text *note)
{
	int			bytes = VARSIZE(note) - VARHDRSZ;
	char	   *sent = pg_server_to_client(VARDATA(note), bytes);

	if (sent != VARDATA(note))
	{
		sodium_memzero(sent, strlen(sent));
		pfree(sent);
	}
}

/*
 * Opens the note that was found, into r->opened and r->converted.  Errors out
 * where the row does not authenticate or the text cannot be shown.
 */
static text *
open_note(Reading *r)
{
	Datum		stored = note_sealed(&r->note);
	bytea	   *sealed = DatumGetByteaPP(stored);
	size_t		sealed_bytes = VARSIZE_ANY_EXHDR(sealed);
	SealBinding binding;
	size_t		note_bytes;
	char	   *text_bytes;
	text	   *result;

	binding.database = MyDatabaseId;
	memcpy(binding.id, r->id, sizeof(binding.id));
	binding.created_at = r->note.created_at;
	binding.attempts_allowed = r->note.fuse.attempts_allowed;

	/*
	 * The sealed length takes as many bytes as a varlena's header.  So open
	 * the note where its header belongs, and it is a text without a copy.
	 */
	StaticAssertStmt(SEAL_LENGTH_BYTES == VARHDRSZ, "the length makes room for the header");
	r->opened_bytes = sealed_bytes;
	r->opened = palloc(Max(sealed_bytes, VARHDRSZ));
	if (seal_open((unsigned char *) r->opened, &note_bytes,
				  (const unsigned char *) VARDATA_ANY(sealed), sealed_bytes,
				  token_secret(&r->token), r->note.fuse.half, &binding) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("burn note does not authenticate"),
				 errdetail("Its row was altered, or was sealed in another database.")));
	SET_VARSIZE(r->opened, VARHDRSZ + note_bytes);
	if ((Pointer) sealed != DatumGetPointer(stored))
		pfree(sealed);

	text_bytes = pg_any_to_server(VARDATA(r->opened), note_bytes, PG_UTF8);
	if (text_bytes == VARDATA(r->opened))
		result = r->opened;
	else
	{
		result = r->converted = cstring_to_text(text_bytes);
		sodium_memzero(text_bytes, strlen(text_bytes));
		pfree(text_bytes);
	}
	try_conversion_to_client(result);
	return result;
}

/*
 * Another transaction has the row, its fuse not lit.  A reader has it for a
 * moment only, so look again soon.  But it may be a person's DELETE or SELECT
 * FOR UPDATE: give up after lock_timeout, or else after the time that a
 * deadlock would take to be found.
 */
static void
wait_for_other(TimestampTz since)
{
	int			limit = LockTimeout > 0 ? LockTimeout : DeadlockTimeout;

	if (TimestampDifferenceExceeds(since, GetCurrentTimestamp(), limit))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on burn note"),
				 errdetail("Another transaction has locked its row for longer than %d ms. The note is not burned.",
						   limit)));

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 1, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Makes the fuse of a note, whose row the caller's transaction has deleted, a
 * tombstone.  Nothing undoes that but a crash before *lsn is flushed.
 */
static void
light_fuse(BurnStore *store, BurnNote *note, const BurnFuse *tombstone,
		   XLogRecPtr *lsn)
{
	if (!fuse_swap(store->notes, note_buffer(note), note->fuse_on_page,
				   &note->fuse, tombstone, lsn))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not burn note because its fuse was changed meanwhile")));
	note->fuse = *tombstone;
}

/*
 * Seals a receipt, and makes the tombstone that can stand in for it.
 */
static void
seal_and_bury(BurnReceipt *receipt, const BurnToken *receipt_token,
			  BurnFuse *tombstone)
{
	SealAddress client_ip;

	witness_address(&client_ip, receipt->witness.client_ip);
	seal_receipt(receipt->seal, token_secret(receipt_token), receipt->id,
				 receipt->outcome, receipt->created_at, receipt->closed_at,
				 &client_ip);
	receipt->has_seal = true;
	fuse_make_tombstone(tombstone, receipt->outcome, receipt->closed_at,
						&receipt->witness, receipt->seal);
}

/*
 * Burns the note that was found, opened and deleted.  When this returns, no
 * rollback, crash or failover to a synchronous standby brings it back.
 */
static void
burn_note(Reading *r, inet *client_ip)
{
	BurnReceipt receipt;
	BurnFuse	tombstone;
	XLogRecPtr	lsn;

	memcpy(receipt.id, r->id, sizeof(receipt.id));
	receipt.created_at = r->note.created_at;
	receipt.closed_at = r->now;
	receipt.outcome = OUTCOME_READ;
	witness_now(&receipt.witness, client_ip, actor);
	seal_and_bury(&receipt, &r->receipt, &tombstone);

	receipt_insert(&r->store, &receipt);
	CHECK_FOR_INTERRUPTS();

	light_fuse(&r->store, &r->note, &tombstone, &lsn);
	XLogFlush(lsn);

	if (!fuse_confirm(lsn))
	{
		receipt.outcome = OUTCOME_WITHHELD;
		seal_and_bury(&receipt, &r->receipt, &tombstone);
		light_fuse(&r->store, &r->note, &tombstone, &lsn);
		XLogFlush(lsn);
		ereport(ERROR,
				(errcode(ERRCODE_IO_ERROR),
				 errmsg("burn note is burned and withheld: no synchronous standby confirmed"),
				 errdetail("After a failover it could have been read a second time.")));
	}
}

/*
 * Writes the receipt of a note whose fuse is lit and whose row the caller's
 * transaction has deleted.
 */
static void
write_receipt_from_tombstone(BurnStore *store, const BurnNote *note)
{
	BurnReceipt receipt;

	/* A row that somebody put back after its end has its receipt already. */
	if (receipt_find(store, note->id, &receipt))
		return;

	memcpy(receipt.id, note->id, sizeof(receipt.id));
	receipt.created_at = note->created_at;
	receipt.closed_at = fuse_closed_at(&note->fuse);
	receipt.outcome = note->fuse.state;
	fuse_witness(&receipt.witness, &note->fuse);
	receipt.has_seal = receipt.outcome != OUTCOME_EXPIRED;
	memcpy(receipt.seal, note->fuse.seal, sizeof(receipt.seal));
	receipt_insert(store, &receipt);
}

/*
 * The note, burned; or NULL where there is none to be had.
 */
static text *
read_note(Reading *r, inet *client_ip)
{
	text	   *result = NULL;

	while (note_find(&r->store, r->id, &r->note))
	{
		bool		live = r->note.fuse.state == FUSE_LIVE;
		BurnDelete	deleted = DELETE_BUSY;

		if (live && result == NULL)
			result = open_note(r);

		if (!r->note.busy && (live || fuse_is_lit(&r->note.fuse)))
			deleted = note_delete(&r->store, &r->note);

		if (deleted == DELETE_DONE)
		{
			/* Whether we burn it or finish a burn is decided only now. */
			live = r->note.fuse.state == FUSE_LIVE;
			if (live)
				burn_note(r, client_ip);
			else
				write_receipt_from_tombstone(&r->store, &r->note);
		}
		note_release(&r->note);

		if (deleted == DELETE_DONE)
			return live ? result : NULL;
		if (!live)
			return NULL;
		if (deleted == DELETE_BUSY)
			wait_for_other(r->now);
	}
	return NULL;
}

/*
 * burn_read(token text, client_ip inet, passphrase text) -> text
 */
Datum
burn_read(PG_FUNCTION_ARGS)
{
	Reading		reading = {0};
	text	   *volatile result = NULL;

	require_read_write("burn_read()");
	refuse_passphrase(fcinfo, 2);

	PG_TRY();
	{
		get_token(fcinfo, &reading.token);
		token_to_receipt(&reading.receipt, &reading.token);
		token_note_id(reading.id, &reading.receipt);
		reading.now = GetCurrentTimestamp();

		if (from_unix_milliseconds(note_id_expires(reading.id)) > reading.now)
		{
			store_open(&reading.store, fcinfo->flinfo->fn_oid, RowExclusiveLock);
			result = read_note(&reading, PG_ARGISNULL(1) ? NULL : PG_GETARG_INET_PP(1));
			store_close(&reading.store);
		}
	}
	PG_FINALLY();
	{
		wipe_reading(&reading, result);
	}
	PG_END_TRY();

	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(result);
}

/* ----------
 * Looking
 * ----------
 */

/*
 * burn_status(token text) -> record
 */
Datum
burn_status(PG_FUNCTION_ARGS)
{
	enum
	{
		STATE, CREATED_AT, EXPIRES_AT, HAS_PASSPHRASE, ATTEMPTS_LEFT,
		CLOSED_AT, CLIENT_IP, PEER, ACTOR, SEAL, COLUMNS
	};
	Datum		values[COLUMNS] = {0};
	bool		isnull[COLUMNS];
	TupleDesc	tupdesc;
	BurnToken	token;
	unsigned char id[NOTE_ID_BYTES];
	TimestampTz expires;
	BurnStore	store;
	BurnNote	note;
	BurnReceipt receipt = {0};
	const char *state = "unknown";
	bool		found;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	memset(isnull, true, sizeof(isnull));

	get_any_token(fcinfo, &token);
	token_to_receipt(&token, &token);
	token_note_id(id, &token);
	sodium_memzero(&token, sizeof(token));
	expires = from_unix_milliseconds(note_id_expires(id));

	store_open(&store, fcinfo->flinfo->fn_oid, AccessShareLock);
	found = note_find(&store, id, &note);
	if (found)
	{
		bytea	   *header = DatumGetByteaPSlice(note_sealed(&note), 0, SEAL_HEADER_BYTES);
		int			flags = seal_flags((unsigned char *) VARDATA_ANY(header),
									   VARSIZE_ANY_EXHDR(header));

		values[HAS_PASSPHRASE] = BoolGetDatum((flags & SEAL_HAS_PASSPHRASE) != 0);
		isnull[HAS_PASSPHRASE] = flags < 0;

		receipt.created_at = note.created_at;
		if (fuse_is_lit(&note.fuse))
		{
			receipt.outcome = note.fuse.state;
			receipt.closed_at = fuse_closed_at(&note.fuse);
			fuse_witness(&receipt.witness, &note.fuse);
			receipt.has_seal = receipt.outcome != OUTCOME_EXPIRED;
			memcpy(receipt.seal, note.fuse.seal, sizeof(receipt.seal));
		}
		else if (note.fuse.state == FUSE_LIVE)
			state = expires > GetCurrentTimestamp() ? "sealed" : "expired";
		note_release(&note);
	}

	/* The note first: its row and its receipt change in one commit. */
	if (receipt.outcome == 0 && receipt_find(&store, id, &receipt))
		found = true;
	store_close(&store);

	if (receipt.outcome != 0)
	{
		state = fuse_state_name(receipt.outcome);
		values[CLOSED_AT] = TimestampTzGetDatum(receipt.closed_at);
		isnull[CLOSED_AT] = false;
	}
	values[STATE] = CStringGetTextDatum(state);
	isnull[STATE] = false;
	values[CREATED_AT] = TimestampTzGetDatum(receipt.created_at);
	isnull[CREATED_AT] = !found;
	values[EXPIRES_AT] = TimestampTzGetDatum(expires);
	isnull[EXPIRES_AT] = false;
	values[CLIENT_IP] = InetPGetDatum(receipt.witness.client_ip);
	isnull[CLIENT_IP] = receipt.witness.client_ip == NULL;
	values[PEER] = InetPGetDatum(receipt.witness.peer);
	isnull[PEER] = receipt.witness.peer == NULL;
	values[ACTOR] = PointerGetDatum(receipt.witness.actor);
	isnull[ACTOR] = receipt.witness.actor == NULL;
	if (receipt.has_seal)
	{
		bytea	   *seal = palloc(VARHDRSZ + SEAL_RECEIPT_BYTES);

		SET_VARSIZE(seal, VARHDRSZ + SEAL_RECEIPT_BYTES);
		memcpy(VARDATA(seal), receipt.seal, SEAL_RECEIPT_BYTES);
		values[SEAL] = PointerGetDatum(seal);
		isnull[SEAL] = false;
	}

	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, isnull)));
}

/*
 * burn_receipt_token(token text) -> text
 */
Datum
burn_receipt_token(PG_FUNCTION_ARGS)
{
	text	   *result = palloc(VARHDRSZ + TOKEN_CHARS + 1);
	BurnToken	token;
	BurnToken	receipt;

	get_any_token(fcinfo, &token);
	token_to_receipt(&receipt, &token);
	token_print(VARDATA(result), &receipt);
	SET_VARSIZE(result, VARHDRSZ + TOKEN_CHARS);

	sodium_memzero(&token, sizeof(token));
	sodium_memzero(&receipt, sizeof(receipt));
	PG_RETURN_TEXT_P(result);
}

/*
 * burn_note_id(token text) -> uuid
 */
Datum
burn_note_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));
	BurnToken	token;
	BurnToken	receipt;

	get_any_token(fcinfo, &token);
	token_to_receipt(&receipt, &token);
	token_note_id(result->data, &receipt);

	sodium_memzero(&token, sizeof(token));
	sodium_memzero(&receipt, sizeof(receipt));
	PG_RETURN_UUID_P(result);
}

/* ----------
 * Purging
 * ----------
 */

/*
 * Ends a note that a scan has found expired or lit, and tells whether it did:
 * not where another transaction has the row.
 */
static bool
end_note(BurnStore *store, BurnNote *note, TimestampTz now)
{
	if (note->busy || note_delete(store, note) != DELETE_DONE)
		return false;

	if (!fuse_is_lit(&note->fuse))
	{
		bool		live = note->fuse.state == FUSE_LIVE;
		BurnFuse	tombstone;
		XLogRecPtr	lsn;

		/*
		 * The key half must not lie about in the dead row.  This needs no
		 * flush: a note that a crash brings back has still expired.
		 */
		fuse_make_tombstone(&tombstone, OUTCOME_EXPIRED, now, &(BurnWitness) {0}, NULL);
		if (live)
			light_fuse(store, note, &tombstone, &lsn);
		note->fuse = tombstone;
	}
	write_receipt_from_tombstone(store, note);
	return true;
}

/*
 * burn_purge(max_notes integer) -> bigint
 */
Datum
burn_purge(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		limit;
	int64		notes = 0;
	int64		receipts = 0;
	unsigned char bound[NOTE_ID_BYTES];
	BurnStore	store;
	BurnScan	scan;
	BurnNote	note;

	require_read_write("burn_purge()");
	refuse_null(fcinfo, 0, "max_notes");
	limit = PG_GETARG_INT32(0);
	if (limit <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_notes must be greater than zero")));

	store_open(&store, fcinfo->flinfo->fn_oid, RowExclusiveLock);

	/* Expired notes: their ids sort first. */
	note_id_first(bound, unix_milliseconds(now) + 1);
	notes_before(&scan, &store, bound);
	while (notes < limit && notes_next(&scan, &note))
	{
		CHECK_FOR_INTERRUPTS();
		notes += end_note(&store, &note, now);
	}
	notes_end(&scan);

	/* Burns that were rolled back: their fuse changed in place, so no index knows of them. */
	notes_all(&scan, &store);
	while (notes < limit && notes_next(&scan, &note))
	{
		CHECK_FOR_INTERRUPTS();
		if (fuse_is_lit(&note.fuse))
			notes += end_note(&store, &note, now);
	}
	notes_end(&scan);

	if (receipt_retention > 0)
	{
		note_id_first(bound, unix_milliseconds(now - receipt_retention * USECS_PER_SEC) + 1);
		receipts = receipts_delete_before(&store, bound, limit);
	}

	store_close(&store);
	PG_RETURN_INT64(notes + receipts);
}

/*
 * Trigger: nothing may UPDATE burn_note.
 */
Datum
burn_note_refuse_update(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("rows of burn_note cannot be updated"),
			 errdetail("The older row version would keep the key half of a note that is read later.")));
}
