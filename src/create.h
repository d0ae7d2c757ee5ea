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

#include "src/secret.h"
#include "src/token.h"

extern void refuse_size(size_t bytes);
extern void create_note(Secrets *secrets, BurnToken *token, Oid function, const char *note,
						size_t note_bytes, uint8 flags, const Interval *expires_in,
						const text *passphrase);

#endif							/* BURN_CREATE_H */
