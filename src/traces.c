/*-------------------------------------------------------------------------
 *
 * traces.c
 *	  Whether a text names burn_note's functions or shows a token.
 *
 * For texts of which nothing better is known than what they say: statements before
 * parse analysis, function bodies, records for the log.  That such a name may be
 * somebody else's is accepted; that one can be put together at run time, too.
 * Allocates nothing, reads no catalog and cannot fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "src/token.h"
#include "src/traces.h"

/*
 * May it stand in a name without quotes?
 */
bool
traces_identifier_char(char c)
{
	return isalnum((unsigned char) c) || c == '_' || IS_HIGHBIT_SET(c);
}

/*
 * Does one of our functions' names go on like this, behind "burn_"?
 */
static bool
ends_name(const char *text)
{
	static const char *const names[] = {
		"create", "read", "revoke", "status", "receipt_token", "note_id", "verify_receipt"
	};

	for (size_t i = 0; i < lengthof(names); i++)
	{
		size_t		length = strlen(names[i]);

		if (pg_strncasecmp(text, names[i], length) != 0)
			continue;
		if (pg_strncasecmp(text + length, "_bytes", 6) == 0)
			length += 6;
		if (!traces_identifier_char(text[length]))
			return true;
	}
	return false;
}

/*
 * Does text have a function's name, or a token, that has its first underscore at
 * this one?
 */
static bool
trace_at(const char *text, const char *underscore)
{
	size_t		before = underscore - text;

	if (before >= 4 && pg_strncasecmp(underscore - 4, "burn", 4) == 0)
		return ends_name(underscore + 1);
	if (before >= 3 && underscore[-1] == '1' && underscore[-3] == 'b' &&
		(underscore[-2] == 'n' || underscore[-2] == 'r'))
	{
		size_t		length = strspn(underscore + 1,
									"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

		return length >= TOKEN_CHARS - 4;
	}
	return false;
}

static bool
names_plainly(const char *text)
{
	for (const char *p = strchr(text, '_'); p != NULL; p = strchr(p + 1, '_'))
		if (trace_at(text, p))
			return true;
	return false;
}

/*
 * How many characters at p are a Unicode escape, whatever the escape character:
 * 5, 8, or 0 for none.
 */
static int
escape_length(const char *p)
{
	if (isxdigit((unsigned char) *p) || *p == '"' || *p == '\0')
		return 0;
	if (strspn(p + 1, "0123456789abcdefABCDEF") >= 4)
		return 5;
	if (p[1] == '+' && strspn(p + 2, "0123456789abcdefABCDEF") >= 6)
		return 8;
	return 0;
}

/*
 * Is the name in quotes that begins here one of our functions' once its Unicode
 * escapes are undone?  None has a letter twice in a row: that is one, escaped.
 */
static bool
names_escaped(const char *p)
{
	char		name[NAMEDATALEN];
	size_t		length = 0;

	while (*p != '\0' && *p != '"' && length < sizeof(name) - 1)
	{
		int			escape = escape_length(p);
		char		digits[5] = {0};

		if (escape > 0)
			memcpy(digits, p + escape - 4, 4);
		name[length++] = escape > 0 ? (char) strtol(digits, NULL, 16) : *p;
		p += escape > 0 ? escape : p[0] == p[1] ? 2 : 1;
	}
	name[length] = '\0';
	return names_plainly(name);
}

/*
 * Does a text, which may be NULL, name one of our functions or show a token?
 */
bool
traces_in(const char *text)
{
	if (text == NULL)
		return false;
	if (names_plainly(text))
		return true;
	for (const char *p = strchr(text, '&'); p != NULL; p = strchr(p + 1, '&'))
		if (p > text && (p[-1] == 'U' || p[-1] == 'u') && p[1] == '"' && names_escaped(p + 2))
			return true;
	return false;
}
