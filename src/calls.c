/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  Which statements call burn_note's functions.
 *
 * Functions count by what they are, not by what they are called: members of the
 * extension that have an argument named note, token or passphrase.  So a renamed
 * function is found, and somebody else's burn_read() is not.
 *
 * A statement that was analyzed shows its calls as a tree.  A plan shows them
 * after views, rules and inlined functions have been expanded: the planner lists
 * each function that is not built in, by its hash in the system cache.  Hashes do not
 * tell whose they are.  So where a plan lists one that no tree has shown before, all
 * functions are looked at, once.
 *
 * A call of a function whose body names one of ours, a wrapper, counts as a call of
 * ours.  A call that none of this shows, of a wrapper's wrapper or in a trigger say,
 * is seen when it is made (see hush.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "commands/prepare.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/plancache.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "src/calls.h"
#include "src/compat.h"
#include "src/traces.h"

#define CALLEES_MAX	32

typedef struct Callee
{
	Oid			function;
	uint32		hash;			/* in the system cache PROCOID */
	BurnArguments secrets;		/* not empty */
} Callee;

/* This database's functions that take a secret. */
static Callee callees[CALLEES_MAX];
static int	callee_count = 0;

/* How often functions have changed, and how often they had when these were learnt. */
static uint64 changes = 1;
static uint64 learnt = 0;

/* Functions whose bodies were looked at since they changed last. */
typedef struct Body
{
	uint32		hash;			/* in the system cache PROCOID */
	bool		names_ours;
} Body;

static HTAB *bodies = NULL;
static bool bodies_changed = false; /* all of them, perhaps */

static const char *const secret_names[] = {"note", "token", "passphrase"};

static void
forget(Datum arg, SysCacheIdentifier cache, uint32 hash)
{
	changes++;
	if (hash == 0)
		bodies_changed = true;
	else if (bodies != NULL)
		(void) hash_search(bodies, &hash, HASH_REMOVE, NULL);
}

static BurnArguments
secret_arguments(HeapTuple function)
{
	Oid		   *types;
	char	  **names;
	char	   *modes;
	BurnArguments secrets = 0;

	(void) get_func_arg_info(function, &types, &names, &modes);
	for (int i = 0; names != NULL && i < ((Form_pg_proc) GETSTRUCT(function))->pronargs; i++)
		for (size_t j = 0; j < lengthof(secret_names); j++)
			if (strcmp(names[i], secret_names[j]) == 0)
				secrets |= (BurnArguments) 1 << i;
	return secrets;
}

static void
learn_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	BurnArguments secrets;

	if (!HeapTupleIsValid(tuple))
		return;
	secrets = secret_arguments(tuple);
	ReleaseSysCache(tuple);
	if (secrets == 0)
		return;
	if (callee_count == CALLEES_MAX)
		elog(ERROR, "extension burn_note has too many functions");
	callees[callee_count].function = function;
	callees[callee_count].hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function));
	callees[callee_count].secrets = secrets;
	callee_count++;
}

/*
 * Finds this database's functions again where one may have changed.  If that fails, or
 * one changes meanwhile, the next caller has to.
 */
static void
learn(void)
{
	static bool watching = false;
	Oid			extension;
	Relation	depend;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	uint64		seen;

	if (learnt == changes)
		return;
	if (!watching)
	{
		CacheRegisterSyscacheCallback(PROCOID, forget, (Datum) 0);
		watching = true;
	}

	seen = changes;
	callee_count = 0;
	extension = get_extension_oid("burn_note", true);
	if (!OidIsValid(extension))
	{
		learnt = seen;
		return;
	}

	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, lengthof(keys), keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend member = (Form_pg_depend) GETSTRUCT(tuple);

		if (member->classid == ProcedureRelationId && member->deptype == DEPENDENCY_EXTENSION)
			learn_function(member->objid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	learnt = seen;
}

/*
 * Which of its arguments are secrets.  None where it is not burn_note's.
 * Everybody's every call comes here: a built-in function is told at once.
 */
BurnArguments
calls_secret_arguments(Oid function)
{
	if (function < FirstNormalObjectId)
		return 0;
	learn();
	for (int i = 0; i < callee_count; i++)
		if (callees[i].function == function)
			return callees[i].secrets;
	return 0;
}

/*
 * Does a body that was analyzed when its function was created call one of ours?
 */
static bool
is_calling_body(const char *body)
{
	for (int i = 0; i < callee_count; i++)
	{
		char		call[32];

		/* funcid of a call, opfuncid of an operator */
		snprintf(call, sizeof(call), "funcid %u ", callees[i].function);
		if (strstr(body, call) != NULL)
			return true;
	}
	return false;
}

/*
 * What is known of a function's body, or NULL.
 */
static const Body *
find_body(uint32 hash)
{
	if (bodies == NULL || bodies_changed)
		return NULL;
	return hash_search(bodies, &hash, HASH_FIND, NULL);
}

/*
 * Asks it of a text in a function's row in pg_proc, which may be long and is freed.
 */
static bool
asks_attribute(HeapTuple function, AttrNumber attribute, bool (*ask) (const char *))
{
	bool		isnull;
	Datum		datum = SysCacheGetAttr(PROCOID, function, attribute, &isnull);
	char	   *string;
	bool		answer;

	if (isnull)
		return false;
	string = TextDatumGetCString(datum);
	answer = ask(string);
	pfree(string);
	return answer;
}

/*
 * Does the body of a function, its row in pg_proc, name one of ours?
 */
static bool
look_at_body(HeapTuple function, uint32 hash)
{
	uint64		seen = changes;
	bool		names_ours = asks_attribute(function, Anum_pg_proc_prosrc, traces_in) ||
		asks_attribute(function, Anum_pg_proc_prosqlbody, is_calling_body);

	if (bodies_changed && bodies != NULL)
	{
		hash_destroy(bodies);
		bodies = NULL;
	}
	if (bodies == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(uint32),.entrysize = sizeof(Body)};

		bodies = hash_create("burn_note functions", 64, &control, HASH_ELEM | HASH_BLOBS);
		bodies_changed = false;
	}
	if (seen == changes)
		((Body *) hash_search(bodies, &hash, HASH_ENTER, NULL))->names_ours = names_ours;
	return names_ours;
}

/*
 * Is it somebody else's function whose body names one of ours?
 */
bool
calls_in_function(Oid function)
{
	HeapTuple	tuple;
	uint32		hash;
	const Body *body;
	bool		names_ours;

	if (function < FirstNormalObjectId)
		return false;
	learn();
	hash = GetSysCacheHashValue1(PROCOID, ObjectIdGetDatum(function));
	body = find_body(hash);
	if (body != NULL)
		return body->names_ours;

	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return false;
	names_ours = look_at_body(tuple, hash);
	ReleaseSysCache(tuple);
	return names_ours;
}

/*
 * Looks at the bodies of all functions that the planner lists.
 */
static void
look_at_all(void)
{
	Relation	functions = table_open(ProcedureRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_proc_oid, BTGreaterEqualStrategyNumber, F_OIDGE,
				ObjectIdGetDatum(FirstUnpinnedObjectId));
	scan = systable_beginscan(functions, ProcedureOidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		uint32		hash = GetSysCacheHashValue1(PROCOID,
												 ObjectIdGetDatum(((Form_pg_proc) GETSTRUCT(tuple))->oid));

		CHECK_FOR_INTERRUPTS();
		if (find_body(hash) == NULL)
			(void) look_at_body(tuple, hash);
	}
	systable_endscan(scan);
	table_close(functions, AccessShareLock);
}

static bool
is_call(Oid function)
{
	return calls_secret_arguments(function) != 0 || calls_in_function(function);
}

/*
 * Which argument of its function an expression is, that stands at position in the
 * call.
 */
int
calls_argument_position(const Node *argument, int position)
{
	return IsA(argument, NamedArgExpr) ?
		((const NamedArgExpr *) argument)->argnumber : position;
}

/*
 * What a secret argument is called: constant text.
 */
const char *
calls_argument_name(Oid function, int position)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	const char *name = "secret";
	Oid		   *types;
	char	  **names;
	char	   *modes;

	if (!HeapTupleIsValid(tuple))
		return name;
	(void) get_func_arg_info(tuple, &types, &names, &modes);
	ReleaseSysCache(tuple);
	for (size_t i = 0; i < lengthof(secret_names); i++)
		if (strcmp(names[position], secret_names[i]) == 0)
			name = secret_names[i];
	return name;
}

static bool
calls(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			if (is_call(((FuncExpr *) node)->funcid))
				return true;
			break;
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
			if (is_call(((OpExpr *) node)->opfuncid))
				return true;
			break;
		case T_ScalarArrayOpExpr:
			if (is_call(((ScalarArrayOpExpr *) node)->opfuncid))
				return true;
			break;
		case T_Query:
			return calls_in_query((Query *) node);
		case T_Const:
		case T_Param:
		case T_RangeTblRef:
		case T_Var:
			return false;
		default:
			break;
	}
	return expression_tree_walker(node, calls, context);
}

/*
 * Does an analyzed statement call one of burn_note's functions?  Every statement
 * comes here: in a database without the extension its tree is not walked.
 */
bool
calls_in_query(const Query *query)
{
	if (query->commandType == CMD_UTILITY)
		return calls_in_utility(query->utilityStmt);
	learn();
	if (callee_count == 0)
		return false;
	return query_tree_walker(unconstify(Query *, query), calls, NULL, 0);
}

static bool
is_callee(uint32 hash)
{
	for (int i = 0; i < callee_count; i++)
		if (callees[i].hash == hash)
			return true;
	return false;
}

/*
 * Is one of the functions on a list that the planner made ours, or a wrapper?  As far
 * as was known last, perhaps to another command: reads no catalog.
 */
bool
calls_known_in_items(const List *items)
{
	ListCell   *cell;

	foreach(cell, items)
	{
		const PlanInvalItem *item = lfirst(cell);
		const Body *body;

		if (item->cacheId != PROCOID)
			continue;
		if (is_callee(item->hashValue))
			return true;
		body = find_body(item->hashValue);
		if (body != NULL && body->names_ours)
			return true;
	}
	return false;
}

/*
 * The same for a list that may be of functions that are not known yet.
 */
bool
calls_in_items(const List *items)
{
	ListCell   *cell;

	learn();
	if (callee_count == 0)
		return false;
	foreach(cell, items)
	{
		const PlanInvalItem *item = lfirst(cell);

		if (item->cacheId == PROCOID && !is_callee(item->hashValue) && find_body(item->hashValue) == NULL)
		{
			look_at_all();
			break;
		}
	}
	return calls_known_in_items(items);
}

/*
 * The prepared statement that a statement executes, be it to explain it or to
 * create a table, and the expressions that it gives as parameters; or NULL.
 */
struct CachedPlanSource *
calls_executed(Node *statement, List **parameters)
{
	Node	   *inner = NULL;

	if (IsA(statement, ExecuteStmt))
	{
		const ExecuteStmt *execute = (ExecuteStmt *) statement;
		PreparedStatement *prepared = FetchPreparedStatement(execute->name, false);

		*parameters = execute->params;
		return prepared != NULL ? prepared->plansource : NULL;
	}
	if (IsA(statement, ExplainStmt))
		inner = ((ExplainStmt *) statement)->query;
	else if (IsA(statement, CreateTableAsStmt))
		inner = ((CreateTableAsStmt *) statement)->query;
	if (inner == NULL || !IsA(inner, Query) || ((Query *) inner)->utilityStmt == NULL)
		return NULL;
	return calls_executed(((Query *) inner)->utilityStmt, parameters);
}

/*
 * Does an analyzed utility statement call one of ours, by what it explains,
 * declares, calls, executes or fetches?
 */
bool
calls_in_utility(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CallStmt:
			return calls((Node *) ((CallStmt *) statement)->funcexpr, NULL);
		case T_ExplainStmt:
			return calls(((ExplainStmt *) statement)->query, NULL);
		case T_DeclareCursorStmt:
			return calls(((DeclareCursorStmt *) statement)->query, NULL);
		case T_CreateTableAsStmt:
			return calls(((CreateTableAsStmt *) statement)->query, NULL);
		case T_ExecuteStmt:
			{
				List	   *parameters;
				CachedPlanSource *executed = calls_executed(statement, &parameters);

				return executed != NULL && calls_in_items(executed->invalItems);
			}
		case T_FetchStmt:
			{
				Portal		portal = GetPortalByName(((FetchStmt *) statement)->portalname);
				ListCell   *cell;

				if (!PortalIsValid(portal))
					return false;
				foreach(cell, portal->stmts)
					if (calls_in_plan(lfirst_node(PlannedStmt, cell)))
						return true;
				return false;
			}
		default:
			return false;
	}
}
