/*-------------------------------------------------------------------------
 *
 * create.c
 *	  Creating a note.
 *
 * Draws a token and a key half, seals the note under both, inserts its row.  Never
 * keeps the note in any other form: it is encrypted where the row is made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "src/backlog.h"
#include "src/compat.h"
#include "src/create.h"
#include "src/expiry.h"
#include "src/fuse.h"
#include "src/passphrase.h"
#include "src/seal.h"
#include "src/settings.h"
#include "src/stats.h"
#include "src/store.h"
#include "src/token.h"

void
refuse_size(size_t bytes)
{
	if (bytes > (size_t) burn_max_note_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("burn note exceeds %d bytes", burn_max_note_size),
				 errhint("The limit is the setting burn_note.max_note_size.")));
}

/*
 * Errors out where the current role has more notes than it may.  The new one is
 * among them, and so are those of transactions in progress: of two that want
 * the last place at the same time both may be refused, but none is let in too
 * many.
 */
static void
refuse_many(BurnStore *store)
{
	if (notes_of_creator(store, GetUserId(), burn_max_pending + 1) > burn_max_pending)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("role \"%s\" may not have more than %d notes that wait to be read",
						GetUserNameFromId(GetUserId(), false), burn_max_pending),
				 errhint("The limit is the setting burn_note.max_pending.")));
}

/*
 * Seals a note, of UTF-8 where flags say text, and inserts it.  token := its token; that is
 * secret, and the caller's to wipe.
 */
void
create_note(Secrets *secrets, BurnToken *token, Oid function, const char *note,
			size_t note_bytes, uint8 flags, const Interval *expires_in, const text *passphrase)
{
	struct
	{
		BurnToken	receipt;
		BurnFuse	fuse;
		unsigned char passphrase[SEAL_PASSPHRASE_BYTES];	/* its hash */
	}		   *c = secrets_alloc(secrets, sizeof(*c));
	TimestampTz now = GetCurrentTimestamp();
	size_t		sealed_bytes = seal_sealed_bytes(note_bytes);
	SealParts	parts = {0};
	SealBinding binding;
	BurnStore	store;
	bytea	   *sealed;
	unsigned char id[NOTE_ID_BYTES];

	refuse_size(note_bytes);
	token_make(token, expiry_after(now, expires_in), burn_shard);
	token_derive(&c->receipt, id, token);
	fuse_make(&c->fuse, passphrase != NULL ? burn_max_attempts : 0);

	parts.secret = token_secret(token);
	parts.half = c->fuse.half;
	if (passphrase != NULL)
	{
		size_t		bytes;
		const char *normalized = passphrase_normalize(secrets, passphrase, &bytes);
		bool		hashed;

		passphrase_begin(NULL);
		hashed = passphrase_hash(c->passphrase, token, normalized, bytes);
		passphrase_end();
		if (!hashed)
			passphrase_report_memory();
		parts.passphrase = c->passphrase;
	}

	sealed = palloc(VARHDRSZ + sealed_bytes);
	SET_VARSIZE(sealed, VARHDRSZ + sealed_bytes);
	note_bind(&binding, id, now, &c->fuse);
	seal_note((unsigned char *) VARDATA(sealed), (const unsigned char *) note,
			  note_bytes, flags, &parts, &binding);

	store_open(&store, function, RowExclusiveLock);
	note_insert(&store, id, now, &c->fuse, sealed,
				burn_max_pending > 0 ? GetUserId() : InvalidOid);
	if (burn_max_pending > 0)
		refuse_many(&store);
	store_close(&store);
	backlog_due_by(note_id_expires(id));
	pfree(sealed);
	stats_count(COUNT_CREATED);
}
