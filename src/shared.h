/*-------------------------------------------------------------------------
 *
 * shared.h
 *	  What lies in shared memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_SHARED_H
#define BURN_SHARED_H

extern void shared_start(void);

#endif							/* BURN_SHARED_H */
