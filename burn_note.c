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
 * wait for another transaction's end is bounded (see end.c).
 * Passphrases are hashed a few at a time (see passphrase.c).
 *
 * docs/architecture.md has the reasons.
 *
 * src/create.c	creating
 * src/end.c	reading and revoking
 * src/attempts.c	attempts at a passphrase
 * src/finish.c	finishing burns that were rolled back, expiring
 * src/expiry.c	when a note expires
 * src/passphrase.c	hashing passphrases
 * src/secret.c	wiping what a call held
 * src/token.c	tokens, receipt tokens, note ids
 * src/seal.c	sealing, opening, receipts' seals
 * src/fuse.c	the key half that a rollback cannot restore
 * src/standby.c	synchronous standbys
 * src/store.c	notes, receipts and attempts as rows
 * src/table.c	rows of tables, without SQL
 * src/record.c	records that functions return
 * src/witness.c	who, and from where
 * src/encoding.c	converting text without showing it
 * src/hush.c	keeping secrets out of logs, statistics views and core files
 * src/traces.c	which texts name these functions, and their shape without values
 * src/settings.c	the settings
 * src/shared.c	what lies in shared memory
 * src/status.c	what has become of a note
 * src/stats.c	counters
 * src/check.c	what burn_check() cannot see by SQL
 * src/purge.c	finishing and expiring
 * src/backlog.c	what there is to finish and to expire
 * src/sweeper.c	doing so without being called
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sodium.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "src/compat.h"
#include "src/create.h"
#include "src/encoding.h"
#include "src/end.h"
#include "src/errors.h"
#include "src/hush.h"
#include "src/purge.h"
#include "src/record.h"
#include "src/settings.h"
#include "src/shared.h"
#include "src/stats.h"
#include "src/status.h"
#include "src/sweeper.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(burn_create);
PG_FUNCTION_INFO_V1(burn_create_bytes);
PG_FUNCTION_INFO_V1(burn_read);
PG_FUNCTION_INFO_V1(burn_read_bytes);
PG_FUNCTION_INFO_V1(burn_revoke);
PG_FUNCTION_INFO_V1(burn_status);
PG_FUNCTION_INFO_V1(burn_receipt_token);
PG_FUNCTION_INFO_V1(burn_note_id);
PG_FUNCTION_INFO_V1(burn_purge);
PG_FUNCTION_INFO_V1(burn_note_refuse_update);

void		_PG_init(void);

/*
 * What the library was built for is checked by the major only.  But it reads what
 * earlier minors do not have: standby_confirm() would not wait for standbys there.
 */
static void
require_minor(void)
{
	if (pg_strtoint32(GetConfigOption("server_version_num", false, false)) < SERVER_VERSION_MIN)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("burn_note requires PostgreSQL %d.%d or later",
						SERVER_VERSION_MIN / 10000, SERVER_VERSION_MIN % 10000),
				 errdetail("This server is %s. Earlier minor releases do not tell whether there are synchronous standbys.",
						   GetConfigOption("server_version", false, false)),
				 errhint("Update PostgreSQL to its latest minor release.")));
}

void
_PG_init(void)
{
	require_minor();
	if (sodium_init() < 0)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not initialize libsodium")));

	settings_define();
	hush_start();
	shared_start();
	sweeper_start();

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

/*
 * The function's argument as a passphrase, NULL for none.
 */
static text *
get_passphrase(FunctionCallInfo fcinfo, int argument)
{
	text	   *passphrase;

	if (PG_ARGISNULL(argument))
		return NULL;
	passphrase = PG_GETARG_TEXT_PP(argument);
	if (VARSIZE_ANY_EXHDR(passphrase) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("passphrase must not be empty"),
				 errhint("NULL stands for no passphrase.")));
	return passphrase;
}

/*
 * The function's first argument as a token or a receipt token.
 */
static void
get_any_token(FunctionCallInfo fcinfo, BurnToken *token)
{
	text	   *value;
	int			parsed;

	hush_secret();
	refuse_null(fcinfo, 0, "burn note token");
	value = PG_GETARG_TEXT_PP(0);
	parsed = token_parse(token, VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
	if ((Pointer) value != PG_GETARG_POINTER(0))
		sodium_memzero(value, VARSIZE_ANY(value));
	if (parsed != 0)
	{
		sodium_memzero(token, sizeof(*token));
		ereport(ERROR,
				(errcode(ERRCODE_BURN_INVALID_TOKEN),
				 errmsg("invalid burn note token"),
				 errhint("A token has %d characters, without spaces and the rest of a link. Was it cut short or altered?",
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
				(errcode(ERRCODE_BURN_INVALID_TOKEN),
				 errmsg("invalid burn note token"),
				 errhint("This is a receipt token: it shows a note's status and cannot open it.")));
}

/*
 * A token as SQL sees it.
 */
static text *
token_text(const BurnToken *token)
{
	text	   *printed = palloc(VARHDRSZ + TOKEN_CHARS + 1);

	token_print(VARDATA(printed), token);
	SET_VARSIZE(printed, VARHDRSZ + TOKEN_CHARS);
	return printed;
}

/* ----------
 * Creating
 * ----------
 */

/*
 * burn_create() and burn_create_bytes(), by flags.
 */
static Datum
create(FunctionCallInfo fcinfo, uint8 flags, const char *function)
{
	struct
	{
		Secrets		secrets;
		BurnToken	token;
	}		   *call;
	struct varlena *note;
	const char *bytes;
	size_t		count;
	text	   *token;

	hush_secret();
	require_read_write(function);
	refuse_null(fcinfo, 0, "burn note");

	call = secrets_begin(sizeof(*call));
	note = PG_GETARG_VARLENA_PP(0);
	bytes = VARDATA_ANY(note);
	count = VARSIZE_ANY_EXHDR(note);
	if ((Pointer) note != PG_GETARG_POINTER(0))
		secrets_add(&call->secrets, note, VARSIZE_ANY(note));
	if (!(flags & SEAL_IS_BYTES))
	{
		char	   *utf8;

		/* No encoding takes four times what UTF-8 does. */
		refuse_size(count / MAX_CONVERSION_GROWTH);
		utf8 = encoding_to_utf8(bytes, count, "burn note", &count);
		if (utf8 != bytes)
			secrets_add(&call->secrets, utf8, count);
		bytes = utf8;
	}

	create_note(&call->secrets, &call->token, fcinfo->flinfo->fn_oid, bytes, count, flags,
				PG_ARGISNULL(1) ? NULL : PG_GETARG_INTERVAL_P(1),
				get_passphrase(fcinfo, 2));
	token = token_text(&call->token);
	secrets_end(&call->secrets, NULL);
	PG_RETURN_TEXT_P(token);
}

/*
 * burn_create(note text, expires_in interval, passphrase text) -> text
 */
Datum
burn_create(PG_FUNCTION_ARGS)
{
	return create(fcinfo, 0, "burn_create()");
}

/*
 * burn_create_bytes(note bytea, expires_in interval, passphrase text) -> text
 */
Datum
burn_create_bytes(PG_FUNCTION_ARGS)
{
	return create(fcinfo, SEAL_IS_BYTES, "burn_create_bytes()");
}

/* ----------
 * Ending
 * ----------
 */

/*
 * burn_read() and burn_read_bytes(), by flags.
 */
static Datum
read_note(FunctionCallInfo fcinfo, uint8 flags, const char *function)
{
	Ending	   *ending;
	text	   *note;

	require_read_write(function);

	ending = secrets_begin(sizeof(*ending));
	ending->outcome = OUTCOME_READ;
	get_token(fcinfo, &ending->token);
	ending->flags = flags;
	ending->client_ip = PG_ARGISNULL(1) ? NULL : PG_GETARG_INET_PP(1);
	ending->passphrase = get_passphrase(fcinfo, 2);
	if (end_note(ending, fcinfo->flinfo->fn_oid, &note))
		PG_RETURN_TEXT_P(note);

	stats_count(COUNT_MISSES);
	PG_RETURN_NULL();
}

/*
 * burn_read(token text, client_ip inet, passphrase text) -> text
 */
Datum
burn_read(PG_FUNCTION_ARGS)
{
	return read_note(fcinfo, 0, "burn_read()");
}

/*
 * burn_read_bytes(token text, client_ip inet, passphrase text) -> bytea
 */
Datum
burn_read_bytes(PG_FUNCTION_ARGS)
{
	return read_note(fcinfo, SEAL_IS_BYTES, "burn_read_bytes()");
}

/*
 * burn_revoke(token text, client_ip inet) -> boolean
 */
Datum
burn_revoke(PG_FUNCTION_ARGS)
{
	Ending	   *ending;

	require_read_write("burn_revoke()");

	ending = secrets_begin(sizeof(*ending));
	ending->outcome = OUTCOME_REVOKED;
	get_any_token(fcinfo, &ending->token);
	ending->client_ip = PG_ARGISNULL(1) ? NULL : PG_GETARG_INET_PP(1);
	PG_RETURN_BOOL(end_note(ending, fcinfo->flinfo->fn_oid, NULL));
}

/* ----------
 * Looking
 * ----------
 */

/*
 * burn_status(token text) -> burn_note_status
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
	bool		isnull[COLUMNS] = {0};
	BurnToken	token;
	unsigned char id[NOTE_ID_BYTES];
	BurnStatus	status;
	const BurnReceipt *receipt = &status.receipt;

	get_any_token(fcinfo, &token);
	token_derive(&token, id, &token);
	sodium_memzero(&token, sizeof(token));
	status_look(&status, fcinfo->flinfo->fn_oid, id);

	values[STATE] = CStringGetTextDatum(status.state);
	values[CREATED_AT] = TimestampTzGetDatum(receipt->created_at);
	isnull[CREATED_AT] = !status.found;
	values[EXPIRES_AT] = TimestampTzGetDatum(status.expires_at);
	values[HAS_PASSPHRASE] = BoolGetDatum(status.has_passphrase > 0);
	isnull[HAS_PASSPHRASE] = status.has_passphrase < 0;
	values[ATTEMPTS_LEFT] = Int32GetDatum(status.attempts_left);
	isnull[ATTEMPTS_LEFT] = status.attempts_left < 0;
	values[CLOSED_AT] = TimestampTzGetDatum(receipt->closed_at);
	isnull[CLOSED_AT] = receipt->outcome == 0;
	values[CLIENT_IP] = InetPGetDatum(receipt->witness.client_ip);
	isnull[CLIENT_IP] = receipt->witness.client_ip == NULL;
	values[PEER] = InetPGetDatum(receipt->witness.peer);
	isnull[PEER] = receipt->witness.peer == NULL;
	values[ACTOR] = PointerGetDatum(receipt->witness.actor);
	isnull[ACTOR] = receipt->witness.actor == NULL;
	isnull[SEAL] = !receipt->has_seal;
	if (receipt->has_seal)
		values[SEAL] = receipt_seal(receipt);

	PG_RETURN_DATUM(record_datum(fcinfo, COLUMNS, values, isnull));
}

/*
 * burn_receipt_token(token text) -> text
 */
Datum
burn_receipt_token(PG_FUNCTION_ARGS)
{
	text	   *result;
	BurnToken	token;
	BurnToken	receipt;

	get_any_token(fcinfo, &token);
	token_to_receipt(&receipt, &token);
	result = token_text(&receipt);

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
	token_derive(&receipt, result->data, &token);

	sodium_memzero(&token, sizeof(token));
	sodium_memzero(&receipt, sizeof(receipt));
	PG_RETURN_UUID_P(result);
}

/* ----------
 * Purging
 * ----------
 */

/*
 * burn_purge(max_notes integer) -> bigint
 */
Datum
burn_purge(PG_FUNCTION_ARGS)
{
	int32		limit;

	require_read_write("burn_purge()");
	refuse_null(fcinfo, 0, "max_notes");
	limit = PG_GETARG_INT32(0);
	if (limit <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_notes must be greater than zero")));

	PG_RETURN_INT64(purge_now(fcinfo->flinfo->fn_oid, limit));
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
