/*-------------------------------------------------------------------------
 *
 * fuse.h
 *	  The half of a note's key that a rollback cannot restore.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_FUSE_H
#define BURN_FUSE_H

#include <sodium.h>

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "storage/buf.h"
#include "utils/rel.h"

#include "src/seal.h"
#include "src/witness.h"

/* How a note ended: burn_receipt.outcome, and the state of a lit fuse. */
typedef enum BurnOutcome
{
	OUTCOME_READ = 'r',
	OUTCOME_EXPIRED = 'e',
	OUTCOME_REVOKED = 'v',
	OUTCOME_LOCKED = 'l',
	OUTCOME_WITHHELD = 'w'
} BurnOutcome;

#define FUSE_LIVE	's'
#define FUSE_VOID	'0'			/* made from text: opens nothing, tells
								 * nothing */

/* As many wrong passphrases as a note may allow. */
#define FUSE_ATTEMPTS_MAX	100

/*
 * burn_note.fuse, a value of type burn_fuse, as it lies in the heap page.
 * pg_upgrade freezes its length; a new layout takes new versions.
 *
 * Live, it holds the key half.  Lit, it is the note's tombstone: enough to
 * write the receipt if the transaction that lit it does not.
 */
typedef struct BurnFuse
{
	uint8		version;		/* of the layout, another one for each state */
	char		state;			/* FUSE_LIVE, FUSE_VOID or a BurnOutcome */
	union
	{
		uint8		attempts_allowed;	/* live */
		uint8		family;		/* lit: 0, 4 or 6, perhaps with FUSE_PEER */
	};
	union
	{
		uint8		attempts_left;	/* live */
		uint8		mask;		/* lit */
	};
	union
	{
		uint8		unused[sizeof(TimestampTz)];	/* live: zero */
		uint8		closed_at[sizeof(TimestampTz)]; /* lit, in host byte order */
	};
	union
	{
		uint8		half[SEAL_HALF_BYTES];	/* live */
		struct
		{
			uint8		address[SEAL_ADDRESS_BYTES];	/* lit */
			uint8		seal[SEAL_RECEIPT_BYTES];	/* lit; zero where expired */
		};
	};
} BurnFuse;

#define FUSE_BYTES	44
StaticAssertDecl(sizeof(BurnFuse) == FUSE_BYTES, "burn_fuse must not change its length");

/* In a lit fuse's family: no client_ip was given, the address is the peer's. */
#define FUSE_PEER	0x80

extern void fuse_make(BurnFuse *fuse, int attempts_allowed);
extern void fuse_make_tombstone(BurnFuse *fuse, BurnOutcome outcome,
								TimestampTz closed_at, const BurnWitness *witness,
								const unsigned char *seal);
extern bool fuse_is_lit(const BurnFuse *fuse);
extern bool fuse_is_outcome(char state);
extern TimestampTz fuse_closed_at(const BurnFuse *fuse);
extern void fuse_witness(BurnWitness *witness, const BurnFuse *fuse);
extern const char *fuse_state_name(char state);

extern bool fuse_read(BurnFuse *fuse, Buffer buffer, const BurnFuse *on_page)
			__attribute__((warn_unused_result));
extern bool fuse_swap(Relation rel, Buffer buffer, BurnFuse *on_page,
					  const BurnFuse *expected, const BurnFuse *replacement,
					  XLogRecPtr *lsn)
			__attribute__((warn_unused_result));

/*
 * Is b the fuse that a was, though attempts may have been counted meanwhile?
 */
static inline bool
fuse_same_half(const BurnFuse *a, const BurnFuse *b)
{
	return a->state == b->state && sodium_memcmp(a->half, b->half, sizeof(a->half)) == 0;
}

#endif							/* BURN_FUSE_H */
