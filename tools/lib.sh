# shellcheck shell=bash
#
# Sourced by tools/demo, tools/test and tools/web: builds burn_note and runs servers in a
# scratch directory. Promises: the source tree is not written to, nothing is installed
# into the system's PostgreSQL, none listens on a network address but the loopback's,
# nothing runs as root but apt, pip and what `tools/test site` locks into namespaces of its
# own, and servers and scratch directory are gone at the end, also after a failure or Ctrl-C.
#
set -eu

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The caller's server settings and make's own are not for the programs we start
for variable in "${!PG@}" MAKEFLAGS MAKELEVEL MFLAGS DESTDIR; do
	[ "$variable" = PG_CONFIG ] || unset "$variable"
done

# use_postgres demo|bench|bench-web|test|web: installs what is missing, and sets PG_CONFIG and $bindir
use_postgres() {
	PG_CONFIG=$("$top/tools/deps" "$1")
	export PG_CONFIG
	"$PG_CONFIG" --version >/dev/null || {
		echo "PG_CONFIG=$PG_CONFIG does not run" >&2
		exit 1
	}
	bindir=$("$PG_CONFIG" --bindir)
	scratch=$(mktemp -d /tmp/burn_note.XXXXXX)
	trap cleanup EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	mkdir "$scratch/tmp"
	export HOME=$scratch TMPDIR=$scratch/tmp LANG=C.UTF-8 LC_ALL=C.UTF-8
	give "$scratch"
}

# What runs in the background and ends when it is told to
children=()

# Stops those, then every server under the scratch directory, TAP tests' too, and removes
# that directory
cleanup() {
	local status=$? pid
	trap '' HUP INT TERM
	for pid in "${children[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" || true
	done
	find "$scratch" -name postmaster.pid | while read -r pid; do
		unprivileged "$bindir/pg_ctl" -D "${pid%/*}" -m immediate stop >/dev/null 2>&1 || true
	done
	if [ "$status" != 0 ] && [ -n "${KEEP:-}" ]; then
		mkdir -p "$KEEP"
		mv "$scratch" "$KEEP" && echo "kept: $KEEP/${scratch##*/}" >&2
	else
		rm -rf "$scratch"
	fi
}

# unprivileged COMMAND ARGUMENT...: PostgreSQL's programs refuse to run as root, and
# want a working directory that they can read
unprivileged() {
	(become "$@")
}

# The same in place of this shell
become() {
	if [ "$(id -u)" = 0 ]; then
		set -- setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
	fi
	exec env --chdir="$scratch" "$@"
}

# give PATH...: to that user
give() {
	[ "$(id -u)" != 0 ] || chown -R postgres: "$@"
}

# copy_sources DIR: everything but what git ignores
copy_sources() {
	mkdir "$1"
	tar -C "$top" --exclude-vcs-ignores --exclude=.git -cf - . | tar -C "$1" --no-same-owner -xf -
	give "$1"
}

# compile DIR ARGUMENT...: make, without the bitcode that only JIT inlining would use
compile() {
	local dir=$1
	shift
	unprivileged make -s -j2 -C "$dir" with_llvm=no "$@"
}

# stage_settings STAGE: writes STAGE/server.conf, with which a server finds the
# extension that `make DESTDIR=STAGE install` put there. The one place that knows how
# the majors differ. (extension_destdir is Debian's.)
stage_settings() {
	local stage=$1 version
	version=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	{
		echo "dynamic_library_path = '$stage$("$PG_CONFIG" --pkglibdir):\$libdir'"
		if [ "$version" -ge 18 ]; then
			echo "extension_control_path = '$stage$("$PG_CONFIG" --sharedir):\$system'"
		else
			echo "extension_destdir = '$stage'"
		fi
	} | unprivileged tee "$stage/server.conf" >/dev/null
}

# start_server STAGE SETTING...: a server on a Unix socket in the scratch directory,
# with the extension of that stage; client programs find it through PGHOST. It takes the
# place of one that was started before.
start_server() {
	local data=$scratch/data stage=$1
	shift
	if [ -e "$data" ]; then
		unprivileged "$bindir/pg_ctl" -D "$data" -m immediate stop >/dev/null
		rm -rf "$data"
	fi
	unprivileged "$bindir/initdb" -D "$data" --no-sync --auth=trust --encoding=UTF8 \
		--locale=C.UTF-8 >"$scratch/initdb.log" 2>&1 || {
		cat "$scratch/initdb.log" >&2
		return 1
	}
	printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$scratch'" "$@" |
		cat - "$stage/server.conf" |
		unprivileged tee -a "$data/postgresql.conf" >/dev/null
	unprivileged "$bindir/pg_ctl" -D "$data" -l "$data/server.log" -w start >/dev/null || {
		cat "$data/server.log" >&2
		return 1
	}
	export PGHOST=$scratch PGDATABASE=postgres
}
