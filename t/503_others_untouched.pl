#
# A server that never calls burn_note logs what it logged before: the same workload,
# with all that logs turned on, on a server without the library and on one that has it
# preloaded, writes the same stderr, csv and json logs, byte for byte once times, process
# ids and what depends on them are masked. Names that look like ours are in it.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $workload = <<~'SQL';
	SET client_min_messages = debug1;
	CREATE TABLE t (id integer PRIMARY KEY, burn_rate integer, burn_created_at timestamptz, CHECK (burn_rate < 100));
	INSERT INTO t SELECT i, i FROM generate_series(1, 10) AS i;
	INSERT INTO t VALUES (1, 2);
	INSERT INTO t VALUES (11, 200);
	SELECT burn_rate, 'bn1_short', U&"burn\005Frate" FROM t WHERE id = 1;
	SELECT 'secret'::int;
	SELEC 1;
	SELECT 1; SELECT 2\; SELECT 3;
	PREPARE p(integer) AS SELECT * FROM t WHERE id = $1;
	EXECUTE p(3);
	EXPLAIN EXECUTE p(4);
	EXECUTE missing(3);
	DO $$ BEGIN EXECUTE 'SELECT ' || 1; RAISE WARNING 'told %', 1 USING DETAIL = 'a detail', HINT = 'a hint'; END $$;
	CREATE FUNCTION f(a integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / a; END $$;
	SELECT f(1);
	SELECT f(0);
	CREATE FUNCTION my_burn_rate(a integer) RETURNS integer LANGUAGE sql AS 'SELECT a + burn_rate FROM t WHERE id = 1';
	SELECT my_burn_rate(1);
	CREATE PROCEDURE proc(a integer) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (a); COMMIT; END $$;
	CALL proc(20);
	BEGIN;
	DECLARE c CURSOR FOR SELECT * FROM t;
	FETCH 2 FROM c;
	SAVEPOINT s;
	SELECT 1 / 0;
	ROLLBACK TO s;
	COMMIT;
	COPY (SELECT * FROM t ORDER BY id) TO STDOUT;
	CREATE VIEW v AS SELECT burn_rate FROM t;
	SELECT count(*) FROM v;
	CREATE TABLE ctas AS EXECUTE p(1);
	SET statement_timeout = '1s';
	SELECT pg_sleep(600);
	RESET statement_timeout;
	SELECT pg_log_backend_memory_contexts(-1);
	SELECT pg_terminate_backend(pg_backend_pid());
	SQL

my $bound = <<~'SQL';
	SELECT * FROM t WHERE id = :id;
	SELECT f(:id) + my_burn_rate(:id);
	UPDATE t SET burn_rate = :id WHERE id = :id;
	SQL

# Times, pids and sizes of memory differ from run to run.
sub mask
{
	my ($log) = @_;

	$log =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \w+/TIME/g;
	$log =~ s/duration: [\d.]+ ms/duration: MS/g;
	$log =~ s/session time: [\d:.]+/session time: MS/g;
	$log =~ s/"pid":\d+/"pid":PID/g;
	$log =~ s/\b[0-9a-f]{8}\.[0-9a-f]+\b/SESSION/g;
	$log =~ s/PID \d+/PID/g;
	$log =~ s/^\d+ /PID /gm;
	$log =~ s/^TIME,((?:"\w*")?),((?:"\w*")?),\d+,/TIME,$1,$2,PID,/gm;
	$log =~ s{\b\d+/\d+\b}{VXID}g;
	$log =~ s/host=\[local\]( port=\S+)?/HOST/g;
	$log =~ s/(actual time|rows|loops|cost)=[\d.]+/$1=N/g;
	$log =~ s/(Planning|Execution) Time: [\d.]+/$1 Time: MS/g;
	$log =~ s/"query_id":-?\d+/"query_id":Q/g;
	return $log;
}

# What the server logs of the workload, by format. (There is no sweeper: a process more
# is reported as such.)
sub logs_of
{
	my ($name, $libraries, $more) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
	$node->append_conf('postgresql.conf', <<~CONF);
		shared_preload_libraries = '$libraries'
		logging_collector = on
		log_destination = 'stderr, csvlog, jsonlog'
		log_directory = 'log'
		log_filename = 'server.log'
		log_line_prefix = '%p %e %b %i %Q '
		autovacuum = off
		max_worker_processes = 0
		max_connections = 10
		log_min_messages = warning
		log_error_verbosity = verbose
		log_checkpoints = off
		log_statement = all
		log_connections = off
		log_disconnections = off
		log_min_duration_statement = 0
		log_parameter_max_length_on_error = -1
		log_lock_waits = on
		log_temp_files = 0
		auto_explain.log_min_duration = 0
		auto_explain.log_analyze = on
		auto_explain.log_timing = off
		auto_explain.log_nested_statements = on
		CONF
	$node->append_conf('postgresql.conf', $more) if defined $more;
	$node->start;

	my $log = $node->data_dir . '/log/server';
	my %begin;
	foreach my $format ('log', 'csv', 'json')
	{
		# the last record of its start; its collector may be behind
		wait_until(sub { slurp_file("$log.$format") =~ /ready to accept connections/ }, "$format has the start");
		$begin{$format} = -s "$log.$format";
	}

	$node->psql('postgres', $workload, on_error_stop => 0);
	my $file = PostgreSQL::Test::Utils::tempdir() . '/bound.pgbench';
	append_to_file($file, $bound) unless -e $file;
	command_ok([ 'pgbench', '-n', '-M', $_, '-t', '1', '-h', $node->host, '-p', $node->port, '-D', 'id=3', '-f', $file, 'postgres' ],
		"$name: $_ protocol")
	  foreach ('extended', 'prepared');
	$node->stop('smart');    # who is told to go would be in the log, if not gone yet
	return map { $_ => mask(slurp_file("$log.$_", $begin{$_})) } keys %begin;
}

sub first_difference
{
	my @left = split /\n/, $_[0];
	my @right = split /\n/, $_[1];

	while (@left && @right && $left[0] eq $right[0])
	{
		shift @left;
		shift @right;
	}
	return "without: $left[0]\nwith:    $right[0]";
}

my %without = logs_of('without', 'pg_stat_statements, auto_explain');
my %with = logs_of('with', 'pg_stat_statements, auto_explain, burn_note');
my %quiet = logs_of('quiet', 'pg_stat_statements, auto_explain, burn_note', "burn_note.redact = 'quiet'");

foreach my $format (sort keys %without)
{
	my $lines = () = $without{$format} =~ /\n/g;

	cmp_ok($lines, '>', 100, "$format: there is something to compare");
	ok($with{$format} eq $without{$format}, "$format: others_are_logged_byte_for_byte")
	  or diag(first_difference($without{$format}, $with{$format}));
	ok($quiet{$format} ne $without{$format}, "$format: quiet, the control, differs");
}
like($without{log}, qr/statement: SELECT burn_rate/, 'names like ours are in it');

done_testing();
