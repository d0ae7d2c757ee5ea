#
# Nothing is burned in vain: what goes wrong before the fuse is lit leaves the note as
# it was, sealed, without a receipt, for the next reader. The control: the same things
# going wrong after the fuse was lit must lose the note, or these tests would not see it.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = burn_node('in_vain', init => { allows_streaming => 1 });

# Ways to interrupt the backend that is inside of burn_read(), and what its client is told.
# A timeout, in milliseconds, is doubled until it does not come before the trigger.
my @interruptions = (
	{
		name => 'cancel',
		sqlstate => '57014',
		how => sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend($_[0])") },
	},
	{
		name => 'statement_timeout',
		sqlstate => '57014',
		timeout => 250,
		how => sub { },
	},
	{
		name => 'terminate',
		sqlstate => '57P01',
		how => sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend($_[0])") },
	},
	{
		name => 'kill_9',
		how => sub { kill_backend($node, $_[0]) },
	},
);

# A session that has started to execute $sql; it sees to it that its errors are told in
# full, and ends with the first one.
sub start_session
{
	my ($timeout, $sql) = @_;
	my $session =
	  $node->background_psql('postgres', extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe("SET statement_timeout = $timeout");
	$session->query_until(qr/started/, "\\echo started\n$sql;\n");
	return ($session, $pid);
}

# Reads a note with an AFTER INSERT trigger on burn_receipt that does not return, in a
# transaction block, and interrupts it in there. Returns the token.
sub interrupt_in_trigger
{
	my ($interruption, $timeout) = @_;
	$timeout //= $interruption->{timeout} // 0;
	my $token = create($node);
	my ($session, $pid) = start_session($timeout,
		"BEGIN; SELECT burn_read('$token', '${\FIRST_READER}'); SET CONSTRAINTS ALL IMMEDIATE");

	# The timeout is on its way: there may be no time to look
	$node->poll_query_until('postgres',
		"SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid")
	  if $timeout == 0;
	$interruption->{how}->($pid);
	$session->{run}->finish;
	return interrupt_in_trigger($interruption, 2 * $timeout)
	  if $timeout > 0 && $session->{stderr} !~ /in the trigger/;

	like($session->{stderr}, qr/$interruption->{sqlstate}: /, 'its client hears of it')
	  if defined $interruption->{sqlstate};
	return ($token, $session->{stdout});
}

$node->safe_psql('postgres', <<~'SQL');
	CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		RAISE NOTICE 'in the trigger';
		PERFORM pg_sleep(3600);
		RETURN NULL;
	END $$;
	SQL

my $immediate = 'CREATE TRIGGER dawdle AFTER INSERT ON burn_receipt
	FOR EACH ROW EXECUTE FUNCTION dawdle()';
my $deferred = 'CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON burn_receipt
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dawdle()';
my $no_trigger = 'DROP TRIGGER dawdle ON burn_receipt';

foreach my $interruption (@interruptions)
{
	subtest "$interruption->{name}_before_the_fuse_is_lit_burns_nothing" => sub {
		$node->safe_psql('postgres', $immediate);
		my ($token, $got) = interrupt_in_trigger($interruption);
		$node->safe_psql('postgres', $no_trigger);

		is($got, '', 'the interrupted reader got nothing');
		reads_once($node, $token);
	};

	subtest "$interruption->{name}_after_the_fuse_is_lit_loses_the_note" => sub {
		$node->safe_psql('postgres', $deferred);
		my ($token) = interrupt_in_trigger($interruption);
		$node->safe_psql('postgres', $no_trigger);

		burned_in_vain($node, $token);
	};
}

foreach my $statement ('SELECT FROM burn_note WHERE %s FOR UPDATE', 'DELETE FROM burn_note WHERE %s')
{
	my ($kind) = $statement =~ /(FOR UPDATE|DELETE)/;
	subtest lc "lock_timeout_behind_$kind\_burns_nothing" =~ tr/ /_/r => sub {
		my $token = create($node);
		my $other = $node->background_psql('postgres');
		$other->query_safe('BEGIN; ' . sprintf($statement, "id = burn_note_id('$token')"));

		burn_fails($node, $token, '55P03', "SET lock_timeout = '50ms'", 'with lock_timeout');
		burn_fails($node, $token, '55P03', "SET deadlock_timeout = '50ms'", 'without');
		$other->query_safe('ROLLBACK');
		$other->quit;
		reads_once($node, $token);
	};
}

subtest 'read_only_transaction_burns_nothing' => sub {
	my $token = create($node);

	burn_fails($node, $token, '25006', 'BEGIN READ ONLY', 'READ ONLY');
	burn_fails($node, $token, '25006', 'SET default_transaction_read_only = on', 'by setting');
	reads_once($node, $token);
};

subtest 'hot_standby_burns_nothing' => sub {
	my $standby = PostgreSQL::Test::Cluster->new('in_vain_standby');
	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	my $token = create($node);
	$node->wait_for_catchup($standby);

	is(status($standby, $token), 'sealed|||', 'the standby has the note');
	burn_fails($standby, $token, '25006', '', 'on the standby');
	reads_once($node, $token);

	my $receipt = receipts($node, $token);
	$node->wait_for_catchup($standby);
	is(receipts($standby, $token), $receipt, 'the standby has its receipt');
	is(status($standby, $token), $receipt, 'and tells the same');
	$standby->stop;
};

$node->stop;
done_testing();
