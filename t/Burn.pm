# What the tests with numbers from 100 on share.
#
# A node of new_node() has the extension of $BURN_STAGE, or, where none is given (make
# installcheck), the installed one. Nodes of a control build come from control_node().

package Burn;

use strict;
use warnings;

use BurnNote ();
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(new_node control_node create sqlstate answer_of);

# An initialized node that is not started. init's parameters may follow the name.
sub new_node
{
	my ($name, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ], %init);

	# what Cluster sets for streaming is too small for us, and it logs every statement
	$node->append_conf('postgresql.conf', <<~'CONF');
		log_statement = none
		max_connections = 40
		autovacuum = off
		CONF
	return $node;
}

# The same with the library of a control build, or undef where there is none: call it
# in a SKIP block. stage is the environment variable that names it.
sub control_node
{
	my ($name, $stage, %init) = @_;

	return undef unless defined $ENV{$stage};
	local $ENV{TEMP_CONFIG} = "$ENV{$stage}/server.conf";
	return new_node($name, %init);
}

# The token of a fresh note. note is an SQL expression.
sub create
{
	my ($node, $note, $database) = @_;

	return $node->safe_psql($database // 'postgres', "SELECT burn_create($note)");
}

# The SQLSTATE of the first error, '' if there was none. Options: database, role,
# encoding (the client's).
sub sqlstate
{
	my ($node, $sql, %option) = @_;
	my ($stderr) = (run_sql($node,
			"\\set VERBOSITY sqlstate\nSET client_min_messages = error;\n$sql", %option))[2];

	return $stderr =~ /(?:ERROR|FATAL):\s+([0-9A-Z]{5})/ ? $1 : $stderr;
}

# What psql prints, NULL shown as NULL; dies of an error. The same options.
sub answer_of
{
	my ($node, $sql, %option) = @_;
	my ($status, $stdout, $stderr) = run_sql($node, "\\pset null NULL\n$sql", %option);

	die "psql: $stderr" if $status != 0;
	return $stdout;
}

sub run_sql
{
	my ($node, $sql, %option) = @_;
	my $connstr = $node->connstr($option{database} // 'postgres');

	$connstr .= " user=$option{role}" if defined $option{role};
	local $ENV{PGCLIENTENCODING} = $option{encoding} // 'UTF8';
	return $node->psql('postgres', $sql, connstr => $connstr);
}

1;
