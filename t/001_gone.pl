#
# Gone: a note that was read stays read, whatever its reader does then. Each attack
# reads a note and undoes the reading. It must not bring the note back, and the note
# must end in the first reader's receipt. Against the control build, which has no fuse,
# every one of these attacks must work: otherwise it proves nothing.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Wire qw(execute flush);

my $big_note = '0123456789abcdef' x 65536;

# What the first reader sends. In the same transaction, burn_status() tells when.
sub read_sql
{
	my ($token) = @_;
	my $ip = FIRST_READER;
	return "SELECT burn_read('$token', '$ip'); SELECT closed_at FROM burn_status('$token');";
}

sub ask
{
	my ($node, $sql) = @_;
	return scalar $node->safe_psql('postgres', $sql);
}

# The same, of several answers.
sub run
{
	return split /\n/, ask(@_);
}

# A session that has read the note and not ended its transaction: session, pid, answers.
sub reader_in_transaction
{
	my ($node, $token) = @_;
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $sql = read_sql($token);

	return ($session, $pid, split /\n/, $session->query_safe("BEGIN; $sql"));
}

# Parse, Bind, Execute, Flush; then hangs up after so many bytes of the note.
sub read_and_hang_up
{
	my ($node, $token, $bytes) = @_;
	my $session = Wire->new($node);

	$session->send(execute('', 'SELECT burn_read($1, $2)', $token, FIRST_READER) . flush());
	while (($session->receive_type // die 'the server has hung up') ne 'D')
	{
		$session->receive($session->receive_length);
	}
	$session->receive_length;
	my ($columns, $length) = unpack 'nN', $session->receive(6);
	my $got = $session->receive($bytes // $length);
	$session->hang_up;

	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $session->{pid})")
	  or die 'the backend does not notice the hang-up';
	return $got;
}

# ----------
# The attacks. Each is given a node and a token, and returns what it got of the note
# and, where it could ask before the undoing, closed_at.
# ----------
my @attacks = (
	{
		name => 'rollback',
		run => sub {
			my ($node, $token) = @_;
			return run($node, 'BEGIN; ' . read_sql($token) . ' ROLLBACK');
		},
	},
	{
		name => 'rollback_to_savepoint',
		run => sub {
			my ($node, $token) = @_;
			return run($node,
				'BEGIN; SAVEPOINT s; ' . read_sql($token) . ' ROLLBACK TO SAVEPOINT s; COMMIT');
		},
	},
	{
		name => 'exception_block',
		run => sub {
			my ($node, $token) = @_;
			my $ip = FIRST_READER;
			return run($node, <<~SQL);
				DO \$\$
				DECLARE
					note text;
				BEGIN
					BEGIN
						note := burn_read('$token', '$ip');
						RAISE EXCEPTION 'undo';
					EXCEPTION WHEN raise_exception THEN
						PERFORM set_config('burn_test.note', note, false);
					END;
				END \$\$;
				SELECT current_setting('burn_test.note');
				SQL
		},
	},
	{
		name => 'cast_error',
		run => sub {
			my ($node, $token) = @_;
			my $ip = FIRST_READER;
			my ($ret, $stdout, $stderr) = $node->psql('postgres',
				"SELECT burn_read('$token', '$ip')::int");

			# PostgreSQL's own error carries the note: that is the attack. We add nothing.
			my ($got) = $stderr =~
			  /^psql:\S+ ERROR:  invalid input syntax for type integer: "(.*)"\z/;
			return $got;
		},
	},
	{
		name => 'cursor',
		run => sub {
			my ($node, $token) = @_;
			my $ip = FIRST_READER;
			return run($node, <<~SQL);
				BEGIN;
				DECLARE c CURSOR FOR SELECT burn_read('$token', '$ip');
				FETCH c;
				SELECT closed_at FROM burn_status('$token');
				ROLLBACK;
				SQL
		},
	},
	{
		name => 'hang_up',
		run => \&read_and_hang_up,
	},
	{
		name => 'hang_up_after_1_MB',
		note => $big_note,
		run => \&read_and_hang_up,
	},
	{
		name => 'hang_up_in_the_middle_of_1_MB',
		note => $big_note,
		gets => 100_000,
		run => sub { return read_and_hang_up(@_, 100_000) },
	},
	{
		# Rows that nobody has deleted are copied, to another page or another file.
		name => 'rollback_and_vacuum_full',
		run => sub {
			my ($node, $token) = @_;
			my @got = run($node, 'BEGIN; ' . read_sql($token) . ' ROLLBACK');

			run($node, 'VACUUM FULL burn_note');
			return @got;
		},
	},
	{
		name => 'rollback_prepared',
		run => sub {
			my ($node, $token) = @_;
			my @got = run($node, 'BEGIN; ' . read_sql($token) . " PREPARE TRANSACTION 'p'");

			run($node, "ROLLBACK PREPARED 'p'");
			return @got;
		},
	},
	{
		name => 'killed_backend',
		run => sub {
			my ($node, $token) = @_;
			my ($session, $pid, @got) = reader_in_transaction($node, $token);

			kill_backend($node, $pid);
			$session->quit;
			return @got;
		},
	},
	{
		name => 'immediate_shutdown',
		run => sub {
			my ($node, $token) = @_;
			my ($session, $pid, @got) = reader_in_transaction($node, $token);

			$node->stop('immediate');
			$session->quit;
			$node->start;
			return @got;
		},
	},
	{
		# Nobody else writes WAL out: what the read itself does not flush is lost.
		name => 'crash_after_an_asynchronous_commit',
		run => sub {
			my ($node, $token) = @_;
			kill 'STOP', run($node, <<~SQL);
				SELECT pid FROM pg_stat_activity
				WHERE backend_type IN ('walwriter', 'background writer', 'checkpointer')
				SQL
			my @got = run($node, 'SET synchronous_commit = off; ' . read_sql($token));

			crash($node);
			return @got;
		},
	},
	{
		# A superuser takes the dead row out of its page, and the receipt away.
		name => 'dirty_read',
		needs => 'pg_dirtyread',
		run => sub {
			my ($node, $token) = @_;

			# Only this row is to be found dead, and its page is not to be pruned
			run($node, 'VACUUM burn_note');
			my $old_snapshot = $node->background_psql('postgres');
			$old_snapshot->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');

			my @got = run($node, read_sql($token));
			run($node, <<~SQL);
				DELETE FROM burn_receipt WHERE id = burn_note_id('$token');
				CREATE EXTENSION IF NOT EXISTS pg_dirtyread;
				INSERT INTO burn_note
					SELECT * FROM pg_dirtyread('burn_note')
						AS dead(id uuid, created_at timestamptz, fuse burn_fuse, creator oid, sealed bytea)
					WHERE id = burn_note_id('$token');
				SQL
			$old_snapshot->quit;
			return @got;
		},
	},
);

# Returns a token that the attack has been tried with, the note, and closed_at.
sub try_attack
{
	my ($node, $attack) = @_;
	my $note = $attack->{note} // NOTE;
	my $token = create($node, $note);
	my ($got, $closed_at) = $attack->{run}->($node, $token);

	ok(defined $got && $got eq substr($note, 0, $attack->{gets} // length $note),
		'the first reader gets the note');
	is(rows($node, $token), 1, 'the row is there again');
	is(receipts($node, $token), '', 'the receipt is gone');
	return ($token, $note, $closed_at);
}

# $finish is what comes next: a second reader, or a purge.
sub stays_burned
{
	my ($node, $attack, $finish) = @_;
	my $before = ask($node, 'SELECT clock_timestamp()');
	my ($token, $note, $closed_at) = try_attack($node, $attack);
	my $status = status($node, $token);

	is((split /\|/, $status)[1], $closed_at, 'burn_status tells the same as before the undoing')
	  if defined $closed_at;
	like($status, qr/^read\|[^|]+\|${\FIRST_READER}\|\w{32}$/, 'burn_status: read, by whom');
	is(ask($node, "SELECT closed_at BETWEEN '$before' AND clock_timestamp() FROM burn_status('$token')"),
		't', 'and when');
	is(ask($node, "SELECT burn_verify_receipt('$token')"), 't', 'burn_verify_receipt already');

	is(ask($node, 'SELECT burn_purge()'), 1, 'burn_purge finishes it') if $finish eq 'burn_purge';
	is(burn($node, $token), 'NULL', 'a second reader gets nothing');
	is(rows($node, $token), 0, 'the row is gone');
	is(receipts($node, $token), $status, 'one receipt: the first reader\'s');
	is(status($node, $token), $status, 'burn_status has not changed');
	is(ask($node, "SELECT burn_verify_receipt(burn_receipt_token('$token'))"),
		't', 'burn_verify_receipt');
	is(burn($node, $token), 'NULL', 'nor does a third reader');
	is(receipts($node, $token), $status, 'and that changes nothing');
	return;
}

# Runs what() for each attack on a node, as a subtest with that name.
sub each_attack
{
	my ($node, $suffix, $what) = @_;

	foreach my $attack (@attacks)
	{
		subtest "$attack->{name}_$suffix" => sub {
			plan skip_all => "extension $attack->{needs} is not available"
			  if defined $attack->{needs} && !available($node, $attack->{needs});
			$what->($node, $attack);
		};
	}
	return;
}

my $conf = 'max_prepared_transactions = 1';
my $node = burn_node('gone', conf => $conf);

is( [ $node->psql('postgres', "LOAD 'burn_note'") ]->[2], '',
	'the_library_under_test_has_a_fuse');
each_attack($node, 'does_not_unburn', sub { stays_burned(@_, 'burn_read') });
each_attack($node, 'does_not_keep_a_purge_from_finishing', sub { stays_burned(@_, 'burn_purge') });

subtest 'a_row_copied_before_its_burn_opens_nothing' => sub {
	my $token = create($node);

	run($node, "CREATE TABLE copy AS SELECT * FROM burn_note WHERE id = burn_note_id('$token')");
	is((run($node, read_sql($token)))[0], NOTE, 'the first reader gets the note');
	my $receipt = receipts($node, $token);
	run($node, 'INSERT INTO burn_note SELECT * FROM copy');

	burn_fails($node, $token, 'XX001', '', 'a second reader');
	burn_fails($node, $token, 'XX001', 'BEGIN; SAVEPOINT s', 'one in a transaction');
	is(receipts($node, $token), $receipt, 'one receipt: the first reader\'s');
	like($receipt, qr/^read\|[^|]+\|${\FIRST_READER}\|\w{32}$/, 'which says who');
	is(ask($node, "SELECT burn_verify_receipt('$token')"), 't', 'burn_verify_receipt');

	# The control: the copy is good, it is the receipt that refuses it
	run($node, "DELETE FROM burn_receipt WHERE id = burn_note_id('$token')");
	is(burn($node, $token), NOTE, 'the control: without the receipt the copy opens');
};

foreach my $format (qw(text csv binary))
{
	subtest "a_row_put_back_from_copy_${format}_opens_nothing" => sub {
		my $token = create($node);
		my $file = PostgreSQL::Test::Utils::tempdir . "/copy.$format";
		my $ours = "WHERE id = burn_note_id('$token')";

		run($node, <<~SQL);
			COPY (SELECT * FROM burn_note $ours) TO '$file' (FORMAT $format);
			DELETE FROM burn_note $ours;
			COPY burn_note FROM '$file' (FORMAT $format);
			SQL
		is(ask($node, "SELECT fuse FROM burn_note $ours"), 'void', 'the row\'s fuse is void');
		is(status($node, $token), 'unknown|||', 'burn_status: unknown');
		is(burn($node, $token), 'NULL', 'a reader gets nothing');
		is(burn($node, $token), 'NULL', 'nor does the next one');
		is(ask($node, 'SELECT burn_purge()'), 0, 'burn_purge does not take it for a burn');
		is(receipts($node, $token), '', 'nobody has read it: no receipt');
		run($node, "DELETE FROM burn_note $ours");
	};
}

subtest 'the_control_a_row_put_back_without_leaving_the_server_opens' => sub {
	my $token = create($node);
	my $ours = "WHERE id = burn_note_id('$token')";

	run($node, <<~SQL);
		CREATE TABLE aside AS SELECT * FROM burn_note $ours;
		DELETE FROM burn_note $ours;
		INSERT INTO burn_note SELECT * FROM aside;
		SQL
	reads_once($node, $token);
};

$node->stop;

SKIP:
{
	skip no_fuse_missing(), 1 if no_fuse_missing();
	my $control = burn_node('gone_control', no_fuse => 1, conf => $conf);

	like(
		[ $control->psql('postgres', "SET client_min_messages = warning; LOAD 'burn_note'") ]->[2],
		qr/WARNING: .*BURN_TEST_NO_FUSE/,
		'the_control_says_that_it_has_no_fuse');

	each_attack($control, 'unburns_in_the_control', sub {
		my ($token, $note) = try_attack(@_);
		ok(burn($control, $token) eq $note, 'a second reader gets the note, too');
	});
	$control->stop;
}

done_testing();
