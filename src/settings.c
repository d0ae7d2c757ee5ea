/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings: their defaults, their limits, who may set them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "src/fuse.h"
#include "src/seal.h"
#include "src/settings.h"
#include "src/sweeper.h"

#define MINUTE	60
#define DAY		(24 * 60 * MINUTE)
#define ACTOR_BYTES_MAX 1024

int			burn_default_ttl;
int			burn_max_ttl;
int			burn_max_note_size;
int			burn_max_attempts;
int			burn_max_pending;
int			burn_receipt_retention;
int			burn_shard;
char	   *burn_actor;
char	   *burn_notify_channel;
int			burn_redact;
bool		burn_dumpable;
int			burn_purge_interval;
char	   *burn_databases;

static const struct config_enum_entry redact_options[] = {
	{"off", REDACT_OFF, false},
	{"on", REDACT_ON, false},
	{"quiet", REDACT_QUIET, false},
	{NULL, 0, false}
};

static bool
check_length(const char *value, size_t limit)
{
	if (strlen(value) <= limit)
		return true;
	GUC_check_errdetail("It has more than %zu bytes.", limit);
	return false;
}

static bool
check_actor(char **newval, void **extra, GucSource source)
{
	return check_length(*newval, ACTOR_BYTES_MAX);
}

static bool
check_notify_channel(char **newval, void **extra, GucSource source)
{
	return check_length(*newval, NAMEDATALEN - 1);
}

static void
define_notes(void)
{
	DefineCustomIntVariable("burn_note.default_ttl",
							"How long a note lives where burn_create() is not told.",
							"At most burn_note.max_ttl.",
							&burn_default_ttl,
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
							&burn_max_ttl,
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
							&burn_max_note_size,
							16 * 1024 * 1024,
							0,
							SEAL_NOTE_BYTES_MAX,
							PGC_SUSET,
							GUC_UNIT_BYTE,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("burn_note.max_attempts",
							"How many wrong passphrases lock a note.",
							"Counted for notes that are created from now on.",
							&burn_max_attempts,
							5,
							1,
							FUSE_ATTEMPTS_MAX,
							PGC_SUSET,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("burn_note.max_pending",
							"How many notes of a role may wait to be read.",
							"0 is no limit. Notes that the role created while it had no limit are not counted.",
							&burn_max_pending,
							0,
							0,
							1000000,
							PGC_SUSET,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("burn_note.shard",
							"Number of this server, written into every token that it makes.",
							"A router can send a token to the server that made it.",
							&burn_shard,
							0,
							0,
							UINT8_MAX,
							PGC_SIGHUP,
							0,
							NULL,
							NULL,
							NULL);
}

static void
define_receipts(void)
{
	DefineCustomIntVariable("burn_note.receipt_retention",
							"How long after its note's expiry burn_purge() keeps a receipt.",
							"0 keeps receipts for ever.",
							&burn_receipt_retention,
							365 * DAY,
							0,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomStringVariable("burn_note.actor",
							   "Who reads notes, as the application knows them; receipts record it.",
							   "Empty stands for the session user.",
							   &burn_actor,
							   "",
							   PGC_USERSET,
							   0,
							   check_actor,
							   NULL,
							   NULL);

	DefineCustomStringVariable("burn_note.notify_channel",
							   "Channel that is notified of each receipt: the note's id and the outcome.",
							   "Empty notifies nobody. A transaction that ends a note can then not be prepared.",
							   &burn_notify_channel,
							   "",
							   PGC_SUSET,
							   0,
							   check_notify_channel,
							   NULL,
							   NULL);
}

static void
define_secrecy(void)
{
	DefineCustomEnumVariable("burn_note.redact",
							 "Writes statements that may show a note, a token or a passphrase down without their values.",
							 "\"quiet\" does so with everything that the role's sessions run.",
							 &burn_redact,
							 REDACT_ON,
							 redact_options,
							 PGC_SUSET,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomBoolVariable("burn_note.dumpable",
							 "Allows core files and debuggers of server processes that handled a secret.",
							 NULL,
							 &burn_dumpable,
							 false,
							 PGC_SUSET,
							 0,
							 NULL,
							 NULL,
							 NULL);
}

/*
 * The sweeper's, which only a preloaded library has.
 */
static void
define_sweeping(void)
{
	DefineCustomIntVariable("burn_note.purge_interval",
							"The pause between two sweeps of a database.",
							"A sweep finishes rolled-back burns, ends expired notes and removes old receipts.",
							&burn_purge_interval,
							10,
							1,
							DAY,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomStringVariable("burn_note.databases",
							   "The databases that are swept: their names, separated by commas.",
							   "\"*\" stands for every one that has the extension, empty for none.",
							   &burn_databases,
							   "*",
							   PGC_POSTMASTER,
							   GUC_LIST_INPUT,
							   sweeper_check_databases,
							   NULL,
							   NULL);
}

void
settings_define(void)
{
	define_notes();
	define_receipts();
	define_secrecy();
	if (process_shared_preload_libraries_in_progress)
		define_sweeping();

	MarkGUCPrefixReserved("burn_note");
}
