/*-------------------------------------------------------------------------
 *
 * errors.h
 *	  SQLSTATEs of our own.
 *
 * They are for what an application has to tell apart and PostgreSQL has no
 * code for, or has one that other errors of the same statement share: 22P02
 * is also what a bad inet address answers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_ERRORS_H
#define BURN_ERRORS_H

/* Not a token, or not one of the kind that belongs here. */
#define ERRCODE_BURN_INVALID_TOKEN		MAKE_SQLSTATE('U', 'B', '0', '0', '1')
/* Fewer synchronous standbys are there than must confirm a burn; nothing burned. */
#define ERRCODE_BURN_STANDBYS_MISSING	MAKE_SQLSTATE('U', 'B', '0', '0', '4')

#endif							/* BURN_ERRORS_H */
