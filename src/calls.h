/*-------------------------------------------------------------------------
 *
 * calls.h
 *	  Which statements call burn_note's functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_CALLS_H
#define BURN_CALLS_H

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "nodes/primnodes.h"
#include "tcop/utility.h"

/* A set of a function's arguments, the first being bit 0. */
typedef uint32 BurnArguments;

extern BurnArguments calls_secret_arguments(Oid function);
extern int	calls_argument_position(const Node *argument, int position);
extern const char *calls_argument_name(Oid function, int position);
extern bool calls_in_function(Oid function);
extern bool calls_in_query(const Query *query);
extern bool calls_in_items(const List *items);
extern bool calls_known_in_items(const List *items);
extern bool calls_in_utility(Node *statement);
extern struct CachedPlanSource *calls_executed(Node *statement, List **parameters);

/*
 * Does a plan call one of burn_note's functions?  Inlined: most call none at all but
 * built-in ones.
 */
static inline bool
calls_in_plan(const PlannedStmt *plan)
{
	return plan->invalItems != NIL && calls_in_items(plan->invalItems);
}

#endif							/* BURN_CALLS_H */
