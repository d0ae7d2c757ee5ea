#
# The extension may be dropped and created again, in the same or another schema, and its
# tables may be altered and rewritten, under sessions that have used them: they find the
# new tables, nothing in the old ones, and obey what was altered.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = burn_node('live_sessions');
my %session;

foreach my $name (qw(one two))
{
	$session{$name} = $node->background_psql('postgres', on_error_stop => 0);
	$session{$name}->query_safe('PREPARE burn AS SELECT burn_read($1)');
	$session{$name}->query_safe('SET search_path = public, elsewhere');
}

sub ask
{
	my ($name, $sql) = @_;
	return $session{$name}->query_safe($sql);
}

# Each session creates a note that the other reads, and has an old token.
sub works
{
	my ($schema, %old) = @_;
	my %other = (one => 'two', two => 'one');
	my %token;

	foreach my $name (sort keys %session)
	{
		$token{$name} = ask($name, "SELECT burn_create('of $name')");
		like($token{$name}, qr/^bn1_/, "$name creates");
	}
	foreach my $name (sort keys %session)
	{
		is(ask($name, "EXECUTE burn('$token{$other{$name}}')"), "of $other{$name}",
			"$name reads the other's, by its old prepared statement");
		is(ask($name, "SELECT burn_read('$token{$other{$name}}') IS NULL"), 't', "$name does so once");
	}
	foreach my $name (sort keys %session)
	{
		is(ask($name, "SELECT state FROM burn_status('$token{$name}')"), 'read', "$name sees it read");
		is(ask($name, "SELECT burn_verify_receipt('$token{$name}')"), 't', "$name verifies it");
		next unless %old;
		is(ask($name, "SELECT state FROM burn_status('$old{$name}')"), 'unknown', "$name sees nothing old");
		is(ask($name, "SELECT burn_read('$old{$name}') IS NULL"), 't', "$name reads nothing old");
	}
	is(ask('one', "SELECT count(*) FROM $schema.burn_receipt"), 2, "the receipts are in $schema");
	return;
}

# Notes that nobody has read when the extension is dropped.
sub live_notes
{
	return map { $_ => ask($_, "SELECT burn_create('old')") } sort keys %session;
}

subtest 'sessions_share_the_first_extension' => sub { works('public') };

my %old = live_notes();
subtest 'dropped_extension_is_not_there' => sub {
	ask('one', 'DROP EXTENSION burn_note');
	foreach my $name (sort keys %session)
	{
		my $session = $session{$name};
		$session->query("SELECT burn_read('$old{$name}')");
		like($session->{stderr}, qr/function burn_read\(unknown\) does not exist/, "$name is told");
		$session->{stderr} = '';
	}
};

subtest 'sessions_work_after_drop_and_create' => sub {
	ask('one', 'CREATE EXTENSION burn_note');
	works('public', %old);
};

subtest 'sessions_work_after_drop_and_create_in_another_schema' => sub {
	%old = live_notes();
	ask('two', 'DROP EXTENSION burn_note; CREATE SCHEMA elsewhere; CREATE EXTENSION burn_note SCHEMA elsewhere');
	works('elsewhere', %old);
};

subtest 'sessions_work_after_drop_and_create_in_one_transaction' => sub {
	%old = live_notes();
	ask('one', 'BEGIN; DROP EXTENSION burn_note; CREATE EXTENSION burn_note SCHEMA public; COMMIT');
	works('public', %old);
};

subtest 'notes_survive_a_drop_that_is_rolled_back' => sub {
	%old = live_notes();
	ask('one', 'BEGIN; DROP EXTENSION burn_note; CREATE EXTENSION burn_note SCHEMA elsewhere');
	is(ask('one', "SELECT burn_read('$old{one}') IS NULL"), 't', 'in there: no old note');
	is(ask('one', "SELECT burn_read(burn_create('new'))"), 'new', 'but a new one');
	ask('one', 'ROLLBACK');

	is(ask('one', "SELECT burn_read('$old{one}')"), 'old', 'after it: one reads an old note');
	is(ask('two', "SELECT burn_read('$old{two}')"), 'old', 'and so does two');
};

# Each of these gives the tables or their indexes another OID or file.
foreach my $rewrite (
	'VACUUM FULL burn_note',
	'CLUSTER burn_receipt USING burn_receipt_pkey',
	'REINDEX TABLE burn_note',
	'REINDEX TABLE CONCURRENTLY burn_note',
	'REINDEX TABLE CONCURRENTLY burn_receipt',
	'ALTER TABLE burn_note DROP CONSTRAINT burn_note_pkey, ADD PRIMARY KEY (id)',
	'ALTER TABLE burn_receipt ADD COLUMN tag float8 DEFAULT random()')
{
	my ($name) = $rewrite =~ tr/ /_/r =~ /^(\w+)/;
	subtest lc "sessions_work_after_$name" => sub {
		%old = live_notes();
		ask('two', "SELECT burn_read(burn_create(''))");
		ask('one', $rewrite);

		is(ask('two', "SELECT burn_read('$old{two}')"), 'old', 'two reads an old note');
		is(ask('two', "SELECT burn_read('$old{two}') IS NULL"), 't', 'once');
		is(ask('two', "SELECT burn_read('$old{one}')"), 'old', 'and the other');
		is(ask('two', "SELECT burn_read(burn_create('new'))"), 'new', 'and a new one');
		is(ask('one', "SELECT burn_verify_receipt('$old{two}')"), 't', 'one verifies the receipt');
	};
}

subtest 'sessions_obey_a_new_constraint' => sub {
	%old = live_notes();
	ask('two', "SELECT burn_read(burn_create(''))");
	ask('one', q{ALTER TABLE burn_receipt ADD CONSTRAINT unread CHECK (outcome <> 'r') NOT VALID});

	my $two = $session{two};
	is($two->query("SELECT burn_read('$old{two}')"), '', 'two gets no note');
	like($two->{stderr}, qr/violates check constraint "unread"/, 'but the error');
	$two->{stderr} = '';
	is(ask('two', "SELECT state FROM burn_status('$old{two}')"), 'sealed', 'nothing is burned');

	ask('one', 'ALTER TABLE burn_receipt DROP CONSTRAINT unread');
	is(ask('two', "SELECT burn_read('$old{two}')"), 'old', 'without it two reads the note');
};

$_->quit foreach values %session;
$node->stop;
done_testing();
