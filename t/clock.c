/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  Puts a server's clock ahead.
 *
 * A test compiles this and preloads it into a server, whose clock is then so many
 * seconds ahead as the file says that $CLOCK_AHEAD names.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

static long
seconds_ahead(void)
{
	int			caller_errno = errno;
	FILE	   *file = fopen(getenv("CLOCK_AHEAD"), "r");
	long		seconds;

	if (file == NULL || fscanf(file, "%ld", &seconds) != 1)
		abort();
	fclose(file);
	errno = caller_errno;
	return seconds;
}

int
gettimeofday(struct timeval *restrict time, void *restrict zone)
{
	static int	(*libc) (struct timeval *restrict, void *restrict);
	int			result;

	if (libc == NULL)
		*(void **) &libc = dlsym(RTLD_NEXT, "gettimeofday");
	result = libc(time, zone);
	time->tv_sec += seconds_ahead();
	return result;
}
