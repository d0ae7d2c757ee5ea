/*-------------------------------------------------------------------------
 *
 * encoding.h
 *	  Converting secret text between encodings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_ENCODING_H
#define BURN_ENCODING_H

#include "src/secret.h"

/* What encoding_to_nfc() takes. */
#define NFC_BYTES_MAX	1024

extern char *encoding_to_utf8(const char *text, size_t bytes, const char *what,
							  size_t *utf8_bytes);
extern text *encoding_to_server(Secrets *secrets, text *utf8);
extern char *encoding_to_nfc(const char *utf8, size_t bytes, size_t *nfc_bytes);
extern void encoding_free(char *converted, const char *text, size_t converted_bytes);

#endif							/* BURN_ENCODING_H */
