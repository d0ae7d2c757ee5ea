/*-------------------------------------------------------------------------
 *
 * sweeper.h
 *	  The background processes that do what burn_purge() does, uncalled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_SWEEPER_H
#define BURN_SWEEPER_H

#include "utils/guc.h"

extern void sweeper_start(void);
extern bool sweeper_check_databases(char **newval, void **extra, GucSource source);

#endif							/* BURN_SWEEPER_H */
