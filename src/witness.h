/*-------------------------------------------------------------------------
 *
 * witness.h
 *	  Who ends a note, and from where.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_WITNESS_H
#define BURN_WITNESS_H

#include "utils/inet.h"

#include "src/seal.h"

/*
 * What a receipt says of a note's reader; NULL for what is not known.
 */
typedef struct BurnWitness
{
	inet	   *client_ip;		/* as the caller says */
	inet	   *peer;			/* as the server sees it, where that differs */
	text	   *actor;			/* as burn_note.actor says, else the session
								 * user */

	/* Of who is calling now: client_ip and peer as seals and fuses hold them. */
	SealAddress claimed;
	SealAddress seen;
} BurnWitness;

extern void witness_now(BurnWitness *witness, inet *client_ip, const char *actor);
extern inet *witness_inet(const SealAddress *address);

#endif							/* BURN_WITNESS_H */
