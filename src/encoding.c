/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  Converting secret text between encodings.
 *
 * PostgreSQL's own conversions say in their error which bytes they could not
 * convert, and leave what they had converted behind.  These do neither.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sodium.h>

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "src/encoding.h"

/*
 * Converts text, to *converted_bytes and a NUL.  Returns text itself where there
 * is nothing to convert, a copy in the caller's memory context where there is, and
 * NULL where it cannot be done.  Give what is returned to encoding_free().
 */
char *
encoding_convert(const char *text, size_t bytes, int from, int to,
				 size_t *converted_bytes)
{
	size_t		size = bytes * MAX_CONVERSION_GROWTH + 1;
	char	   *converted;
	Oid			conversion;
	int			done;

	*converted_bytes = bytes;
	if (bytes == 0 || from == to || to == PG_SQL_ASCII)
		return unconstify(char *, text);
	if (from == PG_SQL_ASCII)
		return pg_verify_mbstr(to, text, bytes, true) ? unconstify(char *, text) : NULL;

	conversion = FindDefaultConversionProc(from, to);
	if (!OidIsValid(conversion))
		return NULL;

	converted = MemoryContextAllocHuge(CurrentMemoryContext, size);
	done = pg_do_encoding_conversion_buf(conversion, from, to,
										 (unsigned char *) unconstify(char *, text), bytes,
										 (unsigned char *) converted, Min(size, INT_MAX), true);
	if (done != (int) bytes)
	{
		sodium_memzero(converted, size);
		pfree(converted);
		return NULL;
	}
	*converted_bytes = strlen(converted);
	return converted;
}

/*
 * The same from the server's encoding to UTF-8, or an error that calls the text
 * by the name given.
 */
char *
encoding_to_utf8(const char *text, size_t bytes, const char *what, size_t *utf8_bytes)
{
	char	   *utf8 = encoding_convert(text, bytes, GetDatabaseEncoding(), PG_UTF8, utf8_bytes);

	if (utf8 == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("%s cannot be converted to UTF-8", what)));
	return utf8;
}

/*
 * Wipes and frees what was converted from text, unless it is text itself.
 */
void
encoding_free(char *converted, const char *text, size_t converted_bytes)
{
	if (converted == NULL || converted == text)
		return;
	sodium_memzero(converted, converted_bytes);
	pfree(converted);
}
