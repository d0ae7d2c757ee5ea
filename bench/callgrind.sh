# Counting what a backend executes: sourced by bench/run and bench/calls, after tools/lib.sh.
# Their server logs disconnections with log_line_prefix = '%p %a '.
# shellcheck shell=bash

# under_callgrind APPLICATION LIBRARIES COMMAND ARGUMENT...: runs that command while the
# server, stopped before and afterwards, runs under callgrind with these libraries preloaded
# and nothing swept. Leaves in $profiles callgrind's file of each backend that served
# APPLICATION. (Others, pg_isready's and those that wake up by the clock, would add what is no
# note's cost.) valgrind takes further options from VALGRIND_OPTS.
under_callgrind() {
	local application=$1 libraries=$2 out server
	shift 2
	out=$(unprivileged mktemp -d -p "$scratch/tmp")
	unprivileged valgrind -q --tool=callgrind --trace-children=yes \
		--callgrind-out-file="$out/%p" "$bindir/postgres" -D "$scratch/data" \
		-c shared_preload_libraries="$libraries" -c burn_note.databases= \
		>"$scratch/valgrind.log" 2>&1 &
	server=$!
	until unprivileged "$bindir/pg_isready" -q; do
		kill -0 "$server"
		sleep 0.2
	done
	"$@"
	unprivileged "$bindir/pg_ctl" -D "$scratch/data" -w -t 120 stop >/dev/null
	wait "$server"
	mapfile -t profiles < <(sed -n "s|^\([0-9]*\) $application .* disconnection: .*|$out/\1|p" "$scratch/valgrind.log")
}
