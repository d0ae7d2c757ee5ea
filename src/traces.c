/*-------------------------------------------------------------------------
 *
 * traces.c
 *	  What a text tells: whether it names burn_note's functions or shows a token, and
 *	  its shape without its values.
 *
 * That a name may be somebody else's is accepted, and that one can be put together at
 * run time.  traces_blank() reads as PostgreSQL's scanner does (scan.l), whatever the
 * settings and the major.  What these, a cut or a format like JSON allow to be read in
 * two ways is not certain: "..." takes the place of it and of all that follows.  A text
 * must come from its beginning: half a literal would turn the rest inside out.
 *
 * Allocates nothing, cannot fail, and blanks in time in proportion to the text.  No
 * PostgreSQL header: test/blank.c links this file alone.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "src/token.h"
#include "src/traces.h"

#define DIGITS				"0123456789"
#define ASCII_WORD_CHARS	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_" DIGITS
#define HEX_DIGITS			DIGITS "abcdefABCDEF"
#define PREFIX_CHARS		4	/* bn1_ or br1_ */
#define PARAMETER_DIGITS	5	/* there is no $65536 */
#define NAME_BYTES			64	/* of PostgreSQL's names */
#define IS_DIGIT(c)			((c) >= '0' && (c) <= '9')

/* May it stand in a word?  So may a dollar, but not in a dollar quote's tag. */
static inline bool
is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || IS_DIGIT(c) || c == '_' || (unsigned char) c >= 0x80;
}

/* Has p a token's shape?  Or may it have had, before the text was cut? */
static inline bool
is_token(const char *p)
{
	size_t		count;

	if (*p != 'b' || (strncmp(p, "bn1_", PREFIX_CHARS) != 0 && strncmp(p, "br1_", PREFIX_CHARS) != 0))
		return false;
	count = strspn(p, ASCII_WORD_CHARS "-");
	return count >= TOKEN_CHARS || p[count] == '\0';
}

/* Are the first letters of text these, in whatever case? */
static bool
begins(const char *text, const char *letters)
{
	for (; *letters != '\0'; text++, letters++)
		if ((*text >= 'A' && *text <= 'Z' ? *text + ('a' - 'A') : *text) != *letters)
			return false;
	return true;
}

/*
 * Does text have a function's name or a token in it?  These have an underscore behind
 * their third or fourth character.
 */
static bool
names_plainly(const char *text)
{
	static const char *const names[] = {
		"burn_create_bytes", "burn_create", "burn_read_bytes", "burn_read", "burn_revoke",
		"burn_status", "burn_receipt_token", "burn_note_id", "burn_verify_receipt", NULL
	};

	for (const char *p = strchr(text, '_'); p != NULL; p = strchr(p + 1, '_'))
	{
		if (p - text >= 3 && is_token(p - 3) && strspn(p - 3, ASCII_WORD_CHARS "-") >= TOKEN_CHARS)
			return true;
		if (p - text >= 4 && begins(p - 4, "burn_"))
			for (const char *const *name = names; *name != NULL; name++)
				if (begins(p - 4, *name) && !is_word_char(p[strlen(*name) - 4]))
					return true;
	}
	return false;
}

/*
 * Is the name in quotes that begins here ours once its Unicode escapes are undone, whatever
 * the escape character?  None of ours has a letter twice in a row: that is one, escaped.
 */
static __attribute__((noinline))
bool
names_escaped(const char *p)
{
	char		name[NAME_BYTES];
	size_t		length = 0;

	while (*p != '\0' && *p != '"' && length < sizeof(name) - 1)
	{
		size_t		plus = p[1] == '+';
		size_t		digits = plus ? 6 : 4;
		char		code[7] = {0};

		if (strspn(p + 1 + plus, HEX_DIGITS) < digits || strchr(HEX_DIGITS, *p) != NULL)
			digits = 0;
		memcpy(code, p + 1 + plus, digits);
		name[length++] = digits > 0 ? (char) strtol(code, NULL, 16) : *p;
		p += digits > 0 ? 1 + plus + digits : p[0] == p[1] ? 2 : 1;
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
	if (text == NULL || names_plainly(text))
		return text != NULL;
	for (const char *p = strchr(text, '&'); p != NULL; p = strchr(p + 1, '&'))
		if (p > text && (p[-1] == 'U' || p[-1] == 'u') && p[1] == '"' && names_escaped(p + 2))
			return true;
	return false;
}

/* How many bytes the tag has that opens a dollar quote at p: 0 for none. */
static size_t
tag_bytes(const char *p)
{
	size_t		count = 1;

	if (*p != '$' || IS_DIGIT(p[1]))
		return 0;
	while (is_word_char(p[count]))
		count++;
	return p[count] == '$' ? count + 1 : 0;
}

/*
 * What is behind a literal or a name in quotes; NULL, as below, where that is not certain: but
 * in an escape string a setting decides whether \' ends it; a name may be a string in JSON.
 */
static const char *
behind_quotes(const char *p, bool behind_e)
{
	const char	quote = *p;

	for (p++; *p != '\0'; p++)
	{
		if (*p == quote && *++p != quote)
			return p;
		if (*p != '\\')
			continue;
		if (quote == '"' || (behind_e ? *++p == '\0' : p[1] == quote))
			return NULL;
	}
	return NULL;
}

static const char *
behind_dollar_quote(const char *p)
{
	size_t		tag = tag_bytes(p);

	for (const char *close = strchr(p + tag, '$'); close != NULL; close = strchr(close + 1, '$'))
		if (strncmp(close, p, tag) == 0)
			return close + tag;
	return NULL;
}

static const char *
behind_comment(const char *p)
{
	int			depth = 0;

	if (*p == '-')
		return p + strcspn(p, "\r\n");
	for (; *p != '\0'; p++)
	{
		if (p[0] == '/' && p[1] == '*')
			depth++, p++;
		else if (p[0] == '*' && p[1] == '/')
			depth--, p++;
		if (depth == 0)
			return p + 1;
	}
	return NULL;
}

/*
 * A number, with what is glued to it.  A dollar behind letters may belong to a name,
 * or open a dollar quote.
 */
static const char *
behind_number(const char *p)
{
	const char *start = p;

	while (!is_token(p) &&
		   (is_word_char(*p) || *p == '.' ||
			((*p == '+' || *p == '-') && (p[-1] == 'e' || p[-1] == 'E') && IS_DIGIT(p[1]))))
		p++;
	return *p == '$' && strspn(start, DIGITS ".") < (size_t) (p - start) ? NULL : p;
}

/* What is kept: a word, up to a token in it; a parameter; one character. */
static const char *
behind_kept(const char *p)
{
	size_t		count = 1;

	if (*p == '$')
		count += strspn(p + 1, DIGITS) <= PARAMETER_DIGITS ? strspn(p + 1, DIGITS) : 0;
	else if (is_word_char(*p))
		while ((is_word_char(p[count]) || p[count] == '$') && !is_token(p + count))
			count++;
	return p + count;
}

/*
 * Writes text to out, blanked, and a NUL: at most size bytes in all, of which there must be
 * one.  What has no room is left out, and a character is not cut.  Returns whether anything
 * was blanked: a value, a quoted name or a comment.
 */
bool
traces_blank(char *out, size_t size, const char *text)
{
	bool		blanked = false;
	bool		behind_e = false;	/* which makes a literal an escape string */

	for (const char *p = text, *end; *p != '\0'; p = end)
	{
		const char *instead = *p == '"' ? "\"?\"" : "'?'";
		size_t		count;
		size_t		fits;

		if (*p == '\'' || *p == '"')
			end = behind_quotes(p, behind_e);
		else if (tag_bytes(p) > 0)
			end = behind_dollar_quote(p);
		else if ((p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*'))
			end = behind_comment(p), instead = " ";
		else if (IS_DIGIT(*p) || (*p == '.' && IS_DIGIT(p[1])))
			end = behind_number(p), instead = "?";
		else if (*p == '\\' || is_token(p))
			end = NULL;
		else
			end = behind_kept(p), instead = NULL;
		if (end == NULL)
			end = "", instead = "...";

		behind_e = (*p == 'e' || *p == 'E') && end == p + 1;
		blanked |= instead != NULL;

		count = instead != NULL ? strlen(instead) : (size_t) (end - p);
		if (instead == NULL)
			instead = p;

		/* The bytes of a longer character are above 0x7F in a server. */
		fits = count < size ? count : size - 1;
		while (fits < count && fits > 0 && (unsigned char) instead[fits - 1] >= 0x80)
			fits--;
		memcpy(out, instead, fits);
		out += fits;
		size = fits < count ? 1 : size - fits;
	}
	*out = '\0';
	return blanked;
}
