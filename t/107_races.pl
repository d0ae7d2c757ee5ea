# Sixteen clients race for the same tokens, at every isolation level, and end their
# transactions in every way: no token is answered twice. What a rollback cannot undo is
# what psql has printed, so answers are counted there.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use IPC::Run ();
use List::Util qw(shuffle sum0);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant CLIENTS => 16;
use constant STARTING_LINE => 1;	# an advisory lock

my $dir = PostgreSQL::Test::Utils::tempdir();
my $seed = $ENV{BURN_SEED} // time;

srand $seed;
note("BURN_SEED=$seed");

sub start_node
{
	my ($node) = @_;

	$node->append_conf('postgresql.conf', 'client_min_messages = error');
	$node->start;
	$node->safe_psql(
		'postgres', <<~'SQL');
		CREATE EXTENSION burn_note CASCADE;
		CREATE TABLE told (n int PRIMARY KEY, token text, note text);
		CREATE TABLE counter (n int PRIMARY KEY, value int);
		INSERT INTO counter SELECT n, 0 FROM generate_series(0, 7) AS n;
		SQL
	return $node;
}

# Shuffled, but so that all clients want the same few tokens at the same time.
sub shuffled
{
	my (@tokens) = @_;
	my @order;

	push @order, shuffle splice(@tokens, 0, 8) while @tokens;
	return @order;
}

# One client's script: every token is tried once.
sub script_of
{
	my ($client, @tokens) = @_;
	my @levels = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
	my $script = '';
	my @left = map { [ $_, $tokens[$_] ] } shuffled(0 .. $#tokens);

	while (@left)
	{
		my $level = $levels[ rand @levels ];
		my @taken = splice(@left, 0, 1 + rand 3);
		my $read = join '', map { "SELECT $_->[0], burn_read('$_->[1]');\n" } @taken;

		# two serializable transactions that both do this conflict: one fails after
		# its notes were answered, some at COMMIT
		$read .= "SELECT FROM counter WHERE value < 0;\nUPDATE counter SET value = value + 1 WHERE n = $client % 8;\n"
		  if $level eq 'SERIALIZABLE' && rand() < 0.5;

		my @ways = (
			"$read",
			"BEGIN ISOLATION LEVEL $level;\n${read}COMMIT;\n",
			"BEGIN ISOLATION LEVEL $level;\n${read}ROLLBACK;\n",
			"BEGIN ISOLATION LEVEL $level;\nSAVEPOINT s;\n${read}ROLLBACK TO s;\nCOMMIT;\n");
		$script .= $ways[ rand @ways ];
	}
	return $script;
}

# Lets all the scripts loose at once, and returns what each printed and complained of.
sub run_scripts
{
	my ($node, @scripts) = @_;
	my $starter = $node->background_psql('postgres');
	my $line = STARTING_LINE;
	my @runs;

	$starter->query_safe("SELECT pg_advisory_lock($line)");
	foreach my $i (0 .. $#scripts)
	{
		my $file = "$dir/" . $node->name . "_$i";

		append_to_file("$file.sql",
			"\\set VERBOSITY sqlstate\n\\pset null NULL\n\\o /dev/null\nSELECT pg_advisory_lock_shared($line);\n\\o\n$scripts[$i]");
		push @runs, [
			IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', "$file.sql" ],
				'<', '/dev/null', '>', "$file.out", '2>', "$file.err"),
			$file ];
	}
	$node->poll_query_until('postgres',
		"SELECT count(*) = @{[ scalar @scripts ]} FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
	  or die 'not everybody is at the starting line';
	my $started = time;
	$starter->query_safe("SELECT pg_advisory_unlock($line)");

	foreach my $run (@runs)
	{
		$run->[0]->finish;
		is($run->[0]->result(0), 0, 'a_client_ends_well') if $run->[0]->result(0) != 0;
	}
	note(sprintf 'the race took %d s', time - $started);
	$starter->quit;
	return map { [ slurp_file("$_->[1].out"), slurp_file("$_->[1].err") ] } @runs;
}

# The race. Returns tries, answers by token, and errors by SQLSTATE.
sub race
{
	my ($node, $tokens) = @_;
	my @tokens = split /\n/, $node->safe_psql('postgres', <<~SQL);
		INSERT INTO told SELECT n, burn_create(note), note
			FROM (SELECT n, 'note ' || n || ' ' || gen_random_uuid() AS note FROM generate_series(0, $tokens - 1) AS n) AS made
			RETURNING token
		SQL

	# beside the readers, somebody finishes rolled-back burns, somebody looks
	my $purger = "SELECT 'purged', burn_purge(20); SELECT 'slept' FROM pg_sleep(0.005);\n" x ($tokens / 4);
	my $auditor = join '', map { "SELECT 'status', state FROM burn_status('$_');\n" } @tokens;
	my @printed = run_scripts($node, (map { script_of($_, @tokens) } 1 .. CLIENTS), $purger, $auditor);

	my ($tries, $purged, %answers, %errors, %states) = (0, 0);
	foreach my $printed (@printed)
	{
		foreach my $line (split /\n/, $printed->[0])
		{
			if ($line =~ /^(\d+)\|(.*)/)
			{
				$tries++;
				push @{ $answers{$1} }, $2 if $2 ne 'NULL';
			}
			$purged += $1 if $line =~ /^purged\|(\d+)/;
			$states{$1}++ if $line =~ /^status\|(.*)/;
		}
		$errors{$_}++ foreach $printed->[1] =~ /(?:ERROR|FATAL):\s+(\w+)/g;
	}

	my $answers = sum0(map { scalar @$_ } values %answers);
	my $second = sum0(map { @$_ - 1 } values %answers);
	note("tokens $tokens, clients @{[ CLIENTS ]}, reads $tries, answers $answers, second reads $second");
	note('errors ' . join(', ', map { "$_: $errors{$_}" } sort keys %errors));
	note("notes finished by burn_purge meanwhile: $purged; states seen: "
		  . join(', ', map { "$_ $states{$_}" } sort keys %states));
	return {
		tries => $tries, answers => \%answers, answered => $answers, second => $second,
		errors => \%errors, states => \%states, purged => $purged };
}

my $tokens = 2000;
my $node = start_node(new_node('raced'));
my $race = race($node, $tokens);

is($race->{second}, 0, 'no_token_is_answered_twice');
is(scalar keys %{ $race->{answers} }, $tokens, 'every_token_is_answered');
is($race->{answered}, $tokens, 'there_are_as_many_answers_as_tokens');
cmp_ok($race->{tries}, '>', 0.9 * CLIENTS * $tokens, 'nearly_every_client_has_tried_nearly_every_token');

my %told = map { split /\|/, $_, 2 } split /\n/, $node->safe_psql('postgres', 'SELECT n, note FROM told');
is((grep { $race->{answers}{$_}[0] ne $told{$_} } keys %{ $race->{answers} }) + 0,
	0, 'each_answer_is_its_tokens_note');
is(join(',', grep { !/^(40001|25P02)$/ } keys %{ $race->{errors} }),
	'', 'there_are_no_errors_but_serialization_failures');
cmp_ok($race->{errors}{40001} // 0, '>', 0, 'some_transactions_failed_to_serialize');
is(join(',', grep { !/^(sealed|read)$/ } keys %{ $race->{states} }),
	'', 'burn_status_has_seen_sealed_and_read_notes_only');
cmp_ok($race->{purged}, '>', 0, 'burn_purge_finished_some_rolled_back_burns_in_the_race');

cmp_ok($node->safe_psql('postgres', "SELECT burn_purge($tokens)"), '>=', 0, 'burn_purge_finishes_the_rest');
is($node->safe_psql('postgres', 'SELECT count(*) FROM burn_note'), 0, 'no_note_is_left');
is( $node->safe_psql('postgres', <<~'SQL'),
	SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE outcome = 'r'), count(n)
	FROM burn_receipt LEFT JOIN told ON id = burn_note_id(token)
	SQL
	join('|', ($tokens) x 4), 'every_note_has_exactly_one_receipt');
is($node->safe_psql('postgres', 'SELECT count(*) FROM told WHERE burn_verify_receipt(token)'),
	$tokens, 'every_receipt_verifies');
is($node->safe_psql('postgres', 'SELECT count(burn_read(token)) FROM told'), 0, 'nothing_is_left_to_read');
$node->stop;

# The control: without the fuse, the same race must find second readers.
SKIP:
{
	my $control = control_node('control', 'BURN_NO_FUSE_STAGE');

	skip 'no control build (make test makes one)', 1 unless defined $control;
	cmp_ok(race(start_node($control), 200)->{second}, '>', 0,
		'control_without_the_fuse_tokens_are_answered_twice');
}

done_testing();
