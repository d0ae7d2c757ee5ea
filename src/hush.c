/*-------------------------------------------------------------------------
 *
 * hush.c
 *	  Keeps secrets out of logs, statistics views and core files.
 *
 * A statement that calls one of burn_note's functions has secrets in its text,
 * its parameters or its result.  From the moment that this is known, and until
 * the client's message has been answered, the process is tainted:
 *
 *	- each record that it logs is replaced by one that has the severity and the
 *	  SQLSTATE, and says nothing.  The client gets the real one.
 *	- pg_stat_activity shows a constant instead of the statement; and so do other
 *	  sessions' deadlock reports and the postmaster's report of a crash, which
 *	  quote from there.
 *	- the statement has no query identifier, so that pg_stat_statements leaves it
 *	  out.
 *	- the process cannot be dumped or traced any more, to its end.
 *
 * What taints, earliest first:
 *
 *	- text.  A record that tells is redacted, whoever logs it: one that has a
 *	  function's name, also spelt U&"...", or a token in one of its parts or in
 *	  the statement; or EXECUTE and what is prepared with a call of ours; or a
 *	  text that led to a secret before.  That is all there is to see before parse
 *	  analysis, where log_statement's line and syntax errors come from, and in
 *	  processes that report on others.
 *	- post_parse_analyze_hook: the tree calls a function (see calls.c).  Utility
 *	  statements, whose text pg_stat_statements keeps as it is, also by their text.
 *	- planner_hook: the plan does, its views and inlined functions expanded.
 *	  debug_print_plan and custom plans' constants come after it.
 *	- ExecutorStart_hook, ExecutorRun_hook, ExecutorEnd_hook, ProcessUtility_hook:
 *	  the same of plans that were made before, for each of the client's messages:
 *	  each sets pg_stat_activity anew.
 *	- needs_fmgr_hook, only under burn_note.require_parameters: see there.
 *	- hush_secret(), in the functions themselves: whatever led there.
 *
 * A text that led there and does not tell by itself, because a function that calls
 * ours stands in it, is remembered: so a later Bind, Execute or EXECUTE of what was
 * prepared with it is known in time, and so is auto_explain's record of a cursor
 * that is closed later.
 *
 * A client's message ends the taint because it has another statement timestamp.
 * Nothing is done, and nothing allocated, for a statement before it is known to
 * call us, but to walk its tree if it may.
 *
 * The library works so from the moment it is loaded.  In shared_preload_libraries or
 * session_preload_libraries that is before a session's first statement; after
 * LOAD, or a first call in a session, it is too late for the statement at hand.
 * Only shared_preload_libraries covers what other processes report: a crash that
 * the postmaster logs, a deadlock that another session does.  There the library
 * should be last, so that its hook for records is called first.
 *
 * What cannot be covered: see SECURITY.md.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "access/parallel.h"
#include "access/xact.h"
#include "commands/prepare.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "parser/scansup.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/plancache.h"

#include "src/calls.h"
#include "src/compat.h"
#include "src/hush.h"
#include "src/literals.h"
#include "src/settings.h"
#include "src/traces.h"

#define TEXTS_REMEMBERED	256 /* a power of two */
#define EXECUTES_ASKED		100 /* of one text */

static const char hidden_statement[] = "<hidden by burn_note>";

/* Its address tells our own records. */
static char redacted_message[] =
"redacted by burn_note: what was here may hold a note, a token or a passphrase";

static emit_log_hook_type previous_emit_log = NULL;
static post_parse_analyze_hook_type previous_post_parse_analyze = NULL;
static planner_hook_type previous_planner = NULL;
static ExecutorStart_hook_type previous_executor_start = NULL;
static ExecutorRun_hook_type previous_executor_run = NULL;
static ExecutorEnd_hook_type previous_executor_end = NULL;
static needs_fmgr_hook_type previous_needs_function_manager = NULL;
static ProcessUtility_hook_type previous_process_utility = NULL;

/* The client's message that is tainted, by its timestamp. */
static bool ever_tainted = false;
static TimestampTz tainted_message;

/* Hashes of texts that led to a secret, and do not say so; 0 for none. */
static uint64 remembered[TEXTS_REMEMBERED];

/* ----------
 * Texts
 * ----------
 */

static uint64
hash_text(const char *text)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) text, strlen(text), 0);

	return hash != 0 ? hash : 1;
}

static uint64 *
place_of(uint64 hash)
{
	return &remembered[hash % TEXTS_REMEMBERED];
}

/*
 * For a text that led to a secret.  Only where it does not say so, and has a
 * parameter or a literal: it may come again, in a Bind or an Execute, or be logged
 * again when a cursor is closed.  A session that has so many forgets some.
 */
static void
remember(const char *text)
{
	if (text != NULL && strpbrk(text, "$'0123456789") != NULL && !traces_in(text))
	{
		uint64		hash = hash_text(text);

		*place_of(hash) = hash;
	}
}

static bool
is_remembered(const char *text)
{
	uint64		hash;

	if (!ever_tainted || text == NULL)
		return false;
	hash = hash_text(text);
	return *place_of(hash) == hash;
}

/*
 * Behind white space and comments, which can be nested
 */
static const char *
skip_space(const char *p)
{
	int			depth = 0;

	for (; *p != '\0'; p++)
	{
		if (strncmp(p, "/*", 2) == 0)
			depth++, p++;
		else if (depth > 0 && strncmp(p, "*/", 2) == 0)
			depth--, p++;
		else if (depth == 0 && strncmp(p, "--", 2) == 0)
			p += strcspn(p, "\r\n") - 1;
		else if (depth == 0 && !scanner_isspace(*p))
			break;
	}
	return p;
}

/*
 * Does what stands behind EXECUTE give a secret to a prepared statement?  What is
 * given to one that is not there, or whose name is escaped, may be one.
 */
static bool
executes_known(const char *p)
{
	char		name[NAMEDATALEN] = {0};
	bool		quoted;
	const PreparedStatement *prepared;

	p = skip_space(p);
	if (pg_strncasecmp(p, "U&\"", 3) == 0)
		return true;
	quoted = *p == '"';
	p += quoted ? 1 : 0;
	for (size_t i = 0;; i++, p++)
	{
		if (quoted && strncmp(p, "\"\"", 2) == 0)
			p++;
		else if (quoted ? *p == '"' || *p == '\0' : *p != '$' && !traces_identifier_char(*p))
			break;
		if (i < sizeof(name) - 1)
			name[i] = quoted ? *p : pg_tolower((unsigned char) *p);
	}
	prepared = FetchPreparedStatement(name, false);
	if (prepared != NULL)
		return calls_known_in_items(prepared->plansource->invalItems) ||
			is_remembered(prepared->plansource->query_string) ||
			traces_in(prepared->plansource->query_string);
	if (quoted && *p == '"')
		p++;
	return *skip_space(p) == '(';
}

/*
 * Does a text execute a prepared statement that leads to a secret?  What it gives as
 * parameters is one before it is analyzed, too.  A text that has so many EXECUTEs that
 * asking takes long may.
 */
static bool
executes(const char *text)
{
	static const char keyword[] = "execute";
	const size_t length = strlen(keyword);
	int			asked = 0;

	if (!ever_tainted)
		return false;
	for (const char *p = strpbrk(text, "eE"); p != NULL; p = strpbrk(p + 1, "eE"))
		if (pg_strncasecmp(p, keyword, length) == 0 &&
			(p == text || !traces_identifier_char(p[-1])) &&
			!traces_identifier_char(p[length]) &&
			(++asked > EXECUTES_ASKED || executes_known(p + length)))
			return true;
	return false;
}

/*
 * Does a statement's text alone tell that it has a secret?
 */
static bool
text_tells(const char *text)
{
	return text != NULL &&
		(strcmp(text, hidden_statement) == 0 || is_remembered(text) || executes(text) || traces_in(text));
}

/* ----------
 * Taint
 * ----------
 */

static bool
is_tainted(void)
{
	return ever_tainted && tainted_message == GetCurrentStatementStartTimestamp();
}

/*
 * No core file, no /proc/PID/mem for who is not root: for good, since memory is
 * not wiped when a statement ends.
 */
static void
forbid_dumps(void)
{
#ifdef PR_SET_DUMPABLE
	static bool forbidden = false;

	if (!forbidden && !burn_dumpable)
		forbidden = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
#endif
}

static void
taint(void)
{
	if (is_tainted())
		return;
	ever_tainted = true;
	tainted_message = GetCurrentStatementStartTimestamp();
	remember(debug_query_string);
	forbid_dumps();
	if (burn_redact != REDACT_OFF)
		pgstat_report_activity(STATE_RUNNING, hidden_statement);
}

/*
 * For functions that get or make a secret, before they do.
 */
void
hush_secret(void)
{
	taint();
}

/* ----------
 * Records
 * ----------
 */

/*
 * May this record hold a secret?
 *
 * Where nothing runs, not even a transaction, the last message's taint does not count:
 * a session's end has nothing to hide.
 */
static bool
may_tell(const ErrorData *edata)
{
	if (burn_redact == REDACT_STRICT)
		return true;
	if (is_tainted() && (debug_query_string != NULL || IsTransactionOrTransactionBlock()))
		return true;
	return text_tells(debug_query_string) ||
		traces_in(edata->message) || traces_in(edata->detail) || traces_in(edata->detail_log) ||
		traces_in(edata->hint) || traces_in(edata->context) || traces_in(edata->internalquery);
}

/*
 * Logs a record that says nothing, with the same severity and SQLSTATE, in place
 * of one that may tell, and turns that one off for the log.  The client still gets
 * it.
 *
 * The record is changed, emitted again, and changed back, rather than another
 * one raised: that needs no memory and no place on the stack of errors, it cannot
 * fail for want of either, and whatever log_min_messages let through is let
 * through again, FATAL and PANIC too.  Hooks that were there before see only the
 * record that says nothing.  If logging it fails, the server gives up this record
 * for the new error.  Being emitted one deeper, it is not translated.
 */
static void
emit_log(ErrorData *edata)
{
	int			saved_errno = errno;

	if (burn_redact == REDACT_OFF || edata->message == redacted_message || !may_tell(edata))
	{
		if (previous_emit_log)
			previous_emit_log(edata);
	}
	else
	{
		ErrorData	whole = *edata;

		/*
		 * Where that is known before anything else, it may fail before anything
		 * else, and pg_stat_activity would keep showing it.
		 */
		if (text_tells(debug_query_string))
			taint();

		edata->message = redacted_message;
		edata->message_id = redacted_message;
		edata->detail = edata->detail_log = edata->hint = edata->context = NULL;
		edata->internalquery = NULL;
		edata->cursorpos = edata->internalpos = 0;
		edata->hide_stmt = edata->hide_ctx = true;
		edata->output_to_client = false;
		EmitErrorReport();

		*edata = whole;
		edata->output_to_server = false;
	}
	errno = saved_errno;
}

/* ----------
 * Statements
 * ----------
 */

/*
 * Did the client send more with it?  All of what it sent is shown while the first
 * statement runs.
 */
static bool
has_company(const Query *query, const char *text)
{
	const char *behind;

	if (query->stmt_location > 0)
		return true;
	if (query->stmt_len == 0)
		return false;
	behind = text + query->stmt_len;
	while (*behind == ';' || *behind == ' ' || *behind == '\n')
		behind++;
	return *behind != '\0';
}

/*
 * Does a statement's text tell?  The client's message is asked once, however many
 * statements it has.
 */
static bool
source_tells(const char *text)
{
	static TimestampTz asked = 0;
	static bool told;

	if (is_tainted())
		return true;
	if (text != debug_query_string)
		return text_tells(text);
	if (asked != GetCurrentStatementStartTimestamp())
	{
		asked = GetCurrentStatementStartTimestamp();
		told = text_tells(text);
	}
	return told;
}

/*
 * Everybody's every statement but BEGIN and its like comes here.  So most that cannot
 * call us are told without walking their trees: a call has a parenthesis; by an operator
 * or a cast, a literal, a parameter or what such names are made of.  (What else calls
 * us, its plan shows.)
 */
static bool
is_secret(const Query *query, const char *text)
{
	if (query->utilityStmt != NULL)
		return calls_in_query(query) || source_tells(text);
	return strpbrk(text, "('$~!@#^&|`?:") != NULL &&
		(calls_in_query(query) || (has_company(query, text) && source_tells(text)));
}

/*
 * Does a statement call us by what came into it after it was analyzed, from views?
 * Planning it may fail.
 */
static bool
calls_in_views(const Query *query)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
		if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_SUBQUERY)
			return calls_in_query(query);
	return false;
}

static pg_noinline void
watch_query(ParseState *pstate, Query *query, JumbleStateArgument jstate)
{
	bool		secret = burn_redact == REDACT_STRICT;

	if (!secret && (burn_redact != REDACT_OFF || burn_require_parameters))
		secret = is_secret(query, pstate->p_sourcetext);
	if (secret)
	{
		taint();
		if (pstate->p_sourcetext != debug_query_string)
			remember(pstate->p_sourcetext);
		if (burn_require_parameters)
			literals_refuse(query);
	}

	/* Nor may it be stored while its constants still have their places. */
	secret = burn_redact != REDACT_OFF &&
		(secret || (query->utilityStmt != NULL && is_tainted()));
	if (secret)
		query->queryId = 0;
	if (previous_post_parse_analyze)
		previous_post_parse_analyze(pstate, query, jstate);
	if (secret)
		query->queryId = 0;
}

static void
post_parse_analyze(ParseState *pstate, Query *query, JumbleStateArgument jstate)
{
	if (query->utilityStmt == NULL || !IsA(query->utilityStmt, TransactionStmt) ||
		burn_redact == REDACT_STRICT || has_company(query, pstate->p_sourcetext))
		watch_query(pstate, query, jstate);
	else if (previous_post_parse_analyze)
		previous_post_parse_analyze(pstate, query, jstate);
}

static PlannedStmt *
plan(Query *query, const char *text, int options, ParamListInfo parameters
	 PLANNER_PARAMETER)
{
	PlannedStmt *planned;

	if (calls_in_views(query))
		taint();
	if (burn_require_parameters)
		literals_refuse(query);
	if (previous_planner)
		planned = previous_planner(query, text, options, parameters PLANNER_ARGUMENT);
	else
		planned = standard_planner(query, text, options, parameters PLANNER_ARGUMENT);
	if (calls_in_plan(planned))
		taint();
	return planned;
}

/*
 * A plan may list no function where the client's message has one: a call that was
 * planned away, or what a parallel worker runs.
 */
static void
taint_by_plan(const QueryDesc *query)
{
	if (!is_tainted() &&
		(burn_redact == REDACT_STRICT || calls_in_plan(query->plannedstmt) ||
		 ((ever_tainted || IsParallelWorker()) && debug_query_string != NULL &&
		  source_tells(debug_query_string))))
		taint();
}

/*
 * A portal that has its whole result keeps it for those who fetch it in parts.  For
 * each part pg_stat_activity shows its text, and no hook is called any more.
 */
static void
hide_portal(void)
{
	if (burn_redact == REDACT_OFF || !is_tainted() || ActivePortal == NULL)
		return;
	switch (ActivePortal->strategy)
	{
		case PORTAL_ONE_RETURNING:
		case PORTAL_ONE_MOD_WITH:
		case PORTAL_UTIL_SELECT:

			/* Another's text must be as long as its place in it says. */
			if (list_length(ActivePortal->stmts) == 1)
				ActivePortal->sourceText = hidden_statement;
			break;
		default:
			break;
	}
}

static void
executor_start(QueryDesc *query, int eflags)
{
	taint_by_plan(query);
	if (previous_executor_start)
		previous_executor_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

static void
executor_run(QueryDesc *query, ScanDirection direction, uint64 count RUN_PARAMETER)
{
	taint_by_plan(query);

	/* Workers know of what they run for by its text. */
	if (query->plannedstmt->parallelModeNeeded && burn_redact != REDACT_OFF && is_tainted())
		query->estate->es_sourceText = hidden_statement;

	if (previous_executor_run)
		previous_executor_run(query, direction, count RUN_ARGUMENT);
	else
		standard_ExecutorRun(query, direction, count RUN_ARGUMENT);
	hide_portal();
}

/*
 * A cursor may be closed in a later message than it was fetched from.  By then there
 * may be nothing to read catalogs with.
 */
static void
executor_end(QueryDesc *query)
{
	if (burn_redact == REDACT_STRICT || calls_known_in_items(query->plannedstmt->invalItems))
		taint();
	if (previous_executor_end)
		previous_executor_end(query);
	else
		standard_ExecutorEnd(query);
}

static void
run_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
			ProcessUtilityContext context, ParamListInfo parameters,
			QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	if (previous_process_utility)
		previous_process_utility(statement, text, read_only_tree, context, parameters,
								 environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context, parameters,
								environment, receiver, completion);
}

/*
 * For utility statements other than BEGIN and its like
 */
static pg_noinline void
watch_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo parameters,
			  QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	bool		secret = calls_in_utility(statement->utilityStmt) || source_tells(text);

	if (secret || burn_redact == REDACT_STRICT)
		taint();
	if (secret && burn_require_parameters)
		literals_refuse_executed(statement->utilityStmt, text);
	run_utility(statement, text, read_only_tree, context, parameters,
				environment, receiver, completion);
	hide_portal();
}

static void
process_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo parameters,
				QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	if (IsA(statement->utilityStmt, TransactionStmt) && burn_redact != REDACT_STRICT)
		run_utility(statement, text, read_only_tree, context, parameters,
					environment, receiver, completion);
	else
		watch_utility(statement, text, read_only_tree, context, parameters,
					  environment, receiver, completion);
}

/*
 * A function in SQL that is inlined is neither analyzed nor planned by itself: its
 * literals would be seen by nobody.  So keeps those that call us from being inlined,
 * which asking for their entry and exit does.
 */
static bool
needs_function_manager(Oid function)
{
	if (previous_needs_function_manager && previous_needs_function_manager(function))
		return true;
	return burn_require_parameters && calls_in_function(function);
}

/*
 * For _PG_init().
 */
void
hush_start(void)
{
	previous_emit_log = emit_log_hook;
	emit_log_hook = emit_log;
	previous_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = post_parse_analyze;
	previous_planner = planner_hook;
	planner_hook = plan;
	previous_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = executor_start;
	previous_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = executor_run;
	previous_executor_end = ExecutorEnd_hook;
	ExecutorEnd_hook = executor_end;
	previous_needs_function_manager = needs_fmgr_hook;
	needs_fmgr_hook = needs_function_manager;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
