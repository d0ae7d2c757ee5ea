#
# Sealed, in logs and statistics views too. Each case runs a statement with a marker in
# it, in a way that would write the marker down, and then looks into every log (stderr,
# csv, json), pg_stat_activity, pg_stat_statements and its files. With burn_note.redact on
# the marker is nowhere; with it off, the control, it must be found.
#
# t/500_forensics.pl crosses call styles with log settings. Here is what has a process or
# a moment of its own.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use Wire qw(query execute parse bind_parameters run sync);

my $REDACTED = qr/redacted by burn_note: what was here may hold a note, a token or a passphrase/;
my $HIDDEN = '<hidden by burn_note>';

my $node = burn_node('redaction', conf => <<~'CONF');
	shared_preload_libraries = 'pg_stat_statements, auto_explain, burn_note'
	burn_note.databases = ''
	logging_collector = on
	log_destination = 'stderr, csvlog, jsonlog'
	log_directory = 'log'
	log_filename = 'server.log'
	log_line_prefix = '%p %e '
	log_statement = none
	log_min_messages = warning
	log_min_duration_statement = -1
	max_prepared_transactions = 2
	CONF
$node->safe_psql('postgres', <<~'SQL');
	CREATE EXTENSION pg_stat_statements;
	CREATE ROLE monitor LOGIN;
	GRANT pg_monitor TO monitor;
	CREATE FUNCTION wrapper(a text) RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		RETURN burn_create(a);
	END $$;
	CREATE FUNCTION outer_wrapper(a text) RETURNS text LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS 'SELECT wrapper($1)';
	CREATE FUNCTION sql_wrapper(a text) RETURNS text LANGUAGE sql VOLATILE SET search_path FROM CURRENT
		BEGIN ATOMIC SELECT burn_create(a); END;
	CREATE PROCEDURE procedure(a text) LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM burn_create(a);
	END $$;
	CREATE FUNCTION failing_wrapper(a text) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		pin int := a;
	BEGIN
		RETURN burn_create(pin::text);
	END $$;
	CREATE OPERATOR !@# (rightarg = text, function = failing_wrapper);
	CREATE OPERATOR ### (rightarg = text, function = burn_note_id);
	CREATE FUNCTION atomic_wrapper(a text) RETURNS uuid LANGUAGE sql VOLATILE SET search_path FROM CURRENT
		BEGIN ATOMIC SELECT ### a; END;
	CREATE TYPE sealed AS (token text);
	CREATE FUNCTION seal(a text) RETURNS sealed LANGUAGE plpgsql AS 'BEGIN RETURN row(burn_create(a)); END';
	CREATE CAST (text AS sealed) WITH FUNCTION seal(text);
	CREATE TABLE staging (note text);
	CREATE VIEW notes AS SELECT failing_wrapper(note) FROM staging;
	CREATE TABLE big WITH (parallel_workers = 2) AS SELECT n::text AS t FROM generate_series(1, 10000) AS n;
	CREATE FUNCTION compare_in_parallel(token text) RETURNS bigint LANGUAGE plpgsql
		SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 SET parallel_leader_participation = off AS $$
	DECLARE
		note text := burn_read(token);
	BEGIN
		RETURN (SELECT count(*) FROM big WHERE (t || note)::int = 0);
	END $$;
	SQL

# The paths of all logs of the server, of all three formats.
sub logs
{
	return glob($node->data_dir . '/log/server.*');
}

sub log_sizes
{
	return map { $_ => -s $_ } logs();
}

# Waits until the log's collector has written all that was logged until now.
my $settled = 0;
sub settle
{
	my $mark = 'settled ' . ++$settled . '.';

	$node->safe_psql('postgres', "SET client_min_messages = error; DO \$\$ BEGIN RAISE LOG '$mark'; END \$\$");
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if 3 == grep { slurp_file($_) =~ /\Q$mark\E/ } logs();
		usleep(100_000);
	}
	die 'the logs never settle';
}

# What the logs have gained since then, all formats in one.
sub logged_since
{
	my (%sizes) = @_;

	settle();
	return join '', map { slurp_file($_, $sizes{$_} // 0) } logs();
}

sub stderr_since
{
	my (%sizes) = @_;
	my $log = $node->data_dir . '/log/server.log';

	settle();
	return slurp_file($log, $sizes{$log} // 0);
}

sub statements_view
{
	return scalar $node->safe_psql('postgres', 'SELECT query FROM pg_stat_statements');
}

sub activity
{
	return scalar $node->safe_psql('postgres',
		'SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()',
		extra_params => [ '-U', 'monitor' ]);
}

sub set_redact
{
	my ($value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET burn_note.redact = $value");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('burn_note.redact') = '$value'")
	  or die 'no reload';
	return;
}

# The same statements with secrets bound on the server, each variable a parameter.
sub bound
{
	my ($sql, %variables) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/bound.pgbench';
	my $out;

	open my $script, '>', $file or die "$file: $!";
	print $script $sql;
	close $script;
	local $ENV{PGOPTIONS} = $variables{options};
	delete $variables{options};
	return IPC::Run::run([ 'pgbench', '-n', '-M', 'prepared', '-t', '1', '-h', $node->host, '-p', $node->port,
			'-f', $file, (map { ('-D', "$_=$variables{$_}") } keys %variables), 'postgres' ],
		'>', \$out, '2>', \$out);
}

# A background session, its pid, and a statement that runs in it until it is killed.
sub session
{
	my ($before) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe("$before; SELECT pg_backend_pid()");

	$pid =~ s/.*\n//s;
	return ($session, $pid);
}

# What others see of a session that was sent these, one after the other.
sub activity_after
{
	my @messages = @_;
	my $session = Wire->new($node);

	foreach my $message (@messages)
	{
		$session->send($message);
		my $answer = $session->answer;
		die $answer->{error} if defined $answer->{error};
	}
	return activity();
}

sub wait_for
{
	my ($sql) = @_;

	$node->poll_query_until('postgres', $sql) or die "never: $sql";
	return;
}

# ----------
# Cases. Each takes a marker and gives the places that a secret may show in.
# ----------

my %cases = (
	log_statement => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', "SET log_statement = 'all'; SELECT burn_create('$marker')");
		return ();
	},
	log_duration_in_full => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', "SET log_min_duration_statement = 0;\nSELECT burn_create('$marker')");
		return ();
	},
	bound_parameters => sub {
		my ($marker) = @_;
		bound("SELECT burn_create(:note) AS token \\gset\nSELECT burn_read(:token);\n",
			note => $marker, options => '-c log_statement=all -c log_min_duration_statement=0') or die;
		return ();
	},
	bound_parameters_of_a_wrapper => sub {
		my ($marker) = @_;

		bound("SELECT wrapper(:note);\n", note => $marker,
			options => '-c log_statement=all -c log_min_duration_statement=0') or die;
		return ();
	},
	cast_of_the_result => sub {
		my ($marker) = @_;
		my $token = create($node, $marker);
		my %sizes = log_sizes();
		my ($status, $stdout, $stderr) =
		  $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT burn_read('$token')::int");

		like($stderr, qr/ERROR:  22P02: invalid input syntax for type integer: "$marker"/,
			'the client gets its real error');
		like(stderr_since(%sizes), qr/^\d+ 22P02 ERROR:  /m, 'the log has its severity and SQLSTATE');
		unlike(logged_since(%sizes), qr/$token/, 'and not the token')
		  if $node->safe_psql('postgres', 'SHOW burn_note.redact') eq 'on';
		return ();
	},
	error_before_it_is_parsed => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT burn_create('$marker') FRMO nowhere WHERE");
		return ();
	},
	name_in_unicode_escapes => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', "SET log_statement = 'all';\nSELECT U&\"b\\0075rn\\+00005Fcreate\"('$marker')");
		return ();
	},
	name_in_escapes_by_a_letter => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			SET log_statement = 'all';
			SELECT U&"burnx005Fcreate" UESCAPE 'x' ('$marker');
			SELECT U&"buurn_create" UESCAPE 'u' ('$marker');
			SQL
		return ();
	},
	renamed_function => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			BEGIN;
			ALTER FUNCTION burn_create(text, interval, text) RENAME TO other_name;
			SET log_min_duration_statement = 0;
			SET debug_print_parse = on;
			SELECT other_name('$marker');
			ROLLBACK;
			SQL
		return ();
	},
	auto_explain_of_a_constant => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			SET auto_explain.log_min_duration = 0;
			SET auto_explain.log_verbose = on;
			SET auto_explain.log_nested_statements = on;
			DO \$\$ BEGIN PERFORM burn_create('$marker'); END \$\$;
			SQL
		return ();
	},
	debug_print_plan_of_bound_parameters => sub {
		my ($marker) = @_;
		bound("SELECT wrapper(:note), burn_create(:note) WHERE :note LIKE 'marker%';\n", note => $marker,
			options => '-c debug_print_plan=on') or die;
		return ('decimal');
	},
	execute_before_it_is_analyzed => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			PREPARE c AS SELECT burn_create(\$1);
			SET log_parser_stats = on;
			EXPLAIN EXECUTE c('$marker');
			SQL
		return ();
	},
	execute_behind_a_comment => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			PREPARE "a ""c" AS SELECT burn_create(\$1);
			SET log_parser_stats = on;
			EXECUTE/**/"a ""c"('$marker');
			EXECUTE U&"a ""c"('$marker');
			EXECUTE "a ""c"('$marker');
			EXECUTE -- why
				"a ""c"('$marker');
			EXECUTE /* an /* inner */ one */ "a ""c"('$marker');
			SQL
		return ();
	},
	execute_of_what_is_gone => sub {
		my ($marker) = @_;
		$node->psql('postgres', <<~SQL);
			PREPARE c AS SELECT burn_create(\$1);
			DISCARD ALL;
			EXECUTE c('$marker');
			SQL
		return ();
	},
	execute_of_what_is_gone_behind_others => sub {
		my ($marker) = @_;
		$node->psql('postgres', <<~SQL, on_error_stop => 0);
			PREPARE c AS SELECT burn_create(\$1);
			DISCARD ALL;
			/* request 1 */ EXECUTE c('$marker');
			EXPLAIN EXECUTE c /* why */ ('$marker');
			SET work_mem = '4MB'\\; EXECUTE "c" ('$marker');
			SQL
		return ();
	},
	execute_of_a_long_or_strange_name => sub {
		my ($marker) = @_;
		my $long = "\xc3\xa9" x 40;
		$node->psql('postgres', <<~SQL);
			PREPARE c\$x AS SELECT burn_create(\$1);
			PREPARE x$long AS SELECT burn_create(\$1);
			SET log_parser_stats = on;
			EXPLAIN EXECUTE c\$x('$marker');
			EXPLAIN EXECUTE x$long('$marker');
			SQL
		return ();
	},
	execute_without_the_function => sub {
		my ($marker) = @_;
		$node->psql('postgres', <<~SQL, on_error_stop => 0);
			PREPARE c AS SELECT wrapper(\$1);
			BEGIN;
			DROP FUNCTION wrapper;
			SAVEPOINT dropped;
			EXECUTE c('first');
			ROLLBACK TO dropped;
			EXECUTE c('$marker');
			SQL
		return ();
	},
	execute_with_another_search_path => sub {
		my ($marker) = @_;
		$node->psql('postgres', <<~SQL, on_error_stop => 0);
			PREPARE c AS SELECT wrapper(\$1);
			SET search_path = pg_catalog;
			EXECUTE c('first');
			EXECUTE c('$marker');
			SQL
		return ();
	},
	execute_of_what_a_block_prepared => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			DO \$\$ BEGIN EXECUTE 'PREPARE c AS SELECT wrapper(\$1)'; END \$\$;
			SET log_statement = 'all';
			EXECUTE c('$marker');
			SQL
		return ();
	},
	wrapper_in_later_messages => sub {
		my ($marker) = @_;
		activity_after(
			query(q{SET log_statement = 'all'}),
			query('SET log_min_duration_statement = 0'),
			execute('named', "SELECT wrapper('$marker')") . sync(),
			bind_parameters('named') . run() . sync());
		return ();
	},
	failing_wrapper_of_a_column => sub {
		my ($marker) = @_;
		my $query = 'SELECT failing_wrapper(note) FROM staging';
		my $session = Wire->new($node);

		$session->ask('TRUNCATE staging');
		$session->ask('INSERT INTO staging VALUES ($1)', $marker);
		foreach my $messages (
			[ execute('', $query) . sync() ],
			[ query("PREPARE c AS $query"), query('EXECUTE c') ],
			[ query('BEGIN'), query("DECLARE c CURSOR FOR $query"), query('FETCH c'), query('ROLLBACK') ],
			[ query('TABLE notes') ])
		{
			foreach my $message (@$messages)
			{
				$session->send($message);
				$session->answer;
			}
		}
		return ();
	},
	failing_wrapper_behind_an_operator => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT !@# '$marker'");
		return ();
	},
	error_in_planning_beside_an_operator => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT 1/0, !@# '$marker'");
		return ();
	},
	error_in_planning_beside_a_cast => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT 1/0, '$marker'::text::sealed");
		return ();
	},
	error_in_planning_beside_an_operator_in_a_body => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT 1/0, atomic_wrapper('$marker')");
		return ();
	},
	debug_print_parse_of_an_operator => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SET debug_print_parse = on;\nSELECT !@# '$marker'");
		return ();
	},
	parallel_worker => sub {
		my ($marker) = @_;
		my $token = create($node, $marker);
		$node->psql('postgres', "SELECT compare_in_parallel('$token')");
		return ();
	},
	auto_explain_of_a_cursor_that_is_closed_later => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			SET auto_explain.log_min_duration = 0;
			BEGIN;
			DECLARE c CURSOR FOR SELECT wrapper('$marker');
			FETCH c;
			CLOSE c;
			COMMIT;
			SQL
		return ();
	},
	fetch_of_a_sorted_read => sub {
		my ($marker) = @_;
		my $token = create($node, $marker);
		$node->psql('postgres', <<~SQL);
			BEGIN;
			DECLARE c CURSOR FOR SELECT r::int FROM (SELECT burn_read('$token') AS r ORDER BY 1 OFFSET 0) AS s;
			FETCH c;
			SQL
		return ();
	},
	verify_receipt => sub {
		my ($marker) = @_;
		my $token = create($node, $marker);
		burn($node, $token);
		$node->safe_psql('postgres', <<~SQL);
			SET auto_explain.log_min_duration = 0;
			SET auto_explain.log_nested_statements = on;
			SET log_statement = 'all';
			SELECT burn_verify_receipt('$token') /* $marker */;
			SQL
		return ();
	},
	pg_stat_statements_of_utilities => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', <<~SQL);
			SET pg_stat_statements.track = 'all';
			DO \$\$ BEGIN PERFORM burn_create('$marker'); END \$\$;
			COPY (SELECT burn_create('$marker')) TO '/dev/null';
			SQL
		return (statements_view());
	},
	bound_parameters_of_a_wrappers_wrapper => sub {
		my ($marker) = @_;

		# Nothing tells that it leads to a secret but its first call.
		bound("SELECT outer_wrapper(:nothing);\nSELECT set_config('log_statement', 'all', false);\nSELECT outer_wrapper(:note);\n",
			nothing => 'x', note => $marker) or die;
		return ();
	},
	error_before_a_wrapper_of_sql_runs => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT sql_wrapper('$marker' || (1 / length(''))::text)");
		return ();
	},
	error_before_a_wrapper_runs => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT wrapper('$marker' || (1 / length(''))::text)");
		return ();
	},
	pg_stat_statements_of_a_wrapper => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', "CALL procedure('$marker')");
		return (statements_view());
	},
	pg_stat_statements_of_a_comment => sub {
		my ($marker) = @_;
		$node->safe_psql('postgres', "SELECT pg_stat_statements_reset();\nSELECT burn_create('x') /* $marker */");
		return (statements_view());
	},
	activity_while_it_runs => sub {
		my ($marker) = @_;
		my ($session, $pid) = session('SELECT');
		$session->{stdin} .= "SELECT pg_sleep(600), burn_create('$marker');\n";
		$session->{run}->pump_nb;
		wait_for("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid");
		my $seen = activity();
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 180000)");
		$session->{run}->kill_kill;
		return ($seen);
	},
	activity_of_what_was_sent_behind_others => sub {
		my ($marker) = @_;
		my ($session, $pid) = session('SELECT');
		$session->{stdin} .= "SELECT pg_sleep(600)\\; SELECT burn_create('$marker');\n";
		$session->{run}->pump_nb;
		wait_for("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid");
		my $seen = activity();
		$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 180000)");
		$session->{run}->kill_kill;
		return ($seen);
	},
	activity_while_idle => sub {
		my ($marker) = @_;
		my ($session) = session('SELECT');
		$session->query_safe("SELECT wrapper('$marker')");
		my $seen = activity();
		$session->quit;
		return ($seen);
	},
	activity_of_a_result_in_parts => sub {
		my ($marker) = @_;
		return map {
			my $whole = activity_after(
				query('CREATE TEMP TABLE kept (token text)'),
				parse('', $_) . bind_parameters('') . run(1) . run(1) . sync());
			note($whole);
			$whole;
		} ("EXPLAIN (ANALYZE) SELECT burn_create('$marker')",
			"INSERT INTO kept VALUES (burn_create('$marker')), (burn_create('$marker')) RETURNING token",
			"WITH kept AS (INSERT INTO kept VALUES (burn_create('$marker')) RETURNING token) SELECT token FROM kept, generate_series(1, 3)");
	},
	parameters_of_a_result_in_parts => sub {
		my ($marker) = @_;
		activity_after(
			query('CREATE TEMP TABLE kept (token text)'),
			query('SET log_min_duration_statement = 0'),
			parse('', 'INSERT INTO kept SELECT burn_create($1) FROM generate_series(1, 3) RETURNING token')
			  . bind_parameters('', $marker) . run(1) . run(1) . sync());
		return ();
	},
	activity_of_a_call_that_was_planned_away => sub {
		my ($marker) = @_;
		my $named = bind_parameters('named') . run() . sync();
		return activity_after(
			parse('named', "SELECT 1 WHERE false AND burn_create('$marker') IS NULL") . $named, $named);
	},
	deadlock_of_another_session => sub {
		my ($marker) = @_;
		my %sizes = log_sizes();
		my ($session, $pid) = session("SET deadlock_timeout = '1h'; SELECT pg_advisory_lock(2)");
		my ($victim) = session("SET deadlock_timeout = '10ms'; SELECT pg_advisory_lock(1)");
		$session->{stdin} .= "SELECT burn_create('$marker'), pg_advisory_lock(1);\n";
		$session->{run}->pump_nb;
		wait_for("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid");
		$victim->query('SELECT pg_advisory_lock(2)');
		like(stderr_since(%sizes), qr/ 40P01 ERROR:  deadlock detected/, 'a deadlock is detected, by the other session');
		like(stderr_since(%sizes), qr/Process $pid: \Q$HIDDEN\E/, 'whose record is not redacted')
		  if $node->safe_psql('postgres', 'SHOW burn_note.redact') eq 'on';
		$_->quit foreach ($victim, $session);
		return ();
	},
	crash => sub {
		my ($marker) = @_;
		my %sizes = log_sizes();
		my $log = $node->data_dir . '/log/server.log';
		my ($session, $pid) = session('SELECT');
		$session->{stdin} .= "SELECT pg_sleep(600), burn_create('$marker');\n";
		$session->{run}->pump_nb;
		wait_for("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid");
		kill 'KILL', $pid;
		for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			last if slurp_file($log, $sizes{$log}) =~ /all server processes terminated/;
			usleep(100_000);
		}
		wait_until_it_accepts($node);
		$session->{run}->kill_kill;
		like(stderr_since(%sizes), qr/Failed process was running: \Q$HIDDEN\E/, 'the postmaster reports the crash')
		  if $node->safe_psql('postgres', 'SHOW burn_note.redact') eq 'on';
		return ();
	},
);

# Settings that a case makes with SET stay in its session; those who cannot SET need
# the marker's decimal form looked for.
sub decimal
{
	my ($text) = @_;
	return join ' ', unpack 'C*', $text;
}

# From 17 on pg_stat_statements keeps no constant of a CALL: there is no control.
delete $cases{pg_stat_statements_of_a_wrapper} if $node->pg_version >= 17;

my $count = 0;
foreach my $redact ('on', 'off')
{
	set_redact($redact);
	foreach my $name (sort keys %cases)
	{
		my $marker = sprintf 'marker%04d', ++$count;
		my %sizes = log_sizes();
		my @places = $cases{$name}->($marker);
		my $decimal = decimal($marker);
		my $found = grep { /$marker|\b$decimal\b/ } (@places, logged_since(%sizes));

		if ($redact eq 'on')
		{
			is($found, 0, "$name: nothing is written down");
		}
		else
		{
			isnt($found, 0, "$name: redaction off, the control, writes it down");
		}
	}
}

# ----------
# pg_stat_statements' files, across a restart
# ----------

sub statements_files
{
	return join '', map { slurp_file($_) }
	  grep { -f } glob($node->data_dir . '/pg_stat_tmp/pgss_query_texts.stat'), glob($node->data_dir . '/pg_stat/pg_stat_statements.stat');
}

foreach my $redact ('on', 'off')
{
	set_redact($redact);
	$node->safe_psql('postgres', <<~SQL);
		SELECT pg_stat_statements_reset();
		DO \$\$ BEGIN PERFORM burn_create('filed-$redact'); END \$\$;
		SELECT 'something' AS other;
		SQL
	my $running = statements_files();
	$node->stop('fast');
	my $stopped = statements_files();
	$node->start;
	like($stopped, qr/AS other/, "redact = $redact: the file has other statements");
	if ($redact eq 'on')
	{
		unlike($running . $stopped, qr/filed-$redact/, 'pg_stat_statements writes nothing to its files');
	}
	else
	{
		like($stopped, qr/filed-$redact/, 'redaction off, the control: it does');
	}
}

# ----------
# strict
# ----------

set_redact('on');
$node->safe_psql('postgres', <<~'SQL');
	CREATE ROLE strict LOGIN SUPERUSER;
	ALTER ROLE strict SET burn_note.redact = 'strict';
	CREATE ROLE lax LOGIN SUPERUSER;
	SQL
foreach my $role ('strict', 'lax')
{
	my %sizes = log_sizes();
	$node->safe_psql('postgres', <<~SQL, extra_params => [ '-U', $role ]);
		SET log_statement = 'all';
		SELECT wrapper('note-of-$role');
		CALL procedure('note-of-$role');
		SQL
	my $found = () = logged_since(%sizes) =~ /note-of-$role/g;
	if ($role eq 'strict')
	{
		is($found, 0, 'strict: wrappers with literals are not logged');
		like(stderr_since(%sizes), $REDACTED, 'strict: its records are there');
	}
	else
	{
		isnt($found, 0, 'else, the control, they are logged as they are sent');
	}
}
isnt($node->psql('postgres', q(SET burn_note.redact = 'off'), extra_params => [ '-U', 'monitor' ]), 0,
	'only a superuser turns redaction off');

# ----------
# A first look for burn_note's functions that fails
# ----------

{
	my $other = Wire->new($node);
	my $session = Wire->new($node);

	$other->ask('BEGIN');
	$other->ask('LOCK TABLE pg_depend');
	$session->ask(q(SET lock_timeout = '10ms'));
	ok(!eval { $session->ask(q(SELECT burn_status('x'))); 1 }, 'a session that may not read pg_depend does not learn');
	$other->ask('ROLLBACK');
	$session->ask('SET burn_note.require_parameters = on');
	ok(!eval { $session->ask(q(SELECT burn_create('literal'))); 1 }, 'it does so with the next statement');
	like($@, qr/42000/, 'which is refused');
}

# ----------
# Severity and SQLSTATE of each, in each format
# ----------

{
	my %sizes = log_sizes();
	$node->psql('postgres', q(SELECT burn_read('bad token')));
	$node->psql('postgres', q(SET statement_timeout = '1s'; SELECT burn_create('x'), pg_sleep(600)));
	my ($session, $pid) = session('SELECT');
	$session->{stdin} .= "SELECT burn_create('x'), pg_sleep(60);\n";
	$session->{run}->pump_nb;
	wait_for("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 180000)");
	$session->{run}->kill_kill;

	settle();
	my %log = map { $_ => slurp_file($_, $sizes{$_}) } logs();
	foreach my $record ([ 'ERROR', 'UB001' ], [ 'ERROR', '57014' ], [ 'FATAL', '57P01' ])
	{
		my ($severity, $sqlstate) = @$record;
		foreach my $log (keys %log)
		{
			my ($format) = $log =~ /\.(\w+)$/;
			my $expected = $format eq 'log' ? qr/^\d+ $sqlstate $severity:  $REDACTED$/m
			  : $format eq 'csv' ? qr/,$severity,$sqlstate,"$REDACTED",,,,,,,,,/
			  : qr/"error_severity":"$severity","state_code":"$sqlstate","message":"$REDACTED"/;
			like($log{$log}, $expected, "$format: $severity $sqlstate is redacted, and keeps both");
		}
	}
}

# What is logged of a session that has handled a secret, and goes on to others.
{
	my %sizes = log_sizes();
	my @others = (q(SELECT 'we execute -- nothing (at all)' AS myexecute),
		'GRANT EXECUTE /* (always) */ ON FUNCTION wrapper(text) TO monitor', 'SELECT 1 AS execute');
	$node->safe_psql('postgres', join(";\n", q(SELECT wrapper('x')), q(SET log_statement = 'all'), @others));
	my $log = stderr_since(%sizes);
	like($log, qr/LOG:  statement: \Q$_\E/, "not redacted: $_") foreach @others;
}

# What is logged of a session whose last statement was tainted, when nothing runs.
{
	my %sizes = log_sizes();
	$node->safe_psql('postgres', q(SELECT burn_create('x')), connstr => $node->connstr('postgres') . q( options='-c log_disconnections=on'));
	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		last if stderr_since(%sizes) =~ /LOG:/;
		usleep(100_000);
	}
	like(stderr_since(%sizes), qr/disconnection: session time/, 'the end of a session is no secret');
}

# ----------
# Loaded later than preloaded
# ----------

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
foreach my $load ([ 'session_preload_libraries', "-c session_preload_libraries=burn_note", '' ], [ 'LOAD', '', 'LOAD \'burn_note\';' ])
{
	my ($how, $options, $first) = @$load;
	my %sizes = log_sizes();
	$node->safe_psql('postgres', "$first\nSELECT burn_create('note-$how');\nSELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()",
		connstr => $node->connstr('postgres') . " options='$options -c log_statement=all -c log_min_duration_statement=0'");
	unlike(logged_since(%sizes), qr/note-$how/, "$how redacts from then on");
	like(stderr_since(%sizes), $REDACTED, "$how: its records are there");
}
{
	my %sizes = log_sizes();
	$node->psql('postgres', q(SELECT burn_create('note-first')::int), connstr => $node->connstr('postgres') . q( options='-c log_statement=all'));
	my $log = stderr_since(%sizes);
	like($log, qr/LOG:  statement: SELECT burn_create\('note-first'\)/, 'loaded by the first call, its statement was logged before');
	like($log, qr/ 22P02 ERROR:  $REDACTED/, 'and its error is redacted');
}

# ----------
# pgaudit
# ----------

SKIP:
{
	skip 'needs pgaudit', 4 unless available($node, 'pgaudit');
	$node->append_conf('postgresql.conf', <<~'CONF');
		shared_preload_libraries = 'pgaudit, burn_note'
		pgaudit.log = 'all'
		pgaudit.log_parameter = on
		CONF
	$node->restart;
	foreach my $redact ('on', 'off')
	{
		set_redact($redact);
		my %sizes = log_sizes();
		$node->safe_psql('postgres', "SELECT burn_create('audited'); DO \$\$ BEGIN PERFORM burn_create('audited'); END \$\$; SELECT 'other'");
		bound("SELECT burn_create(:note);\n", note => 'audited') or die;
		my $log = logged_since(%sizes);
		if ($redact eq 'on')
		{
			unlike($log, qr/audited/, 'pgaudit writes nothing of it');
			like($log, qr/AUDIT: SESSION,\d+,\d+,READ,SELECT,.*SELECT 'other'/, 'and others as before');
		}
		else
		{
			my $found = () = $log =~ /audited/g;
			cmp_ok($found, '>=', 3, 'redaction off, the control: it writes all three');
		}
	}
}

done_testing();
