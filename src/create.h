/*-------------------------------------------------------------------------
 *
 * create.h
 *	  Creating a note.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_CREATE_H
#define BURN_CREATE_H

#include "datatype/timestamp.h"

#include "src/fuse.h"
#include "src/seal.h"
#include "src/token.h"

/*
 * One call of burn_create() or burn_create_bytes().  It holds secrets:
 * wipe_creating() it.
 */
typedef struct Creating
{
	BurnToken	token;
	BurnToken	receipt;
	BurnFuse	fuse;
	unsigned char passphrase[SEAL_PASSPHRASE_BYTES];	/* its hash */
	char	   *passphrase_copy;	/* NULL, or a copy of the passphrase */
	struct varlena *note;		/* NULL, or a detoasted copy of the argument */
	char	   *utf8;			/* NULL, or a converted copy of the note */
} Creating;

extern void refuse_size(size_t bytes);
extern void create_note(Creating *c, Oid function, const char *note, size_t note_bytes,
						uint8 flags, const Interval *expires_in, const text *passphrase);
extern void wipe_creating(Creating *c);

#endif							/* BURN_CREATE_H */
