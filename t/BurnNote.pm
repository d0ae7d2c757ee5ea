#
# What more than one TAP test needs: a server with burn_note, and the questions that
# are asked of it. A "row" below is what psql -At prints of one.
#
package BurnNote;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use FindBin;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use Wire;

our @EXPORT = qw(
  NOTE FIRST_READER SECOND_READER
  burn_node no_fuse_missing available
  create burn status receipts rows
  burn_fails burned_in_vain reads_once
  kill_backend crash wait_until wait_until_it_accepts
);

use constant {
	NOTE => 'The safe: 17-38-05',
	FIRST_READER => '192.0.2.7',
	SECOND_READER => '198.51.100.9',
};

# Where a server does not start or stop, PostgreSQL's modules bail out: prove then runs no
# other file. One that cannot go on shall die alone.
{
	no warnings qw(prototype redefine);
	*PostgreSQL::Test::Cluster::BAIL_OUT = *PostgreSQL::Test::Utils::BAIL_OUT = sub { die "$_[0]\n" };
}

# Why there is no control build to test with; undef if there is one.
sub no_fuse_missing
{
	return defined $ENV{BURN_NO_FUSE_STAGE}
	  ? undef
	  : 'BURN_NO_FUSE_STAGE is not set: no control build (make test makes one)';
}

# A running server with the extension. no_fuse => 1 loads the control build, whose
# WARNING is kept from the clients; conf and init are for postgresql.conf and init().
sub burn_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	local $ENV{TEMP_CONFIG} = "$ENV{BURN_NO_FUSE_STAGE}/server.conf"
	  if $options{no_fuse};
	$node->init(extra => [ '--encoding=UTF8', '--no-locale' ], %{ $options{init} // {} });
	$node->append_conf('postgresql.conf', "autovacuum = off\nrestart_after_crash = on\n");
	$node->append_conf('postgresql.conf', 'client_min_messages = error')
	  if $options{no_fuse};
	$node->append_conf('postgresql.conf', $options{conf}) if defined $options{conf};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE');
	return $node;
}

# Can CREATE EXTENSION find it?
sub available
{
	my ($node, $extension) = @_;
	return $node->safe_psql('postgres',
		"SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = '$extension')") eq 't';
}

sub create
{
	my ($node, $note) = @_;
	$note //= NOTE;
	return $node->safe_psql('postgres', "SELECT burn_create('$note')");
}

# A second reader's burn_read(), NULL spelt out.
sub burn
{
	my ($node, $token) = @_;
	my $ip = SECOND_READER;
	return $node->safe_psql('postgres',
		"SELECT coalesce(burn_read('$token', '$ip'), 'NULL')");
}

sub status
{
	my ($node, $token) = @_;
	return $node->safe_psql('postgres',
		"SELECT state, closed_at, client_ip, encode(seal, 'hex') FROM burn_status('$token')");
}

# All receipts of the note: a row each, in the order of status().
sub receipts
{
	my ($node, $token) = @_;
	return $node->safe_psql('postgres', <<~SQL);
		SELECT CASE outcome WHEN 'r' THEN 'read' ELSE outcome::text END,
			closed_at, client_ip, encode(seal, 'hex')
		FROM burn_receipt WHERE id = burn_note_id('$token')
		SQL
}

# How many rows burn_note has for the note.
sub rows
{
	my ($node, $token) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM burn_note WHERE id = burn_note_id('$token')");
}

# burn_read() after the statements in $before gives this SQLSTATE and no note.
sub burn_fails
{
	my ($node, $token, $sqlstate, $before, $what) = @_;
	my ($ret, $stdout, $stderr) = $node->psql('postgres',
		"$before; SELECT burn_read('$token')",
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	is($ret, 3, "$what: an error");
	is($stdout, '', "$what: no note");
	like($stderr, qr/ERROR:  $sqlstate: /, "$what: SQLSTATE $sqlstate");
	unlike($stderr, qr/b[nr]1_|\Q${\NOTE}\E/, "$what: the error tells no secret");
	return;
}

# Is the note in the state of one that nobody has tried to read? Then this reads it.
sub reads_once
{
	my ($node, $token) = @_;
	is(status($node, $token), 'sealed|||', 'the note is sealed');
	is(rows($node, $token), 1, 'its row is there');
	is(receipts($node, $token), '', 'it has no receipt');
	is(burn($node, $token), NOTE, 'the next reader gets it');
	is(burn($node, $token), 'NULL', 'the one after does not');
	like(receipts($node, $token), qr/^read\|[^|\n]+\|${\SECOND_READER}\|\w{32}$/,
		'and its one receipt says so');
	return;
}

# The opposite: the note has burned, and nobody will get it.
sub burned_in_vain
{
	my ($node, $token) = @_;
	like(status($node, $token), qr/^read\|/, 'the note has burned');
	is(burn($node, $token), 'NULL', 'the next reader does not get it');
	return;
}

# Compiles t/NAME.c, for LD_PRELOAD, and returns the library's path
sub library
{
	my ($name) = @_;
	my $library = abs_path(PostgreSQL::Test::Utils::tempdir()) . "/$name.so";    # servers work elsewhere

	PostgreSQL::Test::Utils::system_log($ENV{CC} // 'cc', qw(-shared -fPIC -o), $library,
		"$FindBin::RealBin/$name.c", '-ldl') == 0
	  or die "$name.c does not compile";
	return $library;
}

# SIGKILL to a backend, and wait until the server has recovered from it.
sub kill_backend
{
	my ($node, $pid) = @_;
	my $witness = Wire->new($node);

	kill 'KILL', $pid;
	$witness->answer;    # which the crash takes along
	wait_until_it_accepts($node);
	return;
}

# Waits until the server accepts connections. (To poll it with a query is no way: a psql
# that it refuses may be gone before it is sent the query, of which IPC::Run dies.)
sub wait_until_it_accepts
{
	my ($node) = @_;

	wait_until(sub { IPC::Run::run([ 'pg_isready', '-h', $node->host, '-p', $node->port ], '>', \my $said) },
		'the server accepts connections');
	return;
}

sub wait_until
{
	my ($condition, $what) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $condition->();
		usleep(100_000);
	}
	die "never: $what";
}

# SIGKILL to the server, all of it, and start it again.
sub crash
{
	my ($node) = @_;
	my $postmaster = (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0];

	# who is stopped makes no more processes; some are not in pg_stat_activity
	kill 'STOP', $postmaster;
	my @pids = children($postmaster);
	$node->kill9;
	kill 'KILL', @pids;
	wait_until(sub { !kill 0, $postmaster, @pids }, 'all of the server is gone');
	$node->start;
	return;
}

# As /proc tells.
sub children
{
	my ($parent) = @_;
	my @children;

	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		open my $stat, '<', $file or next;    # gone
		push @children, $1 if (<$stat> // '') =~ /^(\d+) \(.*\) \w $parent /s;
	}
	return @children;
}

1;
