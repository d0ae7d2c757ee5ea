/*-------------------------------------------------------------------------
 *
 * literals.c
 *	  Refusing literals where secrets belong: burn_note.require_parameters.
 *
 * A note, a token or a passphrase is a literal where the statement's text alone
 * says what it is: its expression has a constant that is not NULL, and neither a
 * parameter, nor a column, nor a call of a volatile function.  So casts and
 * concatenations of literals are literals, and so is what a function that is not
 * volatile makes of one: current_setting('x') is refused too.  But
 * burn_read(burn_create($1)) has none, nor has a call with a function's variables,
 * and 'x' || random() passes.
 *
 * This is asked of a statement when it has been analyzed, before anything of it
 * can be logged, and again before it is planned: what came from the catalogs, a
 * view or a function's body, is in it only then.  Plans cannot be asked: in them
 * parameters may have become constants.  EXECUTE is asked for what it gives to
 * parameters that become secrets.
 *
 * What is refused is not logged either: the error has no position, no statement
 * and no context.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "nodes/bitmapset.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"

#include "src/calls.h"
#include "src/compat.h"
#include "src/literals.h"

typedef struct Origin
{
	bool		constant;		/* of the statement's text */
	bool		other;
} Origin;

/* For each secret argument of each call. */
typedef void (*Visit) (Oid function, int position, Node *argument, void *context);

typedef struct Visitor
{
	Visit		visit;
	void	   *context;
} Visitor;

static bool
is_volatile(Oid function, void *context)
{
	return func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
find_origin(Node *node, void *context)
{
	Origin	   *origin = context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Const:
			origin->constant |= !((Const *) node)->constisnull;
			return false;
		case T_Param:
			/* A sub-select's answer is what the sub-select says. */
			origin->other |= ((Param *) node)->paramkind != PARAM_SUBLINK;
			return false;
		case T_Var:
			origin->other = true;
			return false;
		case T_Query:
			return query_tree_walker((Query *) node, find_origin, context, 0);
		default:
			origin->other |= check_functions_in_node(node, is_volatile, NULL);
			break;
	}
	return expression_tree_walker(node, find_origin, context);
}

static bool
is_literal(Node *expression)
{
	Origin		origin = {0};

	(void) find_origin(expression, &origin);
	return origin.constant && !origin.other;
}

static void
refuse(Oid function, int position, Node *argument, void *context)
{
	const char *name;

	if (!is_literal(argument))
		return;
	name = calls_argument_name(function, position);
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION),
			 errmsg("%s must be a parameter, not a literal", name),
			 errdetail("The setting burn_note.require_parameters is on."),
			 errhint("Have the driver bind it on the server, as $1. In psql, from version 16 on: SELECT %s($1) \\bind '...' \\g",
					 get_func_name(function)),
			 errhidestmt(true),
			 errhidecontext(true)));
}

static void
visit_arguments(Oid function, const List *arguments, const Visitor *visitor)
{
	BurnArguments secrets = calls_secret_arguments(function);
	ListCell   *cell;

	if (secrets == 0)
		return;
	foreach(cell, arguments)
	{
		int			position = calls_argument_position(lfirst(cell), foreach_current_index(cell));

		if (secrets & ((BurnArguments) 1 << position))
			visitor->visit(function, position, lfirst(cell), visitor->context);
	}
}

static bool
visit_calls(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			visit_arguments(((FuncExpr *) node)->funcid, ((FuncExpr *) node)->args, context);
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			visit_arguments(((OpExpr *) node)->opfuncid, ((OpExpr *) node)->args, context);
			break;
		case T_ScalarArrayOpExpr:
			visit_arguments(((ScalarArrayOpExpr *) node)->opfuncid,
							((ScalarArrayOpExpr *) node)->args, context);
			break;
		case T_Query:
			return query_tree_walker((Query *) node, visit_calls, context, 0);
		default:
			break;
	}
	return expression_tree_walker(node, visit_calls, context);
}

/*
 * Errors out where a statement that was analyzed, and not planned, has a literal
 * where a secret belongs.
 */
void
literals_refuse(const Query *query)
{
	Visitor		visitor = {.visit = refuse};

	if (query->utilityStmt == NULL)
		(void) visit_calls((Node *) unconstify(Query *, query), &visitor);
	else if (IsA(query->utilityStmt, CallStmt))
		(void) visit_calls((Node *) ((CallStmt *) query->utilityStmt)->funcexpr, &visitor);
}

static bool
collect_parameters(Node *node, void *context)
{
	Bitmapset **numbers = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		*numbers = bms_add_member(*numbers, ((Param *) node)->paramid);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, collect_parameters, context, 0);
	return expression_tree_walker(node, collect_parameters, context);
}

static void
collect(Oid function, int position, Node *argument, void *context)
{
	(void) collect_parameters(argument, context);
}

/*
 * The same for literals that EXECUTE gives to a prepared statement, or to calls in
 * what it gives.  For what was prepared while the setting was off, too, since its
 * plan is not asked again.
 */
void
literals_refuse_executed(Node *statement, const char *text)
{
	List	   *parameters;
	CachedPlanSource *executed = calls_executed(statement, &parameters);
	Bitmapset  *secrets = NULL;
	Visitor		collector = {.visit = collect,.context = &secrets};
	Visitor		refuser = {.visit = refuse};
	ParseState *pstate;
	ListCell   *cell;

	if (executed == NULL)
		return;

	/* It may have to be analyzed again: what does it call now? */
	if (executed->resultDesc != NULL)
		(void) CachedPlanGetTargetList(executed, NULL);
	else
		ReleaseCachedPlan(GetCachedPlan(executed, NULL, NULL, NULL), NULL);
	foreach(cell, executed->query_list)
	{
		literals_refuse(lfirst_node(Query, cell));
		(void) visit_calls(lfirst(cell), &collector);
	}

	pstate = make_parsestate(NULL);
	pstate->p_sourcetext = text;
	foreach(cell, parameters)
	{
		Node	   *given = transformExpr(pstate, copyObjectImpl(lfirst(cell)),
										  EXPR_KIND_EXECUTE_PARAMETER);

		(void) visit_calls(given, &refuser);
		if (bms_is_member(foreach_current_index(cell) + 1, secrets) && is_literal(given))
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION),
					 errmsg("parameter $%d must not be a literal", foreach_current_index(cell) + 1),
					 errdetail("The prepared statement uses it as a secret, and the setting burn_note.require_parameters is on."),
					 errhint("Prepare and bind with the driver's own calls, not with PREPARE and EXECUTE."),
					 errhidestmt(true),
					 errhidecontext(true)));
	}
	free_parsestate(pstate);
}
