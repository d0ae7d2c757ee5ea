/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The settings, which burn_note.c defines.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_SETTINGS_H
#define BURN_SETTINGS_H

extern int	burn_default_ttl;	/* seconds */
extern int	burn_max_ttl;		/* seconds */
extern int	burn_max_note_size; /* bytes */
extern int	burn_max_attempts;
extern int	burn_max_pending;	/* notes of a role, 0 for no limit */
extern int	burn_receipt_retention; /* seconds, 0 keeps for ever */
extern int	burn_shard;
extern char *burn_actor;
extern char *burn_notify_channel;	/* '' for none */

typedef enum BurnRedact
{
	REDACT_OFF,
	REDACT_ON,					/* what may show a secret of burn_note's */
	REDACT_QUIET				/* everything */
} BurnRedact;

extern int	burn_redact;		/* a BurnRedact */
extern bool burn_dumpable;

/* Where the library is preloaded: */
extern int	burn_purge_interval;	/* seconds */
extern char *burn_databases;

#endif							/* BURN_SETTINGS_H */
