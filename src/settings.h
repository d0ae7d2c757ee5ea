/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The settings, as variables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_SETTINGS_H
#define BURN_SETTINGS_H

typedef enum BurnRedact
{
	REDACT_OFF,
	REDACT_ON,					/* what may show a secret of burn_note's */
	REDACT_QUIET				/* everything */
} BurnRedact;

/* Of the caller's session */
extern int	burn_default_ttl;	/* seconds */
extern int	burn_max_ttl;		/* seconds */
extern int	burn_max_note_size; /* bytes */
extern int	burn_max_attempts;	/* of a new note that has a passphrase */
extern int	burn_max_pending;	/* notes of a role, 0 for no limit */
extern char *burn_actor;		/* who reads; '' for the session's user */
extern char *burn_notify_channel;	/* of receipts; '' for none */
extern int	burn_redact;		/* a BurnRedact */
extern bool burn_dumpable;		/* may a process that had a secret leave a
								 * core file? */
extern int	burn_receipt_retention; /* seconds after the expiry, 0 keeps for
									 * ever */

/* Of the server */
extern int	burn_shard;			/* in the tokens that it makes */

/* Of the server, where the library is preloaded */
extern int	burn_purge_interval;	/* seconds from one sweep of a database to
									 * the next */
extern char *burn_databases;	/* the swept ones' names, '*' for all */

extern void settings_define(void);

#endif							/* BURN_SETTINGS_H */
