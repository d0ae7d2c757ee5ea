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
#elif PG_VERSION_NUM >= 200000
#error "burn_note is not known to work with this major of PostgreSQL"
#endif

/*
 * The first minor of each major whose walsenders say in sync_standbys_status whether
 * there are synchronous standbys.  Earlier ones have another meaning in its place.
 */
#if PG_VERSION_NUM < 160000
#define SERVER_VERSION_MIN 150013
#elif PG_VERSION_NUM < 170000
#define SERVER_VERSION_MIN 160009
#elif PG_VERSION_NUM < 180000
#define SERVER_VERSION_MIN 170005
#else
#define SERVER_VERSION_MIN (PG_VERSION_NUM / 10000 * 10000)
#endif

#if PG_VERSION_NUM < SERVER_VERSION_MIN
#error "burn_note requires a minor release of May 2025 or later"
#endif

#ifdef BURN_TEST_OLD_SERVER
#undef SERVER_VERSION_MIN
#define SERVER_VERSION_MIN (PG_VERSION_NUM + 1)
#endif

#include "access/genam.h"
#include "access/tableam.h"
#include "catalog/pg_database.h"
#include "executor/executor.h"
#include "parser/analyze.h"
#include "utils/relcache.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 15.4 has it, and 15.0 does not need it. */
#ifndef DATCONNLIMIT_INVALID_DB
#define DATCONNLIMIT_INVALID_DB -2
#endif

#if PG_VERSION_NUM < 160000
#define rd_firstRelfilelocatorSubid rd_firstRelfilenodeSubid

#define EvalPlanQualInit(epqstate, estate, subplan, rowmarks, param, relations) \
	EvalPlanQualInit(epqstate, estate, subplan, rowmarks, param)
#endif

/* ExecutorRun()'s last parameter, that 18 gave up, in a declaration and in a call. */
#if PG_VERSION_NUM < 180000
#define RUN_PARAMETER	, bool execute_once
#define RUN_ARGUMENT	, execute_once
#else
#define RUN_PARAMETER
#define RUN_ARGUMENT
#endif

#if PG_VERSION_NUM < 180000
#define index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys, flags) \
	index_beginscan(heap, index, snapshot, nkeys, norderbys)

#define RelationGetPrimaryKeyIndex(relation, deferrable_ok) \
	RelationGetPrimaryKeyIndex(relation)
#elif PG_VERSION_NUM < 190000
#define index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys, flags) \
	index_beginscan(heap, index, snapshot, instrument, nkeys, norderbys)
#endif

#if PG_VERSION_NUM < 190000
#define BGWORKER_INTERRUPTIBLE 0

typedef JumbleState *JumbleStateArgument;

#define SO_NONE 0

#define table_beginscan(relation, snapshot, nkeys, key, flags) \
	table_beginscan(relation, snapshot, nkeys, key)

#define table_tuple_delete(relation, tid, cid, options, snapshot, crosscheck, wait, tmfd) \
	table_tuple_delete(relation, tid, cid, snapshot, crosscheck, wait, tmfd, false)
#else
typedef const JumbleState *JumbleStateArgument;
#endif

#endif							/* BURN_COMPAT_H */
