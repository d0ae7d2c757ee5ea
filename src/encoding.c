/*-------------------------------------------------------------------------
 *
 * encoding.c
 *	  Converting secret text between encodings.
 *
 * PostgreSQL's own conversions say in their error which bytes they could not
 * convert, and leave what they had converted behind.  These do neither.  What they
 * return may be the text that they were given, else it is a copy with a NUL behind it,
 * in the caller's memory context, to be wiped by the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <sodium.h>

#include "catalog/namespace.h"
#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "src/compat.h"
#include "src/encoding.h"

/*
 * Converts text, to *converted_bytes and a NUL.  Returns text itself where there
 * is nothing to convert, a copy in the caller's memory context where there is, and
 * NULL where it cannot be done.  Give what is returned to encoding_free().
 */
static char *
convert(const char *text, size_t bytes, int from, int to, size_t *converted_bytes)
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
	char	   *utf8 = convert(text, bytes, GetDatabaseEncoding(), PG_UTF8, utf8_bytes);

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

/*
 * Errors out, before anything is burned, where text in the server's encoding could not
 * be sent to the client.
 */
static void
try_client(const text *note)
{
	size_t		sent_bytes;
	char	   *sent = convert(VARDATA(note), VARSIZE(note) - VARHDRSZ, GetDatabaseEncoding(),
							   pg_get_client_encoding(), &sent_bytes);

	if (sent == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("burn note has characters that the client's encoding %s cannot show",
						pg_get_client_encoding_name()),
				 errdetail("The note is not burned."),
				 errhint("Set client_encoding to UTF8 and read it again.")));
	encoding_free(sent, VARDATA(note), sent_bytes);
}

/*
 * A note of UTF-8, one of the secrets, in the server's encoding, in which the client can
 * be sent it.  What is returned is one of the secrets, too.
 */
text *
encoding_to_server(Secrets *secrets, text *utf8)
{
	size_t		bytes;
	char	   *server = convert(VARDATA(utf8), VARSIZE(utf8) - VARHDRSZ, PG_UTF8,
								 GetDatabaseEncoding(), &bytes);
	text	   *note = utf8;

	if (server == NULL)
		elog(ERROR, "burn note cannot be converted back to the server's encoding");
	if (server != VARDATA(utf8))
	{
		note = cstring_to_text_with_len(server, bytes);
		encoding_free(server, VARDATA(utf8), bytes);
		secrets_add(secrets, note, VARSIZE(note));
	}
	try_client(note);
	return note;
}

/* aset.c's ALLOC_CHUNK_LIMIT: larger chunks are not kept when they are freed. */
#define CHUNK_BYTES_MAX 8192

/*
 * Wipes what was freed in an AllocSetContext, where no chunk was larger than
 * CHUNK_BYTES_MAX.  For each power of two it keeps a list of free chunks, from which the
 * next one of that size is taken.
 */
static void
wipe_freed(MemoryContext context)
{
	for (size_t size = 8; size <= CHUNK_BYTES_MAX; size *= 2)
		sodium_memzero(MemoryContextAlloc(context, size), size);
}

/*
 * UTF-8 in Unicode's normalization form C (UAX #15), in which a letter and its accent
 * are the same however they were typed.  At most NFC_BYTES_MAX bytes.
 */
char *
encoding_to_nfc(const char *utf8, size_t bytes, size_t *nfc_bytes)
{
	pg_wchar	points[NFC_BYTES_MAX + 1];
	char	   *nfc = unconstify(char *, utf8);

	Assert(bytes <= NFC_BYTES_MAX);
	*nfc_bytes = bytes;
	pg_encoding_mb2wchar_with_len(PG_UTF8, utf8, points, bytes);
	if (unicode_is_normalized_quickcheck(UNICODE_NFC, points) != UNICODE_NORM_QC_YES)
	{
		MemoryContext caller = CurrentMemoryContext;
		MemoryContext scratch = AllocSetContextCreate(caller, "burn_note text", ALLOCSET_DEFAULT_SIZES);
		pg_wchar   *composed;
		int			count = 0;

		/*
		 * It frees what it has decomposed: at most three code points for two
		 * bytes.
		 */
		StaticAssertStmt((NFC_BYTES_MAX * 3 / 2 + 1) * sizeof(pg_wchar) <= CHUNK_BYTES_MAX,
						 "wipe_freed() can wipe it");
		MemoryContextSwitchTo(scratch);
		composed = unicode_normalize(UNICODE_NFC, points);
		MemoryContextSwitchTo(caller);
		while (composed[count] != 0)
			count++;
		nfc = palloc(count * MAX_MULTIBYTE_CHAR_LEN + 1);
		*nfc_bytes = pg_encoding_wchar2mb_with_len(PG_UTF8, composed, nfc, count);

		sodium_memzero(composed, count * sizeof(pg_wchar));
		wipe_freed(scratch);
		MemoryContextDelete(scratch);
	}
	sodium_memzero(points, sizeof(points));
	return nfc;
}
