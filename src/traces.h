/*-------------------------------------------------------------------------
 *
 * traces.h
 *	  What a text tells, and its shape without its values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_TRACES_H
#define BURN_TRACES_H

#include <stdbool.h>
#include <stddef.h>

extern bool traces_in(const char *text);
extern bool traces_blank(char *out, size_t size, const char *text);

#endif							/* BURN_TRACES_H */
