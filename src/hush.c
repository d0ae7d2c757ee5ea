/*-------------------------------------------------------------------------
 *
 * hush.c
 *	  Keeps secrets out of logs, statistics views and core files.
 *
 * What a session does is ours, and may show a note, a token or a passphrase:
 *
 *	- a message of the client, if a text that is analyzed, run or logged in it names
 *	  one of our functions or shows a token, or once one of them has run in it.  In a
 *	  session that has had such a message EXECUTE names us, too: of what, it may not say;
 *	- then all to the end of the transaction: a deferred constraint shows the note at
 *	  COMMIT;
 *	- all to the session's end, once a text that does not name us has led to us, by a
 *	  function of somebody's.  So only a session's first such call is missed.
 *
 * Under burn_note.redact = quiet everything is.  What is ours is written down without
 * its values: statements blanked, in records, in pg_stat_activity (from where other
 * processes quote) and in pg_cursors; of other records the format of their message.  A
 * statement with values in its text has no query identifier, and so no entry in
 * pg_stat_statements.  The client gets the real message.
 *
 * No catalog is read, no tree or plan is walked, and where something has failed
 * nothing is allocated.  The library should be last in shared_preload_libraries, so
 * that its hook for records is called first.  What stays open: SECURITY.md.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>
#include <dlfcn.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "access/xact.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"

#include "src/compat.h"
#include "src/hush.h"
#include "src/settings.h"
#include "src/traces.h"

/* Longer texts are written down to here. */
#define TEXT_BYTES	32768

/* Names us to parallel workers, which know of what they run for by its text. */
#define WORKERS_TEXT "/* for burn_read */ "

static const char withheld[] = "message withheld by burn_note: it may show a note, a token or a passphrase";

static emit_log_hook_type previous_emit_log = NULL;
static post_parse_analyze_hook_type previous_post_parse_analyze = NULL;
static ExecutorRun_hook_type previous_executor_run = NULL;
static ProcessUtility_hook_type previous_process_utility = NULL;

/* What is ours.  A client's message and a transaction are known by when they began. */
static TimestampTz our_message = DT_NOBEGIN;
static TimestampTz parsed_message = DT_NOBEGIN;
static TimestampTz our_transaction = DT_NOBEGIN;
static bool session_is_ours = false;
static bool ever_ours = false;	/* has anything been? */
static bool shows_values = false;	/* does the message's text, which is ours? */

static void hook_running(void);

static char message_text[TEXT_BYTES];	/* its address tells our own records */
static char statement_text[TEXT_BYTES];

static inline bool
is_ours(void)
{
	return burn_redact == REDACT_QUIET ||
		(ever_ours && (session_is_ours ||
					   our_transaction == GetCurrentTransactionStartTimestamp() ||
					   our_message == GetCurrentStatementStartTimestamp()));
}

static bool
executes(const char *text)
{
	for (; (text = strcasestr(text, "execute")) != NULL; text += strlen("execute"))
		if (!isalnum((unsigned char) text[strlen("execute")]) && text[strlen("execute")] != '_')
			return true;
	return false;
}

/* Does a text name us?  The client's is asked once in a message of many statements. */
static inline bool
names_us(const char *text)
{
	static const char *asked = NULL;
	static TimestampTz asked_at;
	static bool answer;
	const TimestampTz message = GetCurrentStatementStartTimestamp();
	bool		named;

	if (text == NULL || (asked == text && asked_at == message))
		return text != NULL && answer;
	named = traces_in(text) || (ever_ours && executes(text));
	if (text == debug_query_string)
		asked = text, asked_at = message, answer = named;
	return named;
}

/*
 * What is written down of the client's text.  What was not parsed, in this message, has no
 * shape: a quote too many would turn it inside out.
 */
static const char *
shape(void)
{
	if (parsed_message != GetCurrentStatementStartTimestamp())
		return "...";
	(void) traces_blank(statement_text, TEXT_BYTES, debug_query_string);
	return statement_text;
}

/*
 * pg_cursors shows a portal's text, and pg_stat_activity each time when the next part of its
 * result is asked for.  (The place of a second statement must be in the text.)
 */
static void
blank_portal(Portal portal)
{
	if (PortalIsValid(portal) && portal->visible && portal->strategy != PORTAL_MULTI_QUERY &&
		list_length(portal->stmts) == 1 &&
		(shows_values || debug_query_string == NULL || strcmp(portal->sourceText, debug_query_string) != 0) &&
		traces_blank(statement_text, TEXT_BYTES, portal->sourceText))
		portal->sourceText = MemoryContextStrdup(portal->portalContext, statement_text);
}

/*
 * The client's message is ours.  If it was led to us and does not name us, so is the session.
 * Who has nothing of ours need not pay for hooks of what runs.
 */
static void
claim_message(bool led, bool parsed)
{
	const TimestampTz message = GetCurrentStatementStartTimestamp();
	const char *shown;

	session_is_ours |= led && !names_us(debug_query_string);
	if (our_message == message && (!parsed || parsed_message == message))
		return;
	if (!ever_ours)
		hook_running();
	ever_ours = true;
	our_message = message;
	if (parsed)
		parsed_message = message;
	shown = debug_query_string != NULL ? shape() : NULL;
	shows_values = shown != NULL && strcmp(shown, debug_query_string) != 0;
	if (shows_values)
		pgstat_report_activity(STATE_RUNNING, shown);
	if (parsed)
		blank_portal(ActivePortal);
}

/*
 * For functions that get or make a secret, before they do.  From then on there is no core
 * file, no ptrace() and no /proc/PID/mem but root's: copies may stay for long.
 */
void
hush_secret(void)
{
#ifdef PR_SET_DUMPABLE
	static bool forbidden = false;

	if (!forbidden && !burn_dumpable)
		forbidden = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
#endif
	if (burn_redact != REDACT_OFF)
	{
		our_transaction = GetCurrentTransactionStartTimestamp();
		claim_message(true, true);
	}
}

/* Does this lie in the server or in a library, and if ours is wanted, in ours? */
static bool
is_constant(const char *address, bool ours)
{
	Dl_info		info;
	Dl_info		own;

	return address != NULL && dladdr(address, &info) != 0 &&
		(!ours || (dladdr(withheld, &own) != 0 && info.dli_fbase == own.dli_fbase));
}

/* Was the record made in one of these files?  The list is ":file.c:file.c:". */
static bool
is_from(const ErrorData *edata, const char *files)
{
	char		file[NAMEDATALEN];

	snprintf(file, sizeof(file), ":%s:", edata->filename != NULL ? edata->filename : "");
	return strstr(files, file) != NULL;
}

/*
 * Does it show no values, whatever runs: ours, and what an operator has to see, of the
 * storage, locks, autovacuum and what stops the server?
 */
static bool
is_harmless(const ErrorData *edata)
{
	return edata->elevel >= PANIC || is_from(edata, ":proc.c:") ||
		(MyBackendType == B_AUTOVAC_WORKER && edata->elevel < ERROR) ||
		(is_constant(edata->message_id, true) && strcmp(edata->message_id, "%s") != 0) ||
		(edata->elevel >= ERROR &&
		 is_from(edata, ":bufmgr.c:bufpage.c:md.c:slru.c:smgr.c:xlog.c:xloginsert.c:"));
}

/* Does a record's message show the client's text, which has been parsed? */
static bool
shows_statement(const ErrorData *edata)
{
	const size_t length = debug_query_string != NULL ? strlen(debug_query_string) : 0;
	const char *text = NULL;

	if (length == 0 || (edata->elevel != LOG && edata->elevel != LOG_SERVER_ONLY))
		return false;
	if (is_from(edata, ":postgres.c:") && strlen(edata->message) >= length)
		text = edata->message + strlen(edata->message) - length;
	else if (is_from(edata, ":auto_explain.c:") && (text = strstr(edata->message, "Query Text: ")) != NULL)
		text += strlen("Query Text: ");
	return text != NULL && strncmp(text, debug_query_string, length) == 0;
}

/*
 * What to log as the record's message: how long something took if it begins so, then
 * the statement without its plan, blanked, if it has that, else the format, its %m filled in.
 */
static void
compose_message(const ErrorData *edata)
{
	const char *format = edata->message_id;
	const char *part;

	message_text[0] = '\0';
	if (!is_constant(format, false) || strcmp(format, "%s") == 0)
		format = withheld;
	else if (strncmp(format, "duration: ", 10) == 0 && strstr(format, " ms") != NULL &&
			 (part = strpbrk(edata->message, "0123456789")) != NULL)
	{
		/* Its translation may not say "ms", and the statement may. */
		snprintf(message_text, TEXT_BYTES, "duration: %.*s ms", (int) strspn(part, "0123456789."), part);
		format = strstr(format, " ms") + 3;
	}
	else if (!in_error_recursion_trouble() && edata->domain != NULL)
		format = dgettext(edata->domain, format);

	if (shows_statement(edata))
	{
		strlcat(message_text, message_text[0] != '\0' ? "  statement: " : "statement: ", TEXT_BYTES);
		(void) traces_blank(message_text + strlen(message_text),
							TEXT_BYTES - strlen(message_text), debug_query_string);
		return;
	}
	for (; (part = strstr(format, "%m")) != NULL; format = part + 2)
	{
		strlcat(message_text, format, Min(TEXT_BYTES, strlen(message_text) + (part - format) + 1));
		strlcat(message_text, strerror(edata->saved_errno), TEXT_BYTES);
	}
	strlcat(message_text, format, TEXT_BYTES);
}

/* What to log as its detail: a deadlock's, but not what runs; a crash's, blanked. */
static char *
compose_detail(const ErrorData *edata)
{
	const char *running = _("Failed process was running: %s");
	const size_t length = strcspn(running, "%");

	if (is_from(edata, ":deadlock.c:"))
		return edata->detail;
	if (MyProcPid != PostmasterPid || edata->detail == NULL ||
		strncmp(edata->detail, running, length) != 0)
		return NULL;
	strlcpy(statement_text, running, length + 1);
	(void) traces_blank(statement_text + length, TEXT_BYTES - length, edata->detail + length);
	return statement_text;
}

/*
 * Is the record ours?  Where nothing runs there is nothing to hide but what memory keeps, nor
 * in who connects: he could hide by his name.
 */
static bool
is_ours_to_log(const ErrorData *edata)
{
	return edata->message != NULL && (MyProcPid == PostmasterPid || !IsInitProcessingMode()) &&
		((ever_ours && is_from(edata, ":mcxt.c:")) ||
		 (debug_query_string != NULL ? is_ours() :
		  (burn_redact == REDACT_QUIET || ever_ours) && IsTransactionOrTransactionBlock()) ||
		 names_us(debug_query_string) ||
		 traces_in(edata->message) || traces_in(edata->detail) || traces_in(edata->detail_log) ||
		 traces_in(edata->hint) || traces_in(edata->context) || traces_in(edata->internalquery));
}

/*
 * Logs a record that is ours without its values.  The client still gets it whole.
 *
 * The record is changed, emitted again, and changed back, rather than another one
 * raised: that cannot fail for want of memory or of a place on the stack of errors, and
 * what log_min_messages let through is let through again.  Hooks that were there before
 * see only the record without values.
 */
static void
emit_log(ErrorData *edata)
{
	int			saved_errno = errno;

	if (burn_redact == REDACT_OFF || edata->message == message_text || !is_ours_to_log(edata))
	{
		if (previous_emit_log)
			previous_emit_log(edata);
	}
	else
	{
		const ErrorData whole = *edata;
		const char *statement = debug_query_string;
		const bool	harmless = is_harmless(edata);

		/*
		 * It may fail before anything else, and pg_stat_activity would keep
		 * showing it.
		 */
		if (is_ours() || names_us(statement))
			claim_message(false, false);

		if (harmless || MyProcPid == PostmasterPid)
			strlcpy(message_text, edata->message, TEXT_BYTES);
		else
			compose_message(edata);
		if (!harmless)
		{
			edata->detail = compose_detail(edata);
			edata->hint = NULL;
		}
		edata->message = message_text;
		edata->detail_log = edata->context = edata->internalquery = NULL;
		edata->cursorpos = edata->internalpos = 0;
		edata->hide_ctx = true;
		edata->output_to_client = false;
		if (statement != NULL)
			debug_query_string = shape();
		EmitErrorReport();

		debug_query_string = statement;
		*edata = whole;
		edata->output_to_server = false;
	}
	errno = saved_errno;
}

/*
 * Is a text that is analyzed or run ours?  Then it claims the message.  An extension's script,
 * the text of each of its statements, has no secrets.
 */
static pg_attribute_always_inline bool
watch(const char *text, bool analyzed)
{
	if (burn_redact == REDACT_OFF || creating_extension ||
		!(is_ours() || ((analyzed || ever_ours) && names_us(text))))
		return false;
	claim_message(analyzed && text != debug_query_string && traces_in(text), true);
	return true;
}

static void
post_parse_analyze(ParseState *pstate, Query *query, JumbleStateArgument jstate)
{
	const char *text = pstate->p_sourcetext;
	bool		unidentified = watch(text, query->utilityStmt == NULL || !IsA(query->utilityStmt, TransactionStmt)) &&
		(text == debug_query_string ? shows_values : traces_blank(statement_text, TEXT_BYTES, text));

	/* Nor may it be stored while its constants still have their places. */
	if (unidentified)
		query->queryId = 0;
	if (previous_post_parse_analyze)
		previous_post_parse_analyze(pstate, query, jstate);
	if (unidentified)
		query->queryId = 0;
}

static void
executor_run(QueryDesc *query, ScanDirection direction, uint64 count RUN_PARAMETER)
{
	(void) watch(query->sourceText, false);

	if (query->plannedstmt->parallelModeNeeded && query->estate->es_sourceText == query->sourceText &&
		burn_redact != REDACT_OFF && is_ours())
	{
		char	   *text = MemoryContextAlloc(query->estate->es_query_cxt, TEXT_BYTES);

		strlcpy(text, WORKERS_TEXT, TEXT_BYTES);
		(void) traces_blank(text + strlen(text), TEXT_BYTES - strlen(text), query->sourceText);
		query->estate->es_sourceText = text;
	}

	if (previous_executor_run)
		previous_executor_run(query, direction, count RUN_ARGUMENT);
	else
		standard_ExecutorRun(query, direction, count RUN_ARGUMENT);
}

static void
process_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo parameters,
				QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	/* A ROLLBACK in what is called frees the statement. */
	const char *cursor = IsA(statement->utilityStmt, DeclareCursorStmt) ?
		((DeclareCursorStmt *) statement->utilityStmt)->portalname : NULL;

	(void) watch(text, false);
	if (previous_process_utility)
		previous_process_utility(statement, text, read_only_tree, context, parameters,
								 environment, receiver, completion);
	else
		standard_ProcessUtility(statement, text, read_only_tree, context, parameters,
								environment, receiver, completion);
	if (cursor != NULL && burn_redact != REDACT_OFF && is_ours())
		blank_portal(GetPortalByName(cursor));
}

static void
hook_running(void)
{
	previous_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = executor_run;
	previous_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}

void
hush_start(void)
{
	previous_emit_log = emit_log_hook;
	emit_log_hook = emit_log;
	previous_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = post_parse_analyze;
}
