#
# A gate at the end of a server's passphrase hashes (see hash_gate.c), so that a test need
# not guess when a backend hashes: it tells the backend's hash to wait there, and waits for
# it to come.
#
package HashGate;

use strict;
use warnings;

use Cwd qw(abs_path);
use BurnNote ();
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

our @EXPORT = qw(start_with_gate hold wait_until_held release let_fail let_succeed);

my $dir = abs_path(PostgreSQL::Test::Utils::tempdir());    # the server has another working directory
my $library;

# Starts the node, with the gate before its hashes.
sub start_with_gate
{
	my ($node) = @_;

	$library //= BurnNote::library('hash_gate');
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{HASH_GATE} = $dir;
	$node->start;
	return;
}

# From now on this backend's hashes wait.
sub hold
{
	my ($pid) = @_;
	unlink "$dir/held.$pid";    # of a process that was killed and had this id
	append_to_file("$dir/hold.$pid", '');
	return;
}

# Waits until one does.
sub wait_until_held
{
	my ($pid) = @_;

	for (1 .. 100 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if -e "$dir/held.$pid";
		usleep(10_000);
	}
	die "backend $pid does not hash";
}

# Lets them go on.
sub release
{
	unlink map { "$dir/hold.$_" } @_;
	return;
}

# Whether this backend's hashes fail as if there were not the memory.
sub let_fail
{
	my ($pid) = @_;
	append_to_file("$dir/fail.$pid", '');
	return;
}

sub let_succeed
{
	my ($pid) = @_;
	unlink "$dir/fail.$pid";
	return;
}

1;
