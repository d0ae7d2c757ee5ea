#
# The extension may be dropped and created again, in the same or another schema, under
# sessions that have used it: they find the new tables, and nothing in the old ones.
#
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use BurnNote;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = burn_node('recreate');
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

$_->quit foreach values %session;
$node->stop;
done_testing();
