/*-------------------------------------------------------------------------
 *
 * literals.h
 *	  Refusing literals where secrets belong.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_LITERALS_H
#define BURN_LITERALS_H

#include "nodes/parsenodes.h"

extern void literals_refuse(const Query *query);
extern void literals_refuse_executed(Node *statement, const char *text);

#endif							/* BURN_LITERALS_H */
