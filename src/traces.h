/*-------------------------------------------------------------------------
 *
 * traces.h
 *	  Whether a text names burn_note's functions or shows a token.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_TRACES_H
#define BURN_TRACES_H

extern bool traces_identifier_char(char c);
extern bool traces_in(const char *text);

#endif							/* BURN_TRACES_H */
