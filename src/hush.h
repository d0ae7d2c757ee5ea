/*-------------------------------------------------------------------------
 *
 * hush.h
 *	  Keeps secrets out of logs, statistics views and core files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef BURN_HUSH_H
#define BURN_HUSH_H

extern void hush_start(void);
extern void hush_secret(void);

#endif							/* BURN_HUSH_H */
