#
# Silence: no secret in a log, a view, or anywhere else on the server's disk.
#
# The matrix is call styles by log settings by errors. Each of its cells has a note, a
# passphrase, a token and a receipt token of its own; afterwards a search of all that
# the server has written tells which cells leak, and where. It runs with redaction
# off, where every style, setting, error and place must leak; on; and quiet. Each style
# has a session of its own, since what one has done a session remembers.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use Forensics;
use MIME::Base64 qw(encode_base64);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Storable qw(store retrieve);
use Test::More;
use Time::HiRes qw(usleep);
use Wire qw(query execute parse bind_parameters run sync);

# ----------
# Log settings: of a role that makes the calls
# ----------

my %settings = (
	default => {},
	statement => { log_statement => 'all' },
	duration => { log_duration => 'on' },
	min_duration => { log_min_duration_statement => 0 },
	sample => { log_min_duration_sample => 0, log_statement_sample_rate => 1 },
	transaction_sample => { log_transaction_sample_rate => 1 },
	parameters_on_error => { log_parameter_max_length_on_error => -1 },
	verbose => { log_error_verbosity => 'verbose', log_min_error_statement => 'debug5' },
	debug_messages => { log_min_messages => 'debug2' },
	debug_print => {
		debug_print_parse => 'on',
		debug_print_rewritten => 'on',
		debug_print_plan => 'on',
		debug_pretty_print => 'off',    # which breaks lines within numbers
	},
	stage_statistics => {
		log_parser_stats => 'on',
		log_planner_stats => 'on',
		log_executor_stats => 'on',
	},
	statement_statistics => { log_statement_stats => 'on' },
	# the lock_timeout, so that a burn is as patient as with other settings
	lock_waits => { log_lock_waits => 'on', deadlock_timeout => '1ms', lock_timeout => '1h' },
	auto_explain => {
		'auto_explain.log_min_duration' => 0,
		'auto_explain.log_analyze' => 'on',
		'auto_explain.log_verbose' => 'on',
		'auto_explain.log_nested_statements' => 'on',
	},
	pgaudit => { 'pgaudit.log' => 'all', 'pgaudit.log_parameter' => 'on' },
);

# Not every major has one.
my ($version, $libraries) = PostgreSQL::Test::Cluster->new('any')->config_data('--version', '--pkglibdir');
my $pgaudit = -e "$libraries/pgaudit.so";
delete $settings{pgaudit} unless $pgaudit;

# One more has them all, but what excludes another's, and what would have the caller look for
# deadlocks.
$settings{everything} = { map { %{ $settings{$_} } } grep { $_ ne 'statement_statistics' } keys %settings };
delete $settings{everything}{deadlock_timeout};

# ----------
# Calls
# ----------

# %s stands for the arguments
my %calls = (
	create => [ 'burn_create(%s)', 'text' ],
	create_with_passphrase => [ 'burn_create(%s, NULL, %s)', 'text', 'text' ],
	create_bytes => [ 'burn_create_bytes(%s)', 'bytea' ],
	create_from_base64 => [ q{burn_create_bytes(decode(%s, 'base64'))}, 'text' ],
	read => [ 'burn_read(%s, NULL, %s)', 'text', 'text' ],
	read_bytes => [ 'burn_read_bytes(%s)', 'text' ],
	receipt_token => [ 'burn_receipt_token(%s)', 'text' ],
	status => [ '(SELECT state FROM burn_status(%s))', 'text' ],
	verify => [ 'burn_verify_receipt(%s)', 'text' ],
	revoke => [ 'burn_revoke(%s)', 'text' ],
);

sub types
{
	my ($call) = @_;
	my (undef, @types) = @{ $calls{$call} };
	return @types;
}

# The call with these expressions as its arguments
sub call
{
	my ($call, @arguments) = @_;
	return sprintf $calls{$call}[0], @arguments;
}

# ----------
# Errors
# ----------

# statement: the query that makes the call, which is the %s
# cursor: the same where it may not write
# argument: the first argument, which is the %s
# syntax: what ends the statement
# before, after: what is sent before and after it
# little_memory: the caller's process may have MEMORY
# meanwhile: what is done to the caller, which waits for the advisory lock AWAITED
# rare: takes long, or does not depend on settings: tried with all of them together only
# crash: the server restarts
# calls: these instead of three
use constant {
	AWAITED => 1,    # by the caller; the witness holds it
	OWNED => 2,      # by the caller
	MEMORY => 1 << 29,
};
my $waits = 'SELECT concat(%s, pg_advisory_lock(' . AWAITED . '))';
my $wait = 'SELECT pg_advisory_lock(' . AWAITED . ')';
my $wait_no_more = 'SELECT pg_advisory_unlock(' . AWAITED . ')';
my %errors = (
	none => { calls => [ sort keys %calls ] },
	syntax => { syntax => ' )' },
	cast_of_argument => { argument => '(%s::integer)::text' },
	cast_of_result => { statement => 'SELECT (%s)::text::integer' },
	unique_violation => {
		statement => 'INSERT INTO pg_temp.once WITH made AS MATERIALIZED (SELECT (%s)::text AS v) '
		  . 'SELECT v FROM made, generate_series(1, 2) RETURNING v',
		cursor => 'SELECT insert_twice((%s)::text)',
	},
	# of a lock, since that of a statement can end it before the call
	timeout => { statement => $waits, before => q{SET lock_timeout = '20ms'}, after => 'RESET lock_timeout' },
	cancel => { statement => 'SELECT concat(%s, pg_cancel_backend(pg_backend_pid()), pg_sleep(0.1))' },
	terminate => { statement => 'SELECT concat(%s, pg_terminate_backend(pg_backend_pid()), pg_sleep(0.1))' },
	out_of_memory => {
		statement => q{SELECT concat(%s, length(repeat('x', 900000000 + (random() * 2)::integer)))},
		little_memory => 1,
	},
	deadlock => { statement => $waits, after => $wait_no_more, meanwhile => \&deadlock },
	memory_contexts => {
		statement => $waits,
		after => $wait_no_more,
		meanwhile => \&log_memory_contexts,
		rare => 1,
	},
	killed => { statement => $waits, meanwhile => sub { crash('KILL') }, rare => 1, crash => 1, calls => ['read'] },
	aborted => { statement => $waits, meanwhile => sub { crash('ABRT') }, rare => 1, crash => 1, calls => ['create'] },
);

# ----------
# Call styles: what is sent, each with an answer of its own. A view is what the session
# itself sees then.
# ----------

sub quote
{
	return map { "'$_'" } @_;
}

# The statement that makes the call with these expressions as its arguments, and fails
sub statement
{
	my ($kind, $call, $error, @arguments) = @_;
	my $way = $errors{$error};

	$arguments[0] = sprintf $way->{argument}, $arguments[0] if $way->{argument};
	return sprintf(($kind eq 'cursor' ? $way->{cursor} : undef) // $way->{statement} // 'SELECT %s',
		call($call, @arguments)) . ($way->{syntax} // '');
}

sub placeholders
{
	my ($call) = @_;
	my $n = 0;
	return map { '$' . ++$n } types($call);
}

sub prepare
{
	my ($call, $error) = @_;
	return query('PREPARE p(' . join(', ', types($call)) . ') AS '
		  . statement('', $call, $error, placeholders($call)));
}

# The wrapper that fails so, called
sub wrapped
{
	my ($call, $error, @arguments) = @_;
	my $way = $errors{$error};
	my $name = $call . '_' . ($way->{syntax} ? 'none' : $error);

	return "wrapper_$name(" . join(', ', @arguments) . ')' . ($way->{syntax} // '');
}

# What runs the statement and returns its result
sub do_block
{
	my ($statement) = @_;
	return (query("DO \$do\$ DECLARE result text; BEGIN $statement INTO result; "
			. q{PERFORM set_config('app.result', result, false); END $do$}),
		query(q{SELECT current_setting('app.result', true)}));
}

my $see_prepared = [ pg_prepared_statements => 'SELECT statement FROM pg_prepared_statements' ];
my $see_cursors = [ pg_cursors => 'SELECT statement FROM pg_cursors' ];
my $copies = 0;
my %styles = (
	literal => sub {
		my ($call, $error, @values) = @_;
		return query(statement('', $call, $error, quote(@values)));
	},
	escaped_name => sub {
		my ($call, $error, @values) = @_;
		return query(statement('', $call, $error, quote(@values)) =~ s/\bburn_(\w+)/U&"\\0062urn_$1"/r);
	},
	several_statements => sub {
		my ($call, $error, @values) = @_;
		return query('SELECT 1; ' . statement('', $call, $error, quote(@values)) . '; SELECT 2');
	},
	extended_literal => sub {
		my ($call, $error, @values) = @_;
		return execute('', statement('', $call, $error, quote(@values))) . sync();
	},
	bind => sub {
		my ($call, $error, @values) = @_;
		return execute('', statement('', $call, $error, placeholders($call)), @values) . sync();
	},
	bind_named => sub {
		my ($call, $error, @values) = @_;
		return (execute('named', statement('', $call, $error, placeholders($call)), @values) . sync(),
			$see_prepared, query('DEALLOCATE ALL'));
	},
	prepare => sub {
		my ($call, $error, @values) = @_;
		return (prepare($call, $error), query('EXECUTE p(' . join(', ', quote(@values)) . ')'),
			$see_prepared, query('DEALLOCATE ALL'));
	},
	prepare_stale => sub {
		my ($call, $error, @values) = @_;
		return (prepare($call, $error), query('SET search_path = pg_catalog'),
			(query('EXECUTE p(' . join(', ', quote(@values)) . ')')) x 2,
			query('RESET search_path'), query('DEALLOCATE ALL'));
	},
	prepare_literal => sub {
		my ($call, $error, @values) = @_;
		return (query('PREPARE p AS ' . statement('', $call, $error, quote(@values))),
			query('EXECUTE p'), $see_prepared, query('DEALLOCATE ALL'));
	},
	do => sub {
		my ($call, $error, @values) = @_;
		return do_block(statement('', $call, $error, quote(@values)));
	},
	do_with_a_composed_name => sub {
		my ($call, $error, @values) = @_;
		my $string = statement('', $call, $error, quote(@values)) =~ s/'/''/gr;
		return do_block("EXECUTE '" . $string =~ s/\bburn_/burn' || '_/gr . "'");
	},
	copy => sub {
		my ($call, $error, @values) = @_;
		return query('COPY (' . statement('', $call, $error, quote(@values)) . ') TO STDOUT');
	},
	cursor => sub {
		my ($call, $error, @values) = @_;
		return (query('BEGIN'),
			query('DECLARE c CURSOR FOR ' . statement('cursor', $call, $error, quote(@values))),
			query('FETCH ALL FROM c'), $see_cursors, query('COMMIT'));
	},
	cursor_with_hold => sub {
		my ($call, $error, @values) = @_;
		return (query('DECLARE c CURSOR WITH HOLD FOR ' . statement('cursor', $call, $error, quote(@values))),
			query('FETCH ALL FROM c'), $see_cursors, query('CLOSE ALL'));
	},
	explain => sub {
		my ($call, $error, @values) = @_;
		return query('EXPLAIN (ANALYZE, VERBOSE) ' . statement('', $call, $error, quote(@values)));
	},
	explain_in_parts => sub {
		my ($call, $error, @values) = @_;
		return parse('', 'EXPLAIN (ANALYZE, VERBOSE) ' . statement('', $call, $error, quote(@values)))
		  . bind_parameters('') . run(1) . run(1) . sync();
	},
	create_table_as => sub {
		my ($call, $error, @values) = @_;
		my $table = 'copy_' . ++$copies;
		my $query = statement('', $call, $error, quote(@values));

		$query = "WITH made AS ($query) SELECT * FROM made" if $error eq 'unique_violation';
		return (query("CREATE TABLE $table AS $query"), query("TABLE $table"));
	},
	procedure => sub {
		my ($call, $error, @values) = @_;
		return query('CALL call_' . wrapped($call, $error, quote(@values), 'NULL'));
	},
	function => sub {
		my ($call, $error, @values) = @_;
		return query('SELECT ' . wrapped($call, $error, quote(@values)));
	},
	function_in_later_messages => sub {
		my ($call, $error, @values) = @_;
		return (parse('named', 'SELECT ' . wrapped($call, $error, quote(@values))) . sync(),
			bind_parameters('named') . run() . sync(), $see_prepared, query('DEALLOCATE ALL'));
	},
	function_in_a_cursor => sub {
		my ($call, $error, @values) = @_;
		return (query('BEGIN'),
			query('DECLARE c CURSOR FOR SELECT ' . wrapped($call, $error, quote(@values))),
			query('FETCH ALL FROM c'), query('CLOSE c'), query('COMMIT'));
	},
	nested_function => sub {
		my ($call, $error, @values) = @_;
		return query('SELECT outer_' . wrapped($call, $error, quote(@values)));
	},
	nested_function_with_bind => sub {
		my ($call, $error, @values) = @_;
		return execute('', 'SELECT outer_' . wrapped($call, $error, placeholders($call)), @values) . sync();
	},
	function_with_bind => sub {
		my ($call, $error, @values) = @_;
		return execute('', 'SELECT ' . wrapped($call, $error, placeholders($call)), @values) . sync();
	},
);

# The errors that a style can meet, where it cannot meet all
my %meets = (prepare_stale => ['none']);

# ----------
# A run of the matrix, in a process of its own
# ----------

my $node;
my $caller;      # the session that makes calls, in the role of the setting
my $witness;     # one of a superuser, which sees every session and holds AWAITED
my $peer;        # one of the caller's role
my %known;       # cells by their secrets
my %leaks;       # cell -> place -> kind of secret -> how often
my %encodings;     # the same by encoding
my @fresh;       # notes nobody has read yet: note, token, receipt token

sub leak
{
	my ($place, $cell, $kind, $encoding) = @_;
	$leaks{ $cell // 'unknown' }{$place}{$kind}++;
	$encodings{$encoding}++;
	return;
}

sub look
{
	my ($place, @texts) = @_;
	find_secrets(\join("\n", map { $_ // '' } @texts), \%known, sub { leak($place, @_) });
	return;
}

sub belongs
{
	my ($cell, @secrets) = @_;
	$known{ known_by($_) } = $cell foreach @secrets;
	return;
}

# A note of the cell that waits to be read: its token and receipt token. They are made by
# the hundred with bound parameters.
sub take_note
{
	my ($cell) = @_;

	if (!@fresh)
	{
		my @notes = map { secret('note') } 1 .. 500;
		my @tokens = $witness->ask('SELECT burn_create(note) FROM unnest($1::text[]) WITH ORDINALITY AS notes (note, n) ORDER BY n',
			'{' . join(',', @notes) . '}');
		my @receipts = $witness->ask('SELECT burn_receipt_token(token) FROM unnest($1::text[]) WITH ORDINALITY AS tokens (token, n) ORDER BY n',
			'{' . join(',', @tokens) . '}');
		@fresh = map { [ $notes[$_], $tokens[$_], $receipts[$_] ] } 0 .. $#notes;
	}
	my ($note, $token, $receipt) = @{ shift @fresh };
	belongs($cell, $note, $token, $receipt);
	return ($token, $receipt);
}

sub connect_caller
{
	my ($setting) = @_;

	$caller = Wire->new($node, "regress_$setting");
	$caller->ask('CREATE TEMP TABLE once (v text UNIQUE)');
	$caller->ask('SELECT pg_advisory_lock(' . OWNED . ')');
	return;
}

sub connect_witness
{
	$witness = Wire->new($node);
	$witness->ask(q{SET deadlock_timeout = '1ms'});    # the others' is an hour, so that it finds deadlocks
	$witness->ask($wait);
	return;
}

sub connect_all
{
	my ($setting) = @_;

	connect_witness();
	connect_caller($setting);
	$peer = Wire->new($node, "regress_$setting");
	return;
}

# Waits until the caller waits for its lock.
sub caller_waits
{
	for (1 .. 1000 * $PostgreSQL::Test::Utils::timeout_default)
	{
		my ($waits) = $witness->ask("SELECT count(*) FROM pg_locks
			WHERE pid = $caller->{pid} AND locktype = 'advisory' AND NOT granted");
		return if $waits;
		usleep(1000);
	}
	die 'the call does not wait for its lock';
}

# Waits until the session has a LOG record behind that place in the log. What it says may
# be redacted.
sub wait_for_record
{
	my ($session, $log_end) = @_;

	for (1 .. 1000 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if slurp_file(log_file(), $log_end) =~ /\[$session->{pid}\].* LOG:/;
		usleep(1000);
	}
	die 'there is no such record';
}

# The log's end, once its collector has written what was logged until now.
sub log_end
{
	my $before = -s log_file();

	$witness->ask(q{DO $$ BEGIN RAISE LOG 'until here'; END $$});
	wait_for_record($witness, $before);
	return -s log_file();
}

sub log_file
{
	return $node->data_dir . '/log/server.log';
}

# What other sessions see of the caller, superusers' or its role's
sub look_at_activity
{
	my $sql = "SELECT query FROM pg_stat_activity WHERE pid = $caller->{pid}";

	look('pg_stat_activity', map { $_->ask($sql) } $witness, $peer);
	return;
}

# The witness closes the circle, finds that, and gives up: its error tells what the
# caller does.
sub deadlock
{
	my ($setting, $log_end) = @_;

	# until it has looked for one in vain, and said that it waits
	wait_for_record($caller, $log_end) if exists $settings{$setting}{deadlock_timeout};
	look_at_activity();
	die 'no deadlock' if eval { $witness->ask('SELECT pg_advisory_lock(' . OWNED . ')'); 1 };
	$witness->ask($wait_no_more);
	return;
}

sub log_memory_contexts
{
	my $log_end = log_end();    # what the caller has logged comes before it

	$witness->ask("SELECT pg_log_backend_memory_contexts($caller->{pid})");
	wait_for_record($caller, $log_end);
	$witness->ask($wait_no_more);
	return;
}

# The caller's end takes the other sessions along.
sub crash
{
	my ($signal) = @_;

	kill $signal, $caller->{pid};
	$_->answer foreach $witness, $peer;
	return;
}

# After the caller's end, and perhaps everybody's
sub reconnect
{
	my ($setting) = @_;

	return connect_caller($setting) if eval { $witness->ask('SELECT 1') };
	for (1 .. 50 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if eval { connect_all($setting); 1 };
		usleep(20_000);
	}
	die 'the server does not recover';
}

# Sets the soft limit only: it can be raised again.
sub limit_memory
{
	my ($limit) = @_;

	system('prlimit', '--pid', $caller->{pid}, "--as=$limit:") == 0 or die 'prlimit does not run';
	return;
}

# Makes the call. What the caller is told is the caller's business; secrets in it that are
# new to us become the cell's.
sub make_call
{
	my ($cell, $call, @values) = @_;
	my ($style, $setting, $error) = @$cell{qw(style setting error)};
	my $way = $errors{$error};
	my @messages = $styles{$style}->($call, $error, @values);

	unshift @messages, query($way->{before}) if $way->{before};
	push @messages, query($way->{after}) if $way->{after};
	limit_memory(MEMORY) if $way->{little_memory};
	my $log_end = $way->{meanwhile} ? log_end() : undef;
	$caller->send(join '', map { ref ? query($_->[1]) : $_ } @messages);
	if ($way->{meanwhile})
	{
		caller_waits();
		$way->{meanwhile}->($setting, $log_end);
	}

	my $closed;
	foreach my $message (@messages)
	{
		my $answer = $caller->answer;
		my @texts = map { $_ // '' } $answer->{error}, map { @$_ } @{ $answer->{rows} };

		if (ref $message)
		{
			look($message->[0], @texts);
		}
		else
		{
			belongs($cell->{name}, grep { !exists $known{ known_by($_) } } map { secrets_in($_) } @texts);
		}
		$closed = $answer->{closed} and last;
	}
	limit_memory('unlimited') if $way->{little_memory};
	$witness->ask($wait) if $way->{meanwhile} && !$closed;
	return $closed ? reconnect($setting) : look_at_activity();
}

# The arguments of each call: new secrets of the cell
my %arguments = (
	create => sub { new_secret($_[0], 'note') },
	create_with_passphrase => sub { (new_secret($_[0], 'note'), new_secret($_[0], 'passphrase')) },
	create_bytes => sub { '\x' . unpack 'H*', new_secret($_[0], 'note') },
	create_from_base64 => sub { encode_base64(new_secret($_[0], 'note'), '') },
	read => sub { (new_token($_[0]), new_secret($_[0], 'passphrase')) },
	read_bytes => sub {
		my ($cell) = @_;
		my ($token) = $witness->ask(q{SELECT burn_create_bytes(convert_to($1, 'UTF8'))},
			new_secret($cell, 'note'));

		belongs($cell, $token);
		return $token;
	},
	receipt_token => \&new_token,
	status => sub { (take_note($_[0]))[1] },
	verify => sub {
		my $token = new_token(@_);
		$witness->ask('SELECT burn_read($1)', $token);
		return $token;
	},
	revoke => \&new_token,
);

sub new_secret
{
	my ($cell, $kind) = @_;
	my $secret = secret($kind);

	belongs($cell, $secret);
	return $secret;
}

sub new_token
{
	my ($cell) = @_;
	return (take_note($cell))[0];
}

# ----------
# The server
# ----------

sub start_server
{
	my ($redact) = @_;
	my $preload = join ', ', 'pg_stat_statements', 'auto_explain', $pgaudit ? 'pgaudit' : (), 'burn_note';

	$node = new_node("redact_$redact");
	$node->append_conf('postgresql.conf', <<~"CONF");
		shared_preload_libraries = '$preload'
		burn_note.redact = $redact
		logging_collector = on
		log_destination = 'stderr, csvlog, jsonlog'
		log_filename = 'server.log'
		wal_level = replica
		wal_keep_size = 4GB
		pg_stat_statements.track = all
		pg_stat_statements.max = 100000
		shared_buffers = 32MB
		restart_after_crash = on
		deadlock_timeout = '1h'
		CONF
	$node->start;
	$node->safe_psql('postgres', join ";\n",
		'CREATE EXTENSION burn_note CASCADE',
		'CREATE EXTENSION pg_stat_statements',
		'GRANT CREATE ON SCHEMA public TO PUBLIC',
		'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC',
		(map { make_role($_) } sort keys %settings),
		make_wrappers());
	return;
}

sub make_role
{
	my ($setting) = @_;
	my %has = %{ $settings{$setting} };

	return ("CREATE ROLE regress_$setting LOGIN",
		map { "ALTER ROLE regress_$setting SET $_ = '$has{$_}'" } sort keys %has);
}

sub make_wrappers
{
	my @sql = (q{CREATE FUNCTION insert_twice(v text) RETURNS text LANGUAGE plpgsql
		AS 'BEGIN INSERT INTO pg_temp.once VALUES (v), (v); RETURN v; END'});

	foreach my $error (sort keys %errors)
	{
		next if $errors{$error}{syntax};
		foreach my $call (calls_of($error))
		{
			my @types = types($call);
			my $types = join ', ', @types;
			my $query = statement('', $call, $error, placeholders($call)) . ' INTO result';

			push @sql, "CREATE FUNCTION wrapper_${call}_$error($types) RETURNS text LANGUAGE plpgsql
					AS \$\$DECLARE result text; BEGIN $query; RETURN result; END\$\$",
			  "CREATE FUNCTION outer_wrapper_${call}_$error($types) RETURNS text LANGUAGE plpgsql
					AS \$\$BEGIN RETURN " . wrapped($call, $error, placeholders($call)) . "; END\$\$",
			  "CREATE PROCEDURE call_wrapper_${call}_$error($types, INOUT result text) LANGUAGE plpgsql
					AS \$\$BEGIN $query; END\$\$";
		}
	}
	return @sql;
}

sub calls_of
{
	my ($error) = @_;
	return @{ $errors{$error}{calls} // [qw(create read status)] };
}

# Where in the server's files
sub place
{
	my ($path) = @_;
	my ($below) = $path =~ m{^\Q${\$node->data_dir}\E/(.*)};

	return
	    $below =~ m{^log/server\.(log|csv|json)$} ? { log => 'stderr log', csv => 'csv log', json => 'json log' }->{$1}
	  : $below =~ m{^pg_wal/} ? 'pg_wal'
	  : $below =~ m{^(?:pg_stat|pg_stat_tmp)/} ? 'statistics files'
	  : 'data files';
}

sub search_files
{
	my ($directory) = @_;

	in_files(
		$directory,
		sub {
			my ($path, $bytes) = @_;
			find_secrets($bytes, \%known, sub { leak(place($path), @_) });
		});
	return;
}

sub look_at_statements
{
	look('pg_stat_statements', $witness->ask('SELECT query FROM pg_stat_statements'));
	search_files($node->data_dir . '/pg_stat_tmp');
	return;
}

# All cells: those that crash the server at the end, since that empties pg_stat_statements.
sub all_cells
{
	my (@cells, @crashes);

	foreach my $setting (sort keys %settings)
	{
		foreach my $style (sort keys %styles)
		{
			foreach my $error (sort keys %errors)
			{
				next if $errors{$error}{rare} && $setting ne 'everything';
				next unless among($error, $meets{$style});
				push @{ $errors{$error}{crash} ? \@crashes : \@cells },
				  { name => "$style, $setting, $error", style => $style, setting => $setting, error => $error };
			}
		}
	}
	return (@cells, @crashes);
}

sub run_matrix
{
	my ($redact, @cells) = @_;
	my ($setting, $style) = ('', '');
	my $crashed;

	start_server($redact);
	foreach my $cell (@cells)
	{
		look_at_statements() if $errors{ $cell->{error} }{crash} && !$crashed++;
		if ($cell->{setting} ne $setting)
		{
			connect_all($cell->{setting});
		}
		elsif ($cell->{style} ne $style)
		{
			undef $caller;
			connect_caller($setting);
		}
		($setting, $style) = @$cell{qw(setting style)};
		foreach my $call (calls_of($cell->{error}))
		{
			# hashing takes long
			next if $call eq 'create_with_passphrase' && $setting !~ /^(?:default|statement|everything)$/;

			make_call($cell, $call, $arguments{$call}->($cell->{name}));
		}
	}
	look_at_statements();
	$witness->ask('CHECKPOINT');
	$node->stop;
	search_files($node->data_dir);
	return { leaks => \%leaks, encodings => \%encodings };
}

# In a process of its own. What it finds is in the file.
sub start_run
{
	my ($file, @run) = @_;

	my $pid = fork // die "fork: $!";
	return $pid if $pid;

	srand;
	my $result = eval { run_matrix(@run) } // { died => $@ };
	$node->stop('immediate') if $result->{died};
	store($result, $file);
	POSIX::_exit(0);
}

# Several runs at the same time: what each finds, by the value of redact
sub run_all
{
	my (%cells) = @_;
	my $dir = PostgreSQL::Test::Utils::tempdir();
	my %result;

	my @pids = map { start_run("$dir/$_", $_, @{ $cells{$_} }) } sort keys %cells;
	waitpid $_, 0 foreach @pids;
	foreach my $redact (sort keys %cells)
	{
		my $result = retrieve("$dir/$redact");
		is($result->{died}, undef, "the run with redact = $redact comes to its end");
		$result{$redact} = $result;
	}
	return %result;
}

# ----------
# What is documented as open
# ----------

my @logs = ('stderr log', 'csv log', 'json log');
my @succeed = qw(none deadlock memory_contexts);

# The calls' own styles, settings and errors (all where nothing is said), and the places
# where the secrets are. quiet: also with burn_note.redact = quiet.
my @first = qw(cancel timeout);    # errors, in order: the first one, and the one after a terminated session
my @open = (
	{
		why => 'CREATE TABLE AS makes a copy',
		styles => ['create_table_as'],
		errors => \@succeed,
		places => [ 'data files', 'pg_wal' ],
		quiet => 1,
	},
	{
		why => 'and what of it was rolled back is in WAL',
		styles => ['create_table_as'],
		errors => ['unique_violation'],
		places => ['pg_wal'],
		quiet => 1,
	},
	{
		why => 'pg_prepared_statements shows a session its own statements',
		styles => ['prepare_literal'],
		errors => [ @succeed, qw(cancel cast_of_result out_of_memory timeout unique_violation) ],
		places => ['pg_prepared_statements'],
		quiet => 1,
	},
	{
		why => 'the same of a statement that a driver prepared',
		styles => ['function_in_later_messages'],
		errors => [ @succeed, qw(cancel cast_of_argument cast_of_result out_of_memory timeout unique_violation) ],
		places => ['pg_prepared_statements'],
		quiet => 1,
	},
	{
		why => 'the out-of-memory report quotes texts, past every hook',
		styles => [qw(do do_with_a_composed_name explain_in_parts extended_literal function_in_later_messages prepare_literal)],
		errors => ['out_of_memory'],
		places => ['stderr log'],
		quiet => 1,
	},
	{
		why => 'what does not name us is not known before its session\'s first call: literals',
		styles => [qw(do_with_a_composed_name function nested_function procedure)],
		settings => [qw(debug_print everything pgaudit stage_statistics statement)],
		errors => \@first,
		places => \@logs,
	},
	{
		why => 'the same in a cursor, whose first call is a FETCH',
		styles => ['function_in_a_cursor'],
		settings => [qw(debug_print everything min_duration pgaudit sample stage_statistics statement statement_statistics transaction_sample)],
		errors => \@first,
		places => \@logs,
	},
	{
		why => 'pg_stat_statements keeps the text of its DECLARE',
		styles => ['function_in_a_cursor'],
		errors => \@first,
		places => [ 'pg_stat_statements', 'statistics files' ],
	},
	{
		why => 'the same at its Parse',
		styles => ['function_in_later_messages'],
		settings => [qw(debug_messages debug_print everything min_duration pgaudit sample stage_statistics statement statement_statistics transaction_sample)],
		errors => \@first,
		places => \@logs,
	},
	{
		why => 'the same of bound parameters',
		styles => [qw(function_with_bind nested_function_with_bind)],
		settings => [qw(debug_print everything min_duration pgaudit sample statement transaction_sample)],
		errors => \@first,
		places => \@logs,
	},
	{
		why => 'a token in a plan that is printed as numbers tells of itself neither',
		styles => [qw(function_with_bind nested_function_with_bind)],
		settings => ['debug_print'],
		errors => ['terminate'],
		places => \@logs,
	},
	{
		why => 'and of a session that a crash had ended before',
		styles => [qw(do_with_a_composed_name function function_in_a_cursor function_in_later_messages
			function_with_bind nested_function nested_function_with_bind procedure)],
		settings => ['everything'],
		errors => ['aborted'],
		places => \@logs,
	},
);

sub among
{
	my ($value, $list) = @_;
	return !defined $list || scalar grep { $_ eq $value } @$list;
}

sub is_in
{
	my ($cell, $entry) = @_;
	return among($cell->{style}, $entry->{styles})
	  && among($cell->{setting}, $entry->{settings})
	  && among($cell->{error}, $entry->{errors});
}

# ----------
# The search finds what it looks for
# ----------

my $planted = PostgreSQL::Test::Utils::tempdir();
my (%planted, @missed);
foreach my $kind ('note', 'passphrase', 'token', 'receipt token')
{
	my $secret = secret($kind);
	my %written = in_every_encoding($secret);

	$planted{ known_by($secret) } = $kind;
	foreach my $encoding (sort keys %written)
	{
		# as long as what is looked at together: the secret is at its end
		append_to_file("$planted/$kind, $encoding", ' ' x ((1 << 20) - 30) . $written{$encoding});
		push @missed, "$planted/$kind, $encoding";
	}
}
my $files = @missed;
in_files(
	$planted,
	sub {
		my ($file, $bytes) = @_;
		find_secrets(
			$bytes,
			\%planted,
			sub {
				my ($name, $kind) = @_;
				@missed = grep { $_ ne $file || $name ne $kind || $file !~ /\/$kind, / } @missed;
			});
	});
is(join("\n", @missed), '', "all_of_${files}_planted_secrets_are_found");

# ----------
# The matrix
# ----------

my @cells = all_cells();
my %cell = map { ($_->{name} => $_) } @cells;
my %ran = run_all(map { $_ => \@cells } qw(off on quiet));

# The control
my %leaky;
foreach my $name (keys %{ $ran{off}{leaks} })
{
	my $cell = $cell{$name} // next;
	my $places = $ran{off}{leaks}{$name};

	$leaky{$_}++ foreach @$cell{qw(style setting error)}, keys %$places, map { keys %$_ } values %$places;
}
foreach my $what (sort(keys %styles, keys %settings, keys %errors),
	@logs, qw(pg_stat_activity pg_stat_statements pg_prepared_statements pg_cursors pg_wal),
	'statistics files', 'data files', 'note', 'passphrase', 'token', 'receipt token')
{
	cmp_ok($leaky{$what} // 0, '>', 0, "control_without_redaction_cells_leak: $what");
}
cmp_ok($ran{off}{encodings}{$_} // 0, '>', 0, "control_without_redaction_leaks_are_found: $_")
  foreach 'raw', 'hex', 'base64 at offset 0', 'decimal list';

# Redaction
foreach my $redact ('on', 'quiet')
{
	my $leaks = $ran{$redact}{leaks};
	my %open;    # cell -> place -> 1
	my (@closed, @surprises);

	foreach my $entry (grep { $redact eq 'on' || $_->{quiet} } @open)
	{
		my @names = map { $_->{name} } grep { is_in($_, $entry) } @cells;

		note("$redact: " . @names . " cells: $entry->{why}");
		foreach my $name (@names)
		{
			$open{$name}{$_} = 1 foreach @{ $entry->{places} };
			push @closed, "$name: $entry->{why}" unless grep { among($_, $entry->{places}) } keys %{ $leaks->{$name} // {} };
		}
	}
	is(scalar @closed, 0, "$redact: what_is_documented_as_open_is_open") or diag(join "\n", @closed);
	foreach my $name (sort keys %$leaks)
	{
		push @surprises, map { "$name: " . join(', ', sort keys %{ $leaks->{$name}{$_} }) . " in $_" }
		  grep { !($open{$name} && $open{$name}{$_}) } sort keys %{ $leaks->{$name} };
	}
	is(scalar @surprises, 0, "$redact: nothing_leaks_but_what_is_documented") or diag(join "\n", @surprises);
}

# ----------
# The figures
# ----------

my $figures = sprintf '%d cells; %d leak with redaction off, %d with on, %d with quiet',
  scalar @cells, map { scalar keys %{ $ran{$_}{leaks} } } qw(off on quiet);
diag($figures);

SKIP:
{
	skip 'SECURITY.md has the figures of PostgreSQL 15 with pgaudit', 1
	  unless $version =~ /^PostgreSQL 15/ && $pgaudit;
	cmp_ok(index(slurp_file('SECURITY.md') =~ s/\s+/ /gr, $figures), '>', 0, 'SECURITY_has_these_figures');
}

done_testing();
