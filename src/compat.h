/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  The newest server's API, supplied to older servers.
 *
 * The only place where PG_VERSION_NUM appears.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_COMPAT_H
#define BURN_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "burn_note requires PostgreSQL 15 or later"
#endif

#include "access/genam.h"
#include "executor/executor.h"
#include "utils/relcache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 160000
#define EvalPlanQualInit(epqstate, estate, subplan, rowmarks, param, relations) \
	EvalPlanQualInit(epqstate, estate, subplan, rowmarks, param)
#endif

#if PG_VERSION_NUM < 180000
#define index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)

#define RelationGetPrimaryKeyIndex(relation, deferrable_ok) \
	RelationGetPrimaryKeyIndex(relation)
#endif

#endif							/* BURN_COMPAT_H */
