/*-------------------------------------------------------------------------
 *
 * hash_gate.c
 *	  Makes a server's passphrase hashes wait for a test, or fail.
 *
 * HashGate.pm compiles this and preloads it into a server.  Its functions stand
 * before libsodium's and libc's of the same name.  In the directory that
 * $HASH_GATE names, for the process PID,
 *
 *	  hold.PID	makes its hash wait while the file is there: at its end, with all
 *				of its memory in hand
 *	  hold.all	the same for every process
 *	  held.PID	is there while the hash waits
 *	  fail.PID	makes its hash fail after that, as for want of memory
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What Argon2id takes, for which it asks in one piece. */
#define HASH_MEMORY		(64 * 1024 * 1024)
#define LOOK_AGAIN_US	1000

typedef int (*Hash) (unsigned char *out, unsigned long long out_bytes,
					 const char *passphrase, unsigned long long passphrase_bytes,
					 const unsigned char *salt, unsigned long long passes,
					 size_t memory, int algorithm);

static int	hashing;

static void
make_path(char *path, const char *name)
{
	const char *dir = getenv("HASH_GATE");

	if (dir == NULL || snprintf(path, PATH_MAX, "%s/%s.%d", dir, name, (int) getpid()) >= PATH_MAX)
		abort();
}

static int
is_held(void)
{
	char		path[PATH_MAX];

	make_path(path, "hold");
	if (access(path, F_OK) == 0)
		return 1;
	strcpy(strrchr(path, '.'), ".all");
	return access(path, F_OK) == 0;
}

static void
wait_while_held(void)
{
	char		held[PATH_MAX];
	int			announced;

	if (!is_held())
		return;

	make_path(held, "held");
	announced = open(held, O_CREAT | O_WRONLY, 0600);
	if (announced < 0)
		abort();
	close(announced);
	while (is_held())
		usleep(LOOK_AGAIN_US);
	unlink(held);
}

int
crypto_pwhash_argon2id(unsigned char *out, unsigned long long out_bytes,
					   const char *passphrase, unsigned long long passphrase_bytes,
					   const unsigned char *salt, unsigned long long passes,
					   size_t memory, int algorithm)
{
	Hash		hash = (Hash) dlsym(RTLD_NEXT, "crypto_pwhash_argon2id");
	char		fail[PATH_MAX];
	int			result;

	if (hash == NULL)
		abort();
	hashing = 1;
	result = hash(out, out_bytes, passphrase, passphrase_bytes, salt, passes, memory, algorithm);
	hashing = 0;

	make_path(fail, "fail");
	if (access(fail, F_OK) == 0)
	{
		memset(out, 0, out_bytes);
		errno = ENOMEM;
		result = -1;
	}
	return result;
}

int
munmap(void *address, size_t length)
{
	if (hashing && length >= HASH_MEMORY)
		wait_while_held();
	return syscall(SYS_munmap, address, length);
}
