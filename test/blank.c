/*-------------------------------------------------------------------------
 *
 * blank.c
 *	  Tests src/traces.c: what is kept of a text, and that nothing else is.
 *
 * Usage: blank [SEED].  Prints ok and not ok lines, exits 1 if something failed.
 *
 * Beside the table of cases: a million texts made of every syntax that has values,
 * each with what is to be left of it, some of them cut.  The values are secrets: of
 * capitals and digits, of which nothing else in a text has six in a row.  So six
 * in a row in what is left are a leak; a copy of the texts must have them.
 *
 *-------------------------------------------------------------------------
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/traces.h"

#define TEXT_MAX		16384
#define FUZZ_TEXTS		1000000
#define CONTROL_TEXTS	1000	/* for each kind of value */
#define LEAK_RUN		6
#define lengthof(array)	(sizeof(array) / sizeof((array)[0]))

/* 56 characters, and one less */
#define BODY_55			"Zm9v-mFyZm9vY_FyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmF"
#define BODY			BODY_55 "0"

typedef bool (*Blanker) (char *out, size_t size, const char *text);

typedef struct Case
{
	const char *rule;
	const char *text;
	const char *left;
} Case;

static const Case cases[] = {
	/* what stays */
	{"words, operators and white space stay",
	"select a.b, c+d\n\tfrom e where f <> all (g);", "select a.b, c+d\n\tfrom e where f <> all (g);"},
	{"parameters stay", "select burn_read($1, $65535)", "select burn_read($1, $65535)"},
	{"what is behind a parameter does not", "$1.5", "$1?"},
	{"words have digits", "select burn_note_2, t1_0", "select burn_note_2, t1_0"},
	{"and dollars", "a$b$c 'x' a$b$", "a$b$c '?' a$b$"},
	{"and bytes above 0x7F", "\xc3\xa9$a$'x'\xc3\xa9$a$", "\xc3\xa9$a$'?'\xc3\xa9$a$"},
	{"nothing is left of nothing", "", ""},

	/* literals */
	{"literals go", "select burn_create('secret', ttl => 'x')", "select burn_create('?', ttl => '?')"},
	{"empty ones, too", "''", "'?'"},
	{"a doubled quote ends none", "'it''s secret' || b", "'?' || b"},
	{"other quotes end none", "'a\"b' \"c'd\" 'e'", "'?' \"?\" '?'"},
	{"comments begin in none", "'--' a '/*' b", "'?' a '?' b"},
	{"a backslash elsewhere is nothing", "'C:\\temp' a", "'?' a"},
	{"escape strings", "E'it\\'s' e'\\\\' E'a''b' c", "E'?' e'?' E'?' c"},
	{"bit strings", "B'0101' b'1' X'1F' x'2a'", "B'?' b'?' X'?' x'?'"},
	{"national strings", "N'a' n'it''s' b", "N'?' n'?' b"},
	{"Unicode strings", "U&'d\\0061t' uescape '!' u&'a''b' c", "U&'?' uescape '?' u&'?' c"},
	{"continued literals", "'a'\n'b' c", "'?'\n'?' c"},
	{"behind a comment, too", "'a' -- it's\n'b' c", "'?'  \n'?' c"},
	{"a name that ends like a prefix is none", "note'a' be'b\nc' _x'1' $e'\\'' d",
	"note'?' be'?' _x'?' $e'?' d"},

	/* dollar quotes */
	{"dollar quotes", "$$it's$$ a $t$b$$c$t$ d", "'?' a '?' d"},
	{"other tags in it do not end it", "$a$ $b$ $ $ab$ $$ $A$ $b$a$ c", "'?' c"},
	{"a dollar right behind the tag is inside", "$$$1$$ a", "'?' a"},
	{"tags have bytes above 0x7F", "$\xc3\xa9$ $\xc3$ a $\xc3\xa9$ b", "'?' b"},
	{"tags have digits, but not in front", "$a1$ $1 $a1$ $1$1", "'?' $1$1"},
	{"a parameter can touch one", "$1$a$b$a$", "$1'?'"},
	{"so can a number, a literal and a name", "1$a$b$a$ 'c'$$d$$ \"e\"$f$g$f$", "?'?' '?''?' \"?\"'?'"},

	/* numbers */
	{"numbers", "1 -2 3.14 .5 6. 7e8 9E-10 1.5e+3", "? -? ? ? ? ? ? ?"},
	{"also of later majors", "0x1F 0o17 0b01 1_000_000", "? ? ? ?"},
	{"and what touches them", "25kB 1.2.3 0.00..1.01 4\xc3\xa9 [1:2]", "? ? ? ? [?:?]"},
	{"but no comment", "1-- 2\n1/* 2 */3 1e--4", "? \n? ? ? "},
	{"nor a minus sign", "1-2 a-3", "?-? a-?"},
	{"what is no parameter is a number", "$65536000", "$?"},

	/* names in quotes */
	{"names in quotes", "\"My note\".\"a\"\"b\" c", "\"?\".\"?\" c"},
	{"with Unicode escapes, whose end is not certain", "U&\"a\" U&\"\\0061\" b", "U&\"?\" U&..."},

	/* comments */
	{"comments", "a/* b */c -- d", "a c  "},
	{"to the end of the line", "-- it's\na -- b\rc", " \na  \rc"},
	{"nested ones", "/* a /* b */ it's */ c", "  c"},
	{"with stars and slashes", "/***/a/*/**/*/b/*//**/*/c", " a b c"},
	{"behind operators", "a+--b\nc*/*d*/e", "a+ \nc* e"},
	{"a quote in one is nothing", "/* ' */ a /* \" */ b /* $$ */", "  a   b  "},

	/* tokens */
	{"a token without quotes is not certain", "select burn_read(bn1_" BODY ") from t", "select burn_read(..."},
	{"a receipt token, too", "br1_" BODY, "..."},
	{"whatever it touches", "x.abn1_" BODY "$b", "x.a..."},
	{"behind a number", "12bn1_" BODY, "?..."},
	{"behind a parameter", "$1bn1_" BODY, "$1..."},
	{"one that is too short is a word", "bn1_" BODY_55 " a", "bn1_Zm9v-mFyZm9vY_FyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmF a"},
	{"unless it is cut", "a bn1_Zm9v-m", "a ..."},
	{"one in quotes is a literal", "'bn1_" BODY "' a", "'?' a"},
	{"other prefixes are words", "bx1_" BODY_55 " bn2_" BODY_55 " BN1_a",
	"bx1_" BODY_55 " bn2_" BODY_55 " BN1_a"},

	/* what is not certain */
	{"half a literal", "a 'b c", "a ..."},
	{"half an escape string", "a E'b\\", "a E..."},
	{"an escape string that ends in a quote", "a E'b\\'", "a E..."},
	{"half a dollar quote", "a $b$ c $b", "a ..."},
	{"half a name", "a \"b c", "a ..."},
	{"half a comment", "a /* b /* c */", "a ..."},
	{"a backslash in front of a quote", "a 'b\\' c 'd\\' e", "a ..."},
	{"in front of two", "a 'b\\'' c", "a ..."},
	{"two in front of one", "a 'b\\\\' c", "a ..."},
	{"in a national string", "N'b\\' c", "N..."},
	{"in a Unicode string", "U&'b\\' c", "U&..."},
	{"in a bit string", "B'1\\' c", "B..."},
	{"in what continues an escape string", "E'a'\n'b\\'c' d", "E'?'\n..."},
	{"behind a name that ends in e", "note'b\\'c' d", "note..."},
	{"behind a number that does", "1e'b\\'c' d", "?..."},
	{"a number's letters and a dollar", "1.5.a$$ 'b' $$", "..."},
	{"of another major, too", "0x1F$a$ 'b' $a$", "..."},
	{"there is no escape string in a name", "e\"b\\\"c\" d", "e..."},
	{"a backslash in a name", "\"a\\\"b\" c", "..."},
	{"a plan in JSON", "{\"Filter\": \"(a = 'it''s')\", \"Output\": [\"\\\"b\\\"\"]}",
	"{\"?\": \"?\", \"?\": [..."},
	{"a backslash elsewhere", "a \\b 'c'", "a ..."},
};

static bool failed = false;

static void
ok(bool good, const char *name)
{
	printf("%s - %s\n", good ? "ok" : "not ok", name);
	failed = failed || !good;
}

static void
check_cases(void)
{
	for (size_t i = 0; i < lengthof(cases); i++)
	{
		const Case *c = &cases[i];
		char		text[512];
		char		out[512];
		bool		blanked;
		bool		good;

		/* What is behind the text's end may not count. */
		snprintf(text, sizeof(text), "%s%c'", c->text, '\0');
		blanked = traces_blank(out, sizeof(out), text);
		good = strcmp(out, c->left) == 0 && blanked == (strcmp(text, c->left) != 0);

		ok(good, c->rule);
		if (!good)
			printf("# %s\n# %s\n# %s, not:\n# %s\n", c->text,
				   blanked ? "is said to have a value and becomes" : "is said to have none and becomes",
				   out, c->left);
	}
}

/*
 * A short buffer gets the beginning, without half a character.
 */
static void
check_sizes(void)
{
	bool		good = true;

	for (size_t i = 0; i < lengthof(cases); i++)
	{
		char		whole[512];

		traces_blank(whole, sizeof(whole), cases[i].text);
		for (size_t size = 1; size <= strlen(whole) + 1; size++)
		{
			char		out[512];
			size_t		length;

			memset(out, 'x', sizeof(out));
			traces_blank(out, size, cases[i].text);
			length = strlen(out);
			good = good && length < size && out[size] == 'x' &&
				strncmp(out, whole, length) == 0 &&
				(length == size - 1 || (unsigned char) whole[length] >= 0x80) &&
				!(length > 0 && (unsigned char) out[length - 1] >= 0x80 &&
				  (unsigned char) whole[length] >= 0x80);
		}
	}
	ok(good, "a buffer of any size gets the beginning, without half a character");
}

/* ----------
 * The million texts
 * ----------
 */

enum Kind
{
	PLAIN,
	ESCAPE,
	NATIONAL,
	UNICODE,
	BITS,
	HEX,
	DOLLAR,
	NAME,
	UNICODE_NAME,
	NUMBER,
	COMMENT,
	LINE_COMMENT,
	TOKEN,
	KINDS
};

static const char *const kind_names[KINDS] = {
	"plain literals", "escape strings", "national strings", "Unicode strings", "bit strings",
	"hexadecimal strings", "dollar quotes", "names in quotes", "names with Unicode escapes",
	"numbers", "comments", "comments to the end of the line", "tokens"
};

/* A text, and what is to be left of it */
typedef struct Text
{
	char		text[TEXT_MAX];
	size_t		length;
	char		left[TEXT_MAX];
	size_t		left_length;
	bool		uncertain;		/* "..." ends what is left */
	bool		backslashes;	/* standard_conforming_strings is off */
} Text;

static uint64_t state;

/*
 * A number below limit, by splitmix64
 */
static unsigned int
draw(unsigned int limit)
{
	uint64_t	z = state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return (unsigned int) ((z ^ (z >> 31)) >> 32) % limit;
}

#define PICK(list) ((list)[draw(lengthof(list))])

static void
append(char *to, size_t *length, const char *part)
{
	size_t		added = strlen(part);

	if (*length + added >= TEXT_MAX)
		abort();
	memcpy(to + *length, part, added + 1);
	*length += added;
}

/*
 * Adds to the text only.
 */
static void
hide(Text *t, const char *part)
{
	append(t->text, &t->length, part);
}

/*
 * Adds to what is left.
 */
static void
leave(Text *t, const char *part)
{
	if (!t->uncertain)
		append(t->left, &t->left_length, part);
}

static void
keep(Text *t, const char *part)
{
	hide(t, part);
	leave(t, part);
}

static void
stop(Text *t)
{
	leave(t, "...");
	t->uncertain = true;
}

static void
hide_run(Text *t, const char *alphabet, unsigned int least, unsigned int most)
{
	char		run[64];
	unsigned int count = least + draw(most - least + 1);
	size_t		letters = strlen(alphabet);

	for (unsigned int i = 0; i < count; i++)
		run[i] = alphabet[draw(letters)];
	run[count] = '\0';
	hide(t, run);
}

static void
hide_secret(Text *t)
{
	hide_run(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", LEAK_RUN, 12);
}

/*
 * Secrets among noise: what may be taken for their end, or for the beginning of
 * something else
 */
static void
hide_among(Text *t, const char *const *noise, size_t noises)
{
	do
	{
		if (draw(2))
			hide(t, noise[draw(noises)]);
		hide_secret(t);
		if (draw(2))
			hide(t, noise[draw(noises)]);
	} while (draw(2));
}

#define HIDE_AMONG(t, noise) hide_among(t, noise, lengthof(noise))

/*
 * What stands between a literal's quotes
 */
static void
hide_inside(Text *t, enum Kind kind)
{
	static const char *const standard[] = {
		"''", "''''", "\"", "--", "/*", "*/", "$$", "$a$", "\n", " ", ";", ",", "\xc3\xa9", "\\n"
	};
	static const char *const escape[] = {
		"''", "\\'", "\\\\", "\\'\\'", "''\\\\", "\"", "--", "/*", "*/", "$$", "\n", " ", "\\n", "\\047"
	};
	static const char *const unicode[] = {
		"''", "\\0027", "\\+000027", "\"", "--", "/*", "*/", "$$", "\n", " ", "\xc3\xa9"
	};

	if (kind == BITS)
		hide_run(t, "01", LEAK_RUN, 40);
	else if (kind == HEX)
		hide_run(t, "0123456789ABCDEF", LEAK_RUN, 40);
	else if (kind == UNICODE)
		HIDE_AMONG(t, unicode);
	else if (kind == ESCAPE || t->backslashes)
		HIDE_AMONG(t, escape);
	else
	{
		HIDE_AMONG(t, standard);
		if (draw(32) == 0)
			hide(t, "\\");
	}
}

static void
add_line_comment(Text *t)
{
	static const char *const noise[] = {
		"'", "\"", "/*", "*/", "$$", "$a$", "--", " ", "\\", "\xc3\xa9"
	};

	hide(t, "--");
	HIDE_AMONG(t, noise);
	leave(t, " ");
	keep(t, draw(4) ? "\n" : "\r");
}

static void
add_quotes(Text *t, enum Kind kind, bool is_escape_string)
{
	size_t		start = t->length;

	hide(t, "'");
	hide_inside(t, kind);
	hide(t, "'");
	if (!is_escape_string && strstr(t->text + start, "\\'") != NULL)
		stop(t);
	leave(t, "'?'");
}

static void
add_literal(Text *t, enum Kind kind)
{
	static const char *const prefixes[][2] = {
		[PLAIN] = {"", ""},
		[ESCAPE] = {"E", "e"},
		[NATIONAL] = {"N", "n"},
		[UNICODE] = {"U&", "u&"},
		[BITS] = {"B", "b"},
		[HEX] = {"X", "x"},
	};
	static const char *const types[] = {
		"note", "name", "box", "_e", "x1e", "a$", "a$e", "\xc3\xa9" "e"
	};

	if (kind == PLAIN && draw(4) == 0)
		keep(t, PICK(types));
	keep(t, PICK(prefixes[kind]));
	add_quotes(t, kind, kind == ESCAPE);
	while (draw(8) == 0)
	{
		if (draw(2))
			keep(t, " ");
		if (draw(2))
			add_line_comment(t);
		else
			keep(t, "\n");
		add_quotes(t, kind, false);
	}
	if (kind == UNICODE && draw(4) == 0)
	{
		keep(t, " uescape ");
		hide(t, "'!'");
		leave(t, "'?'");
	}
}

static void
add_dollar_quote(Text *t)
{
	static const char *const tags[] = {"$$", "$a$", "$a1$", "$_$", "$\xc3\xa9$", "$a_b$", "$ab$"};
	static const char *const noise[] = {
		"'", "\"", "''", "--", "/*", "*/", "\\", "\n", " ", "$1 ", "$ ", "$", "$other$", "$a "
	};
	const char *tag = PICK(tags);

	hide(t, tag);
	do
	{
		if (draw(4) != 0)
			hide(t, PICK(noise));
		hide_secret(t);
	} while (draw(2));
	hide(t, tag);
	leave(t, "'?'");
}

static void
add_name(Text *t, enum Kind kind)
{
	static const char *const noise[] = {
		"\"\"", "\"\"\"\"", "'", "''", "--", "/*", "*/", "$$", "$a$", "\n", " ", ";", "\xc3\xa9"
	};
	size_t		start = t->length;

	if (draw(4) == 0)
		keep(t, "note.");
	if (kind == UNICODE_NAME)
		keep(t, draw(2) ? "U&" : "u&");
	hide(t, "\"");
	HIDE_AMONG(t, noise);
	if (draw(16) == 0)
		hide(t, "\\0022");
	hide(t, "\"");
	if (strchr(t->text + start, '\\') != NULL)
		stop(t);
	leave(t, "\"?\"");
}

static void
add_number(Text *t)
{
	static const char *const before[] = {"", "", "", "0.", ".", "1.0e-", "2E", "7."};
	static const char *const behind[] = {"", "", "", ".", ".0", "e7", "E-5", "e+2"};
	const char *start = PICK(before);

	hide(t, start);
	hide_run(t, "0123456789", LEAK_RUN, 15);
	if (start[0] == '\0')
		hide(t, PICK(behind));
	leave(t, "?");
}

static void
hide_comment(Text *t)
{
	static const char *const noise[] = {
		"'", "''", "\"", "--", "$$", "$a$", "\\", "\n", "**", " * ", " / ", "\xc3\xa9"
	};

	hide(t, draw(4) ? "/*" : "/***");
	HIDE_AMONG(t, noise);
	if (draw(8) == 0)
	{
		hide(t, " ");
		hide_comment(t);
		HIDE_AMONG(t, noise);
	}
	hide(t, draw(4) ? "*/" : "***/");
}

static void
add_token(Text *t)
{
	static const char *const before[] = {"", "", "x", "a_", "\xc3\xa9", "note."};
	static const char *const behind[] = {"", "", "\xc3\xa9", "$", "$a"};

	keep(t, PICK(before));
	hide(t, draw(2) ? "bn1_" : "br1_");
	for (int i = 0; i < 8; i++)
	{
		hide_secret(t);
		hide(t, draw(2) ? "-X" : "_z");
	}
	hide(t, PICK(behind));
	stop(t);
}

static void
add_value(Text *t, enum Kind kind)
{
	switch (kind)
	{
		case DOLLAR:
			add_dollar_quote(t);
			break;
		case NAME:
		case UNICODE_NAME:
			add_name(t, kind);
			break;
		case NUMBER:
			add_number(t);
			break;
		case COMMENT:
			hide_comment(t);
			leave(t, " ");
			keep(t, "b");
			break;
		case LINE_COMMENT:
			add_line_comment(t);
			keep(t, "b");
			break;
		case TOKEN:
			add_token(t);
			break;
		default:
			add_literal(t, kind);
			break;
	}
}

/*
 * A statement with values of one kind, or of any for KINDS
 */
static void
make_text(Text *t, enum Kind only)
{
	static const char *const operators[] = {
		", ", ",", "||", "+", "->>", " and ", " , $1,", ",$12345 ||", ", a$b$c = ", "\n, e <> "
	};

	t->length = t->left_length = 0;
	t->uncertain = false;
	t->backslashes = draw(16) == 0;
	keep(t, draw(2) ? "select " : "select burn_read(a) = ");
	do
	{
		enum Kind	kind = only < KINDS ? only : draw(KINDS);

		/* A token is the last thing that is certain; so it comes less often. */
		if (only == KINDS && kind == TOKEN && draw(4) != 0)
			kind = PLAIN;

		/* This the scanner would refuse. */
		if (t->backslashes && kind == UNICODE)
			kind = ESCAPE;
		add_value(t, kind);
		keep(t, PICK(operators));
	} while (draw(6) != 0 && t->length < TEXT_MAX / 4);
	keep(t, "c from burn_note");
}

static bool
is_leak(const char *out)
{
	int			run = 0;

	for (; *out != '\0' && run < LEAK_RUN; out++)
		run = (*out >= 'A' && *out <= 'Z') || (*out >= '0' && *out <= '9') ? run + 1 : 0;
	return run >= LEAK_RUN;
}

static bool
copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
	return false;
}

/*
 * In how many of so many texts, every second of them cut anywhere, does blank leave a
 * value?  And of how many that are whole does it leave something else than it should?
 */
static void
try_texts(Blanker blank, enum Kind only, int texts, int *leaking, int *differing)
{
	static Text t;
	static char out[TEXT_MAX];

	*leaking = *differing = 0;
	for (int i = 0; i < texts; i++)
	{
		bool		cut = draw(2);
		bool		leaks;
		bool		differs;

		make_text(&t, only);
		if (cut)
			t.text[draw(t.length)] = '\0';
		differs = !blank(out, sizeof(out), t.text) || strcmp(out, t.left) != 0;
		differs = differs && !cut;
		leaks = is_leak(out);
		if (blank == traces_blank && (leaks || differs) && *leaking + *differing == 0)
			printf("# %s\n# becomes:\n# %s\n# not:\n# %s%s\n", t.text, out, t.left,
				   cut ? ", cut" : "");
		*leaking += leaks;
		*differing += differs;
	}
}

int
main(int argc, char **argv)
{
	uint64_t	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t) time(NULL);
	int			leaking;
	int			differing;

	check_cases();
	check_sizes();

	printf("# seed %" PRIu64 "\n", seed);
	state = seed;
	try_texts(traces_blank, KINDS, FUZZ_TEXTS, &leaking, &differing);
	ok(leaking == 0, "of a million texts, whole or cut, no value is left");
	ok(differing == 0, "of those that are whole, all that is certain is left");
	for (enum Kind kind = 0; kind < KINDS; kind++)
	{
		printf("# control: %s\n", kind_names[kind]);
		try_texts(copy_text, kind, CONTROL_TEXTS, &leaking, &differing);
		ok(leaking > CONTROL_TEXTS / 2, "a copy leaks them");
	}
	return failed;
}
