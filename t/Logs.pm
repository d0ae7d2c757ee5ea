#
# A server that logs in all three formats, and what it has logged.
#
package Logs;

use strict;
use warnings;

use BurnNote;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Wire qw(query);

our @EXPORT = qw(logging_node set_redact logged waiting terminate crash_while);

my $settled = 0;

# A running server with the extension; conf is for postgresql.conf.
sub logging_node
{
	my ($name, $conf) = @_;

	return burn_node($name, conf => <<~CONF);
		shared_preload_libraries = 'burn_note'
		burn_note.databases = ''
		logging_collector = on
		log_destination = 'stderr, csvlog, jsonlog'
		log_directory = 'log'
		log_filename = 'server.log'
		log_line_prefix = '%p %e '
		log_statement = none
		log_min_messages = warning
		log_min_duration_statement = -1
		$conf
		CONF
}

sub set_redact
{
	my ($node, $value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET burn_note.redact = $value");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('burn_note.redact') = '$value'")
	  or die 'no reload';
	return;
}

# What the logs gain while this runs, by format: log, csv and json. A record that another
# process may write later is awaited.
sub logged
{
	my ($node, $run, $awaited) = @_;
	my $log = $node->data_dir . '/log/server';
	my $mark = 'settled ' . ++$settled . '.';
	my %begin = map { $_ => -s "$log.$_" } qw(log csv json);
	my %logged;

	$run->();
	wait_until(sub { slurp_file("$log.log", $begin{log}) =~ $awaited }, "the log has $awaited") if defined $awaited;

	# their collector has written all when it has written this
	$node->safe_psql('postgres', "SET client_min_messages = error; SET burn_note.redact = off; DO \$\$ BEGIN RAISE LOG '$mark'; END \$\$");
	wait_until(
		sub {
			%logged = map { $_ => slurp_file("$log.$_", $begin{$_}) } keys %begin;
			return 3 == grep { /\Q$mark\E/ } values %logged;
		},
		'the logs settle');
	return %logged;
}

# A session that runs this, and now waits for that event. Before may set it up.
sub waiting
{
	my ($node, $event, $sql, @before) = @_;
	my $session = Wire->new($node);

	$session->ask($_) foreach @before;
	$session->send(query($sql));
	$node->poll_query_until('postgres', "SELECT wait_event = '$event' FROM pg_stat_activity WHERE pid = $session->{pid}")
	  or die "it never waits for $event: $sql";
	return $session;
}

sub terminate
{
	my ($node, $session) = @_;

	$node->safe_psql('postgres', "SELECT pg_terminate_backend($session->{pid}, 180000)");
	return;
}

# Kills a session while it runs this, which sleeps.
sub crash_while
{
	my ($node, $sql) = @_;
	my $session = waiting($node, 'PgSleep', $sql);

	kill_backend($node, $session->{pid});
	return;
}

1;
