#
# Sealed, in logs and statistics views too. Each case runs a statement with a marker in
# it, in a way that would write the marker down, and then looks into every log (stderr,
# csv, json), pg_stat_activity, pg_stat_statements and its files. With burn_note.redact off,
# the control, the marker must be found. With it on the marker is nowhere, but in the cases
# that are listed as open, with the reason; and with quiet in none of them.
#
# t/500_forensics.pl crosses call styles with log settings. Here is what has a process or
# a moment of its own. What an operator still sees: t/506_what_is_logged.pl.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use Logs;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Wire qw(query execute parse bind_parameters run flush sync call_function);

my $node = logging_node('redaction', "shared_preload_libraries = 'pg_stat_statements, auto_explain, burn_note'");
$node->safe_psql('postgres', <<~'SQL');
	CREATE EXTENSION pg_stat_statements;
	CREATE ROLE monitor LOGIN;
	GRANT pg_monitor TO monitor;
	CREATE FUNCTION wrapper(a text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN burn_create(a); END';
	CREATE FUNCTION outer_wrapper(a text) RETURNS text LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS 'SELECT wrapper($1)';
	CREATE FUNCTION sql_wrapper(a text) RETURNS text LANGUAGE sql VOLATILE SET search_path FROM CURRENT
		BEGIN ATOMIC SELECT burn_create(a); END;
	CREATE PROCEDURE procedure(a text) LANGUAGE plpgsql AS 'BEGIN PERFORM burn_create(a); END';
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

# A session that was sent these, one after the other.
sub session_after
{
	my @messages = @_;
	my $session = Wire->new($node);

	foreach my $message (@messages)
	{
		my $answer = $session->answer_to($message);
		die $answer->{error} if defined $answer->{error};
	}
	return $session;
}

# What others see of it
sub activity_after
{
	my @messages = @_;
	my $session = session_after(@messages);

	return activity();
}

sub activity_while
{
	my ($sql) = @_;
	my $session = waiting($node, 'PgSleep', $sql);
	my $seen = activity();

	terminate($node, $session);
	return $seen;
}

my @all_logged = (query(q(SET log_statement = 'all')), query('SET log_min_duration_statement = 0'));

# ----------
# Cases that are a text, which psql sends in a session of its own. MARKER stands for the
# marker, TOKEN for the token of a new note with it. Those that are named after
# pg_stat_statements are looked for there, too.
# ----------

my $long = 'é' x 40;

# These give no error.
my %works = (
	log_statement => q(SET log_statement = 'all'; SELECT burn_create('MARKER')),
	log_duration_in_full => q(SET log_min_duration_statement = 0; SELECT burn_create('MARKER')),
	name_in_unicode_escapes => q(SET log_statement = 'all'; SELECT U&"b\0075rn\+00005Fcreate"('MARKER')),
	name_in_escapes_by_a_letter => <<~'SQL',
		SET log_statement = 'all';
		SELECT U&"burnx005Fcreate" UESCAPE 'x' ('MARKER');
		SELECT U&"buurn_create" UESCAPE 'u' ('MARKER');
		SQL
	renamed_function => <<~'SQL',
		BEGIN;
		ALTER FUNCTION burn_create(text, interval, text) RENAME TO other_name;
		SET log_min_duration_statement = 0;
		SET debug_print_parse = on;
		SELECT other_name('MARKER');
		ROLLBACK;
		SQL
	auto_explain_of_a_constant => <<~'SQL',
		SET auto_explain.log_min_duration = 0;
		SET auto_explain.log_verbose = on;
		SET auto_explain.log_nested_statements = on;
		DO $$ BEGIN PERFORM burn_create('MARKER'); END $$;
		SQL
	auto_explain_of_a_cursor_that_is_closed_later => <<~'SQL',
		SET auto_explain.log_min_duration = 0;
		BEGIN;
		DECLARE c CURSOR FOR SELECT wrapper('MARKER');
		FETCH c;
		CLOSE c;
		COMMIT;
		SQL
	execute_before_it_is_analyzed => <<~'SQL',
		PREPARE c AS SELECT burn_create($1);
		SET log_parser_stats = on;
		EXPLAIN EXECUTE c('MARKER');
		SQL
	execute_behind_a_comment => <<~'SQL',
		PREPARE "a ""c" AS SELECT burn_create($1);
		SET log_parser_stats = on;
		EXECUTE/**/"a ""c"('MARKER');
		EXECUTE U&"a ""c"('MARKER');
		EXECUTE "a ""c"('MARKER');
		EXECUTE -- why
			"a ""c"('MARKER');
		EXECUTE /* an /* inner */ one */ "a ""c"('MARKER');
		SQL
	execute_of_a_long_or_strange_name => <<~"SQL",
		PREPARE c\$x AS SELECT burn_create(\$1);
		PREPARE x$long AS SELECT burn_create(\$1);
		SET log_parser_stats = on;
		EXPLAIN EXECUTE c\$x('MARKER');
		EXPLAIN EXECUTE x$long('MARKER');
		SQL
	execute_of_what_a_block_prepared => <<~'SQL',
		DO $$ BEGIN EXECUTE 'PREPARE c AS SELECT wrapper($1)'; END $$;
		SET log_statement = 'all';
		EXECUTE c('MARKER');
		SQL
	pg_stat_statements_of_utilities => <<~'SQL',
		SET pg_stat_statements.track = 'all';
		DO $$ BEGIN PERFORM burn_create('MARKER'); END $$;
		COPY (SELECT burn_create('MARKER')) TO '/dev/null';
		SQL
	pg_stat_statements_of_a_wrapper => q(CALL procedure('MARKER')),
	pg_stat_statements_of_a_comment => q(SELECT pg_stat_statements_reset(); SELECT burn_create('x') /* MARKER */),
);

# From 17 on pg_stat_statements keeps no constant of a CALL: there is no control.
delete $works{pg_stat_statements_of_a_wrapper} if $node->pg_version >= 17;

# These do.
my %fails = (
	cast_of_the_result => "\\set VERBOSITY verbose\nSELECT burn_read('TOKEN')::int",
	error_before_it_is_parsed => q(SELECT burn_create('MARKER') FRMO nowhere WHERE),
	fetch_of_what_has_no_literal => <<~'SQL',
		CREATE TEMP TABLE inbox AS SELECT 'MARKER' AS note;
		BEGIN;
		DECLARE c CURSOR FOR SELECT burn_create(note::json::text) FROM inbox;
		FETCH c;
		SQL
	execute_of_what_is_gone => <<~'SQL',
		PREPARE c AS SELECT burn_create($1);
		DISCARD ALL;
		EXECUTE c('MARKER');
		SQL
	execute_of_what_is_gone_behind_others => <<~'SQL',
		PREPARE c AS SELECT burn_create($1);
		DISCARD ALL;
		/* request 1 */ EXECUTE c('MARKER');
		EXPLAIN EXECUTE c /* why */ ('MARKER');
		SET work_mem = '4MB'\; EXECUTE "c" ('MARKER');
		SQL
	execute_without_the_function => <<~'SQL',
		PREPARE c AS SELECT wrapper($1);
		BEGIN;
		DROP FUNCTION wrapper;
		SAVEPOINT dropped;
		EXECUTE c('first');
		ROLLBACK TO dropped;
		EXECUTE c('MARKER');
		SQL
	execute_with_another_search_path => <<~'SQL',
		PREPARE c AS SELECT wrapper($1);
		SET search_path = pg_catalog;
		EXECUTE c('first');
		EXECUTE c('MARKER');
		SQL
	failing_wrapper_behind_an_operator => q(SELECT !@# 'MARKER'),
	error_before_a_wrapper_of_sql_runs => q(SELECT sql_wrapper('MARKER' || (1 / length(''))::text)),
	error_before_a_wrapper_runs => q(SELECT wrapper('MARKER' || (1 / length(''))::text)),
	error_in_planning_beside_an_operator => q(SELECT 1/0, !@# 'MARKER'),
	error_in_planning_beside_a_cast => q(SELECT 1/0, 'MARKER'::text::sealed),
	error_in_planning_beside_an_operator_in_a_body => q(SELECT 1/0, atomic_wrapper('MARKER')),
	debug_print_parse_of_an_operator => q(SET debug_print_parse = on; SELECT !@# 'MARKER'),
	parallel_worker => q(SELECT compare_in_parallel('TOKEN')),
	fetch_of_a_sorted_read => <<~'SQL',
		BEGIN;
		DECLARE c CURSOR FOR SELECT r::int FROM (SELECT burn_read('TOKEN') AS r ORDER BY 1 OFFSET 0) AS s;
		FETCH c;
		SQL
	raise_in_a_block => <<~'SQL',
		DO $$
		DECLARE
			note text := burn_read(burn_create('MARKER'));
		BEGIN
			RAISE LOG 'it is %', note USING DETAIL = note, HINT = note;
			RAISE EXCEPTION '%', note USING ERRCODE = 'ZZ001', COLUMN = note;
		END $$;
		SQL
	error_of_another_extension => <<~'SQL',
		SELECT pgp_sym_decrypt(burn_read('TOKEN')::bytea, 'MARKER');
		\connect
		SELECT decrypt(burn_read('TOKEN')::bytea, 'MARKER', 'rot13');
		SQL
	deferred_constraint => <<~'SQL',
		CREATE TEMP TABLE kept (note text UNIQUE DEFERRABLE INITIALLY DEFERRED);
		BEGIN;
		INSERT INTO kept WITH r AS MATERIALIZED (SELECT burn_read('TOKEN') AS note) SELECT note FROM r, generate_series(1, 2);
		COMMIT;
		SQL
	without_quotes => q(SELECT burn_create(MARKER)),
);

# The client gets its real error.
my %told = (
	cast_of_the_result => 'ERROR:  22P02: invalid input syntax for type integer: "MARKER"',
	deferred_constraint => 'Key (note)=(MARKER) already exists',
);

my @tokens;    # of the case's notes

sub send_text
{
	my ($name, $marker) = @_;
	my $sql = ($works{$name} // $fails{$name}) =~ s/MARKER/$marker/gr
	  =~ s/TOKEN/push @tokens, create($node, $marker); $tokens[-1]/ger;

	if (exists $works{$name})
	{
		$node->safe_psql('postgres', $sql);
		return $name =~ /^pg_stat_statements/ ? statements_view() : ();
	}

	my ($status, $stdout, $stderr) = $node->psql('postgres', $sql, on_error_stop => 0);
	die "$name: no error" if $stderr !~ /ERROR:/;
	if (defined $told{$name})
	{
		my $told = $told{$name} =~ s/MARKER/$marker/r;
		like($stderr, qr/\Q$told\E/, "$name: the client gets its real error");
	}
	return;
}

# ----------
# Cases with moments of their own. Each takes a marker and gives the places, but the logs,
# that it may show in.
# ----------

my %cases = (
	(map { my $name = $_; $name => sub { return send_text($name, @_) } } keys %works, keys %fails),
	bound_parameters => sub {
		my ($marker) = @_;
		session_after(@all_logged, execute('create', 'SELECT burn_create($1)', $marker) . sync(),
			execute('read', 'SELECT burn_read($1)', create($node, $marker)) . sync());
		return;
	},
	bound_parameters_of_a_wrapper => sub {
		my ($marker) = @_;
		session_after(@all_logged, execute('named', 'SELECT wrapper($1)', $marker) . sync());
		return;
	},
	bound_parameters_of_a_wrappers_wrapper => sub {
		my ($marker) = @_;

		# Nothing tells that it leads to a secret but its first call.
		session_after(
			execute('first', 'SELECT outer_wrapper($1)', 'x') . sync(),
			execute('set', q(SELECT set_config('log_statement', 'all', false))) . sync(),
			execute('second', 'SELECT outer_wrapper($1)', $marker) . sync());
		return;
	},
	debug_print_plan_of_bound_parameters => sub {
		my ($marker) = @_;
		session_after(query('SET debug_print_plan = on'),
			execute('named', q(SELECT wrapper($1), burn_create($1) WHERE $1 LIKE 'marker%'), $marker) . sync());
		return;
	},
	wrapper_in_later_messages => sub {
		my ($marker) = @_;
		session_after(@all_logged,
			execute('named', "SELECT wrapper('$marker')") . sync(),
			bind_parameters('named') . run() . sync());
		return;
	},
	failing_wrapper_of_a_column => sub {
		my ($marker) = @_;
		my $query = 'SELECT failing_wrapper(note) FROM staging';
		my $session = session_after(query('TRUNCATE staging'),
			execute('', 'INSERT INTO staging VALUES ($1)', $marker) . sync());

		$session->answer_to($_) foreach execute('', $query) . sync(),
		  map { query($_) } "PREPARE c AS $query", 'EXECUTE c',
		  'BEGIN', "DECLARE c CURSOR FOR $query", 'FETCH c', 'ROLLBACK', 'TABLE notes';
		return;
	},
	execute_of_what_was_parsed => sub {
		my ($marker) = @_;
		my $session = session_after(@all_logged, execute('c', 'SELECT burn_create($1, $2)', 'x', '1 day') . sync());

		$session->answer_to(query($_)) foreach "EXECUTE c('x', '$marker')", "EXPLAIN ANALYZE EXECUTE c('$marker', '1 day')",
		  "CREATE TEMP TABLE made AS EXECUTE c('$marker', '1 day')";
		return (statements_view(), activity());
	},
	describe_of_what_has_changed => sub {
		my ($marker) = @_;
		my $session = session_after(query('CREATE TABLE changes (note text, token text)'),
			parse('named', "INSERT INTO changes VALUES ('$marker', burn_create(\$1)) RETURNING token") . sync());

		$node->safe_psql('postgres', 'ALTER TABLE changes ALTER note TYPE integer USING 0');
		$session->answer_to(Wire::message('D', "Snamed\0") . sync());
		$session->ask('DROP TABLE changes');
		return;
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
		return;
	},
	activity_while_it_runs => sub {
		my ($marker) = @_;
		return activity_while("SELECT pg_sleep(600), burn_create('$marker')");
	},
	activity_of_what_was_sent_behind_others => sub {
		my ($marker) = @_;
		return activity_while("SELECT pg_sleep(600); SELECT burn_create('$marker')");
	},
	activity_while_idle => sub {
		my ($marker) = @_;
		return activity_after(query("SELECT wrapper('$marker')"));
	},
	activity_of_a_result_in_parts => sub {
		my ($marker) = @_;
		return map {
			activity_after(
				query('CREATE TEMP TABLE kept (token text)'),
				parse('', $_) . bind_parameters('') . run(1) . run(1) . sync())
		} ("EXPLAIN (ANALYZE) SELECT burn_create('$marker')",
			"INSERT INTO kept VALUES (burn_create('$marker')), (burn_create('$marker')) RETURNING token",
			"WITH kept AS (INSERT INTO kept VALUES (burn_create('$marker')) RETURNING token) SELECT token FROM kept, generate_series(1, 3)");
	},
	parameters_of_a_result_in_parts => sub {
		my ($marker) = @_;
		session_after(
			query('CREATE TEMP TABLE kept (token text)'),
			query('SET log_min_duration_statement = 0'),
			parse('', 'INSERT INTO kept SELECT burn_create($1) FROM generate_series(1, 3) RETURNING token')
			  . bind_parameters('', $marker) . run(1) . run(1) . sync());
		return;
	},
	activity_of_a_call_that_was_planned_away => sub {
		my ($marker) = @_;
		my $named = bind_parameters('named') . run() . sync();
		return activity_after(
			parse('named', "SELECT 1 WHERE false AND burn_create('$marker') IS NULL") . $named, $named);
	},
	activity_between_bind_and_execute => sub {
		my ($marker) = @_;
		my $session = session_after(parse('named', "SELECT burn_create('$marker')") . sync());
		$session->send(bind_parameters('named') . flush());
		is($session->receive_type, '2', 'it is bound');
		return activity();
	},
	deadlock_of_another_session => sub {
		my ($marker) = @_;
		my $victim = session_after(query(q(SET deadlock_timeout = '10ms')), query('SELECT pg_advisory_lock(1)'));
		my $session = waiting($node, 'advisory', "SELECT burn_create('$marker'), pg_advisory_lock(1)",
			q(SET deadlock_timeout = '1h'), 'SELECT pg_advisory_lock(2)');
		$victim->answer_to(query('SELECT pg_advisory_lock(2)'));
		$victim->hang_up;
		$session->answer;
		return;
	},
	cursors_view => sub {
		my ($marker) = @_;
		return scalar $node->safe_psql('postgres', <<~SQL);
			BEGIN;
			DECLARE c CURSOR FOR SELECT burn_create('$marker');
			SELECT statement FROM pg_cursors;
			SQL
	},
	cursors_view_of_a_portal => sub {
		my ($marker) = @_;
		my $answer = Wire->new($node)->answer_to(parse('', "SELECT burn_create('$marker') FROM generate_series(1, 3)")
			  . Wire::message('B', "portal\0\0" . pack('nnn', 0, 0, 0)) . Wire::message('E', "portal\0" . pack('N', 1))
			  . execute('', 'SELECT statement FROM pg_cursors') . sync());
		return $answer->{rows}[1][0];
	},
	memory_contexts_of_an_idle_session => sub {
		my ($marker) = @_;
		my $session = session_after(execute('named', "SELECT wrapper('$marker')") . sync());
		logged($node, sub { $node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($session->{pid})") }, qr/Grand total/);
		return;
	},
	memory_contexts_of_a_session_that_goes_on => sub {
		my ($marker) = @_;
		my $session = session_after(
			execute('named', "WITH given AS (SELECT '$marker' AS note, repeat('x', 100) AS more) SELECT burn_create(note) FROM given") . sync(),
			query('SELECT 1'));
		logged($node, sub { $node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($session->{pid})") }, qr/Grand total/);
		return;
	},
	fastpath_with_a_bad_interval => sub {
		my ($marker) = @_;
		my $function = $node->safe_psql('postgres', q(SELECT 'burn_create(text, interval, text)'::regprocedure::oid));
		like(Wire->new($node)->answer_to(call_function($function, 'x', $marker, 'x'))->{error},
			qr/invalid input syntax for type interval: "$marker"/, 'the client of a fastpath call is told');
		return;
	},
	with_a_lone_quote => sub {
		my ($marker) = @_;
		return map {
			my $session = Wire->new($node);
			$session->answer_to(query("SELECT burn_create($_)"));
			activity();
		} "'Don't tell: $marker'", "'the dogs' $marker'", "E'it\\\\'s $marker'", "\$\$5\$\$ $marker\$\$";
	},
	crash => sub {
		my ($marker) = @_;
		crash_while($node, "SELECT pg_sleep(600), burn_create('$marker')");
		return;
	},
);

# What makes a case what it is, and is in its logs with redaction off, too.
my %always = (
	cast_of_the_result => qr/^\d+ 22P02 ERROR:  /m,
	parallel_worker => qr/"parallel worker"/,
	deadlock_of_another_session => qr/ 40P01 ERROR:  deadlock detected\n.* DETAIL:  Process (\d+) waits for \w+ on .* process (\d+)\.\n\tProcess \2 waits for .* process \1\./,
);

# The shapes that are there instead of values.
my %shapes = (
	cast_of_the_result => qr/ERROR:  invalid input syntax for type %s: "%s"\n.* STATEMENT:  SELECT burn_read\('\?'\)::int;?$/m,
	parallel_worker => qr/ERROR:  invalid input syntax for type %s: "%s"/,
	activity_while_it_runs => qr/^SELECT pg_sleep\(\?\), burn_create\('\?'\);?$/m,
	cursors_view => qr/^DECLARE c CURSOR FOR SELECT burn_create\('\?'\);?$/m,
	raise_in_a_block => qr/ 00000 LOG:  message withheld .*\n(?:.*\n)* *\d+ ZZ001 ERROR:  message withheld /,
	error_of_another_extension => qr/ 22023 ERROR:  Cannot use "%s": %s\n.* STATEMENT:  SELECT decrypt\(burn_read\('\?'\)::bytea, '\?', '\?'\)/,
	crash => qr/\(PID \d+\) was terminated by signal 9.*\n.*Failed process was running: SELECT pg_sleep\(\?\), burn_create\('\?'\)/,
);

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
	set_redact($node, $redact);
	foreach my $name (sort keys %cases)
	{
		my $marker = sprintf 'marker%04d', ++$count;
		my $decimal = join ' ', unpack 'C*', $marker;
		my @places;

		@tokens = ();
		my %log = logged($node, sub { @places = $cases{$name}->($marker) });
		my $written = join "\n", @places, @log{qw(log csv json)};
		my $secrets = join '|', $marker, "\\b$decimal\\b", $redact eq 'off' ? () : @tokens;
		my $found = () = $written =~ /$secrets/g;

		like($written, $always{$name}, "$name: $redact: it is logged") if defined $always{$name};
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
		like($written, $shapes{$name}, "$name: $redact: its shape is") if defined $shapes{$name} && $redact ne 'off';
	}
}

# A procedure that rolls its caller's statement back, whose plan PostgreSQL then frees
foreach my $redact ('off', 'on')
{
	set_redact($node, $redact);
	my $session = session_after(query('CREATE OR REPLACE PROCEDURE rolls_back(a text, b text, c text) LANGUAGE plpgsql AS '
			. q($$BEGIN ROLLBACK; PERFORM relname FROM pg_class WHERE oid = 1; END$$)));
	my $answer = $session->answer_to(execute('', q(CALL rolls_back($1, $1 || 'a', $1 || 'b')), 'x') . sync());
	is($answer->{error}, undef, "redact = $redact: a procedure may roll back") unless $answer->{closed};
	ok(!$answer->{closed}, "redact = $redact: and the server lives");
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
	set_redact($node, $redact);
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

set_redact($node, 'on');
$node->safe_psql('postgres', <<~'SQL');
	CREATE ROLE quiet LOGIN SUPERUSER;
	ALTER ROLE quiet SET burn_note.redact = 'quiet';
	CREATE ROLE loud LOGIN SUPERUSER;
	SQL
foreach my $role ('quiet', 'loud')
{
	my %log = logged($node, sub { $node->safe_psql('postgres', <<~SQL, extra_params => [ '-U', $role ]) });
		SET log_statement = 'all';
		SELECT wrapper('note-of-$role');
		CALL procedure('note-of-$role');
		SQL
	my $found = grep { /note-of-$role/ } values %log;
	if ($role eq 'quiet')
	{
		is($found, 0, 'quiet: the values of wrappers are not logged');
		like($log{log}, qr/LOG:  statement: SELECT wrapper\('\?'\)/, 'quiet: but their shape');
	}
	else
	{
		isnt($found, 0, 'else, the control, the first one is logged as it is sent');
	}
}
isnt($node->psql('postgres', q(SET burn_note.redact = 'off'), extra_params => [ '-U', 'monitor' ]), 0,
	'only a superuser turns redaction off');

# ----------
# Loaded later than preloaded
# ----------

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
foreach my $load ([ 'session_preload_libraries', '-c session_preload_libraries=burn_note', '' ], [ 'LOAD', '', q(LOAD 'burn_note';) ])
{
	my ($how, $options, $first) = @$load;
	my %log = logged($node, sub {
		$node->safe_psql('postgres', "$first\nSELECT burn_create('note-$how');\nSELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()",
			connstr => $node->connstr('postgres') . " options='$options -c log_statement=all -c log_min_duration_statement=0'");
	});
	unlike(join('', values %log), qr/note-$how/, "$how redacts from then on");
	like($log{log}, qr/LOG:  statement: SELECT burn_create\('\?'\)/, "$how: its records are there");
}
{
	my %log = logged($node, sub {
		$node->psql('postgres', q(SELECT burn_create('note-first')::int), connstr => $node->connstr('postgres') . q( options='-c log_statement=all'));
	});
	like($log{log}, qr/LOG:  statement: SELECT burn_create\('note-first'\)/, 'loaded by the first call, its statement was logged before');
	like($log{log}, qr/ 22P02 ERROR:  invalid input syntax for type %s: "%s"$/m, 'and its error has no values');
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
		set_redact($node, $redact);
		my %log = logged($node, sub {
			$node->safe_psql('postgres', "SELECT burn_create('audited'); DO \$\$ BEGIN PERFORM burn_create('audited'); END \$\$; SELECT 'other'");
			Wire->new($node)->ask('SELECT burn_create($1)', 'audited');
		});
		if ($redact eq 'on')
		{
			unlike(join('', values %log), qr/audited/, 'pgaudit writes nothing of it');
			like($log{log}, qr/AUDIT: SESSION,\d+,\d+,READ,SELECT,.*SELECT 'other'/, 'and others as before');
		}
		else
		{
			my $found = () = $log{log} =~ /audited/g;
			cmp_ok($found, '>=', 3, 'redaction off, the control: it writes all three');
		}
	}
}

done_testing();
