/*-------------------------------------------------------------------------
 *
 * standby.h
 *	  Synchronous standbys: asked before a burn, waited for after it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_STANDBY_H
#define BURN_STANDBY_H

#include "access/xlogdefs.h"

extern void standby_require(void);
extern bool standby_confirm(XLogRecPtr lsn)
			__attribute__((warn_unused_result));

#endif							/* BURN_STANDBY_H */
