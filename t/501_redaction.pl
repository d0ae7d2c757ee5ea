#
# Sealed, in logs and statistics views too. Each case runs a statement with a marker in
# it, in a way that would write the marker down, and then looks into every log (stderr,
# csv, json), pg_stat_activity, pg_stat_statements and its files. With burn_note.redact off,
# the control, the marker must be found. With it on the marker is nowhere, but in the cases
# that are listed as open, with the reason; and with quiet in none of them.
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
use Wire qw(query execute parse bind_parameters run flush sync call_function);

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

	$node->safe_psql('postgres', "SET client_min_messages = error; SET burn_note.redact = off; DO \$\$ BEGIN RAISE LOG '$mark'; END \$\$");
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

sub redacts
{
	return $node->safe_psql('postgres', 'SHOW burn_note.redact') ne 'off';
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

# Kills a session while it runs this, which sleeps, and returns its pid.
sub crash_while
{
	my ($sql) = @_;
	my $witness = Wire->new($node);
	my ($session, $pid) = session('SELECT');

	$session->{stdin} .= "$sql;\n";
	$session->{run}->pump_nb;
	wait_for("SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid");
	kill 'KILL', $pid;
	$witness->answer;    # which the crash takes along
	wait_until_it_accepts($node);
	$session->{run}->kill_kill;
	return $pid;
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
		if (redacts())
		{
			unlike(logged_since(%sizes), qr/$token/, 'and not the token');
			like(stderr_since(%sizes), qr/ERROR:  invalid input syntax for type %s: "%s"\n.* STATEMENT:  SELECT burn_read\('\?'\)::int;?$/m,
				'but the shapes of its message and statement');
		}
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
		my %sizes = log_sizes();
		$node->psql('postgres', "SELECT compare_in_parallel('$token')");
		my $log = logged_since(%sizes);
		like($log, qr/"parallel worker"/, 'a parallel worker reports the error');
		like($log, qr/ERROR:  invalid input syntax for type %s: "%s"/, 'in its shape') if redacts();
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
		like($seen, qr/^SELECT pg_sleep\(\?\), burn_create\('\?'\);?$/m, 'pg_stat_activity shows its shape') if redacts();
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
		like(stderr_since(%sizes), qr/DETAIL:  Process \d+ waits for \w+ on .*\n\tProcess $pid waits for /,
			'whose record says who waited for whom');
		$_->quit foreach ($victim, $session);
		return ();
	},
	cursors_view => sub {
		my ($marker) = @_;
		my $seen = $node->safe_psql('postgres', <<~SQL);
			BEGIN;
			DECLARE c CURSOR FOR SELECT burn_create('$marker');
			SELECT statement FROM pg_cursors;
			SQL
		like($seen, qr/^DECLARE c CURSOR FOR SELECT burn_create\('\?'\);?$/, 'pg_cursors shows its shape') if redacts();
		return ($seen);
	},
	raise_in_a_block => sub {
		my ($marker) = @_;
		my %sizes = log_sizes();
		$node->psql('postgres', <<~SQL);
			DO \$\$
			DECLARE
				note text := burn_read(burn_create('$marker'));
			BEGIN
				RAISE LOG 'it is %', note USING DETAIL = note, HINT = note;
				RAISE EXCEPTION '%', note USING ERRCODE = 'ZZ001', COLUMN = note;
			END \$\$;
			SQL
		like(stderr_since(%sizes), qr/ 00000 LOG:  message withheld .*\n(?:.*\n)* *\d+ ZZ001 ERROR:  message withheld /,
			'the log says that somebody has raised what may be a note')
		  if redacts();
		return ();
	},
	error_of_another_extension => sub {
		my ($marker) = @_;
		my %sizes = log_sizes();

		foreach my $decrypt ("pgp_sym_decrypt(burn_read('%s')::bytea, '$marker')", "decrypt(burn_read('%s')::bytea, '$marker', 'rot13')")
		{
			$node->psql('postgres', sprintf "SELECT $decrypt", create($node, $marker));
		}
		like(stderr_since(%sizes), qr/ 22023 ERROR:  Cannot use "%s": %s\n.* STATEMENT:  SELECT decrypt\(burn_read\('\?'\)::bytea, '\?', '\?'\)/,
			'the log has the shapes of its message and statement')
		  if redacts();
		return ();
	},
	deferred_constraint => sub {
		my ($marker) = @_;
		my $token = create($node, $marker);
		my ($status, $stdout, $stderr) = $node->psql('postgres', <<~SQL);
			CREATE TEMP TABLE kept (note text UNIQUE DEFERRABLE INITIALLY DEFERRED);
			BEGIN;
			INSERT INTO kept WITH r AS MATERIALIZED (SELECT burn_read('$token') AS note) SELECT note FROM r, generate_series(1, 2);
			COMMIT;
			SQL
		like($stderr, qr/Key \(note\)=\($marker\) already exists/, 'the client is told at COMMIT which constraint shows the note');
		return ();
	},
	memory_contexts_of_an_idle_session => sub {
		my ($marker) = @_;
		my $session = Wire->new($node);

		foreach my $message (execute('named', "SELECT wrapper('$marker')") . sync())
		{
			$session->send($message);
			$session->answer;
		}
		my %sizes = log_sizes();
		$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($session->{pid})");
		for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			last if stderr_since(%sizes) =~ /Grand total/;
			usleep(100_000);
		}
		my $log = stderr_since(%sizes);
		return ($log);
	},
	fastpath_with_a_bad_interval => sub {
		my ($marker) = @_;
		my $function = $node->safe_psql('postgres', q(SELECT 'burn_create(text, interval, text)'::regprocedure::oid));
		my $session = Wire->new($node);
		$session->send(call_function($function, 'x', $marker, 'x'));
		like($session->answer->{error}, qr/invalid input syntax for type interval: "$marker"/, 'the client of a fastpath call is told');
		return ();
	},
	activity_between_bind_and_execute => sub {
		my ($marker) = @_;
		my $session = Wire->new($node);
		$session->send(parse('named', "SELECT burn_create('$marker')") . sync());
		$session->answer;
		$session->send(bind_parameters('named') . flush());
		is($session->receive_type, '2', 'it is bound');
		return (activity());
	},
	cursors_view_of_a_portal => sub {
		my ($marker) = @_;
		my $session = Wire->new($node);
		$session->send(parse('', "SELECT burn_create('$marker') FROM generate_series(1, 3)")
			  . Wire::message('B', "portal\0\0" . pack('nnn', 0, 0, 0)) . Wire::message('E', "portal\0" . pack('N', 1))
			  . execute('', 'SELECT statement FROM pg_cursors') . sync());
		my @rows = map { $_->[0] } @{ $session->answer->{rows} };
		return ($rows[1]);
	},
	with_a_lone_quote => sub {
		my ($marker) = @_;
		my $activity = '';
		foreach my $arguments ("'Don't tell: $marker'", "'the dogs' $marker'", "E'it\\\\'s $marker'", "\$\$5\$\$ $marker\$\$")
		{
			my $session = Wire->new($node);
			$session->send(query("SELECT burn_create($arguments)"));
			$session->answer;
			$activity .= activity();
		}
		return ($activity);
	},
	without_quotes => sub {
		my ($marker) = @_;
		$node->psql('postgres', "SELECT burn_create($marker)");
		return ();
	},
	crash => sub {
		my ($marker) = @_;
		my %sizes = log_sizes();
		my $pid = crash_while("SELECT pg_sleep(600), burn_create('$marker')");
		like(stderr_since(%sizes), qr/\(PID $pid\) was terminated by signal 9.*\n.*Failed process was running: SELECT pg_sleep\(\?\), burn_create\('\?'\)/,
			'the postmaster reports the crash')
		  if redacts();
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

# What stays open with redaction on: a session's first call by what does not name us, until
# one of our functions runs.
my %open = (
	(map { $_ => 'a wrapper is not known before its first call' }
		qw(bound_parameters_of_a_wrapper debug_print_parse_of_an_operator execute_of_what_a_block_prepared
		pg_stat_statements_of_a_wrapper wrapper_in_later_messages)),
	(map { $_ => 'nor one that fails before it calls us' }
		qw(error_before_a_wrapper_of_sql_runs error_before_a_wrapper_runs error_in_planning_beside_a_cast
		error_in_planning_beside_an_operator error_in_planning_beside_an_operator_in_a_body
		execute_with_another_search_path execute_without_the_function failing_wrapper_behind_an_operator
		failing_wrapper_of_a_column)),
	renamed_function => 'nobody knows its name',
	fastpath_with_a_bad_interval => 'its text has no names',
);
my %open_when_quiet = (
	activity_between_bind_and_execute => 'no hook is called before it runs');
$open{$_} = $open_when_quiet{$_} foreach keys %open_when_quiet;

my $count = 0;
foreach my $redact ('on', 'quiet', 'off')
{
	set_redact($redact);
	foreach my $name (sort keys %cases)
	{
		my $marker = sprintf 'marker%04d', ++$count;
		my %sizes = log_sizes();
		my @places = $cases{$name}->($marker);
		my $decimal = decimal($marker);
		my $found = grep { /$marker|\b$decimal\b/ } (@places, logged_since(%sizes));

		if ($redact eq 'off')
		{
			isnt($found, 0, "$name: redaction off, the control, writes it down");
		}
		elsif (my $why = ($redact eq 'on' ? \%open : \%open_when_quiet)->{$name})
		{
			isnt($found, 0, "$name: $redact: is open, $why");
		}
		else
		{
			is($found, 0, "$name: $redact: nothing is written down");
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
# quiet, for a role
# ----------

set_redact('on');
$node->safe_psql('postgres', <<~'SQL');
	CREATE ROLE quiet LOGIN SUPERUSER;
	ALTER ROLE quiet SET burn_note.redact = 'quiet';
	CREATE ROLE loud LOGIN SUPERUSER;
	SQL
foreach my $role ('quiet', 'loud')
{
	my %sizes = log_sizes();
	$node->safe_psql('postgres', <<~SQL, extra_params => [ '-U', $role ]);
		SET log_statement = 'all';
		SELECT wrapper('note-of-$role');
		CALL procedure('note-of-$role');
		SQL
	my $found = () = logged_since(%sizes) =~ /note-of-$role/g;
	if ($role eq 'quiet')
	{
		is($found, 0, 'quiet: the values of wrappers are not logged');
		like(stderr_since(%sizes), qr/LOG:  statement: SELECT wrapper\('\?'\)/, 'quiet: but their shape');
	}
	else
	{
		isnt($found, 0, 'else, the control, the first one is logged as it is sent');
	}
}
isnt($node->psql('postgres', q(SET burn_note.redact = 'off'), extra_params => [ '-U', 'monitor' ]), 0,
	'only a superuser turns redaction off');

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
	foreach my $record ([ 'ERROR', 'UB001', 'invalid burn note token' ],
		[ 'ERROR', '57014', 'canceling statement due to statement timeout' ],
		[ 'FATAL', '57P01', 'terminating connection due to administrator command' ])
	{
		my ($severity, $sqlstate, $message) = @$record;
		foreach my $log (keys %log)
		{
			my ($format) = $log =~ /\.(\w+)$/;
			my $expected = $format eq 'log' ? qr/^\d+ $sqlstate $severity:  $message$/m
			  : $format eq 'csv' ? qr/,$severity,$sqlstate,"$message",/
			  : qr/"error_severity":"$severity","state_code":"$sqlstate","message":"$message"/;
			like($log{$log}, $expected, "$format: $severity $sqlstate has both, and a message without values");
		}
	}
}

# What is logged of a session that has handled a secret, and goes on to others: whole, but
# where nothing of ours stood in the text that led to us.
{
	my @others = (q(SELECT 'we execute -- nothing (at all)' AS myexecute),
		'GRANT EXECUTE /* (always) */ ON FUNCTION wrapper(text) TO monitor', 'SELECT 1 AS execute');
	my @shapes = (q(SELECT '?' AS myexecute), 'GRANT EXECUTE   ON FUNCTION wrapper(text) TO monitor', 'SELECT ? AS execute');

	foreach my $call ([ q(SELECT burn_create('x')), 'whole', @others ], [ q(SELECT wrapper('x')), 'blanked', @shapes ])
	{
		my ($first, $how, @logged) = @$call;
		my %sizes = log_sizes();

		$node->safe_psql('postgres', join(";\n", $first, q(SET log_statement = 'all'), @others));
		my $log = stderr_since(%sizes);
		like($log, qr/LOG:  statement: \Q$_\E;?$/m, "after $first others are logged $how: $_") foreach @logged;
	}
}

# What is logged of a session whose last statement was ours, when nothing runs.
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
# Messages in other languages, whose translations place and spell things otherwise
# ----------

my $locales = PostgreSQL::Test::Utils::tempdir();
my %cut = (ja_JP => 'ミリ秒', ru_RU => 'мс', de_DE => 'Dauer');    # what they say of a duration

SKIP:
{
	my @languages = grep {
		    $node->config_data('--configure') =~ /--enable-nls/
		  && system("localedef -i $_ -f UTF-8 $locales/$_.UTF-8 >/dev/null 2>&1") == 0
	} sort keys %cut;
	skip 'no messages in other languages, or no locales for them', 1 unless @languages;

	local $ENV{LOCPATH} = $locales;
	$node->restart;
	set_redact('off');
	@languages = grep { $node->psql('postgres', "SET lc_messages = '$_.UTF-8'") == 0 } @languages;
	foreach my $redact ('off', 'on')
	{
		set_redact($redact);
		foreach my $language (@languages)
		{
			my $note = "note in $language, 20 ms long";
			my %sizes = log_sizes();
			$node->psql('postgres', <<~SQL);
				SET lc_messages = '$language.UTF-8';
				SET log_min_duration_statement = 0;
				SELECT burn_create('$note');
				SELECT burn_read(burn_create('$note'))::int;
				SQL
			my $log = logged_since(%sizes);
			if ($redact eq 'off')
			{
				like($log, qr/$cut{$language}.*\Q$note\E/, "$language: redaction off, the control: the log is translated, and has the note");
				next;
			}
			unlike($log, qr/note in/, "$language: no note in what is translated");
			like($log, qr/duration: [\d.]+ ms  statement: SELECT burn_create\('\?'\);?$/m, "$language: durations have the shape");
			like($log, qr/ 22P02 (?!.*invalid input syntax).*%s.*%s/, "$language: errors have their translated format");
		}
	}

	# what the postmaster reports, in its language
	set_redact('on');
	$node->append_conf('postgresql.conf', "lc_messages = '$languages[0].UTF-8'");
	$node->restart;
	my %sizes = log_sizes();
	crash_while("SELECT pg_sleep(600), burn_create('note of a crash')");
	my $log = logged_since(%sizes);
	unlike($log, qr/note of a crash/, "$languages[0]: no note in the report of a crash");
	like($log, qr/^\d+ 00000 DETAIL:  .*: SELECT pg_sleep\(\?\), burn_create\('\?'\)/m, "$languages[0]: but its statement's shape");
	$node->append_conf('postgresql.conf', "lc_messages = 'C'");
	$node->restart;
}

# ----------
# Our own errors, which are logged whole
# ----------

# What each of their formats prints. Who adds one says here what it shows, which is nothing
# that a caller gave but a role's, a table's, a database's or a trigger's name.
my %prints = (
	'%s The note is not burned.' => 'how many standbys are there',
	'%s cannot be converted to UTF-8' => 'what cannot: a burn note, a passphrase',
	'%s must not be null' => "an argument's name",
	'%s' => 'what of a note does not authenticate',
	'A token has %d characters, without spaces and the rest of a link. Was it cut short or altered?' => 'a constant',
	'Another transaction has been writing its receipt for longer than %d ms.' => 'lock_timeout',
	'Another transaction has locked its row for longer than %d ms. The note is not burned.' => 'lock_timeout',
	'It has more than %zu bytes.' => 'a constant',
	'Its ctid is (%u,%u). Nothing is burned.' => "the row's place",
	'Read it with %s. It is not burned.' => "a function's name",
	'This server is %s. Earlier minor releases do not tell whether there are synchronous standbys.' => 'its version',
	'a burn note cannot live longer than %s' => 'burn_note.max_ttl',
	'a trigger on table "%s" removed a row that burn_note relies on' => "a table's name",
	'a trigger on table "%s" skipped a delete that burn_note relies on' => "a table's name",
	'a trigger on table "%s" skipped a row that burn_note relies on' => "a table's name",
	'burn note exceeds %d bytes' => 'burn_note.max_note_size',
	q(burn note has characters that the client's encoding %s cannot show) => "an encoding's name",
	'burn_note requires PostgreSQL %d.%d or later' => 'a constant',
	'could not end more than %d burn notes' => 'a constant',
	'invalid input syntax for type %s' => "a type's name",
	'passphrase exceeds %d bytes' => 'a constant',
	'role "%s" may not have more than %d notes that wait to be read' => "a role's name, burn_note.max_pending",
	'row of burn note is damaged: %s' => 'in what way',
	'sweeping database "%s"' => "a database's name",
	'table "%s" is not as this version of burn_note made it' => "a table's name",
	'table "%s" of extension burn_note does not exist' => "a table's name",
	'table "%s" was rewritten by this transaction' => "a table's name",
);
my $string = qr/"(?:[^"\\]|\\.)*"/;
my (@formats, @variable);
foreach my $file (glob('*.c src/*.c src/*.h'))
{
	my $source = slurp_file($file);

	while ($source =~ /\b(err(?:msg|detail|hint|context)\w*|GUC_check_err\w+|elog)\(\s*((?:[A-Z]+,\s*)?)(?:($string(?:\s*$string)*)|(\S+))/g)
	{
		my ($function, $format, $other) = ($1, $3, $4);

		if (defined $format)
		{
			push @formats, join('', map { substr $_, 1, -1 } $format =~ /$string/g) =~ s/\\"/"/gr;
		}
		else
		{
			push @variable, "$file: $function($other";
		}
	}
}
cmp_ok(scalar @formats, '>', 80, 'the messages, details and hints in the source are found');
is(join("\n", @variable), '', 'each has a constant for its format');
is(join("\n", sort grep { /%/ && !exists $prints{$_} } @formats), '', 'what shows a value says here what it shows');
is(join("\n", sort grep { my $listed = $_; !grep { $_ eq $listed } @formats } keys %prints), '', 'and what is listed is in the source');

# Provoked, in each format of log
set_redact('on');
$node->safe_psql('postgres', 'CREATE ROLE regress_bounded; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_bounded');
my $bytes = $node->safe_psql('postgres', q(SELECT burn_create_bytes('bytes')));
my $opaque = $node->safe_psql('postgres', q(SELECT burn_create('☃')));
foreach my $own (
	[ q(SELECT burn_read('secret')), 'UB001', 'invalid burn note token', 'A token has 60 characters, without spaces and the rest of a link. Was it cut short or altered?' ],
	[ q(SELECT burn_read(burn_receipt_token(burn_create('secret')))), 'UB001', 'invalid burn note token',
		q(This is a receipt token: it shows a note's status and cannot open it.) ],
	[ q(SELECT burn_create('secret', NULL, '')), '22023', 'passphrase must not be empty', 'NULL stands for no passphrase.' ],
	[ q(SELECT burn_create('secret', '-1 day')), '22023', 'expires_in must be greater than zero' ],
	[ q(SELECT burn_create('secret', '1000 days')), '22023', 'a burn note cannot live longer than 90d', 'The limit is the setting burn_note.max_ttl.' ],
	[ q(SELECT burn_create(NULL::text)), '22004', 'burn note must not be null' ],
	[ q(SET burn_note.max_note_size = 3; SELECT burn_create('secret')), '54000', 'burn note exceeds 3 bytes',
		'The limit is the setting burn_note.max_note_size.' ],
	[ q(SELECT burn_create('secret', NULL, repeat('secret', 200))), '54000', 'passphrase exceeds 1024 bytes', 'Its bytes are counted in UTF-8.' ],
	[ "SELECT burn_read('$bytes')", '22000', 'burn note holds bytes, not text', 'Read it with burn_read_bytes(). It is not burned.' ],
	[ "SET client_encoding = LATIN1; SELECT burn_read('$opaque')", '22P05',
		q(burn note has characters that the client's encoding LATIN1 cannot show), 'The note is not burned.' ],
	[ q(BEGIN; CLUSTER burn_note USING burn_note_pkey; SELECT burn_read(burn_create('secret'))), '55000',
		'table "burn_note" was rewritten by this transaction', 'If it rolled back, notes that are burned now would come back.', 'Commit first.' ],
	[ q(SET burn_note.max_pending = 1; SET ROLE regress_bounded; SELECT burn_create('secret'); SELECT burn_create('secret')), '53400',
		'role "regress_bounded" may not have more than 1 notes that wait to be read', 'The limit is the setting burn_note.max_pending.' ])
{
	my ($sql, $sqlstate, $message, @more) = @$own;
	my %sizes = log_sizes();

	$node->psql('postgres', $sql);
	settle();
	foreach my $log (logs())
	{
		my ($format) = $log =~ /\.(\w+)$/;
		my $text = slurp_file($log, $sizes{$log}) =~ s/\\?"+/"/gr;    # each format quotes otherwise
		my @missing = grep { index($text, s/"+/"/gr) < 0 } $sqlstate, $message, @more;

		is(join("\n", @missing), '', "$format: $sqlstate $message: is logged whole");
		unlike($text, qr/secret|b[nr]1_\w/, "$format: and the statement's values are not");
	}
}

# ----------
# A full disk, which the operator has to see
# ----------

SKIP:
{
	my $disks = PostgreSQL::Test::Utils::tempdir();
	my $unshare = 'unshare --user --mount --map-current-user --keep-caps';

	skip 'this user may not mount a tmpfs', 1
	  if system("$unshare mount -t tmpfs -o size=1m none $disks 2>/dev/null") != 0;

	my $full = burn_node('full',
		init => { extra => [ '--encoding=UTF8', '--no-locale', '--wal-segsize=1' ] },
		conf => <<~'CONF');
			shared_preload_libraries = 'burn_note'
			burn_note.databases = ''
			restart_after_crash = off
			log_statement = all
			log_line_prefix = '%p %e '
			CONF
	$full->stop;

	# Two disks, which its processes see: the WAL's and a tablespace's
	my $wal = $full->data_dir . '/pg_wal';
	my $bindir = $full->config_data('--bindir');
	append_to_file("$disks/pg_ctl", <<~SH);
		#!/bin/sh
		exec $unshare sh -ec 'cp -a $wal $disks/wal
			mount -t tmpfs -o size=24m,mode=0700 none $wal
			cp -a $disks/wal/. $wal
			mkdir $disks/space
			mount -t tmpfs -o size=1m,mode=0700 none $disks/space
			exec $bindir/pg_ctl "\$@"' pg_ctl "\$@"
		SH
	chmod 0755, "$disks/pg_ctl";
	{
		local $ENV{PATH} = "$disks:$ENV{PATH}";
		$full->start;
	}
	$full->safe_psql('postgres', $_)
	  foreach "CREATE TABLESPACE small LOCATION '$disks/space'", 'ALTER TABLE burn_note SET TABLESPACE small',
	  'CREATE FUNCTION noise(bytes integer) RETURNS text LANGUAGE sql AS '
	  . q($$SELECT string_agg(md5(random()::text), '') FROM generate_series(1, bytes / 32)$$);

	my $log_end = -s $full->logfile;
	my $no_space = qr/No space left on device/;
	my ($status, $stdout, $stderr) = $full->psql('postgres', q(SELECT burn_create('on a full disk' || noise(2000000))));
	like($stderr, $no_space, 'a tablespace is full: the client is told');
	my $log = slurp_file($full->logfile, $log_end);
	like($log, qr/ 53100 ERROR:  could not extend file "\S+".*: $no_space/, 'the operator finds that in the log');
	like($log, qr/STATEMENT:  SELECT burn_create\('\?' \|\| noise\(\?\)\)/, 'with the shape of what ran');

	$full->psql('postgres', q(SET burn_note.redact = off; SELECT burn_create('the control' || noise(2000000))));
	like(slurp_file($full->logfile, $log_end), qr/$no_space\n.*\n.*STATEMENT:  SELECT burn_create\('the control'/, 'redaction off, the control: the note is there, too');

	# pg_wal is next, and the last
	$full->safe_psql('postgres', 'ALTER TABLE burn_note SET TABLESPACE pg_default');
	$full->psql('postgres', q(SELECT burn_create('on a full disk' || noise(900000)) FROM generate_series(1, 50)));
	$full->wait_for_log(qr/database system is shut down/, $log_end);
	$log = slurp_file($full->logfile, $log_end);
	like($log, qr/ 53100 PANIC:  could not write to file "pg_wal\S+": $no_space/, 'pg_wal is full: the operator finds why the server has stopped');
	unlike($log, qr/on a full disk/, 'no note is in the log of a full disk');
	$full->_update_pid(0);
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
	like(stderr_since(%sizes), qr/LOG:  statement: SELECT burn_create\('\?'\)/, "$how: its records are there");
}
{
	my %sizes = log_sizes();
	$node->psql('postgres', q(SELECT burn_create('note-first')::int), connstr => $node->connstr('postgres') . q( options='-c log_statement=all'));
	my $log = stderr_since(%sizes);
	like($log, qr/LOG:  statement: SELECT burn_create\('note-first'\)/, 'loaded by the first call, its statement was logged before');
	like($log, qr/ 22P02 ERROR:  invalid input syntax for type %s: "%s"$/m, 'and its error has no values');
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
