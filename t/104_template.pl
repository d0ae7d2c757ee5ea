# A note belongs to its database: CREATE DATABASE ... TEMPLATE copies rows that do not open.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Burn;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('cloned');

$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE original');
$node->safe_psql('original', 'CREATE EXTENSION burn_note CASCADE');

my $token = create($node, "'short'", 'original');
my $toasted = create($node, "repeat('long', 5000)", 'original');
my $burned = create($node, "'burned'", 'original');
my $tombstone = create($node, "'tombstone'", 'original');
answer_of($node, "SELECT burn_read('$burned'); BEGIN; SELECT burn_read('$tombstone'); ROLLBACK",
	database => 'original');

foreach my $strategy (qw(wal_log file_copy))
{
	my %clone = (database => $strategy);

	$node->safe_psql('postgres', "CREATE DATABASE $strategy TEMPLATE original STRATEGY $strategy");
	is(answer_of($node, "SELECT count(*) FROM burn_note", %clone), '3', "$strategy\_copies_the_rows");
	is(sqlstate($node, "SELECT burn_read('$_')", %clone), 'XX001', "$strategy\_a_note_in_the_clone_does_not_open")
	  foreach $token, $toasted;
	is(answer_of($node, "SELECT state FROM burn_status('$token')", %clone),
		'sealed', "$strategy\_nothing_is_burned_in_the_clone");
	is(answer_of($node, 'SELECT count(*) FROM burn_receipt', %clone), '1',
		"$strategy\_no_receipt_is_written_in_the_clone");
	is(answer_of($node, "SELECT burn_read('$burned'), burn_read('$tombstone')", %clone),
		'NULL|NULL', "$strategy\_burned_notes_stay_burned_in_the_clone");
	is( answer_of($node, "SELECT burn_verify_receipt('$burned'), burn_verify_receipt('$tombstone')", %clone),
		't|t', "$strategy\_their_receipts_verify_in_the_clone");
	is(answer_of($node, "SELECT burn_read(burn_create('own'))", %clone), 'own',
		"$strategy\_the_clone_has_notes_of_its_own");
}

my %original = (database => 'original');
is(answer_of($node, "SELECT state FROM burn_status('$token')", %original),
	'sealed', 'nothing_is_burned_in_the_original');
is(answer_of($node, "SELECT burn_read('$token')", %original), 'short', 'the_original_still_opens');
is(answer_of($node, "SELECT burn_read('$toasted') = repeat('long', 5000)", %original),
	't', 'a_long_one_too');
is(answer_of($node, "SELECT burn_read('$token')", %original), 'NULL', 'once');

# A note is bound to its database's OID, not to its name.
$node->safe_psql('postgres', 'CREATE DATABASE renamed');
$node->safe_psql('renamed', 'CREATE EXTENSION burn_note CASCADE');
$token = create($node, "'renamed'", 'renamed');
$node->safe_psql('postgres', 'ALTER DATABASE renamed RENAME TO renamed_since');
is(answer_of($node, "SELECT burn_read('$token')", database => 'renamed_since'),
	'renamed', 'a_renamed_database_keeps_its_notes');

done_testing();
