# With synchronous_standby_names, a note is answered when a standby has its burn on disk,
# or it is not answered at all; so no failover to that standby brings it back. Where no
# standby is there to begin with, nothing is burned.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', allows_streaming => 1);
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE');
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "wal_receiver_status_interval = '1s'");
$standby->start;

# A standby that answers each second, and never says that it has flushed anything
$primary->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('lagging', true)");
my $lagging_dir = PostgreSQL::Test::Utils::tempdir();
my $lagging = IPC::Run::start(
	[ 'pg_receivewal', '-n', '-D', $lagging_dir, '-S', 'lagging', '-s', '1',
		'-d', $primary->connstr('postgres') . " application_name=lagging" ],
	'>', \my $lagging_said, '2>&1');

# Makes the one of that name synchronous, and waits until the server knows.
sub synchronous
{
	my ($name) = @_;

	$primary->append_conf('postgresql.conf', "synchronous_standby_names = '$name'");
	$primary->reload;
	$primary->poll_query_until('postgres', <<~SQL) or die "$name does not stream";
		SELECT count(*) = 1 FROM pg_stat_replication
		WHERE application_name = '$name' AND sync_state = 'sync' AND state = 'streaming'
		SQL
	return;
}

# Waits until the synchronous one has just answered: a read takes it to be there then.
sub wait_for_answer
{
	$primary->poll_query_until('postgres', <<~'SQL') or die 'no synchronous standby answers';
		SELECT clock_timestamp() - reply_time < interval '200 ms' FROM pg_stat_replication
		WHERE sync_state = 'sync'
		SQL
	return;
}

# A session that sends sql, after which psql tells the last error's SQLSTATE and DONE.
sub start_reader
{
	my ($sql) = @_;
	my $session = $primary->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query('SET client_min_messages = error; SELECT pg_backend_pid()');

	wait_for_answer();
	$session->query_until(qr/SENT/, "\\echo SENT\n$sql;\n\\echo :LAST_ERROR_SQLSTATE DONE\n");
	return { session => $session, pid => $pid };
}

# What it printed, once it is done.
sub finish_reader
{
	my ($reader) = @_;
	my $printed = $reader->{session}->query_until(qr/DONE/, '');

	$reader->{session}->quit;
	return $printed =~ s/^SENT\n| DONE\n//gr;
}

sub wait_until_they_wait
{
	my (@readers) = @_;
	my $pids = join(',', map { $_->{pid} } @readers);
	my $waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND pid IN ($pids)";

	$primary->poll_query_until('postgres', $waiting, scalar @readers)
	  or die 'the readers do not wait';
}

# From here on, the commits of the test's own questions must not wait.
sub locally
{
	my ($sql) = @_;
	return answer_of($primary, "SET synchronous_commit = local; $sql");
}

sub ending
{
	my ($node, $token) = @_;
	return answer_of($node, "SELECT state, burn_verify_receipt('$token') FROM burn_status('$token')");
}

# A read waits for the standby, whatever the caller has set for its own commits.
my @levels = qw(off local remote_write on remote_apply);
my %token = map { $_ => create($primary, "'note $_'") } @levels, 'local off';
synchronous('lagging');

my %reader = map {
	$_ => start_reader(<<~SQL)
		SET synchronous_commit = $_;
		BEGIN;
		SELECT burn_read('$token{$_}');
		SELECT setting, source FROM pg_settings WHERE name = 'synchronous_commit';
		ROLLBACK;
		SHOW synchronous_commit
		SQL
} @levels;
$reader{'local off'} = start_reader(<<~SQL);
	BEGIN;
	SET LOCAL synchronous_commit = off;
	SELECT burn_read('$token{'local off'}');
	SHOW synchronous_commit;
	COMMIT;
	SHOW synchronous_commit
	SQL
wait_until_they_wait(values %reader);
pass('a_read_waits_for_the_standby_at_every_synchronous_commit');
unlike(join('', map { $_->{session}{run}->pump_nb; $_->{session}{stdout} } values %reader),
	qr/note/, 'a_waiting_read_has_answered_nothing');
is(answer_of($primary, 'SET synchronous_commit = off; CREATE TABLE own (); SELECT count(*) FROM own'),
	'0', 'control_with_synchronous_commit_off_a_commit_does_not_wait');
is(answer_of($primary, join('', map { "SELECT burn_read('$token{$_}');\n" } sort keys %token)),
	join("\n", ('NULL') x keys %token),
	'losers_are_told_at_once_and_do_not_wait_for_the_standby');
is(ending($primary, $token{off}), 'read|t', 'burn_status_does_not_wait_either');

synchronous('standby');
is(finish_reader($reader{$_}), "note $_\n$_|session\n$_\n00000",
	"with_synchronous_commit_$_\_the_read_answers_when_a_standby_confirms_and_the_setting_stays")
  foreach @levels;
is(finish_reader($reader{'local off'}), "note local off\noff\non\n00000",
	'with_SET_LOCAL_off_too');

# Who is tired of waiting does not get the note.
my @ways = qw(cancel timeout terminate savepoint);
my %tired = map { $_ => create($primary, "'tired $_'") } @ways;
synchronous('lagging');

$reader{cancel} = start_reader(<<~SQL);
	SET synchronous_commit = off;
	SELECT burn_read('$tired{cancel}', '192.0.2.2');
	SHOW synchronous_commit
	SQL
$reader{savepoint} = start_reader(<<~SQL);
	BEGIN;
	SET LOCAL synchronous_commit = off;
	SAVEPOINT s;
	SELECT burn_read('$tired{savepoint}');
	ROLLBACK TO s;
	SHOW synchronous_commit;
	COMMIT;
	SHOW synchronous_commit
	SQL
$reader{terminate} = start_reader("SELECT burn_read('$tired{terminate}')");
wait_until_they_wait(@reader{qw(cancel savepoint terminate)});
$reader{timeout} = start_reader(<<~SQL);
	SET synchronous_commit = off;
	SET statement_timeout = '5s';
	SELECT burn_read('$tired{timeout}');
	SHOW synchronous_commit
	SQL
$primary->safe_psql('postgres', "SELECT pg_cancel_backend($reader{$_}{pid})")
  foreach qw(cancel savepoint);
$primary->safe_psql('postgres', "SELECT pg_terminate_backend($reader{terminate}{pid})");

is(finish_reader($reader{cancel}), "off\n58030", 'a_cancelled_wait_is_58030_and_the_setting_stays');
is(finish_reader($reader{savepoint}), "off\non\n58030",
	'a_cancelled_wait_under_a_savepoint_is_58030_and_the_settings_stay');
is(finish_reader($reader{timeout}), "off\n58030", 'a_wait_that_timed_out_is_58030_and_the_setting_stays');
$reader{terminate}{session}{run}->finish;
unlike($reader{terminate}{session}{stdout}, qr/tired/, 'a_terminated_wait_answers_nothing');
$primary->poll_query_until('postgres',
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $reader{terminate}{pid}");

foreach my $way (@ways)
{
	is(ending($primary, $tired{$way}), 'withheld|t', "after_$way\_the_note_is_withheld");
	is(locally("SELECT count(*) FROM burn_note WHERE id = burn_note_id('$tired{$way}')"),
		'1', "after_$way\_its_row_is_there_to_be_finished");
}
is(locally("SELECT burn_read('$tired{$_}'); SELECT burn_read('$tired{$_}')"),
	"NULL\nNULL", "after_$_\_the_note_is_never_read")
  foreach qw(cancel timeout);
cmp_ok(locally('SELECT burn_purge()'), '>=', 2, 'burn_purge_finishes_withheld_notes');
foreach my $way (@ways)
{
	is(ending($primary, $tired{$way}), 'withheld|t', "after_$way\_and_finishing_the_note_is_withheld");
	is(locally("SELECT outcome FROM burn_receipt WHERE id = burn_note_id('$tired{$way}')"),
		'w', "after_$way\_its_receipt_says_withheld");
}
is(answer_of($primary, "SELECT client_ip FROM burn_status('$tired{cancel}')"),
	'192.0.2.2', 'the_receipt_says_who_waited');
is(locally('SELECT count(*) FROM burn_note'), '0', 'no_row_is_left');

# Who is tired of waiting for a revoking is told that the note may come back.
my $unsure = locally(q{SELECT burn_create('unsure')});
$reader{revoke} = start_reader("SELECT burn_revoke('$unsure')");
wait_until_they_wait($reader{revoke});
$primary->safe_psql('postgres', "SELECT pg_cancel_backend($reader{revoke}{pid})");
is(finish_reader($reader{revoke}), '58030', 'a_revoking_that_nobody_confirmed_is_58030');
is(ending($primary, $unsure), 'revoked|t', 'and_revoked_all_the_same');
is(locally("SELECT burn_read('$unsure')"), 'NULL', 'nobody_reads_it_here');
is(locally("SELECT outcome FROM burn_receipt WHERE id = burn_note_id('$unsure')"), 'v', 'its_receipt_says_revoked');

synchronous('standby');
$primary->wait_for_catchup($standby);
is(join(',', map { ending($standby, $_) } @tired{@ways}),
	join(',', ('withheld|t') x @ways), 'the_standby_knows_of_withheld_notes');

# Where no standby is there to confirm it, nothing is burned.
sub is_unburned
{
	my ($token, $what) = @_;

	is(locally("SELECT state, attempts_left FROM burn_status('$token')"), 'sealed|5', "$what\_is_sealed");
	is(locally("SELECT (SELECT count(*) FROM burn_note WHERE id = burn_note_id('$token')),
			(SELECT count(*) FROM burn_receipt WHERE id = burn_note_id('$token'))"),
		'1|0', "$what\_has_its_row_and_no_receipt");
	return;
}

my $missed = create($primary, "'missed', NULL, 'right'");
my $read = "SELECT burn_read('$missed', NULL, 'right')";
$standby->stop;
$primary->poll_query_until('postgres',
	q{SELECT count(*) = 0 FROM pg_stat_replication WHERE application_name = 'standby'});
is(sqlstate($primary, $read), 'UB004', 'a_read_is_refused_while_the_standby_is_away');
is(sqlstate($primary, "BEGIN; SET LOCAL synchronous_commit = off; $read; COMMIT"), 'UB004',
	'also_with_synchronous_commit_off');
like(($primary->psql('postgres', $read))[2], qr/DETAIL:  0 of 1 are streaming\. The note is not burned\./,
	'and_says_how_many_are_there');
is_unburned($missed, 'a_note_whose_standby_is_away');

# A connection that has died still streams, but does not answer.
$standby->start;
synchronous('standby');
my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
kill 'STOP', $receiver;
$primary->poll_query_until('postgres', <<~'SQL') or die 'the standby goes on answering';
	SELECT clock_timestamp() - reply_time > interval '2 s' FROM pg_stat_replication
	WHERE application_name = 'standby' AND state = 'streaming'
	SQL
is(sqlstate($primary, "SET lock_timeout = '100ms'; $read"), 'UB004',
	'a_read_is_refused_where_the_standby_does_not_answer');
is(sqlstate($primary, $read), 'UB004', 'also_without_lock_timeout');
is(sqlstate($primary, "SET statement_timeout = '100ms'; $read"), '57014', 'statement_timeout_ends_the_wait_for_an_answer');
is_unburned($missed, 'a_note_whose_standby_does_not_answer');

my $patient = $primary->background_psql('postgres');
my $pid = $patient->query_safe('SELECT pg_backend_pid()');
$patient->query_until(qr/SENT/, "\\echo SENT\nSET lock_timeout = '1h';\n$read;\n\\echo DONE\n");
$primary->poll_query_until('postgres', <<~SQL) or die 'the reader does not wait';
	SELECT wait_event = 'Extension' FROM pg_stat_activity WHERE pid = $pid
	SQL
kill 'CONT', $receiver;
like($patient->query_until(qr/DONE/, ''), qr/^missed$/m, 'who_waits_gets_the_note_when_it_answers');
$patient->quit;

# A session in the middle of a statement does not know yet that there are standbys.
my %unaware = map { $_ => create($primary, "'unaware $_'") } qw(there away);
foreach my $where (qw(there away))
{
	my $keeper = $primary->background_psql('postgres');
	my $session = $primary->background_psql('postgres', on_error_stop => 0);

	$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''");
	$primary->reload;
	$primary->poll_query_until('postgres', 'SHOW synchronous_standby_names', '');
	$keeper->query_safe('SELECT pg_advisory_lock(1)');
	$session->query_until(qr/SENT/, <<~SQL);
		\\echo SENT
		SELECT pg_advisory_lock(1)\\; SELECT burn_read('$unaware{$where}');
		\\echo :LAST_ERROR_SQLSTATE DONE
		SQL
	$primary->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
	synchronous('standby');
	$standby->stop if $where eq 'away';
	$keeper->query_safe('SELECT pg_advisory_unlock(1)');
	$keeper->quit;
	my $answer = $session->query_until(qr/DONE/, '');
	if ($where eq 'there')
	{
		like($answer, qr/^unaware there\n/m, 'a_session_that_does_not_know_of_the_standby_is_confirmed_by_it');
	}
	else
	{
		like($answer, qr/^UB004 DONE/m, 'or_refused_where_it_is_away');
		is(ending($primary, $unaware{away}), 'sealed|NULL', 'and_the_note_is_sealed');
	}
	$session->quit;
}
$standby->start;
synchronous('standby');

# The note that the failover must not bring back: the standby has it on disk, but the
# primary is gone as soon as its reader has the answer.
my %failover = map { $_ => create($primary, "'failover $_'") } qw(unread read off control);
is(answer_of($primary, "BEGIN; SELECT burn_read('$failover{read}'); ROLLBACK"),
	'failover read', 'a_note_is_read_and_rolled_back');
is(answer_of($primary, "SET synchronous_commit = off; BEGIN; SELECT burn_read('$failover{off}'); ROLLBACK"),
	'failover off', 'another_with_synchronous_commit_off');
$standby->stop('immediate');

# The control is a note read while the standby is away and no longer synchronous.
synchronous('lagging');
my $waiting = start_reader("BEGIN; SELECT burn_read('$failover{control}'); ROLLBACK");
wait_until_they_wait($waiting);
$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''");
$primary->reload;
is(finish_reader($waiting), "failover control\n00000",
	'when_synchronous_replication_is_turned_off_a_waiting_read_answers');

$lagging->kill_kill;
$primary->stop('immediate');
$standby->start;
$standby->promote;
is(ending($standby, $failover{$_}), 'read|t', "after_failover_the_note_read_with_$_\_is_read")
  foreach qw(read off);
is(answer_of($standby, "SELECT burn_read('$failover{$_}')"), 'NULL', "after_failover_the_note_read_with_$_\_is_gone")
  foreach qw(read off);
is(answer_of($standby, join('', map { "SELECT burn_read('$_');\n" } @token{@levels})),
	join("\n", ('NULL') x @levels), 'after_failover_every_note_read_before_is_gone');
is(answer_of($standby, join('', map { "SELECT burn_read('$_');\n" } @tired{@ways})),
	join("\n", ('NULL') x @ways), 'after_failover_every_withheld_note_is_gone');
is(answer_of($standby, "SELECT burn_read('$failover{unread}')"), 'failover unread',
	'after_failover_an_unread_note_can_be_read');
is(answer_of($standby, "SELECT burn_read('$failover{control}')"), 'failover control',
	'control_failover_to_an_asynchronous_standby_reads_a_note_twice');

done_testing();
