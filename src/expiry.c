/*-------------------------------------------------------------------------
 *
 * expiry.c
 *	  When a note expires.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "src/expiry.h"
#include "src/settings.h"

/*
 * When a note that is created now expires, in milliseconds since the Unix
 * epoch.  expires_in is NULL for the default.
 */
uint64
expiry_after(TimestampTz now, const Interval *expires_in)
{
	const double month = (double) DAYS_PER_MONTH * USECS_PER_DAY;
	double		estimate = burn_default_ttl * (double) USECS_PER_SEC;
	TimestampTz expires;

	/* A rough check first: the exact sum overflows for the likes of infinity. */
	if (expires_in != NULL)
		estimate = expires_in->month * month +
			expires_in->day * (double) USECS_PER_DAY + expires_in->time;
	if (estimate > 2.0 * burn_max_ttl * USECS_PER_SEC + month)
		expires = DT_NOEND;
	else if (estimate < -month)
		expires = now;
	else if (expires_in == NULL)
		expires = now + burn_default_ttl * USECS_PER_SEC;
	else
		expires = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														  TimestampTzGetDatum(now),
														  PointerGetDatum(expires_in)));

	if (expires <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("expires_in must be greater than zero")));
	if (expires - now > burn_max_ttl * USECS_PER_SEC)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a burn note cannot live longer than %s",
						GetConfigOptionByName("burn_note.max_ttl", NULL, false)),
				 expires_in != NULL ?
				 errhint("The limit is the setting burn_note.max_ttl.") :
				 errhint("burn_note.default_ttl is above the limit, the setting burn_note.max_ttl.")));
	return unix_milliseconds(expires - 1) + 1;
}
