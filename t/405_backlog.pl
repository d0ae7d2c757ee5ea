#
# What waits for the sweeper: it hears of each burn that is rolled back, however that
# happens, and of each expiry, without reading the table of notes, and while there is
# nothing to do no process is started. What it cannot hear of it finds by reading the
# table: at the start, after a crash, and when there is too much to be told one by one.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Our own questions are not to count as reading the table
$ENV{PGOPTIONS} = '-c enable_seqscan=off -c client_min_messages=error';

use constant LISTED => 1024;
use constant WARNED => 256;

use constant PRELOADED => <<~'CONF';
	shared_preload_libraries = 'burn_note'
	burn_note.purge_interval = '1s'
	max_prepared_transactions = 10
	log_min_messages = debug1
	log_statement = none
	CONF

my $node = burn_node('backlog', conf => PRELOADED);
my ($reads, $session, $id, $pid);

sub id_of
{
	my ($token) = @_;
	return $node->safe_psql('postgres', "SELECT burn_note_id('$token')");
}

# Has the note its one receipt, and no row any more? Waits for it.
sub ends
{
	my ($id, $outcome, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($node->poll_query_until('postgres', <<~SQL, $outcome), $what);
		SELECT string_agg(outcome::text, ', ') FROM burn_receipt
		WHERE id = '$id' AND NOT EXISTS (SELECT FROM burn_note WHERE id = '$id')
		SQL
}

# How often burn_note has been read whole, once no sweep is under way: a process counts
# when it ends.
sub reads
{
	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'burn_note sweeper')")
	  or die 'a sweep does not end';
	return $node->safe_psql('postgres',
		"SELECT seq_scan FROM pg_stat_all_tables WHERE relname = 'burn_note'");
}

# The same as ends(), and the table was not read for it.
sub is_told
{
	my ($id, $outcome, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ends($id, $outcome, $what);
	is(reads(), $reads, 'and the table is not read for it');
	return;
}

# Waits until the launcher has looked so many times whether there is anything to do.
sub launcher_looks
{
	my ($times) = @_;
	my $looked = "SELECT state_change FROM pg_stat_activity WHERE backend_type = 'burn_note launcher'";

	for (1 .. $times)
	{
		my $last = $node->safe_psql('postgres', $looked);
		$node->poll_query_until('postgres', "SELECT ($looked) > '$last'") or die 'the launcher does not look';
	}
	return;
}

sub workers_started
{
	my $log = slurp_file($node->logfile);
	return scalar(() = $log =~ /starting background worker process "burn_note sweeper"/g);
}

# Nothing to do, several times over.
sub is_quiet
{
	my ($what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before;

	$node->poll_query_until('postgres', <<~'SQL') or die 'notes are left that have ended';
		SELECT NOT EXISTS (
			SELECT FROM burn_note WHERE id > '00000000-0000-0000-0000-000000000000' AND fuse::text <> 'sealed')
		SQL
	launcher_looks(2);
	$before = workers_started();
	launcher_looks(3);
	is(workers_started(), $before, $what);
	return;
}

sub backend
{
	my $session = $node->background_psql('postgres');
	return ($session, $session->query_safe('SELECT pg_backend_pid()'));
}

#
# Nothing to do
#
$node->safe_psql('postgres', 'CREATE DATABASE bare');
create($node) foreach 1 .. 3;
is_quiet('no_process_is_started_while_notes_wait_to_be_read');
$reads = reads();

#
# What is told
#
$id = $node->safe_psql('postgres', "SELECT burn_note_id(burn_create('note', '1500 ms'))");
is_told($id, 'e', 'a note that expires soon, while the next expiry was far');

my $token = create($node);
$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$token'); ROLLBACK");
is_told(id_of($token), 'r', 'ROLLBACK');

# The sweeper meets the row of a note that is created and burned in one transaction before
# that ends.
foreach my $way ('COMMIT', "PREPARE TRANSACTION 'made'")
{
	($session) = backend();
	$session->query_safe('BEGIN');
	$id = $session->query_safe(<<~'SQL');
		SELECT burn_note_id(set_config('test.token', burn_create('note'), false));
		SAVEPOINT s;
		SELECT FROM burn_read(current_setting('test.token'));
		ROLLBACK TO s;
		SQL
	launcher_looks(4);
	$session->query_safe($way);
	if ($way ne 'COMMIT')
	{
		launcher_looks(4);
		$session->query_safe("COMMIT PREPARED 'made'");
	}
	$session->quit;
	is_told($id, 'r', "ROLLBACK TO behind its creation, and then $way");
}

$token = create($node);
$node->safe_psql('postgres', "BEGIN; SAVEPOINT s; SELECT burn_read('$token'); ROLLBACK TO s; COMMIT");
is_told(id_of($token), 'r', 'ROLLBACK TO');

$token = create($node);
$node->safe_psql('postgres',
	"BEGIN; SAVEPOINT s; SAVEPOINT t; SELECT burn_read('$token'); RELEASE t; ROLLBACK TO s; COMMIT");
is_told(id_of($token), 'r', 'ROLLBACK TO, around a savepoint that was released');

$token = create($node);
$node->safe_psql('postgres', <<~SQL);
	DO \$\$ BEGIN
		PERFORM burn_read('$token')::int;
	EXCEPTION WHEN invalid_text_representation THEN
	END \$\$
	SQL
is_told(id_of($token), 'r', 'an exception block');

$token = create($node);
$node->psql('postgres', "SELECT burn_read('$token')::int");
is_told(id_of($token), 'r', 'an error in the same statement');

$token = create($node);
$node->safe_psql('postgres', "BEGIN; SELECT burn_revoke('$token'); ROLLBACK");
is_told(id_of($token), 'v', 'a revocation');

$token = $node->safe_psql('postgres', "SET burn_note.max_attempts = 1; SELECT burn_create('note', NULL, 'right')");
$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$token', NULL, 'wrong'); ROLLBACK");
is_told(id_of($token), 'l', 'a lock');

# The row is somebody else's while it is locked: the transaction commits, and the row stays
$token = $node->safe_psql('postgres', "SET burn_note.max_attempts = 1; SELECT burn_create('note', NULL, 'right')");
$id = id_of($token);
($session, $pid) = backend();
$session->query_safe("BEGIN; SELECT FROM burn_note WHERE id = '$id' FOR UPDATE");
$node->safe_psql('postgres', "SELECT burn_read('$token', NULL, 'wrong')");
$session->query_safe('COMMIT');
is_told($id, 'l', 'a lock, while somebody else has the row');

$token = create($node);
$session->query_safe("BEGIN; SELECT burn_read('$token')");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 10000)");
is_told(id_of($token), 'r', 'a process that is terminated');
$session->{run}->finish;

# More than a transaction's first few, so that memory is allocated
my $many = LISTED - 100;
$node->safe_psql('postgres', <<~SQL);
	CREATE TABLE many AS SELECT burn_create('note') AS token FROM generate_series(1, $many);
	BEGIN; SELECT count(burn_read(token)) FROM many; ROLLBACK;
	SQL
ok($node->poll_query_until('postgres', <<~SQL, $many), 'many in one transaction');
	SELECT count(*) FROM many, burn_receipt WHERE id = burn_note_id(token)
	SQL
is(reads(), $reads, 'and the table is not read for it');

# A purge that is rolled back
$token = create($node);
$session = $node->background_psql('postgres');
$session->query_safe("BEGIN; SELECT burn_read('$token')");
$session->query_safe('SAVEPOINT s');
$session->query_safe('SELECT burn_purge()');
$session->query_safe('ROLLBACK');
$session->quit;
ends(id_of($token), 'r', 'a burn that is purged, and all of it rolled back');
is_quiet('no_process_is_started_when_it_is_done');
$reads = reads();

#
# Two-phase commit
#
$token = create($node);
$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$token'); PREPARE TRANSACTION 'one'");
launcher_looks(2);
is(rows($node, $token), 1, 'a prepared burn is not touched');
$node->safe_psql('postgres', "ROLLBACK PREPARED 'one'");
is_told(id_of($token), 'r', 'ROLLBACK PREPARED, in another session');

$token = create($node);
$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$token'); PREPARE TRANSACTION 'one'");
$node->safe_psql('postgres', "COMMIT PREPARED 'one'");
is_told(id_of($token), 'r', 'COMMIT PREPARED');
is_quiet('no_process_is_started_after_two_phase_commit');
is(reads(), $reads, 'nor was the table read');

#
# burn_purge() where there is a backlog
#
$node->safe_psql('postgres', 'SELECT burn_purge()') foreach 1 .. 3;
is(reads(), $reads, 'burn_purge() does not read the table either');

#
# A row that nobody told of: the control for what was found so far
#
$token = create($node);
$id = id_of($token);
$node->safe_psql('postgres', <<~SQL);
	ALTER DATABASE postgres SET default_transaction_read_only = on;
	SET default_transaction_read_only = off;
	BEGIN; SELECT burn_read('$token'); ROLLBACK;
	SQL
launcher_looks(2);
is(rows($node, $token), 1, 'a read-only database is not swept');
$node->safe_psql('postgres', <<~SQL);
	SET default_transaction_read_only = off;
	BEGIN;
	CREATE TABLE kept AS SELECT * FROM burn_note WHERE id = '$id';
	DELETE FROM burn_note WHERE id = '$id';
	COMMIT;
	ALTER DATABASE postgres RESET default_transaction_read_only;
	SQL
is_quiet('a row that was deleted by hand is not looked for again');
$reads = reads();
$node->safe_psql('postgres', 'INSERT INTO burn_note SELECT * FROM kept');
launcher_looks(4);
is(rows($node, $token), 1, 'a burned row that is put there by hand is not found');
$node->reload;
ends($id, 'r', 'until the table is read: the configuration was reloaded');
cmp_ok(reads(), '>', $reads, 'and it was read for that');

#
# Too much to tell
#
$many = LISTED + 50;
$node->safe_psql('postgres', <<~SQL);
	DELETE FROM many;
	INSERT INTO many SELECT burn_create('note') AS token FROM generate_series(1, $many);
	SQL
my $done = 'SELECT count(*) FROM many, burn_receipt WHERE id = burn_note_id(token)';

is_quiet('nothing is left');
$reads = reads();
$node->safe_psql('postgres', 'BEGIN; SELECT count(burn_read(token)) FROM many; ROLLBACK');
ok($node->poll_query_until('postgres', $done, $many), 'more than can be told, in one transaction');
cmp_ok(reads(), '>', $reads, 'are read');

$node->safe_psql('postgres', <<~SQL);
	DELETE FROM many;
	INSERT INTO many SELECT burn_create('note') AS token FROM generate_series(1, $many);
	BEGIN; SELECT count(burn_read(token)) FROM (SELECT token FROM many ORDER BY token LIMIT 600) AS m; PREPARE TRANSACTION 'one';
	BEGIN; SELECT count(burn_read(token)) FROM (SELECT token FROM many ORDER BY token OFFSET 600) AS m; PREPARE TRANSACTION 'two';
	ROLLBACK PREPARED 'one';
	ROLLBACK PREPARED 'two';
	SQL
ok($node->poll_query_until('postgres', $done, $many), 'more than can be told, in two transactions');
is_quiet('nothing is left of them');

#
# Crashes
#
$token = create($node);
($session, $pid) = backend();
$session->query_safe("BEGIN; SELECT burn_read('$token')");
kill_backend($node, $pid);
ends(id_of($token), 'r', 'a process that is killed');
$session->{run}->finish;

# A burn whose COMMIT is lost, one in progress, and one that stays prepared
my %burned = map { $_ => create($node) } 'lost', 'open', 'prepared';
$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$burned{prepared}'); PREPARE TRANSACTION 'one'");
($session, $pid) = backend();
$session->query_safe("BEGIN; SELECT burn_read('$burned{open}')");
$node->safe_psql('postgres', "SET synchronous_commit = off; SELECT burn_read('$burned{lost}')");
$node->stop('immediate');
$session->{run}->finish;
$node->start;
ends(id_of($burned{$_}), 'r', "a burn that a shutdown left: $_") foreach 'lost', 'open';
is(rows($node, $burned{prepared}), 1, 'the prepared one stays');
$reads = reads();
$node->safe_psql('postgres', "ROLLBACK PREPARED 'one'");
is_told(id_of($burned{prepared}), 'r', 'and is known when it is rolled back');

#
# Databases that are copies
#
$node->safe_psql('postgres', 'CREATE DATABASE original');
$node->safe_psql('original', 'CREATE EXTENSION burn_note CASCADE');
$node->safe_psql('postgres', 'ALTER DATABASE original SET default_transaction_read_only = on');
$node->safe_psql('original', <<~'SQL');
	SET default_transaction_read_only = off;
	CREATE TABLE one AS SELECT burn_create('note') AS token;
	BEGIN; SELECT burn_read(token) FROM one; ROLLBACK;
	SQL
foreach my $what ('a copy', 'another copy under its OID')
{
	$node->safe_psql('postgres', "SET client_min_messages = error; DROP DATABASE IF EXISTS copy");
	$node->safe_psql('postgres', 'CREATE DATABASE copy OID = 654321 TEMPLATE original');
	ok($node->poll_query_until('copy', 'SELECT count(*) = 1 FROM burn_receipt'), "$what is swept");
}
$node->safe_psql('postgres', 'DROP DATABASE copy');
$node->safe_psql('postgres', 'DROP DATABASE original');

#
# Notes that cannot be ended
#
my $log_start = -s $node->logfile;

sub fails
{
	my $log = substr(slurp_file($node->logfile), $log_start);
	my %failed;

	$failed{$1}++ while $log =~ /WARNING:  could not end burn note ([-0-9a-f]+)/g;
	return \%failed;
}

# Makes so many notes that cannot be ended, and 20 others behind them
sub make_failing
{
	my ($notes, $kind, $expires_in) = @_;
	my $last;

	# nobody sweeps before the constraint is there
	local $ENV{PGOPTIONS} = "$ENV{PGOPTIONS} -c default_transaction_read_only=off";
	$node->safe_psql('postgres', 'ALTER DATABASE postgres SET default_transaction_read_only = on');
	$node->safe_psql('postgres', <<~SQL);
		DROP TABLE IF EXISTS failing;
		CREATE TABLE failing AS SELECT burn_note_id(t) AS id, t AS token FROM (
			SELECT burn_create('note', '$expires_in') AS t FROM generate_series(1, $notes + 20)) AS created;
		SQL
	$node->safe_psql('postgres', 'BEGIN; SELECT count(burn_read(token)) FROM failing; ROLLBACK')
	  if $kind eq 'rolled back';
	$last = $node->safe_psql('postgres', "SELECT id FROM failing ORDER BY id OFFSET $notes - 1 LIMIT 1");
	$node->safe_psql('postgres',
		"ALTER TABLE burn_receipt ADD CONSTRAINT refused CHECK (id > '$last') NOT VALID");
	$log_start = -s $node->logfile;
	$node->safe_psql('postgres', 'ALTER DATABASE postgres RESET default_transaction_read_only');
	return;
}

sub have_ended
{
	my ($notes, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return ok($node->poll_query_until('postgres',
			"SELECT count(*) = $notes FROM failing JOIN burn_receipt USING (id)"), $what);
}

foreach my $case ([ 'expired', '1 s' ], [ 'rolled back', '1 h' ])
{
	my ($kind, $expires_in) = @$case;

	make_failing(60, $kind, $expires_in);
	have_ended(20, "60 notes that cannot be ended stop no others: $kind");
	launcher_looks(3);
	is_deeply([ values %{ fails() } ], [ (1) x 60 ], 'each is told of once');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM failing JOIN burn_note USING (id)'), 60,
		'and stays');
	$node->safe_psql('postgres', 'ALTER TABLE burn_receipt DROP CONSTRAINT refused');
	have_ended(80, 'they end when they can');
}
is_quiet('no_process_is_started_when_they_have');

# There is no room to remember that so many were told of
make_failing(WARNED, 'rolled back', '1 h');
have_ended(20, 'more of them than are told of stop no others');
launcher_looks(3);
is_deeply([ values %{ fails() } ], [ (1) x (WARNED - 120) ], 'those that there is room for are told of once');
is(scalar(() = substr(slurp_file($node->logfile), $log_start) =~ /could not end more than ${\WARNED} burn notes/g), 1,
	'and that there are others');
$node->safe_psql('postgres', 'ALTER TABLE burn_receipt DROP CONSTRAINT refused');
have_ended(WARNED + 20, 'all end when they can');

#
# Notes that are slow to fail do not hold up the others, nor does an extension that is gone
#
$node->safe_psql('postgres', <<~'SQL');
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_sleep(0.6); RAISE EXCEPTION ''slow''; END';
	CREATE TRIGGER slow BEFORE INSERT ON burn_receipt FOR EACH ROW WHEN (NEW.outcome = 'r') EXECUTE FUNCTION slow();
	SQL
my @slow;
foreach (1 .. 5)
{
	# the reader's own receipt has to pass
	my $slow = create($node);
	$node->safe_psql('postgres', <<~SQL);
		BEGIN; SET LOCAL session_replication_role = replica; SELECT burn_read('$slow'); ROLLBACK
		SQL
	push @slow, id_of($slow);
}
$id = $node->safe_psql('postgres', "SELECT burn_note_id(burn_create('note', '1500 ms'))");
ends($id, 'e', 'notes_that_are_slow_to_fail_do_not_stop_the_sweeper');
$node->safe_psql('postgres', 'DROP TRIGGER slow ON burn_receipt');
ends($_, 'r', 'and end when they can') foreach @slow;

$node->safe_psql('postgres', 'CREATE DATABASE dropped');
$node->safe_psql('dropped', 'CREATE EXTENSION burn_note CASCADE');
launcher_looks(3);
my $other = $node->background_psql('dropped');
$other->query_safe('BEGIN');
$other->query_safe("SELECT burn_read(burn_create('note', '1 day'))");
$other->query_safe('ROLLBACK');
$other->query_safe("BEGIN; SELECT burn_create('note', '1 day')");
$other->query_safe('COMMIT; DROP EXTENSION burn_note');
$other->quit;
launcher_looks(8);
is_quiet('no_process_is_started_where_the_extension_was_dropped');
$node->stop;

#
# As time goes by
#
my $ahead = PostgreSQL::Test::Utils::tempdir() . '/ahead';

sub set_clock_ahead
{
	my ($hours) = @_;

	append_to_file("$ahead.new", 3600 * $hours);
	rename "$ahead.new", $ahead or die "$ahead: $!";
	return;
}

set_clock_ahead(0);
{
	local $ENV{CLOCK_AHEAD} = $ahead;
	local $ENV{LD_PRELOAD} = BurnNote::library('clock');
	$node = burn_node('time', conf => PRELOADED);
}
$token = create($node);
$id = id_of($token);
$node->safe_psql('postgres', 'CREATE TABLE kept AS SELECT * FROM burn_note WHERE false');
make_failing(1, 'rolled back', '30 days');
have_ended(20, 'a note that cannot be ended stops no others');
$node->wait_for_log(qr/could not end burn note/, $log_start);
$log_start = -s $node->logfile;
launcher_looks(3);
is_deeply(fails(), {}, 'it is not told of again');
set_clock_ahead(2);
$node->wait_for_log(qr/could not end burn note/, $log_start);
pass('but for another hour');
$node->safe_psql('postgres', 'ALTER TABLE burn_receipt DROP CONSTRAINT refused');
have_ended(21, 'it ends when it can');

# burned, kept, and put there again
$node->safe_psql('postgres', <<~SQL);
	BEGIN;
	SELECT FROM burn_note WHERE id = '$id' FOR UPDATE;
	SAVEPOINT s;
	SELECT burn_read('$token');
	ROLLBACK TO s;
	INSERT INTO kept SELECT * FROM burn_note WHERE id = '$id';
	DELETE FROM burn_note WHERE id = '$id';
	COMMIT;
	SQL
is_quiet('nothing is left');
$node->safe_psql('postgres', 'INSERT INTO burn_note SELECT * FROM kept');
launcher_looks(3);
is(rows($node, $token), 1, 'a burned row that is put there by hand is not found');
set_clock_ahead(27);
ends($id, 'r', 'until a day has passed');

$id = id_of(create($node));
is_quiet('a note of seven days waits');
set_clock_ahead(27 + 7 * 24 - 1);
is_quiet('until then');
is($node->safe_psql('postgres', "SELECT count(*) FROM burn_note WHERE id = '$id'"), 1, 'it is there');
set_clock_ahead(27 + 7 * 24 + 1);
ends($id, 'e', 'it expires then');
$node->safe_psql('postgres', 'SET burn_note.max_attempts = 100; SELECT burn_read(burn_create($$note$$, NULL, $$right$$), NULL, $$wrong$$)');
set_clock_ahead(24 * 400);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM burn_receipt, burn_attempt'), 'receipts and attempts go');
set_clock_ahead(0);
$token = create($node);
$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$token'); ROLLBACK");
ends(id_of($token), 'r', 'a clock that is set back stops nothing');
$node->stop;

#
# Without preloading nothing is told
#
$node = burn_node('unpreloaded');
foreach my $time ('once', 'again')
{
	$token = create($node);
	$node->safe_psql('postgres', "BEGIN; SELECT burn_read('$token'); ROLLBACK");
	$reads = reads();
	is($node->safe_psql('postgres', 'SELECT burn_purge()'), 1, "unpreloaded, burn_purge() finds it: $time");
	is(reads(), $reads + 1, 'by reading the table');
}
$node->safe_psql('postgres', <<~'SQL');
	CREATE TABLE failing AS SELECT burn_create('note', '1 ms') AS token FROM generate_series(1, 60);
	SQL
$node->safe_psql('postgres', <<~'SQL');
	INSERT INTO failing SELECT burn_create('note') FROM generate_series(1, 20);
	BEGIN; SELECT count(burn_read(token)) FROM failing; ROLLBACK;
	ALTER TABLE burn_receipt ADD CONSTRAINT refused CHECK (outcome <> 'e') NOT VALID;
	SQL
is($node->safe_psql('postgres', 'SELECT burn_purge(5), burn_purge(50), burn_purge(50)'), '5|15|0',
	'unpreloaded, 60 notes that cannot be ended stop no others');

done_testing();
