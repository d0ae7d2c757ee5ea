# Passphrases under load and under attack: a crowd of guesses stays within bounds and is
# counted exactly; waiting for a hashing place costs nothing, nor does a hash for which
# there is no memory; neither a rollback nor a crash refunds an attempt or undoes a
# revoking. And notes of bytes at their limit.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn qw(new_node control_node sqlstate answer_of);
use BurnNote qw(kill_backend);
use HashGate qw(start_with_gate hold wait_until_held release let_fail let_succeed);
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use constant {
	GUESSERS => 100,
	NOTES => 16,
	PLACES => 4,           # HASHES_AT_ONCE in src/passphrase.c
	HASH_MIB => 64,
	SLACK_MIB => 200,      # of all guessers together, beside their hashes: 2 each, catalogs mostly
	STARTING_LINE => 1,    # an advisory lock
};

my $dir = PostgreSQL::Test::Utils::tempdir();

# pg_locks' rows of hashing places
my $places = "FROM pg_locks WHERE locktype = 'advisory' AND database = 0 AND objsubid = 2";

sub start_node
{
	my ($node) = @_;

	$node->append_conf('postgresql.conf', <<~'CONF');
		max_connections = 130
		client_min_messages = error
		restart_after_crash = on
		burn_note.dumpable = on    # memory() looks at the sessions,
		burn_note.redact = off     # and others into the log
		CONF
	start_with_gate($node);
	$node->safe_psql('postgres', 'CREATE EXTENSION burn_note CASCADE');
	return $node;
}

# A note with the passphrase 'right'
sub create
{
	my ($node, $attempts) = @_;
	return $node->safe_psql('postgres',
		"SET burn_note.max_attempts = $attempts; SELECT burn_create('a note', NULL, 'right')");
}

# state|attempts_left
sub status
{
	my ($node, $token) = @_;
	return $node->safe_psql('postgres', "SELECT state, attempts_left FROM burn_status('$token')");
}

# The outcomes of the note's receipts, and whether they verify
sub receipts
{
	my ($node, $token) = @_;
	return $node->safe_psql('postgres',
		"SELECT outcome, burn_verify_receipt('$token') FROM burn_receipt WHERE id = burn_note_id('$token')");
}

sub guess
{
	my ($token, $passphrase) = @_;
	return "SELECT burn_read('$token', '192.0.2.1', '$passphrase')";
}

sub start_psql
{
	my ($node, $name, $script) = @_;

	append_to_file("$dir/$name.sql", $script);
	return IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', "$dir/$name.sql" ],
		'<', '/dev/null', '>', "$dir/$name.out", '2>', "$dir/$name.err",
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
}

# The memory, in MiB, that these processes have for themselves
sub memory
{
	my (@pids) = @_;
	my $kib = 0;

	foreach my $pid (@pids)
	{
		open(my $rollup, '<', "/proc/$pid/smaps_rollup") or next;    # gone
		my ($anonymous) = join('', <$rollup>) =~ /^Anonymous:\s+(\d+) kB/m;
		close $rollup;
		$kib += $anonymous // 0;
	}
	return $kib / 1024;
}

# ----------
# A hundred wrong passphrases at once
# ----------

sub a_hundred_guesses_at_once
{
	my ($node) = @_;
	my $line = STARTING_LINE;

	$node->safe_psql(
		'postgres', <<~SQL);
		SET burn_note.max_attempts = 100;
		CREATE TABLE target AS SELECT n, burn_create('a note', NULL, 'right') AS token
			FROM generate_series(0, ${\ NOTES} - 1) AS n;
		SQL
	my @tokens = split /\n/, $node->safe_psql('postgres', 'SELECT token FROM target ORDER BY n');

	# each has read a note before, so that what its caches take is not counted
	my $watcher = $node->background_psql('postgres');
	$watcher->query_safe("SELECT pg_advisory_lock($line)");
	my @guessers = map {
		start_psql($node, "guesser $_", <<~SQL)
			SET application_name = 'guesser';
			SELECT burn_read(burn_create('warm'));
			SELECT burn_read(token, '192.0.2.1') FROM target WHERE n = 0;
			SELECT pg_advisory_lock_shared($line);
			${\ guess($tokens[ $_ % NOTES ], "wrong $_")} IS NULL;
			SQL
	} 1 .. GUESSERS;
	$node->poll_query_until('postgres',
		"SELECT count(*) = ${\ GUESSERS} FROM pg_locks WHERE locktype = 'advisory' AND database <> 0 AND NOT granted")
	  or die 'not everybody is at the starting line';
	my @pids = split /\n/, $watcher->query_safe(
		"SELECT pid FROM pg_stat_activity WHERE application_name = 'guesser'");
	is(scalar @pids, GUESSERS, 'a hundred sessions are at the starting line');
	my $before = memory(@pids);

	# the first have their hashes' memory, and everybody else waits
	hold($_) foreach @pids;
	$watcher->query_safe("SELECT pg_advisory_unlock($line)");
	$node->poll_query_until('postgres',
		"SELECT count(*) FILTER (WHERE NOT granted) = ${\ (GUESSERS - PLACES)} $places")
	  or die 'not everybody else waits for a place';
	my @hashing = split /\n/, $watcher->query_safe("SELECT pid $places AND granted");
	is(scalar @hashing, PLACES, 'at_most_four_hash_at_once');
	wait_until_held($_) foreach @hashing;
	my $growth = memory(@pids) - $before;
	note(sprintf 'memory grew from %.0f by %.0f MiB', $before, $growth);
	cmp_ok($growth, '>', (PLACES - 1) * HASH_MIB, 'hashes are seen in the memory');
	cmp_ok($growth, '<=', PLACES * HASH_MIB + SLACK_MIB, 'memory_stays_within_four_hashes');
	is(answer_of($node, "SELECT 1, burn_read(burn_create('plain'))"), '1|plain', 'other_queries_are_not_held_up');
	is($watcher->query_safe('SELECT sum(100 - attempts_left) FROM target, burn_status(token)'),
		PLACES, 'who_waits_has_spent_no_attempt');
	release(@pids);
	$_->finish foreach @guessers;

	my @said = map { slurp_file("$dir/guesser $_.out") } 1 .. GUESSERS;
	is((grep { /\nt\n\z/ } @said) + 0, GUESSERS, 'every_guess_is_answered_NULL');
	is(join('', map { slurp_file("$dir/guesser $_.err") } 1 .. GUESSERS), '', 'without an error');
	my @each = (0) x NOTES;
	$each[ $_ % NOTES ]++ foreach 1 .. GUESSERS;
	is( $watcher->query_safe(
			"SELECT string_agg(100 - attempts_left || state, ',' ORDER BY n) FROM target, burn_status(token)"),
		join(',', map { "${_}sealed" } @each), 'every_racing_attempt_is_counted_once');
	is( $watcher->query_safe(<<~'SQL'), join(',', @each),
		SELECT string_agg(count::text, ',' ORDER BY n)
		FROM target, LATERAL (SELECT count(*) FROM burn_attempt WHERE id = burn_note_id(token)) AS a
		SQL
		'and_leaves_a_row');
	is($watcher->query_safe("SELECT count(*), count(burn_read(token, NULL, 'right')) FROM target"),
		join('|', NOTES, NOTES), 'the_right_passphrase_still_opens_every_note');
	$watcher->quit;
	return;
}

# ----------
# Hashing places, all of them held
# ----------

# Lets the session try a passphrase, and holds its backend, whose id this returns, at
# the end of the hash
sub hold_hashing
{
	my ($session, $token, $passphrase) = @_;
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	hold($pid);
	$session->query_until(qr/guessing/, "\\echo guessing\n" . guess($token, $passphrase) . ";\n");
	wait_until_held($pid);
	return $pid;
}

# Lets the session try a passphrase, and waits until its backend, whose id this returns,
# waits for others' hashes for the note
sub let_wait
{
	my ($node, $session, $token, $passphrase) = @_;
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_until(qr/guessing/, "\\echo guessing\n" . guess($token, $passphrase) . ";\n");
	$node->poll_query_until('postgres', <<~SQL) or die 'the guesser does not wait';
		SELECT count(*) = 1 FROM pg_locks
		WHERE locktype = 'advisory' AND database = 0 AND objsubid = 3 AND NOT granted AND pid = $pid
		SQL
	return $pid;
}

sub attempts_left
{
	my ($node, $token) = @_;
	return (split /\|/, status($node, $token))[1];
}

sub all_places_are_taken
{
	my ($node) = @_;
	my $token = create($node, 5);
	my @held = map { create($node, 100) } 1 .. PLACES;
	my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } @held;
	my @hashing = map { hold_hashing($sessions[$_], $held[$_], 'wrong') } 0 .. $#held;

	is($node->safe_psql('postgres', "SELECT count(*) $places AND granted"), PLACES, 'all places are taken');
	is_deeply([ map { attempts_left($node, $_) } @held ], [ (99) x PLACES ],
		'the_attempt_is_counted_before_the_hash');

	foreach my $passphrase ('wrong', 'right')
	{
		is(sqlstate($node, "SET lock_timeout = '100ms'; " . guess($token, $passphrase)),
			'55P03', "lock_timeout_ends_the_wait_for_a_place: $passphrase");
		is(sqlstate($node, "SET statement_timeout = '100ms'; " . guess($token, $passphrase)),
			'57014', "so_does_statement_timeout: $passphrase");
	}
	is(sqlstate($node, "SET lock_timeout = '100ms'; SELECT burn_create('x', NULL, 'p')"),
		'55P03', 'creating_with_a_passphrase_waits_for_a_place_too');

	my $waiter = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $waiter->query_safe('SELECT pg_backend_pid()');
	$waiter->query_until(qr/waiting/, "\\echo waiting\n" . guess($token, 'wrong') . ";\n");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $places AND NOT granted AND pid = $pid")
	  or die 'nobody waits';
	my $log_end = -s $node->logfile;
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	$node->wait_for_log(qr/canceling statement due to user request/, $log_end);
	pass('who waits for a place can be cancelled');
	$waiter->quit;

	is(status($node, $token), 'sealed|5', 'waiting_in_vain_costs_no_attempt');
	is($node->safe_psql('postgres', "SELECT count(*) FROM burn_attempt WHERE id = burn_note_id('$token')"),
		'0', 'nor leaves a row');
	is(answer_of($node, "SET lock_timeout = '100ms'; SELECT burn_read('$token') IS NULL, burn_read(burn_create('plain'))"),
		't|plain', 'what needs no hash needs no place');

	release(@hashing);
	is(answer_of($node, guess($token, 'right')), 'a note', 'then the right passphrase opens it');
	$_->quit foreach @sessions;
	return;
}

# A right passphrase that is still being hashed has taken an attempt, and will give it
# back: a wrong one that takes the last must not lock the note meanwhile.
sub a_wrong_one_does_not_lock_out_a_right_one_in_flight
{
	my ($node) = @_;
	my $token = create($node, 2);
	my ($reader, $guesser) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;

	my $pid = hold_hashing($reader, $token, 'right');
	is(attempts_left($node, $token), 1, 'the right one is being hashed');
	let_wait($node, $guesser, $token, 'wrong');
	is(attempts_left($node, $token), 0, 'the wrong one has taken the last attempt');

	release($pid);
	is($reader->query_safe(''), 'a note', 'a_wrong_one_does_not_lock_out_a_right_one_in_flight');
	$_->quit foreach $reader, $guesser;
	is(status($node, $token), 'read|', 'and the note is read');
	return;
}

# ----------
# No memory for a hash
# ----------

sub without_memory_nothing_is_spent
{
	my ($node) = @_;
	my $token = create($node, 2);
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe("\\set VERBOSITY sqlstate\nSELECT pg_backend_pid()");

	let_fail($pid);
	foreach my $statement (guess($token, 'right'), guess($token, 'wrong'), "SELECT burn_create('x', NULL, 'p')")
	{
		$session->{stderr} = '';
		is($session->query($statement), '', 'without memory for a hash there is no answer');
		like($session->{stderr}, qr/ERROR:  53200$/, 'but an error');
	}
	let_succeed($pid);
	is(status($node, $token), 'sealed|2', 'without_memory_no_attempt_is_spent');
	is($node->safe_psql('postgres', "SELECT count(*) FROM burn_attempt WHERE id = burn_note_id('$token')"),
		'0', 'nor_is_one_recorded');
	is($session->query(guess($token, 'right')), 'a note', 'and_the_note_is_there_for_who_has_it_later');
	$session->quit;
	return;
}

# The last attempt is somebody's, whose hash may yet give it back.
sub who_finds_no_attempt_left_waits_for_the_last_one
{
	my ($node) = @_;
	my $token = create($node, 1);
	my ($first, $second) = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;

	my $holder = hold_hashing($first, $token, 'right');
	is(attempts_left($node, $token), 0, 'the first has the last attempt');
	my $waiter = let_wait($node, $second, $token, 'right');

	hold($waiter);
	let_fail($holder);
	release($holder);
	wait_until_held($waiter);
	is(attempts_left($node, $token), 0, 'who_waited_takes_the_attempt_that_is_given_back');
	release($waiter);
	is($second->query_safe(''), 'a note', 'and_gets_the_note');
	$first->query('');
	like($first->{stderr}, qr/out of memory/, 'the first got an error');
	is(receipts($node, $token), 'r|t', 'there is one receipt');
	let_succeed($holder);
	$_->quit foreach $first, $second;
	return;
}

# ----------
# Crashes
# ----------

sub a_crash_refunds_nothing
{
	my ($node) = @_;
	my $last = create($node, 1);

	foreach my $token (create($node, 5), $last)
	{
		my $before = attempts_left($node, $token);
		my $session = $node->background_psql('postgres', on_error_stop => 0);
		my $pid = hold_hashing($session, $token, 'wrong');
		my $counted = attempts_left($node, $token);

		cmp_ok($counted, '<', $before, "$before left: the attempt is counted");
		kill_backend($node, $pid);
		release($pid);
		eval { $session->quit };    # psql has noticed, and may be gone
		is(attempts_left($node, $token), $counted, 'a_crash_while_hashing_does_not_refund_it');
	}
	is(answer_of($node, guess($last, 'right')), 'NULL', 'after_the_last_attempt_the_right_one_is_too_late');
	is(status($node, $last), 'locked|', 'and_an_abandoned_last_attempt_locks_the_note');
	is($node->safe_psql('postgres', "SELECT burn_verify_receipt('$last')"), 't', 'with_a_sealed_receipt');

	# the counter, the lock, the revoking: none of their transactions commits
	my %token = (guessed => create($node, 5), locked => create($node, 2),
		revoked => create($node, 5), revoking => create($node, 5));
	my $open = $node->background_psql('postgres');
	$open->query_safe("BEGIN; SELECT burn_revoke('$token{revoking}')");
	$node->safe_psql('postgres', join ';', 'BEGIN', guess($token{guessed}, 'wrong'),
		(guess($token{locked}, 'wrong')) x 2, "SELECT burn_revoke('$token{revoked}')", 'ROLLBACK');
	$node->stop('immediate');
	$open->quit;
	$node->start;

	is(status($node, $token{guessed}), 'sealed|4', 'a_rolled_back_guess_stays_counted_after_a_crash');
	is(status($node, $token{locked}), 'locked|', 'a_rolled_back_lock_stays_after_a_crash');
	is(status($node, $token{revoked}), 'revoked|', 'a_rolled_back_revoking_stays_after_a_crash');
	is(status($node, $token{revoking}), 'revoked|', 'as_does_one_that_the_crash_interrupted');
	is(answer_of($node, guess($token{$_}, 'right')), 'NULL', "$_: nobody gets it") foreach qw(locked revoked);
	$node->safe_psql('postgres', 'SELECT burn_purge()');
	is(receipts($node, $token{locked}), 'l|t', 'locked: one receipt, and it verifies');
	is(receipts($node, $token{$_}), 'v|t', "$_: one receipt, and it verifies") foreach qw(revoked revoking);
	is(answer_of($node, guess($token{guessed}, 'right')), 'a note', 'guessed: the right one opens it');
	return;
}

# ----------
# A standby
# ----------

sub a_standby_knows
{
	my ($primary) = @_;

	$primary->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($primary, 'base', has_streaming => 1);
	$standby->start;

	my %token = map { $_ => create($primary, 3) } qw(guessed locked undone revoked);
	$primary->safe_psql('postgres', join ';', guess($token{guessed}, 'wrong'), (guess($token{locked}, 'wrong')) x 3);
	$primary->safe_psql('postgres', join ';', 'BEGIN', guess($token{guessed}, 'wrong'),
		(guess($token{undone}, 'wrong')) x 3, "SELECT burn_revoke('$token{revoked}')", 'ROLLBACK');
	$primary->wait_for_catchup($standby);

	my %status = (guessed => 'sealed|1', locked => 'locked|', undone => 'locked|', revoked => 'revoked|');
	is(status($standby, $token{$_}), $status{$_}, "the standby knows: $_") foreach sort keys %token;
	is(sqlstate($standby, guess($token{guessed}, 'wrong')), '25006', 'a standby takes no guesses');
	is(sqlstate($standby, "SELECT burn_revoke('$token{guessed}')"), '25006', 'and does not revoke');

	$primary->stop('immediate');
	$standby->promote;
	is(status($standby, $token{$_}), $status{$_}, "after promotion: $_") foreach sort keys %token;
	is(answer_of($standby, guess($token{$_}, 'right')), 'NULL', "after_promotion_nobody_gets_it: $_")
	  foreach qw(locked undone revoked);
	is(receipts($standby, $token{$_}), 'l|t', "one receipt: $_") foreach qw(locked undone);
	is(receipts($standby, $token{revoked}), 'v|t', 'one receipt: revoked');
	is(answer_of($standby, guess($token{guessed}, 'right')), 'a note', 'the last attempt may be the right one');
	$standby->stop;
	return;
}

# ----------
# Bytes
# ----------

sub sixteen_megabytes_are_exact
{
	my ($node) = @_;

	$node->safe_psql(
		'postgres', <<~'SQL');
		CREATE TABLE file AS
			SELECT string_agg(sha512(n::text::bytea), '' ORDER BY n) AS bytes FROM generate_series(1, 262144) AS n;
		CREATE TABLE sent AS SELECT burn_create_bytes(bytes) AS token FROM file;
		SQL
	is( $node->safe_psql('postgres',
			'SELECT length(bytes), md5(burn_read_bytes(token)) = md5(bytes) FROM file, sent'),
		'16777216|t', 'sixteen_megabytes_come_back_exactly');
	is(sqlstate($node, q{SELECT burn_create_bytes(bytes || '\x00') FROM file}), '54000', 'one_byte_more_is_54000');
	$node->safe_psql('postgres', 'DROP TABLE file, sent');
	return;
}

# ----------
# What the control must get wrong
# ----------

# Guesses and rolls back, revokes and rolls back: attempts left, and the revoked note
sub roll_back
{
	my ($node) = @_;
	my ($guessed, $revoked) = map { create($node, 5) } 1 .. 2;

	is( answer_of($node, join ';', 'BEGIN', guess($guessed, 'wrong'), "SELECT burn_revoke('$revoked')", 'ROLLBACK'),
		"NULL\nt", 'a guess and a revoking are rolled back');
	return (attempts_left($node, $guessed), answer_of($node, guess($revoked, 'right')));
}

my $node = start_node(new_node('guessed', allows_streaming => 1));

is_deeply([ roll_back($node) ], [ 4, 'NULL' ], 'rollback_refunds_no_attempt_and_unrevokes_nothing');
sixteen_megabytes_are_exact($node);
a_hundred_guesses_at_once($node);
all_places_are_taken($node);
a_wrong_one_does_not_lock_out_a_right_one_in_flight($node);
without_memory_nothing_is_spent($node);
who_finds_no_attempt_left_waits_for_the_last_one($node);
a_crash_refunds_nothing($node);
a_standby_knows($node);

SKIP:
{
	my $control = control_node('control', 'BURN_NO_FUSE_STAGE');

	skip 'no control build: see make no-fuse', 2 unless defined $control;
	start_node($control);
	is_deeply([ roll_back($control) ], [ 5, 'a note' ],
		'control_without_the_fuse_a_rollback_refunds_the_attempt_and_unrevokes');
	$control->stop;
}

done_testing();
